"""What a Placement names comes along out of its namespace of the hub, on real API servers.

Nothing runs there: what members were asked is read from their audit log.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_fakes.audit import Asked, AuditLog
from mesh_fakes.bed import Bed, started
from mesh_fakes.delivery import namespace
from mesh_fakes.light_fleet import LightFleet, fleet_at_work
from mesh_fakes.light_members import found_at, give_node
from mesh_fakes.waiting import until_found
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.names import DEPENDENCIES_ACCOUNT, LABEL_PLACEMENT
from mesh_placement.objects import Manifest
from mesh_placement.resources import PLACEMENTS, ROLE_BINDINGS
from mesh_runtime.kube import CONFIG_MAPS, NAMESPACES, SECRETS

pytestmark = pytest.mark.asyncio

MANIFESTS = Path(__file__).parents[3] / "manifests"
SHOP = "/api/v1/namespaces/shop"
WEB = "/apis/apps/v1/namespaces/shop/deployments/web"


@pytest.fixture(scope="module")
def audited_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """`hub` and `east`, each etcd and an API server that writes down who asks for what, with all kinds."""
    clusters = ("hub", "east")
    folder = tmp_path_factory.mktemp("along")
    with started(folder, "--clusters", ",".join(clusters), "--light", "--audit") as bed:
        for cluster in clusters:
            for kinds in ("", "placement", "placement-standard"):
                bed.kubectl(cluster, "apply", "-k", str(MANIFESTS / "crds" / kinds))
            bed.kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        yield bed


def web(name: str) -> Manifest:
    """Pods that name a Secret, a ConfigMap and an account."""
    sources = [{"secretRef": {"name": "password"}}, {"configMapRef": {"name": "settings"}}]
    pod = {
        "serviceAccountName": "runner",
        "containers": [{"name": "web", "image": "web:1", "envFrom": sources}],
    }
    labels = {"app": name}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


async def place(fleet: LightFleet, name: str) -> None:
    spec: dict[str, Any] = {  # Any: JSON
        "clusterSets": ["prod"],
        "manifests": [namespace(), web(name)],
        "dependencies": "Auto",
    }
    body = {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    await fleet.hub.apply(PLACEMENTS, body, field_manager="test")


async def has(fleet: LightFleet, name: str, condition: str, status: str, words: str = "") -> bool:
    found = await fleet.hub.get(PLACEMENTS, name, namespace="shop")
    return any(
        (one.type, one.status) == (condition, status) and words in one.message
        for one in found.status.conditions
    )


async def let_the_hub_read(fleet: LightFleet) -> None:
    """As docs/placement.md says it."""
    group = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": DEPENDENCIES_ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    body = {
        "metadata": {"name": DEPENDENCIES_ACCOUNT, "namespace": "shop"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": DEPENDENCIES_ACCOUNT},
        "subjects": [account],
    }
    await fleet.hub.apply(ROLE_BINDINGS, body, field_manager="test")


async def things_of_the_shop(fleet: LightFleet) -> None:
    """A Secret, a ConfigMap and an account, as somebody has them on the hub."""
    meta = {"namespace": "shop"}
    secret = {"metadata": {"name": "password", **meta}, "data": {"word": "c2VzYW1l"}}
    await fleet.hub.apply(SECRETS, secret, field_manager="somebody")
    config = {"metadata": {"name": "settings", **meta}, "data": {"a": "1"}}
    await fleet.hub.apply(CONFIG_MAPS, config, field_manager="somebody")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner", **meta}}
    await fleet.hub.apply_manifest(account, field_manager="somebody")


def first_made(asked: list[Asked], resource: str, name: str) -> int:
    """Which of the requests made that object in the shop."""
    return next(
        number
        for number, one in enumerate(asked)
        if one.stage == "ResponseComplete"
        and one.is_taken
        and one.verb in ("patch", "create")
        and (one.object_ref.resource, one.object_ref.namespace, one.object_ref.name)
        == (resource, "shop", name)
    )


async def test_what_is_named_comes_along_before_the_pods_once_somebody_let_the_hub_read_it(
    audited_two: Bed,
) -> None:
    bed = audited_two
    async with fleet_at_work(bed, members=("east",), scheduling=installed_scheduling()) as fleet:
        hub, east = fleet.hub, fleet.members["east"]
        await give_node(east)
        await hub.apply(NAMESPACES, {"metadata": {"name": "shop"}}, field_manager="test")
        await things_of_the_shop(fleet)
        await place(fleet, "web")
        await until_found(
            lambda: has(fleet, "web", "Dependencies", "False", "nobody let the hub read"), limit=60.0
        )
        await until_found(lambda: has(fleet, "web", "Applied", "False", "waits for"), limit=120.0)
        assert await found_at(east, WEB) is None
        assert await found_at(east, f"{SHOP}/secrets/password") is None

        await let_the_hub_read(fleet)
        await until_found(lambda: has(fleet, "web", "Applied", "True"), limit=120.0)
        assert await has(fleet, "web", "Dependencies", "True")
        secret = await found_at(east, f"{SHOP}/secrets/password")
        assert secret is not None and secret["data"] == {"word": "c2VzYW1l"}
        asked = await AuditLog.of(bed, "east").until_now(east)
        deployment = first_made(asked, "deployments", "web")
        for resource, name in (
            ("secrets", "password"),
            ("configmaps", "settings"),
            ("serviceaccounts", "runner"),
        ):
            assert first_made(asked, resource, name) < deployment, resource

        await place(fleet, "admin")
        await until_found(lambda: has(fleet, "admin", "Applied", "True"), limit=120.0)
        before = await found_at(east, f"{SHOP}/secrets/password")
        await hub.delete(PLACEMENTS, "web", namespace="shop")
        await until_found(lambda: is_gone(fleet, "web"), limit=120.0)
        assert await found_at(east, WEB) is None
        assert await found_at(east, f"{SHOP}/configmaps/settings") is not None, "the other one names it"
        after = await found_at(east, f"{SHOP}/secrets/password")
        assert before is not None and after is not None
        assert after["metadata"]["uid"] == before["metadata"]["uid"]

        await hub.delete(PLACEMENTS, "admin", namespace="shop")
        await until_found(lambda: is_gone(fleet, "admin"), limit=120.0)
        paths = ("secrets/password", "configmaps/settings", "serviceaccounts/runner")
        assert [await found_at(east, f"{SHOP}/{path}") for path in paths] == [None] * 3
        assert (await hub.list(SECRETS, labels=LABEL_PLACEMENT)).items == []
        assert await found_at(hub, f"{SHOP}/secrets/password") is not None


async def is_gone(fleet: LightFleet, name: str) -> bool:
    return await fleet.hub.find(PLACEMENTS, name, namespace="shop") is None
