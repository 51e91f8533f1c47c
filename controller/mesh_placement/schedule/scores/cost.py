"""Cost: what matters less takes the cheap clusters; what matters more does not look at the price."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.row_facts import facts_of
from mesh_placement.schedule.snapshot import Cluster, Wanted

PROPERTY = "cost.topology.meshctl.dev"
_HALF = 1000
"""The priority from which the price counts half."""


class Cost:
    """100 for the cheapest; less by the place in the order of prices, and less so the higher the priority.

    The order and not the amount: one member's absurd price would make those of all others equal. A
    cluster without a price, or with one that is no number from 0 on, counts as the dearest.
    """

    name = "Cost"
    default_weight = 0

    def score(self, look: Look, wanted: Wanted, clusters: Sequence[Cluster]) -> Mapping[str, float]:
        """By name."""
        prices = facts_of(look, "price", clusters, _price)
        told = prices.values() if len(prices) == len(clusters) else [prices[one.name] for one in clusters]
        known = sorted(price for price in set(told) if price is not None)
        if not known:
            return {}
        place = {price: number / max(1, len(known) - 1) for number, price in enumerate(known)}
        dearest = place[known[-1]]
        matters = _HALF / (_HALF + max(0, wanted.priority))
        points = {price: 100.0 * (1.0 - matters * share) for price, share in place.items()}
        last = 100.0 * (1.0 - matters * dearest)

        def cost(one: Cluster) -> float:
            # Of the row alone: it is asked again of clusters that changed, whether they are asked for or not.
            price = prices[one.name] if one.name in prices else _price(one)
            return last if price is None else points.get(price, last)

        return facts_of(look, ("Cost", matters, *known), clusters, cost)


def _price(cluster: Cluster) -> int | None:
    """None for a cluster without one, or with one that is no number from 0 on."""
    return _read(cluster.properties.get(PROPERTY, ""))


@lru_cache(maxsize=4096)
def _read(text: str) -> int | None:
    """Few prices are as many as there are clusters."""
    price = thousandths(text, rounding=Rounding.UP)
    return price if price is not None and price >= 0 else None
