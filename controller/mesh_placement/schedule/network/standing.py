"""What lease and peers together say of a cluster: the failure table (5.5 of the plan) as one function.

    lease | peers' gateways | more              | standing
    lost  | Up              |                   | ControlPartition: it works, only the hub does not hear it
    lost  | Down            |                   | Dead
    lost  | nobody to ask   | was dead before   | Dead: nobody has heard of it since
    lost  | nobody to ask   |                   | Unwitnessed: a person decides
    held  | Down            | dependencies bad  | DataPlaneDown
    held  | any other       | API server lost   | ApiDown
    held  | any other       | dependencies bad  | DependencyLost
    held  | any other       |                   | Ok; single Down rows are `links_down`
    the hub is cut off      |                   | HubIsolated, whatever else is said

1. Peers decide by the majority of their fresh rows that say something. A tie is no Down.
2. A peer that sees nobody at all, though the hub hears one of those it calls Down, is cut off itself: its
   rows are no witness (ruling 8: who loses all peers at once is the one that is lost).
3. **Two witnesses for each automatic eviction**: only `EVICTING` may lead to one. Dead needs the lost lease
   and the peers, DataPlaneDown the peers and the cluster's own word.
4. The hub is cut off when no lease is held any more, or when of more than half of the clusters not known to
   be dead it hears no row: it is likelier that one hears nothing than that most say nothing. A row that is
   told and says Unknown was heard. Clusters count, not rows: a member writes as many of those as it likes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, Literal

from msgspec import Struct

from mesh_placement.schedule.link_index import sources_heard
from mesh_placement.schedule.snapshot import Cluster, Link, Snapshot, Standing

GatewayWord = Literal["Up", "Down", "Unknown"]
EVICTING: Final[frozenset[Standing]] = frozenset({"Dead", "DataPlaneDown"})

IN_PHASES: Final = frozenset({"Available", "Ready", "Suspect", "Unreachable"})
"""Clusters that are in: the last of these have lost their lease. Others have none yet, or go."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of one cluster: L, G, A and D of the plan.

    `api_lost`: its agent does not reach its own API server. `dependencies_bad`: what its workloads call does
    not answer there, by its own word. `was_dead`: it was found Dead, and nobody has heard of it since.
    """

    lease_held: bool
    gateway: GatewayWord
    api_lost: bool = False
    dependencies_bad: bool = False
    was_dead: bool = False
    hub_cut_off: bool = False


def standing_of(facts: Facts) -> Standing:
    """The failure table."""
    if facts.hub_cut_off:
        return "HubIsolated"
    if not facts.lease_held:
        return _without_lease(facts.gateway, was_dead=facts.was_dead)
    if facts.gateway == "Down" and facts.dependencies_bad:
        return "DataPlaneDown"
    if facts.api_lost:
        return "ApiDown"
    return "DependencyLost" if facts.dependencies_bad else "Ok"


def _without_lease(gateway: GatewayWord, *, was_dead: bool) -> Standing:
    if gateway == "Unknown":
        return "Dead" if was_dead else "Unwitnessed"
    return "Dead" if gateway == "Down" else "ControlPartition"


def standings(
    leases: Mapping[str, bool],
    links: Sequence[Link],
    *,
    api_lost: Collection[str] = (),
    known_dead: Collection[str] = (),
    dependencies_bad: Collection[str] | None = None,
) -> Mapping[str, Standing]:
    """Of every cluster of `leases` (held or not), by name.

    `known_dead` is what `dead_after` gave the last time. `dependencies_bad` None: it is bad in a cluster with
    fresh rows that are all Down, since then nothing that it calls elsewhere answers.
    """
    held = {name for name, is_held in leases.items() if is_held}
    told = _told(links)
    words = _words(told, held)
    bad = told.seeing_nobody if dependencies_bad is None else set(dependencies_bad)
    cut_off = is_cut_off(leases, links, known_dead=known_dead)
    return {
        name: standing_of(
            Facts(
                lease_held=name in held,
                gateway=words.get(name, "Unknown"),
                api_lost=name in api_lost,
                dependencies_bad=name in bad,
                was_dead=name in known_dead,
                hub_cut_off=cut_off,
            )
        )
        for name in sorted(leases)
    }


def dead_after(known_dead: Collection[str], found: Mapping[str, Standing]) -> frozenset[str]:
    """Those that were found Dead and that nobody has heard of since; what is frozen ends nothing."""
    kept = {name for name in known_dead if found.get(name) == "HubIsolated"}
    return frozenset(kept | {name for name, one in found.items() if one == "Dead"})


def is_cut_off(
    leases: Mapping[str, bool], links: Iterable[Link], *, known_dead: Collection[str] = ()
) -> bool:
    """Law 4, from leases and rows."""
    is_heard: dict[str, bool] = {}
    for one in links:
        is_heard[one.source] = one.is_fresh or is_heard.get(one.source, False)
    return _hears_too_few(leases, is_heard, known_dead)


def hub_is_cut_off(snapshot: Snapshot) -> bool:
    """Law 4, of a snapshot: then everything is frozen."""
    is_heard = sources_heard(snapshot.links)
    if all(is_heard.values()) and any(map(_holds_its_lease, snapshot.clusters)):
        return False
    dead = {one.name for one in snapshot.clusters if one.standing == "Dead"}
    return _hears_too_few(leases_in(snapshot), is_heard, dead)


def _hears_too_few(
    leases: Mapping[str, bool], is_heard: Mapping[str, bool], known_dead: Collection[str]
) -> bool:
    """Law 4: `is_heard` is whether any row of it is fresh, of each cluster that has rows."""
    if leases and not any(leases.values()):
        return True
    silent = {name for name, is_fresh in is_heard.items() if not is_fresh}.difference(known_dead)
    # Who has no rows, as in a set that is not connected, is heard by its lease.
    known = {*is_heard, *(name for name, is_held in leases.items() if is_held)}
    return len(silent) > len(known.difference(silent, known_dead))


def leases_in(snapshot: Snapshot) -> Mapping[str, bool]:
    """Whether the lease is held, of each cluster that is in."""
    return {one.name: _holds_its_lease(one) for one in snapshot.clusters if one.phase in IN_PHASES}


def _holds_its_lease(cluster: Cluster) -> bool:
    return cluster.phase in IN_PHASES and cluster.phase != "Unreachable"


def links_down(links: Iterable[Link], *, standings: Mapping[str, Standing]) -> tuple[tuple[str, str], ...]:
    """LinkDown(a, b): ways that are down between clusters neither of which is down itself."""
    return tuple(
        (one.source, one.target)
        for one in links
        if one.is_fresh
        and one.state == "Down"
        and not {standings.get(one.source, "Ok"), standings.get(one.target, "Ok")} & EVICTING
    )


class _Told(Struct, frozen=True):
    """Fresh rows that say something, sorted: there may be a million, and few of them say Down."""

    ups: Counter[str]  # by target
    downs: tuple[Link, ...]
    seeing: set[str]  # whoever sees somebody

    @property
    def seeing_nobody(self) -> set[str]:
        return {one.source for one in self.downs} - self.seeing


def _told(links: Iterable[Link]) -> _Told:
    fresh = [one for one in links if one.is_fresh]
    ups = [one for one in fresh if one.state == "Up" or one.state == "Degraded"]
    return _Told(
        ups=Counter(map(attrgetter("target"), ups)),
        downs=tuple(one for one in fresh if one.state == "Down"),
        seeing=set(map(attrgetter("source"), ups)),
    )


def _words(told: _Told, leases_held: Collection[str]) -> Mapping[str, GatewayWord]:
    """Laws 1 and 2: what the peers say of each target's gateway; who is not named is not known."""
    # Who is blind has no row but Downs, so only these are to be left out.
    blind = {one.source for one in told.downs if one.target in leases_held} - told.seeing
    downs = Counter(one.target for one in told.downs if one.source not in blind)
    return {
        target: "Down" if downs[target] > told.ups[target] else "Up"
        for target in sorted(told.ups.keys() | downs.keys())
    }
