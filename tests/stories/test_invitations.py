"""A cluster comes in by an invitation: both controllers' parts are real, and so is TLS between them."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_controller.intermediate_source import IntermediateSource
from mesh_core.identity import Component
from mesh_core.invitation_token import Token
from mesh_core.invitations import Taken
from mesh_core.names import (
    INTERMEDIATE_SECRET,
    INVITATIONS_SECRET,
    ISSUER_SECRET,
    JOIN_TOKEN_SECRET,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import PeerGateway
from mesh_core.objects.trust import RefusedKey
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_core.trust_statement import held_by
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.inviting import (
    NEWCOMERS_GATEWAY,
    Newcomer,
    at_port,
    inviter,
    newcomer,
    outcome,
    without_certificate,
)
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import KEY, stored_key
from mesh_runtime.kube import MESH_PEERS, NAMESPACES, SECRETS, TRUST_BUNDLES, ApiError
from mesh_runtime.membership import MembershipSource
from mesh_runtime.pem import certificates_from_pem, key_to_pem
from mesh_runtime.pki import new_key
from mesh_runtime.proof import prove
from mesh_runtime.trust_signing import key_id_of

pytestmark = pytest.mark.asyncio


def with_key(west: Newcomer) -> Newcomer:
    """A newcomer that has made its key already."""
    key = new_key()
    meta = {"name": INTERMEDIATE_SECRET, "namespace": SYSTEM_NAMESPACE}
    data = {KEY: base64.b64encode(key_to_pem(key)).decode()}
    west.api.put(SECRETS, {"metadata": meta, "data": data})
    return west


async def test_a_cluster_with_a_token_becomes_a_member_and_both_know_each_other() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        assert await outcome(west, token) == "in"
        assert west.joined is not None and west.joined.status == "True"
        assert held_by(west.bundle).generation == 1
        at_west, at_east = west.api.find(MESH_PEERS, "east"), east.api.find(MESH_PEERS, "west")
        assert at_west is not None and at_east is not None
        assert at_west.spec.gateways == (PeerGateway(host="192.0.2.1", port=15443),)
        assert at_east.spec.gateways == NEWCOMERS_GATEWAY
        assert east.invitation(token).uses == 0


async def test_whoever_came_in_stands_as_a_member_of_the_inviters_pool_ruling_2() -> None:
    west = newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
        intermediate, issuer = certificates_from_pem(west.chain, what="the chain")
        assert issuer == east.issuer.certificate
        assert intermediate.not_valid_after_utc <= issuer.not_valid_after_utc
    kube = west.api.client(CONTROLLER_ACCOUNT)
    membership = MembershipSource(kube)
    source = IntermediateSource(kube, membership=membership)
    async with under_way(membership.run(), source.run()), asyncio.timeout(60):
        standing = await source.after(None)
    assert standing is not None
    assert str(standing.identity) == "spiffe://west.by-east.clusterset.internal/controller"
    assert standing.identity.component is Component.CONTROLLER
    prove(standing.credentials, identity=standing.identity, roots=standing.roots)


async def test_no_private_key_leaves_its_cluster() -> None:
    west = newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
        kept = west.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        assert kept is not None
        key = key_to_pem(stored_key(kept))
        for secret in east.api.all(SECRETS):
            assert all(base64.b64decode(text) != key for text in secret.data.values())
        invitations = east.api.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
        assert invitations is not None
        assert west.api.find(SECRETS, ISSUER_SECRET, namespace=SYSTEM_NAMESPACE) is None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda token: replace(token, secret=bytes(16)), "InvitationUnknown"),
        (lambda token: replace(token, id="00" * 8), "InvitationUnknown"),
        (lambda token: replace(token, root="cd" * 32), "WrongInviter"),
        (lambda token: replace(token, pool="by-north"), "WrongInviter"),
        (lambda token: replace(token, cluster="north", pool="by-east"), "WrongInviter"),
        (lambda token: replace(token, domain="other.internal"), "WrongClusterset"),
    ],
    ids=["secret", "id", "root", "pool", "inviter", "domain"],
)
async def test_a_token_with_something_else_in_it_lets_nobody_in(
    spoil: Callable[[Token], Token], reason: str
) -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        assert await outcome(west, spoil(token)) == reason
        assert east.invitation(token).uses == 1
        assert east.api.find(MESH_PEERS, "west") is None
        assert west.chain == b"" and held_by(west.bundle).statement is None


async def test_a_used_an_ended_and_a_revoked_invitation_say_so_while_the_door_is_open_for_others() -> None:
    async with inviter() as east:
        east.invite(uses=9)
        used, ended, revoked = [await east.at(east.invite()) for _ in range(3)]
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        east.keep(ended.id, msgspec.structs.replace(east.invitation(ended), expires=past))
        east.keep(revoked.id, msgspec.structs.replace(east.invitation(revoked), revoked=True))
        assert await outcome(newcomer("west"), used) == "in"
        assert await outcome(newcomer("north"), used) == "InvitationUsed"
        assert await outcome(newcomer("north"), ended) == "InvitationExpired"
        assert await outcome(newcomer("north"), revoked) == "InvitationRevoked"
        assert east.api.find(MESH_PEERS, "north") is None


async def test_an_invitation_lets_in_as_many_as_it_says() -> None:
    async with inviter() as east:
        east.invite()
        token = await east.at(east.invite(uses=2))
        assert [await outcome(newcomer(name), token) for name in ("west", "north", "south")] == [
            "in",
            "in",
            "InvitationUsed",
        ]
        assert [use.cluster for use in east.invitation(token).taken] == ["west", "north"]


@pytest.mark.parametrize("taken_by", ["member", "peer", "another invitation", "the inviter"])
async def test_an_id_that_somebody_has_is_not_given_again(taken_by: str) -> None:
    clusterset = FakeClusterset()
    async with inviter(clusterset=clusterset, members=("south",)) as east:
        if taken_by == "peer":
            east.api.put(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {"dial": "inbound"}})
        if taken_by == "another invitation":
            assert await outcome(newcomer("west"), await east.at(east.invite())) == "in"
        name = {"member": "south", "the inviter": "east"}.get(taken_by, "west")
        token = await east.at(east.invite())
        assert await outcome(newcomer(name), token) == "ClusterIdTaken"
        assert east.invitation(token).uses == 1


async def test_an_invitation_that_is_bound_to_an_id_is_for_that_one() -> None:
    async with inviter() as east:
        token = await east.at(east.invite(cluster="north"))
        assert await outcome(newcomer("west"), token) == "ClusterIdNotAllowed"
        assert await outcome(newcomer("north"), token) == "in"


async def test_an_evicted_cluster_that_comes_again_is_refused_and_told_why() -> None:
    west = with_key(newcomer())
    kept = west.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    assert kept is not None
    key = key_id_of(stored_key(kept).public_key())
    refused = RefusedKey(key=key, cluster="west", since="2026-04-01T00:00:00Z", why="was stolen")
    async with inviter(refused=(refused,)) as east:
        assert await outcome(west, await east.at(east.invite())) == "ClusterIdNotAllowed"
        assert west.joined is not None and "was stolen" in west.joined.message


async def test_of_two_clusters_with_one_use_exactly_one_comes_in_whichever_replicas_they_meet() -> None:
    for _ in range(5):
        async with inviter(replicas=2) as east:
            invited = east.invite()
            east.invite()
            first, second = await east.at(invited), await east.at(invited, replica=1)
            found = await asyncio.gather(outcome(newcomer("west"), first), outcome(newcomer("north"), second))
            assert sorted(found) == ["InvitationUsed", "in"]
            assert len(east.invitation(invited).taken) == 1
            peers = [peer.metadata.name for peer in east.api.all(MESH_PEERS)]
            assert len(peers) == 1


async def test_of_two_clusters_with_one_id_and_two_tokens_exactly_one_comes_in() -> None:
    async with inviter(replicas=2) as east:
        one, other = await east.at(east.invite()), await east.at(east.invite(), replica=1)
        found = await asyncio.gather(outcome(newcomer("west"), one), outcome(newcomer("west"), other))
        assert sorted(found) == ["ClusterIdTaken", "in"]


async def test_two_replicas_of_one_newcomer_take_one_use() -> None:
    west = newcomer()
    async with inviter(replicas=2) as east:
        invited = east.invite()
        token = await east.at(invited)
        west.prepare(token, gateways=NEWCOMERS_GATEWAY)
        async with west.running(), west.running():
            await until(lambda: west.is_done)
        assert len(east.invitation(invited).taken) == 1
        assert west.chain.count(b"BEGIN CERTIFICATE") == 2


async def test_a_replica_that_meets_the_peer_of_the_first_one_is_no_stranger_to_it() -> None:
    """Between the look at the uses and the look at the peers another door let the first replica in."""
    west = with_key(newcomer())
    kept = west.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
    assert kept is not None
    key = key_id_of(stored_key(kept).public_key())
    async with inviter() as east:
        token = await east.at(east.invite())
        met: list[str] = []

        def meanwhile(method: str, path: str) -> None:
            if method == "GET" and path.endswith("/meshpeers/west") and not met:
                met.append(path)
                use = Taken(cluster="west", uid="", key=key, at=datetime.now(UTC).isoformat())
                before = east.invitation(token)
                east.keep(token.id, msgspec.structs.replace(before, uses=0, taken=(use,)))
                east.api.put(MESH_PEERS, {"metadata": {"name": "west"}, "spec": {"dial": "both"}})

        east.api.faults.append(meanwhile)
        assert await outcome(west, token) == "in"
        assert met and len(east.invitation(token).taken) == 1


async def test_a_second_key_does_not_take_a_look_before_the_first_ones_peer_for_an_unlinking() -> None:
    """Between the look at the peers and the second look at the uses another door let another key in."""
    west = newcomer()
    async with inviter() as east:
        mine, others = await east.at(east.invite()), east.invite()
        seen: list[str] = []

        def meanwhile(method: str, path: str) -> None:
            if method == "GET" and path.endswith("/meshpeers/west"):
                seen.append("peer")
            if method == "GET" and path.endswith(f"/{INVITATIONS_SECRET}") and seen == ["peer"]:
                seen.append("uses")
                meta = {"name": "west", "uid": "of-the-first"}
                east.api.put(MESH_PEERS, {"metadata": meta, "spec": {"dial": "both"}})
                system = west.api.find(NAMESPACES, "kube-system")
                uid = system.metadata.uid if system is not None else ""
                until = (datetime.now(UTC) + timedelta(days=20)).isoformat()
                at = datetime.now(UTC).isoformat()
                use = Taken(cluster="west", uid=uid, key="honest", at=at, until=until, peer="of-the-first")
                east.keep(others.id, msgspec.structs.replace(east.invitation(others), uses=0, taken=(use,)))

        east.api.faults.append(meanwhile)
        assert await outcome(west, mine) == "ClusterIdTaken"
        assert seen[:2] == ["peer", "uses"] and east.invitation(mine).uses == 1


async def test_a_newcomer_whose_answer_was_lost_comes_again_and_takes_no_further_use() -> None:
    """Its API server takes nothing that would be kept: as good as an answer that never came."""
    west = newcomer()
    broken = True

    def fault(method: str, path: str) -> ApiError | None:
        if broken and method == "PATCH" and path.endswith(INTERMEDIATE_SECRET):
            return ApiError(status=500, reason="InternalError", message="no")
        return None

    west.api.faults.append(fault)
    async with inviter() as east:
        token = await east.at(east.invite())
        west.prepare(token, gateways=NEWCOMERS_GATEWAY)
        async with west.running():
            await until(lambda: east.invitation(token).uses == 0)
            broken = False
            await until(lambda: west.is_done)
        assert len(east.invitation(token).taken) == 1
        assert west.chain


@pytest.mark.parametrize("stopped_at", ["trustbundles", MESH_PEERS.plural, JOIN_TOKEN_SECRET])
async def test_a_cluster_that_was_stopped_half_way_does_the_rest_when_it_runs_again(stopped_at: str) -> None:
    west = newcomer()
    stuck: list[str] = []

    def fault(method: str, path: str) -> ApiError | None:
        over = method in ("POST", "DELETE") or (method == "PATCH" and west.chain != b"")
        if stopped_at in path and over and not stuck:
            stuck.append(path)
            return ApiError(status=500, reason="InternalError", message="killed here")
        return None

    async with inviter() as east:
        token = await east.at(east.invite())
        west.prepare(token, gateways=NEWCOMERS_GATEWAY)
        west.api.faults.append(fault)
        async with west.running():
            await until(lambda: bool(stuck))
        async with west.running():
            await until(lambda: west.is_done)
        assert west.api.find(MESH_PEERS, "east") is not None
        assert held_by(west.bundle).generation == 1
        assert len(east.invitation(token).taken) == 1


async def test_a_cluster_whose_clock_is_wrong_is_told_both_times() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        west.prepare(token, gateways=NEWCOMERS_GATEWAY)
        async with west.running(clock=lambda: datetime.now(UTC) + timedelta(minutes=7)):
            await until(lambda: west.joined is not None)
        assert west.joined is not None and west.joined.reason == "ClockSkew"
        assert west.joined.message.count(datetime.now(UTC).strftime("%Y-%m-%d")) >= 1
        assert east.invitation(token).uses == 1


async def test_a_peer_that_the_operator_has_made_is_left_alone() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        mine = {"metadata": {"name": "east"}, "spec": {"gateways": [{"host": "198.51.100.1", "port": 1}]}}
        west.api.put(MESH_PEERS, mine)
        assert await outcome(west, token) == "in"
        peer = west.api.find(MESH_PEERS, "east")
        assert peer is not None and peer.spec.gateways[0].host == "198.51.100.1"


async def test_silence_at_one_address_is_no_answer_and_another_is_asked() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        assert await outcome(west, at_port(token, 1, token.gateways[0].port)) == "in"


async def test_what_may_get_better_is_tried_again_until_it_has() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        west.prepare(at_port(token, 1), gateways=NEWCOMERS_GATEWAY)
        async with west.running():
            await until(lambda: west.joined is not None and west.joined.reason == "Unreachable")
            west.prepare(token, gateways=NEWCOMERS_GATEWAY)
            await until(lambda: west.is_done)


async def test_an_inviter_that_lost_its_issuer_says_not_now_and_goes_on_when_it_is_back() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        kept = east.api.find(SECRETS, ISSUER_SECRET, namespace=SYSTEM_NAMESPACE)
        assert kept is not None
        east.api.remove(SECRETS, ISSUER_SECRET, namespace=SYSTEM_NAMESPACE)
        west.prepare(token, gateways=NEWCOMERS_GATEWAY)
        async with west.running():
            await until(lambda: west.joined is not None and west.joined.reason == "NotNow")
            meta = {"name": ISSUER_SECRET, "namespace": SYSTEM_NAMESPACE}
            east.api.put(SECRETS, {"metadata": meta, "data": dict(kept.data)})
            await until(lambda: west.is_done)


async def test_a_member_whose_token_is_a_leftover_asks_nobody() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        assert await outcome(west, token) == "in"
    assert await outcome(west, token) == "in"
    assert [peer.metadata.name for peer in east.api.all(MESH_PEERS)] == ["west"]


async def test_a_member_that_lost_its_certificate_gets_another_for_the_same_key_by_another_token() -> None:
    west = newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
        kept = west.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        assert kept is not None
        first, key = west.chain, stored_key(kept)
        west.api.remove(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        meta = {"name": INTERMEDIATE_SECRET, "namespace": SYSTEM_NAMESPACE}
        west.api.put(SECRETS, {"metadata": meta, "data": {KEY: kept.data[KEY]}})
        assert await outcome(west, await east.at(east.invite())) == "in"
        again = certificates_from_pem(west.chain, what="the chain")[0]
        assert west.chain != first
        assert key_id_of(key.public_key()) in {
            key_id_of(one) for one in (again.public_key(),) if isinstance(one, ec.EllipticCurvePublicKey)
        }


async def test_the_peer_of_a_newcomer_says_from_the_first_by_which_pool_and_key_it_came_in() -> None:
    west = newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
        kept = west.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        assert kept is not None
        raw = await east.api.client().request("GET", MESH_PEERS.path("west"))
        spec = msgspec.json.decode(raw)["spec"]
        assert (spec["pool"], spec["key"]) == ("by-east", key_id_of(stored_key(kept).public_key()))


async def test_a_second_key_gets_no_certificate_where_the_first_ones_peer_could_not_be_made() -> None:
    broken = True

    def fault(method: str, path: str) -> ApiError | None:
        if broken and method == "POST" and MESH_PEERS.plural in path:
            return ApiError(status=500, reason="InternalError", message="no")
        return None

    first, second = newcomer(), newcomer()
    async with inviter() as east:
        east.api.faults.append(fault)
        token = await east.at(east.invite(uses=2))
        first.prepare(token, gateways=NEWCOMERS_GATEWAY)
        async with first.running():
            await until(lambda: east.invitation(token).uses == 1)
            await until(lambda: first.joined is not None)
        broken = False
        used = east.invitation(token)
        hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        taken = tuple(msgspec.structs.replace(one, at=hour_ago) for one in used.taken)
        east.keep(token.id, msgspec.structs.replace(used, taken=taken))
        assert await outcome(second, token) == "ClusterIdTaken"
        assert second.chain == b""
        async with first.running():
            await until(lambda: first.is_done)
        assert east.invitation(token).uses == 1


async def test_an_inviter_that_says_it_is_at_loopback_is_not_believed_and_nothing_of_it_is_kept() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite(gateways=(PeerGateway(host="127.0.0.1", port=6443),)))
        assert await outcome(west, token) == "WrongInviter"
        assert west.chain == b"" and west.api.find(MESH_PEERS, "east") is None


async def test_a_second_token_cannot_change_the_root_of_a_running_member() -> None:
    """Another clusterset of the same names: the operator pins its root, and the member stays where it is."""
    west = newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
    before, chain = held_by(west.bundle), west.chain
    async with inviter(clusterset=FakeClusterset()) as twin:
        assert await outcome(west, await twin.at(twin.invite())) == "BadToken"
        assert twin.api.find(MESH_PEERS, "west") is None
    assert held_by(west.bundle) == before and west.chain == chain


async def test_a_renewal_never_writes_an_older_statement_than_is_held() -> None:
    """The inviter lags behind: what the member has heard from others meanwhile stays."""
    west = newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
        without_certificate(west)
        east.generation = 5
        newer = east.statement()
        east.generation = 1
        west.api.put(
            TRUST_BUNDLES,
            {
                "metadata": {"name": TRUST_BUNDLE},
                "status": {"generation": 5, "statement": msgspec.to_builtins(newer)},
            },
        )
        assert await outcome(west, await east.at(east.invite())) == "in"
        assert held_by(west.bundle).generation == 5 and west.bundle.status.generation == 5


async def test_a_statement_that_comes_from_a_peer_while_the_joiner_writes_is_not_undone() -> None:
    west = newcomer()
    async with inviter() as east:
        east.generation = 5
        newer = {"generation": 5, "statement": msgspec.to_builtins(east.statement())}
        east.generation = 1

        def fault(method: str, path: str) -> ApiError | None:
            # The loop of trust is quicker, between the joiner's look and its last write.
            if method == "PATCH" and "trustbundles" in path and west.api.find(MESH_PEERS, "east"):
                west.api.put(TRUST_BUNDLES, {"metadata": {"name": TRUST_BUNDLE}, "status": newer})
            return None

        west.api.faults.append(fault)
        assert await outcome(west, await east.at(east.invite())) == "in"
        assert held_by(west.bundle).generation == 5
        assert west.joined is not None and west.joined.status == "True"


async def test_a_token_that_leads_nowhere_takes_no_statement_from_a_member() -> None:
    west = newcomer()
    async with inviter() as east:
        token = await east.at(east.invite())
        assert await outcome(west, token) == "in"
        without_certificate(west)
        assert await outcome(west, replace(at_port(token, 1), id="00" * 8)) == "Unreachable"
        assert held_by(west.bundle).generation == 1
