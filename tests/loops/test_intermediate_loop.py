"""How a cluster comes to its intermediate, keeps it, and is not talked into a bad one."""

import asyncio
import base64
from datetime import timedelta

import pytest

from mesh_controller.intermediate_source import TrustReason
from mesh_core.identity import Component
from mesh_core.names import SIGNER_INTERMEDIATE
from mesh_core.objects import CertificateSigningRequest
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.controller_trust import TrustScene, trust_scene
from mesh_fakes.waiting import until
from mesh_runtime.approval import NoRequest, WrongCluster
from mesh_runtime.intermediate import stored_certificate, stored_key
from mesh_runtime.kube import CSRS, SECRETS, Informer
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_intermediate, new_key, window_in
from mesh_runtime.proof import prove
from mesh_runtime.request_answer import approve, deny, give
from mesh_runtime.sighting import sighting
from mesh_runtime.signing_request import make_request, request_in

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LOOK = 301.0  # seconds after which the loop has looked again in any case


async def the_request(scene: TrustScene) -> CertificateSigningRequest:
    """The one open request, as soon as it is there."""
    informer = Informer(scene.api.client(), CSRS, fields=f"spec.signerName={SIGNER_INTERMEDIATE}")
    found = await sighting(informer, look=lambda: next(informer.values(), None), limit=60)
    assert found is not None
    return found


async def answered_by(scene: TrustScene, clusterset: FakeClusterset, *, cluster: str = "west") -> None:
    """Answer the open request in the name of `clusterset`, right or wrong."""
    request = await the_request(scene)
    certificate = clusterset.intermediate(cluster, of=request_in(request).public_key)
    approved = await approve(scene.api.client(), request, message="so it is said")
    await give(scene.api.client(), approved, chain_pem=certificates_to_pem((certificate,)))


async def test_a_cluster_that_has_not_joined_makes_nothing() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await asyncio.sleep(LOOK)
        assert scene.api.requests == []
        assert scene.source.state.reason is TrustReason.NOT_A_MEMBER
        assert "meshctl join" in scene.source.state.message


async def test_joining_makes_a_key_and_one_request() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        request = await the_request(scene)
        assert request_in(request).uris == (identity("west", Component.CONTROLLER).uri,)
        secret = await scene.secret()
        assert secret is not None and stored_certificate(secret) == b""
        await asyncio.sleep(10 * LOOK)
        assert len(await scene.requests()) == 1
        assert scene.source.state.reason is TrustReason.TRUST_PENDING


async def test_a_signed_intermediate_is_stored_and_the_controller_stands() -> None:
    async with trust_scene(ago=HOUR) as scene:
        standing = await scene.joined()
        assert standing == scene.source.current
        assert standing.identity == identity("west", Component.CONTROLLER)
        prove(standing.credentials, identity=standing.identity, roots=scene.clusterset.roots)
        assert scene.source.state.reason is TrustReason.TRUSTED
        await asyncio.sleep(1)
        assert await scene.requests() == []


async def test_work_that_is_done_is_not_done_again() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        await asyncio.sleep(1)
        before = len(scene.api.requests)
        await asyncio.sleep(10 * LOOK)
        assert len(scene.api.requests) == before


async def test_a_replica_that_does_not_lead_stands_too() -> None:
    async with trust_scene(ago=HOUR) as leader:
        await leader.joined()
        secret = await leader.secret()
        assert secret is not None
        async with trust_scene(ago=HOUR, leads=False) as follower:
            await follower.join(roots=leader.clusterset.roots)
            data = {"metadata": {"name": "meshctl-intermediate", "namespace": "meshctl-system"}}
            await follower.api.client().create(SECRETS, {**data, "data": secret.data})
            standing = await follower.standing()
            leads = leader.source.current
            assert leads is not None
            assert standing.credentials.key_pem != leads.credentials.key_pem


async def test_the_intermediate_is_asked_for_again_after_two_thirds_of_its_life() -> None:
    async with trust_scene(ago=3 * HOUR) as scene:
        await scene.join()
        await scene.approve(earlier=60 * DAY - HOUR)
        first = await scene.source.authority_after(None)
        await asyncio.sleep(0.9 * HOUR.total_seconds())
        assert await scene.requests() == []
        await asyncio.sleep(0.2 * HOUR.total_seconds())
        await scene.approve()
        second = await scene.source.authority_after(first)
        assert second.certificate.public_key() == first.certificate.public_key()
        assert window_in(second.certificate).end > window_in(first.certificate).end


