"""A cluster that was uninstalled is invited again under its id: who gets the id, and when."""

from dataclasses import replace

import pytest

from mesh_core.conditions import rfc3339
from mesh_core.names import INTERMEDIATE_SECRET, INVITATIONS_SECRET, SYSTEM_NAMESPACE
from mesh_fakes.inviting import (
    NEWCOMERS_GATEWAY,
    inviter,
    newcomer,
    outcome,
    without_certificate,
)
from mesh_fakes.waiting import until
from mesh_runtime.intermediate import stored_key
from mesh_runtime.kube import MESH_PEERS, SECRETS, ApiError
from mesh_runtime.trust_signing import key_id_of

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("unlinked", [True, False])
async def test_a_cluster_that_was_uninstalled_comes_in_again_under_its_id_once_it_was_unlinked(
    unlinked: bool,
) -> None:
    west, again = newcomer(), newcomer()
    async with inviter() as east:
        assert await outcome(west, await east.at(east.invite())) == "in"
        if unlinked:
            east.api.remove(MESH_PEERS, "west")
        token = await east.at(east.invite())
        # The same cluster, by its kube-system, with nothing left of what it had: it makes another key.
        assert await outcome(again, token) == ("in" if unlinked else "ClusterIdTaken")
        if not unlinked:
            assert again.joined is not None and "meshctl peer remove west" in again.joined.message
            assert east.invitation(token).uses == 1, "the token is good for another try"
            return
        peer = east.api.find(MESH_PEERS, "west")
        kept = again.api.find(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
        assert peer is not None and kept is not None
        assert peer.spec.key == key_id_of(stored_key(kept).public_key())
        # The first key is nobody's here any more, whoever has a copy of it and a token.
        without_certificate(west)
        assert await outcome(west, await east.at(east.invite())) == "ClusterIdTaken"


async def test_another_cluster_does_not_get_the_id_of_one_that_was_unlinked() -> None:
    """Others may have linked it under its first key, which is good until its certificate ends."""
    other = replace(newcomer("north"), name="west")
    async with inviter() as east:
        assert await outcome(newcomer(), await east.at(east.invite())) == "in"
        east.api.remove(MESH_PEERS, "west")
        assert await outcome(other, await east.at(east.invite())) == "ClusterIdTaken"
        assert other.chain == b"" and east.api.find(MESH_PEERS, "west") is None
        assert other.joined is not None and "meshctl trust evict west --key" in other.joined.message


async def test_the_answer_waits_until_it_is_noted_which_mesh_peer_was_made() -> None:
    """Else an id whose MeshPeer is deleted later would look like one that was never linked."""
    west = newcomer()
    notes: list[str] = []

    def fault(method: str, path: str) -> ApiError | None:
        # The first write takes the use, the second one notes the MeshPeer.
        if method == "PATCH" and path.endswith(INVITATIONS_SECRET):
            notes.append(path)
            if len(notes) == 2:
                return ApiError(status=500, reason="InternalError", message="no")
        return None

    async with inviter() as east:
        east.api.faults.append(fault)
        token = await east.at(east.invite())
        west.prepare(token, gateways=NEWCOMERS_GATEWAY)
        async with west.running():
            await until(lambda: west.joined is not None and west.joined.reason == "NotNow")
            assert west.chain == b""
            await until(lambda: west.is_done)
        peer = east.api.find(MESH_PEERS, "west")
        (use,) = east.invitation(token).taken
        assert peer is not None and use.peer == peer.metadata.uid != ""
        assert use.until == rfc3339(east.issuer.certificate.not_valid_after_utc)
