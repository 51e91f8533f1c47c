"""Who is evicted from one cluster: `TrustBundle.spec.refusedHere`, which that cluster's operator writes."""

from dataclasses import dataclass

from mesh_cli.member.itself import Facts
from mesh_cli.session import command_line
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId
from mesh_core.names import TRUST_BUNDLE
from mesh_core.objects import TrustBundle
from mesh_core.objects.trust import LocalRefusal
from mesh_core.plan import as_json
from mesh_core.trust_statement import held_by
from mesh_runtime.kube import TRUST_BUNDLES, KubeClient

EVICT_MANAGER = "meshctl-evict"
"""Field manager of the list, so that nobody who applies the rest of the bundle takes it back."""


class PeerEvicted(UserError):
    """A peer that was evicted from this cluster cannot be linked with it."""


class StillRefused(UserError):
    """Somebody else than `meshctl` says that the peer is refused."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The list as it should be, of the bundle in the version that was seen."""

    version: str
    entries: tuple[LocalRefusal, ...]


def refusal_of(facts: Facts, *, peer: str) -> LocalRefusal | None:
    """What the operator of the cluster says against `peer`; None when nothing."""
    entries = facts.bundle.spec.refused_here if facts.bundle is not None else ()
    return next((one for one in entries if one.cluster == peer), None)


def check_not_evicted(facts: Facts, *, peer: ClusterId) -> None:
    """Raises PeerEvicted."""
    refused = refusal_of(facts, peer=peer)
    if refused is None:
        return
    when = f" on {refused.since}" if refused.since else ""
    why = f" ({refused.why})" if refused.why else ""
    readmit = command_line(None, "peer", "evict", "--readmit", peer, "--context", facts.context)
    raise PeerEvicted(
        f"{peer} was evicted from {facts.member().cluster}{when}{why}",
        next_step=f"to let it in again, run {readmit} first",
    )


def keys_of(bundle: TrustBundle, *, peer: str) -> tuple[str, ...]:
    """The keys that the signed roster knows of a member, none where nobody has signed one."""
    statement = held_by(bundle).statement
    roster = statement.roster if statement is not None else ()
    return next((tuple(entry.keys) for entry in roster if entry.cluster == peer), ())


def with_refusal(bundle: TrustBundle, *, peer: ClusterId, since: str, why: str) -> Refused:
    """The list with `peer`; a second eviction keeps since when, and why unless it says so anew."""
    before = next((one for one in bundle.spec.refused_here if one.cluster == peer), None)
    added = LocalRefusal(
        cluster=peer,
        keys=keys_of(bundle, peer=peer),
        since=before.since if before is not None else since,
        why=why or (before.why if before is not None else ""),
    )
    others = [one for one in bundle.spec.refused_here if one.cluster != peer]
    entries = sorted((*others, added), key=lambda one: one.cluster)
    return Refused(bundle.metadata.resource_version, tuple(entries))


def without_refusal(bundle: TrustBundle, *, peer: str) -> Refused:
    """The list without `peer`."""
    others = [one for one in bundle.spec.refused_here if one.cluster != peer]
    return Refused(bundle.metadata.resource_version, tuple(others))


async def write_refused(client: KubeClient, wanted: Refused) -> TrustBundle:
    """Write the list; ApiError with `is_conflict` when somebody else has written the bundle meanwhile."""
    metadata = {"name": TRUST_BUNDLE, "resourceVersion": wanted.version}
    body = {"metadata": metadata, "spec": {"refusedHere": [as_json(one) for one in wanted.entries]}}
    return await client.apply(TRUST_BUNDLES, body, field_manager=EVICT_MANAGER)