@pytest.mark.parametrize("cluster", ["west", "east"])
async def test_a_certificate_from_elsewhere_is_thrown_away_and_asked_for_anew(cluster: str) -> None:
    """From a foreign root, or, from our own, for another cluster."""
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        asked = await the_request(scene)
        signer = FakeClusterset() if cluster == "west" else scene.clusterset
        await answered_by(scene, signer, cluster=cluster)
        await until(lambda: "DELETE" in [method for _, method, _ in scene.api.requests])
        again = await the_request(scene)
        assert again.metadata.uid != asked.metadata.uid
        secret = await scene.secret()
        assert secret is not None and stored_certificate(secret) == b""
        await answered_by(scene, scene.clusterset)
        await scene.standing()


async def test_an_intermediate_for_another_key_does_not_count() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        request = await the_request(scene)
        other = scene.clusterset.member("west").certificate
        approved = await approve(scene.api.client(), request, message="so it is said")
        await give(scene.api.client(), approved, chain_pem=certificates_to_pem((other,)))
        await until(lambda: "DELETE" in [method for _, method, _ in scene.api.requests])
        secret = await scene.secret()
        assert secret is not None and stored_certificate(secret) == b""


async def test_a_denied_request_is_not_asked_again_while_it_stands() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        request = await the_request(scene)
        await deny(scene.api.client(), request, reason="No", message="not today")
        await asyncio.sleep(10 * LOOK)
        assert [item.metadata.uid for item in await scene.requests()] == [request.metadata.uid]
        await scene.api.client().delete(CSRS, request.metadata.name)
        assert (await the_request(scene)).metadata.uid != request.metadata.uid


async def test_a_deleted_secret_makes_a_new_key_and_leaves_no_old_request() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        old, secret = await the_request(scene), await scene.secret()
        assert secret is not None
        await scene.api.client().delete(SECRETS, "meshctl-intermediate", namespace="meshctl-system")
        await until(lambda: scene.source.secret is not None and scene.source.secret != secret)
        await asyncio.sleep(1)
        request = await the_request(scene)
        assert request.metadata.name != old.metadata.name
        new = await scene.secret()
        assert new is not None
        assert request_in(request).public_key == stored_key(new).public_key()


async def test_a_spoiled_key_waits_for_a_person_and_says_so() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        spoiled = {"data": {"tls.key": base64.b64encode(b"spoiled").decode()}}
        await scene.api.client().merge_patch(
            SECRETS, "meshctl-intermediate", spoiled, namespace="meshctl-system"
        )
        await until(lambda: scene.source.state.reason is TrustReason.TRUST_PENDING)
        assert scene.source.current is not None, "the leaf lives on until its own end"


async def test_everything_goes_on_after_the_api_server_was_away() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        await the_request(scene)
        scene.api.stop()
        await asyncio.sleep(100)
        assert scene.source.state.reason is TrustReason.TRUST_PENDING
        scene.api.start()
        await scene.approve()
        await scene.standing()


async def test_only_the_controllers_own_request_is_approved() -> None:
    async with trust_scene(ago=HOUR, leads=False) as scene:
        await scene.join()
        wish = make_request(new_key(), identity=identity("west", Component.CONTROLLER))
        spec = {
            "request": base64.b64encode(wish).decode(),
            "signerName": SIGNER_INTERMEDIATE,
            "usages": ["cert sign"],
        }
        thief = scene.api.client("system:serviceaccount:default:meshctl-controller")
        await thief.create(CSRS, {"metadata": {"name": "meshctl-intermediate-0"}, "spec": spec})
        with pytest.raises(NoRequest, match="30 s"):
            await scene.approve()


async def test_the_person_must_have_named_the_cluster_that_asks() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        with pytest.raises(WrongCluster, match="west"):
            await scene.approve(cluster="east")
        (request,) = await scene.requests()
        assert request.status.conditions == ()


async def test_another_domain_is_another_request() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        old = await the_request(scene)
        await scene.join(cluster="north")
        await asyncio.sleep(1)
        new = await the_request(scene)
        assert new.metadata.name != old.metadata.name
        certificate = make_intermediate(
            scene.clusterset.root,
            cluster=identity("north").cluster,
            domain=scene.clusterset.domain,
            public_key=request_in(new).public_key,
            now=scene.clock(),
        )
        approved = await approve(scene.api.client(), new, message="so it is said")
        await give(scene.api.client(), approved, chain_pem=certificates_to_pem((certificate,)))
        assert (await scene.standing()).identity == identity("north", Component.CONTROLLER)
