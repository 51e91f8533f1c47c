"""How a cluster comes to its intermediate, keeps it, and is not talked into a bad one."""

import asyncio
import base64
from datetime import timedelta

import pytest

from mesh_controller.intermediate_source import TrustReason
from mesh_core.identity import Component
from mesh_core.names import SIGNER_INTERMEDIATE
from mesh_core.objects import CertificateSigningRequest
from mesh_core.objects.trust import RosterEntry, Signed, Statement
from mesh_fakes.clusterset import FakeClusterset, identity
from mesh_fakes.controller_trust import TrustScene, trust_scene
from mesh_fakes.waiting import until
from mesh_runtime.approval import NoRequest, WrongCluster
from mesh_runtime.intermediate import stored_certificate, stored_key
from mesh_runtime.kube import CSRS, SECRETS, Informer
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import Authority, make_intermediate, make_root, new_key, window_in
from mesh_runtime.proof import prove
from mesh_runtime.request_answer import approve, deny, give
from mesh_runtime.rotation import root_entry
from mesh_runtime.sighting import sighting
from mesh_runtime.signing_request import make_request, request_in
from mesh_runtime.trust_signing import key_id_of, signed

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


# What the roster names.


def statement_of(
    scene: TrustScene, *, generation: int, roots: tuple[Authority, ...], own: Authority, days: float = 0
) -> Signed:
    """Signed by the first root; the last has signed west's key, that many days ago."""
    certificate = make_intermediate(
        roots[-1],
        cluster=identity("west").cluster,
        domain=scene.clusterset.domain,
        public_key=own.certificate.public_key(),  # type: ignore[arg-type]  # all our keys are of one kind
        now=scene.clock() - days * DAY,
    )
    entry = RosterEntry(
        cluster="west",
        keys=(key_id_of(own.key.public_key()),),
        certificates=(certificates_to_pem((certificate,)).decode(),),
    )
    statement = Statement(
        domain=scene.clusterset.domain,
        generation=generation,
        roots=tuple(map(root_entry, roots)),
        roster=(entry,),
    )
    return signed(statement, by=[root.key for root in roots])


async def test_a_certificate_that_the_roster_names_takes_effect_and_is_stored_without_anybody() -> None:
    """And so the old root can go; a restart finds what it needs in the Secret."""
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        first = await scene.source.authority_after(None)
        old, new = scene.clusterset.root, make_root(scene.clusterset.domain, now=scene.clock())
        await scene.state(statement_of(scene, generation=2, roots=(old, new), own=first))
        second = await scene.source.authority_after(first)
        assert second.key.public_key() == first.key.public_key()
        second.certificate.verify_directly_issued_by(new.certificate)
        await until_stored(scene, second)
        assert await scene.requests() == []
        await until(lambda: (now := scene.source.current) is not None and now.settled == 2, limit=90)
        alone = statement_of(scene, generation=3, roots=(new,), own=first)
        await scene.state(alone)
        await until(lambda: (now := scene.source.current) is not None and now.settled == 3, limit=90)
        standing = scene.source.current
        assert standing is not None and len(standing.roots) == 1
        prove(standing.credentials, identity=standing.identity, roots=standing.roots)


async def until_stored(scene: TrustScene, authority: Authority) -> None:
    """The Secret holds it within a minute."""
    async with asyncio.timeout(60):
        while True:
            secret = await scene.secret()
            if secret is not None and stored_certificate(secret) == certificates_to_pem(authority.chain):
                return
            await asyncio.sleep(0.1)


async def test_a_fresh_certificate_in_the_roster_ends_the_asking_for_one() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        await scene.approve(earlier=61 * DAY)
        first = await scene.source.authority_after(None)
        await the_request(scene)
        await scene.state(statement_of(scene, generation=2, roots=(scene.clusterset.root,), own=first))
        second = await scene.source.authority_after(first)
        await until_stored(scene, second)
        await asyncio.sleep(10)
        assert await scene.requests() == []
        await asyncio.sleep(10 * LOOK)
        assert await scene.requests() == []


async def test_an_old_certificate_in_the_roster_gives_way_to_the_renewed_one() -> None:
    """Nobody signed a statement with it; else the old one were used to its end, with leaves ever shorter."""
    async with trust_scene(ago=HOUR) as scene:
        await scene.join()
        await scene.approve(earlier=62 * DAY)
        first = await scene.source.authority_after(None)
        old = statement_of(scene, generation=2, roots=(scene.clusterset.root,), own=first, days=61)
        await scene.state(old)
        second = await scene.source.authority_after(first)
        await the_request(scene)
        await scene.approve()
        third = await scene.source.authority_after(second)
        await until_stored(scene, third)
        await asyncio.sleep(10 * LOOK)
        assert scene.source.authority == third
        assert await scene.requests() == []
        assert (now := scene.source.current) is not None and now.settled == 2


async def test_a_roster_that_names_another_key_is_told_and_nothing_of_it_is_stored() -> None:
    async with trust_scene(ago=HOUR) as scene:
        await scene.joined()
        other = scene.clusterset.member("west")
        await scene.state(statement_of(scene, generation=2, roots=(scene.clusterset.root,), own=other))
        await until(lambda: scene.source.state.reason is TrustReason.TRUST_PENDING, limit=90)
        assert "names another key for west" in scene.source.state.message
        before = await scene.secret()
        await asyncio.sleep(10)
        assert await scene.secret() == before
