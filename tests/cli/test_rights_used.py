"""Every right that we ask for is used: each resource of each program's rules, by a file of that program."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_cli.install.kustomize import render
from mesh_cli.install.shipped import manifests_folder
from mesh_core.names import CONTROLLER, DNS, GATEWAY

ROOT = Path(__file__).parents[2]
CONTROLLERS, GATEWAYS, NAMES, RUNTIME = (
    "controller/mesh_controller",
    "gateway/mesh_gateway",
    "dns/mesh_dns",
    "controller/mesh_runtime",
)
# Program and resource to the file that uses it, and what it is called there.
USED: dict[tuple[str, str], tuple[str, str]] = {
    (CONTROLLER, "namespaces"): (f"{CONTROLLERS}/caches.py", "NAMESPACES"),
    (CONTROLLER, "services"): (f"{CONTROLLERS}/act.py", "SERVICES"),
    (CONTROLLER, "endpointslices"): (f"{CONTROLLERS}/act.py", "ENDPOINT_SLICES"),
    (CONTROLLER, "serviceexports"): (f"{CONTROLLERS}/caches.py", "SERVICE_EXPORTS"),
    (CONTROLLER, "serviceexports/status"): (f"{CONTROLLERS}/act.py", "SERVICE_EXPORTS"),
    (CONTROLLER, "serviceimports"): (f"{CONTROLLERS}/act.py", "SERVICE_IMPORTS"),
    (CONTROLLER, "serviceimports/status"): (f"{CONTROLLERS}/act.py", "SERVICE_IMPORTS"),
    (CONTROLLER, "meshpeers"): (f"{CONTROLLERS}/caches.py", "MESH_PEERS"),
    (CONTROLLER, "meshpeers/status"): (f"{CONTROLLERS}/act.py", "MESH_PEERS"),
    (CONTROLLER, "trustbundles"): (f"{CONTROLLERS}/caches.py", "TRUST_BUNDLES"),
    (CONTROLLER, "trustbundles/status"): (f"{CONTROLLERS}/act.py", "TRUST_BUNDLES"),
    (CONTROLLER, "clusterproperties"): (f"{CONTROLLERS}/caches.py", "CLUSTER_PROPERTIES"),
    (CONTROLLER, "certificatesigningrequests"): (f"{CONTROLLERS}/leaf_signer.py", "CSRS"),
    (CONTROLLER, "certificatesigningrequests/approval"): (f"{CONTROLLERS}/leaf_signer.py", "approve"),
    (CONTROLLER, "certificatesigningrequests/status"): (f"{CONTROLLERS}/leaf_signer.py", "give"),
    (CONTROLLER, "signers"): (f"{CONTROLLERS}/leaf_signer.py", "SIGNER_LEAF"),
    (CONTROLLER, "importedrecords"): (f"{CONTROLLERS}/act.py", "IMPORTED_RECORDS"),
    (CONTROLLER, "importedshards"): (f"{CONTROLLERS}/act.py", "IMPORTED_SHARDS"),
    (CONTROLLER, "leases"): (f"{CONTROLLERS}/contact.py", "LEASES"),
    (CONTROLLER, "configmaps"): (f"{CONTROLLERS}/port_book.py", "CONFIG_MAPS"),
    (CONTROLLER, "secrets"): (f"{CONTROLLERS}/intermediate_loop.py", "SECRETS"),
    (CONTROLLER, "events"): (f"{CONTROLLERS}/event_teller.py", "EVENTS"),
    (GATEWAY, "endpointslices"): (f"{GATEWAYS}/watch.py", "ENDPOINT_SLICES"),
    (GATEWAY, "serviceimports"): (f"{GATEWAYS}/watch.py", "SERVICE_IMPORTS"),
    (GATEWAY, "serviceexports"): (f"{GATEWAYS}/watch.py", "SERVICE_EXPORTS"),
    (GATEWAY, "meshpeers"): (f"{GATEWAYS}/watch.py", "MESH_PEERS"),
    (GATEWAY, "meshpeers/status"): (f"{GATEWAYS}/probe_report.py", "plan_report"),
    (GATEWAY, "pods"): (f"{GATEWAYS}/source_watch.py", "PODS"),
    (GATEWAY, "nodes"): (f"{GATEWAYS}/source_watch.py", "NODES"),
    (GATEWAY, "trustbundles"): (f"{RUNTIME}/membership.py", "TRUST_BUNDLES"),
    (GATEWAY, "clusterproperties"): (f"{GATEWAYS}/watch.py", "CLUSTER_PROPERTIES"),
    (GATEWAY, "certificatesigningrequests"): (f"{RUNTIME}/leaf_request.py", "CSRS"),
    (GATEWAY, "serviceprobes"): (f"{GATEWAYS}/service_probing.py", "SERVICE_PROBES"),
    (GATEWAY, "serviceprobes/status"): (f"{GATEWAYS}/service_probing.py", "entry_of"),
    (GATEWAY, "leases"): (f"{GATEWAYS}/replica_lease.py", "LEASES"),
    (DNS, "serviceimports"): (f"{NAMES}/names.py", "SERVICE_IMPORTS"),
    (DNS, "endpointslices"): (f"{NAMES}/names.py", "ENDPOINT_SLICES"),
    (DNS, "namespaces"): (f"{NAMES}/names.py", "NAMESPACES"),
    (DNS, "nodes"): (f"{NAMES}/source_watch.py", "NODES"),
    (DNS, "services"): (f"{NAMES}/names.py", "SERVICES"),
    (DNS, "meshpeers"): (f"{NAMES}/nearby.py", "MESH_PEERS"),
}


def asked_for() -> Iterator[tuple[str, str]]:
    for manifest in render(manifests_folder() / "rbac"):
        for rule in manifest.get("rules") or ():
            yield from ((manifest["metadata"]["name"], resource) for resource in rule["resources"])


def test_every_right_has_somebody_who_uses_it_and_nothing_is_used_without_a_right() -> None:
    assert set(asked_for()) == set(USED)


@pytest.mark.parametrize(("program", "resource"), USED, ids=lambda one: one)
def test_the_file_that_uses_a_right_does_so(program: str, resource: str) -> None:
    file, word = USED[program, resource]
    assert re.search(rf"\b{word}\b", (ROOT / file).read_text()), f"{program} asks for {resource} in vain"


def test_an_update_is_asked_for_only_where_whole_objects_are_written() -> None:
    """The verb `update` is for `KubeClient.replace`; patches and applies need `patch`, and `create`."""
    written = {
        path.relative_to(ROOT).as_posix()
        for room in ("controller", "gateway", "dns")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"(kube|client)\.replace\(", path.read_text())
    }
    # A hub that floats has rights of its own (manifests/placement/witness and floating), which others lack.
    floating = "controller/mesh_placement/hub/floating"
    apart = {f"{floating}/{name}.py" for name in ("election", "store", "taking")}
    assert written == {f"{RUNTIME}/kube/leader.py", *apart}
    updating = {
        (manifest["metadata"]["name"], resource)
        for manifest in render(manifests_folder() / "rbac")
        for rule in manifest.get("rules") or ()
        for resource in rule["resources"]
        if "update" in rule["verbs"]
    }
    assert updating == {(CONTROLLER, "leases")}
