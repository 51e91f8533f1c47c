"""A member's API through the access proxy: by its own listener, and by the hub's real aggregation layer."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from mesh_fakes.access_callers import PASSERS, scene_of
from mesh_fakes.access_scene import MEMBER, certificate_by, show_available
from mesh_fakes.bed import Bed
from mesh_fakes.waiting import until_found

pytestmark = pytest.mark.asyncio

PATH = f"/clusters/{MEMBER}"
WHOAMI = f"{PATH}/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def test_kubectl_reads_applies_and_watches_by_both_ways(pair_of_light: Bed, tmp_path: Path) -> None:
    async with scene_of(pair_of_light) as scene:
        ways = {"plain": scene.plain_kubeconfig(scene.token("caller")), "hub": scene.aggregated_kubeconfig()}
        for way, kubeconfig in ways.items():
            manifest = tmp_path / f"{way}.yaml"
            manifest.write_text(
                f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: by-{way}}}, data: {{a: b}}}}"
            )
            watch = await scene.start(kubeconfig, "get", "configmaps", "--watch-only", "-o", "name")
            assert watch.stdout is not None
            await until_it_stands(pair_of_light, watch.stdout, way=way)
            verb = ("create",) if way == "plain" else ("apply", "--server-side")
            assert await scene.kubectl(kubeconfig, *verb, "-f", str(manifest)) == (
                0,
                f"configmap/by-{way} {'created' if way == 'plain' else 'serverside-applied'}\n",
            )
            async with asyncio.timeout(120):
                while await watch.stdout.readline() != f"configmap/by-{way}\n".encode():
                    assert not watch.stdout.at_eof()
            watch.terminate()
            await watch.wait()
            ended, said = await scene.kubectl(
                kubeconfig, "get", "configmap", f"by-{way}", "-o", "jsonpath={.data.a}"
            )
            assert (ended, said) == (0, "b")
            # It is the member that has it.
            pair_of_light.kubectl("member", "delete", "configmap", f"by-{way}")


async def until_it_stands(bed: Bed, watch: asyncio.StreamReader, *, way: str) -> None:
    """Return when the watch tells of something: what is made before it stands is not told."""
    seen = asyncio.ensure_future(watch.readline())
    made: list[str] = []
    async with asyncio.timeout(120):
        while not seen.done():
            made.append(f"watched-{way}-{len(made)}")
            await asyncio.to_thread(bed.kubectl, "member", "create", "configmap", made[-1])
            await asyncio.wait({seen}, timeout=0.5)
    assert (await seen).startswith(b"configmap/"), "the watch has ended"
    await asyncio.to_thread(bed.kubectl, "member", "delete", "configmap", *made)


async def test_who_asks_is_the_same_person_there_and_brings_no_right_of_a_clusters_own_parts(
    pair_of_light: Bed,
) -> None:
    async with scene_of(pair_of_light) as scene:
        ada = scene.certificate(
            "ca", user="ada", groups=(PASSERS, "system:masters", "kubeadm:cluster-admins")
        )
        async with scene.session(ada) as session:
            assert await whoami(session) == ("ada", [PASSERS, "system:authenticated"])
        token = {"Authorization": f"Bearer {scene.token('caller')}"}
        async with scene.session() as session:
            name = "meshctl:hub:system:serviceaccount:default:caller"
            assert await whoami(session, headers=token) == (name, ["system:authenticated"])
        # The hub's own answer to --as comes through the aggregation layer as the other person.
        told = (
            "auth",
            "whoami",
            "-o",
            "jsonpath={.status.userInfo.username}",
            "--as=ada",
            f"--as-group={PASSERS}",
        )
        assert await scene.kubectl(scene.aggregated_kubeconfig(), *told) == (0, "ada")


MATRIX = [
    # who (certificate's user and groups), method, path in the member, what he is told
    ("ada", (PASSERS,), "GET", "/api/v1/configmaps", 200),
    ("ada", (PASSERS,), "GET", "/api/v1/secrets", 403),
    ("ada", (PASSERS,), "DELETE", "/api/v1/namespaces/default/configmaps/none", 403),
    ("eve", (PASSERS,), "GET", "/api/v1/configmaps", 403),
    ("eve", (), "GET", "/version", 403),
    ("root", ("system:masters",), "GET", "/api/v1/configmaps", 403),
    ("root", ("system:masters",), "GET", "/version", 200),
]


async def test_the_hub_says_who_comes_through_and_the_member_what_he_may_do(pair_of_light: Bed) -> None:
    async with scene_of(pair_of_light) as scene:
        for user, groups, method, path, expected in MATRIX:
            async with scene.session(scene.certificate("ca", user=user, groups=groups)) as session:
                async with session.request(method, PATH + path) as answer:
                    assert answer.status == expected, (user, method, path, await answer.text())


async def test_only_the_hubs_front_proxy_says_who_somebody_is(pair_of_light: Bed) -> None:
    forged = {"X-Remote-User": "ada", "X-Remote-Group": PASSERS}
    async with scene_of(pair_of_light) as scene:
        front = scene.certificate("front-proxy-ca", user="front-proxy-client")
        async with scene.session(front) as session:
            assert await whoami(session, headers=forged) == ("ada", [PASSERS, "system:authenticated"])
            async with session.get(f"{PATH}/version") as answer:
                assert answer.status == 401, "a front proxy is nobody by itself"
        liars = [
            scene.certificate("front-proxy-ca", user="somebody-else"),
            scene.certificate("ca", user="front-proxy-client"),
            None,
        ]
        for liar in liars:
            async with scene.session(liar) as session:
                async with session.get(f"{PATH}/api/v1/configmaps", headers=forged) as answer:
                    assert answer.status in (401, 403)
        pki = pair_of_light.folder / "member" / "pki"
        stranger = certificate_by(pki / "ca.crt", pki / "ca.key", user="ada", groups=(PASSERS,))
        async with scene.session(stranger) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{PATH}/version")


async def test_a_member_that_is_not_available_has_no_way_and_people_are_told_why(pair_of_light: Bed) -> None:
    async with scene_of(pair_of_light) as scene, pair_of_light.client("hub") as hub:
        ada = scene.certificate("ca", user="ada", groups=(PASSERS, "system:masters"))
        async with scene.session(ada) as session:

            async def has(status: int, *, cluster: str = MEMBER) -> bool:
                async with session.get(f"/clusters/{cluster}/version") as answer:
                    said = await answer.json()
                    return answer.status == status and (status == 200 or bool(said["message"]))

            await until_found(lambda: has(200))
            await show_available(hub, status="Unknown")
            await until_found(lambda: has(503))
            await show_available(hub, status="True")
            await until_found(lambda: has(200))
            assert await has(404, cluster="nowhere")


async def whoami(
    session: aiohttp.ClientSession, *, headers: dict[str, str] | None = None
) -> tuple[str, list[str]]:
    """Whom the member's API server takes the caller for."""
    async with session.post(WHOAMI, json=REVIEW, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        user = (await answer.json())["status"]["userInfo"]
        return user["username"], user["groups"]
