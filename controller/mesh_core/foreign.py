"""Peers with a root of their own: what was agreed for each, and what their clusterset has signed since. Pure.

What a peer's statement says of its roots, its roster and whom it refuses holds for that one id: so its
rotation of the root and its evictions reach us, and nobody's but its own. It counts for as long as
`MeshPeer.spec.trust` is what it was checked against.
"""

import hashlib
from typing import Final

import msgspec

from mesh_core.names import MANAGER
from mesh_core.objects import MeshPeer, Meta, TrustBundle, TrustBundleSpec
from mesh_core.objects.mesh import ForeignTexts, PeerClusterset
from mesh_core.plan import Apply, Json, Kind, Plan, as_json
from mesh_core.trust_statement import Held, held_by

FOREIGN_MANAGER: Final = f"clusterset.{MANAGER}"
_canonical: Final = msgspec.json.Encoder(order="sorted")


def agreement(stated: PeerClusterset) -> str:
    """What tells one agreement from another."""
    return hashlib.sha256(_canonical.encode(stated)).hexdigest()


def foreign_texts(peer: MeshPeer) -> Held:
    """The newest texts of the peer's own clusterset that count; nothing for a member of ours."""
    stated, kept = peer.spec.trust, peer.status.clusterset
    if stated is None or kept is None or kept.agreed != agreement(stated):
        return Held()
    spec = TrustBundleSpec(domain=stated.domain, statement=kept.statement, revocations=kept.revocations)
    held = held_by(TrustBundle(metadata=Meta(name=peer.metadata.name), spec=spec))
    # Without its statement nobody knows who may revoke.
    return held if held.statement is not None and held.statement.domain == stated.domain else Held()


def plan_foreign_texts(peer: MeshPeer, *, held: Held) -> Plan:
    """The write that keeps `held`, if it is newer than what is kept; for the object as it was seen."""
    before = foreign_texts(peer)
    if peer.spec.trust is None or held.statement is None:
        return ()
    if (held.generation, held.revision) == (before.generation, before.revision):
        return ()
    kept = ForeignTexts(
        agreed=agreement(peer.spec.trust),
        statement=held.signed_statement,
        revocations=held.signed_revocations,
    )
    metadata: Json = {"name": peer.metadata.name, "resourceVersion": peer.metadata.resource_version}
    body: Json = {"metadata": metadata, "status": {"clusterset": as_json(kept)}}
    return (Apply(kind=Kind.MESH_PEER, body=body, manager=FOREIGN_MANAGER, subresource="status"),)
