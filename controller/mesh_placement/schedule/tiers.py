"""Tiers: which of a placement's `tiers` a cluster belongs to, and what becomes of those in none."""

from collections.abc import Mapping, Sequence, Set

from msgspec.structs import replace

from mesh_placement.objects.placing import PropertyMatch
from mesh_placement.schedule.gathering import Findings, Refusal
from mesh_placement.schedule.plugins import Rejection
from mesh_placement.schedule.snapshot import Cluster, Wanted

NAME = "Tiers"


def tier_of(cluster: Cluster, tiers: Sequence[PropertyMatch]) -> int | None:
    """The first that it matches; 0 where no tiers are asked for, None where it matches none of them."""
    if not tiers:
        return 0
    properties = cluster.properties
    for number, one in enumerate(tiers):
        if all(properties.get(name) == value for name, value in one.match_properties.items()):
            return number
    return None


def no_tier(number: int) -> Rejection:
    """What is said of a cluster that belongs to none of the `number` tiers."""
    return Rejection(
        "PropertyMismatch",
        observed="in none of the tiers",
        required=f"the properties of one of {number} tiers",
        hint="a last tier without matchProperties takes all other clusters",
    )


def tiers_of(wanted: Wanted, findings: Findings) -> dict[str, int]:
    """By cluster, nothing where no tiers are asked for; who stays although no tier wants it comes after all
    of them."""
    tiers = wanted.spec.tiers
    found: dict[str, int] = {}
    if not tiers:
        return found
    for one in (*findings.open, *findings.kept):
        tier = tier_of(one, tiers)
        found[one.name] = len(tiers) if tier is None else tier
    return found


def without_tier(wanted: Wanted, findings: Findings, tiers: Mapping[str, int]) -> Findings:
    """A cluster that is in no tier takes nothing new; what runs there goes when the spec is new."""
    last = len(wanted.spec.tiers)
    outside = {name for name, tier in tiers.items() if tier == last}
    if not outside:
        return findings
    here = {share.cluster for share in wanted.current} & outside
    stays = here & findings.pinned
    if wanted.generation == wanted.decided_generation:
        stays = here
    clusters = (*findings.open, *findings.kept)
    refusal = Refusal(NAME, no_tier(last))
    return replace(
        findings,
        open=tuple(one for one in findings.open if one.name not in outside),
        kept=tuple(one for one in clusters if one.name in stays or _is_kept(one, findings, outside)),
        evicted=(*findings.evicted, *(one for one in clusters if one.name in here - stays)),
        refusals={**dict.fromkeys(outside, refusal), **findings.refusals},
    )


def _is_kept(cluster: Cluster, findings: Findings, outside: Set[str]) -> bool:
    return cluster.name not in outside and cluster.name in findings.refusals
