"""Rows of ways by source. A source whose rows did not change keeps the very same mapping from one snapshot to
the next, so that whoever worked something out of them sees at once that it still holds.

The last index is kept and no more. It is never wrong: a mapping is given again only for equal rows.
"""

from collections.abc import Iterable, Mapping
from itertools import compress, groupby
from operator import attrgetter, is_not

from msgspec import Struct

from mesh_placement.schedule.keeping import Kept
from mesh_placement.schedule.snapshot import Link

LinkIndex = Mapping[str, Mapping[str, Link]]
"""Source, then target."""


class _Made(Struct, frozen=True):
    """Of these rows: where each source's begin and end, their index, and of which sources any is fresh.

    `is_grouped`: no source has rows in two places.
    """

    links: tuple[Link, ...] = ()
    runs: dict[str, tuple[int, int]] = {}
    index: dict[str, Mapping[str, Link]] = {}
    heard: dict[str, bool] = {}
    is_grouped: bool = True


_LAST = Kept[str, _Made](1)
_NONE = _Made()


def links_by_source(links: tuple[Link, ...]) -> LinkIndex:
    """The rows, which are in the order of their sources."""
    return _made(links).index


def sources_heard(links: tuple[Link, ...]) -> Mapping[str, bool]:
    """Of each source that has rows, whether any of them is fresh."""
    return _made(links).heard


def _made(links: tuple[Link, ...]) -> _Made:
    last = _LAST.get("") or _NONE
    if links is not last.links:
        sources = _changed_sources(last, links) if last.is_grouped else None
        last = _anew(links, last) if sources is None else _renewed(links, last, sources)
        _LAST.put("", last)
    return last


def _changed_sources(last: _Made, links: tuple[Link, ...]) -> Iterable[str] | None:
    """Those of which a row is another object; None where rows came or went."""
    if len(links) != len(last.links):
        return None
    found: dict[str, None] = {}
    for at in compress(range(len(links)), map(is_not, last.links, links)):
        source = links[at].source
        if last.links[at].source != source:
            return None
        found[source] = None
    return found


def _renewed(links: tuple[Link, ...], last: _Made, sources: Iterable[str]) -> _Made:
    index, heard = last.index.copy(), last.heard.copy()
    for source in sources:
        begin, end = last.runs[source]
        run = links[begin:end]
        if run != last.links[begin:end]:
            index[source] = _by_target(run)
            heard[source] = _is_heard(run)
    return _Made(links, last.runs, index, heard)


def _anew(links: tuple[Link, ...], last: _Made) -> _Made:
    runs: dict[str, tuple[int, int]] = {}
    index: dict[str, Mapping[str, Link]] = {}
    heard: dict[str, bool] = {}
    begin, is_grouped = 0, True
    # Each source has one run of them: twice as fast for a million.
    for source, rows in groupby(links, key=attrgetter("source")):
        run = tuple(rows)
        is_grouped = is_grouped and source not in runs
        had = last.runs.get(source, (0, 0))
        runs[source] = begin, begin + len(run)
        begin += len(run)
        # Equal objects are seen to be the same first, so this costs next to nothing where nothing changed.
        is_same = last.links[had[0] : had[1]] == run
        index[source] = last.index[source] if is_same else _by_target(run)
        heard[source] = heard.get(source, False) or _is_heard(run)
    return _Made(links, runs, index, heard, is_grouped)


def _by_target(run: Iterable[Link]) -> Mapping[str, Link]:
    return {one.target: one for one in run}


def _is_heard(run: Iterable[Link]) -> bool:
    # A loop: for most the first one is, and a generator costs more than that.
    for one in run:
        if one.is_fresh:
            return True
    return False
