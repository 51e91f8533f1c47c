"""Placements that need each other: which clusters each of them may use, so that together they reach all.

Only those that are new to each other are chosen together. Where all of them have a home already, each is
decided beside where the others are, as any other placement.
"""

import itertools
from collections.abc import Mapping, Sequence

from mesh_placement.schedule.gathering import gathered
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.network import NETWORK_FILTERS
from mesh_placement.schedule.network.joint import joint_choice, network_score
from mesh_placement.schedule.plugins import Plugins
from mesh_placement.schedule.rendezvous import tie
from mesh_placement.schedule.snapshot import Wanted
from mesh_placement.schedule.weighing import weighed

_MOST_OPTIONS = 12
_OF_THE_NETWORK = frozenset(one.name for one in NETWORK_FILTERS)


def together(look: Look, names: Sequence[str], plugins: Plugins) -> Mapping[str, frozenset[str]]:
    """The clusters of each, by placement; empty when nothing is to be chosen or nothing fits.

    Until they are decided the look takes them for placed there: what they bring is assumed.
    """
    homes = {name: _homes(look, look.placements[name]) for name in names}
    if all(homes.values()):
        return {}
    options = {
        name: [home] if home else _options(look, look.placements[name], plugins)
        for name, home in homes.items()
    }
    choice = joint_choice(options, score=lambda picked: network_score(look, picked))
    if choice is None:
        return {}
    for name in names:
        if not homes[name]:
            look.placed[name] = dict.fromkeys(choice[name])
    return {name: frozenset(choice[name]) for name in names}


def _homes(look: Look, wanted: Wanted) -> tuple[str, ...]:
    """Where it is, without clusters that are gone."""
    return tuple(share.cluster for share in wanted.current if share.cluster in look.clusters)


def _options(look: Look, wanted: Wanted, plugins: Plugins) -> list[tuple[str, ...]]:
    """Sets of clusters that it may have, the best first: as many as it wants of the best."""
    filters = [one for one in plugins.filters if one.name not in _OF_THE_NETWORK]
    clusters = gathered(look, wanted, filters).open
    totals = weighed(look, wanted, clusters, plugins.scores).totals
    ordered = sorted(totals, key=lambda name: (-totals[name], tie(wanted.uid, name)))
    count = wanted.spec.clusters.count
    if count is None:
        # As many as fit; that is for the filters to say, here one home for each is enough.
        count = 1
    best = ordered[: max(count, _MOST_OPTIONS)]
    return list(itertools.islice(itertools.combinations(best, min(count, len(best))), _MOST_OPTIONS**2))
