"""Two real clusters that keep roots of their own."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from live.lifecycle.pair import HOME, Pair
from live.test_gateway_door import say
from mesh_cli.trust.change import change_trust
from mesh_cli.trust.members import members_at_hand
from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.key_rotation import announced
from mesh_fakes.waiting import until_found
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import own_leaf
from mesh_runtime.pki import Authority, make_intermediate, new_key
from mesh_runtime.tls import client_context
from mesh_runtime.trust_dir import load_trust_dir
from mesh_runtime.trust_signing import key_id_of

pytestmark = pytest.mark.asyncio

HELLO = f"80.hello.{HOME}.svc.clusterset.local"


def signed_by(folder: Path, *, name: str) -> Authority:
    """An intermediate for that id by the root in the folder."""
    trust, key = load_trust_dir(folder), new_key()
    certificate = make_intermediate(
        trust.issuing,
        cluster=cluster_id(name),
        domain=trust.domain,
        public_key=key.public_key(),
        now=utc_now(),
    )
    return Authority(certificate, key)


async def admit(pair: Pair, folder: Path, *, shown: Authority) -> None:
    """The root in the folder names that key for west too, as when a member's key is being changed."""
    key = key_id_of(shown.key.public_key())
    async with members_at_hand(("west",), kubeconfig=pair.bed.kubeconfig) as members:
        await change_trust(
            folder,
            members=members,
            made=lambda one, _trust: announced(one, cluster=cluster_id("west"), key=key),
            now=datetime.now(UTC),
        )


async def heard(pair: Pair, *, name: str, shown: Authority, folders: tuple[Path, Path]) -> bytes:
    """What east's gateway says to somebody with that certificate."""
    trusts = [load_trust_dir(one) for one in folders]
    who = Identity(cluster_id(name), Component.GATEWAY, trusts[1].domain)
    roots = [one.root_pem for one in trusts]
    tls = client_context(own_leaf(shown, identity=who, clock=utc_now), roots=roots, alpn=["meshctl/1"])
    return await say(pair.hello, tls, sni=HELLO)


async def test_members_with_roots_of_their_own_call_each_other(pair: Pair, tmp_path: Path) -> None:
    folders = tmp_path / "ours", tmp_path / "theirs"
    joining = [
        asyncio.to_thread(pair.join, cluster, trust=folder)
        for cluster, folder in zip(("east", "west"), folders, strict=True)
    ]
    await asyncio.gather(*joining)
    known, unknown = signed_by(folders[1], name="west"), signed_by(folders[1], name="north")
    await admit(pair, folders[1], shown=known)
    pair.meshctl("link", "east", "west", "--exchange-trust")
    for cluster in ("east", "west"):
        await pair.hello.export(cluster)
    await asyncio.gather(pair.answers_from("west", source="east"), pair.answers_from("east", source="west"))

    async def is_answered() -> bool:
        return b"hello from" in await heard(pair, name="west", shown=known, folders=folders)

    # Their root has named another key of west: east hears it from west itself.
    await until_found(is_answered)
    assert await heard(pair, name="north", shown=unknown, folders=folders) == b"", "it was not agreed"
