"""What a new table of routes has to tell a person that the one before had not: refused names and ports.

1. Its time grows with the size of the tables, not with their product: it is computed beside the table, and
   whoever may write ServiceExports decides how much there is.
2. Of each kind `SHOWN` are told one by one, in order, and of the rest how many there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from mesh_core.ports import PortTarget
from mesh_gateway.route import NameRefused, RouteTable

_Told = TypeVar("_Told")

SHOWN = 10
"""Lines of one kind for one table."""


@dataclass(frozen=True, slots=True)
class TableNews:
    """The first of each kind, and how many more there are."""

    contested: tuple[tuple[int, PortTarget], ...] = ()
    more_contested: int = 0
    names: tuple[NameRefused, ...] = ()
    more_names: int = 0


def table_news(table: RouteTable, *, before: RouteTable | None) -> TableNews:
    """What `table` has to tell after `before`; None: there was none."""
    known = before.contested if before is not None else ()
    contested = _new(table.contested, known=known)
    told = before.names_refused if before is not None else ()
    names = _new(table.names_refused, known=told)
    return TableNews(
        tuple(contested[:SHOWN]),
        max(len(contested) - SHOWN, 0),
        tuple(names[:SHOWN]),
        max(len(names) - SHOWN, 0),
    )


def _new(items: Iterable[_Told], *, known: Iterable[_Told]) -> list[_Told]:
    """Those that were not known, in their order."""
    old = frozenset(known)
    return [item for item in items if item not in old]
