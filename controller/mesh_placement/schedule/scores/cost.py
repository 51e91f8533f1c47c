"""Cost: what matters less takes the cheap clusters; what matters more does not look at the price."""

from collections.abc import Mapping, Sequence

from mesh_placement.decide.quantity import Rounding, thousandths
from mesh_placement.schedule.look import Look
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
        # Few prices are told by many clusters: each text is read once.
        texts = {one.name: one.properties.get(PROPERTY, "") for one in clusters}
        read = {text: thousandths(text, rounding=Rounding.UP) for text in set(texts.values())}
        prices = {name: read[text] for name, text in texts.items()}
        known = sorted({price for price in prices.values() if price is not None and price >= 0})
        if not known:
            return {}
        place = {price: number / max(1, len(known) - 1) for number, price in enumerate(known)}
        dearest = place[known[-1]]
        matters = _HALF / (_HALF + max(0, wanted.priority))
        return {
            name: 100.0 * (1.0 - matters * (dearest if price is None else place.get(price, dearest)))
            for name, price in prices.items()
        }
