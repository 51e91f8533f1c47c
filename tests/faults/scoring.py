"""Makes a fault, asks `meshctl check` as a person does until it names the cause, and keeps the score."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from faults.ground import Ground
from mesh_cli.main import command

BOTH: Final = ("east", "west")
LIMIT: Final = 75.0
"""Seconds in which a fault must be named; a peer that falls silent is old after thirty."""
MENDED: Final = 120.0
"""Seconds in which all must be well again."""

Place = tuple[str, str]
"""A cluster and a check id."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. `named` are checks of which one must not be fine, and say one of `words`.

    `breaks` tells that something that worked does not work: then `check` must not end with status 0.
    """

    name: str
    named: tuple[Place, ...]
    made: Callable[[Ground], AbstractContextManager[object]]
    words: tuple[str, ...] = ("",)
    breaks: bool = True
    contexts: tuple[str, ...] = BOTH
    kubeconfig: Path | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a fault: `found` is the place that named it, "" for none; `others` named beside it."""

    name: str
    found: str
    said: str
    status: int
    seconds: float
    others: tuple[str, ...]
    breaks: bool
    mended: bool

    @property
    def is_green(self) -> bool:
        """The worst that can be: it is broken, and all is said to be well."""
        return self.breaks and self.status == 0


@dataclass(frozen=True, slots=True)
class Said:
    """What a run of `check` says: status, and of each place that is not fine the verdict and its words."""

    status: int
    bad: dict[Place, tuple[str, str]]


def asked(ground: Ground, *, contexts: Sequence[str] = BOTH, kubeconfig: Path | None = None) -> Said:
    """One run of `meshctl check`."""
    file = kubeconfig or ground.bed.kubeconfig
    words = [word for context in contexts for word in ("--context", context)]
    ended = CliRunner().invoke(
        command, ["--kubeconfig", str(file), "check", *words, "-o", "json"], standalone_mode=False
    )
    assert ended.exception is None, ended.exception
    bad: dict[Place, tuple[str, str]] = {}
    for one in json.loads(ended.stdout)["checks"]:
        if one["verdict"] != "ok":
            told = "; ".join(
                f"{seen['subject']}: {seen['seen']}" for seen in one["observed"] if seen["verdict"] != "ok"
            )
            bad[one["context"], one["id"]] = one["verdict"], told
    return Said(int(ended.return_value), bad)


def tried(ground: Ground, fault: Fault, *, limit: float = LIMIT, mended: float = MENDED) -> Row:
    """The fault made, named or not within `limit` seconds, and undone; `mended` bounds the wait for that."""
    began, found, said = time.monotonic(), None, Said(0, {})
    with fault.made(ground):
        made = time.monotonic()
        while found is None and time.monotonic() - made < limit:
            said = asked(ground, contexts=fault.contexts, kubeconfig=fault.kubeconfig)
            found = _named(fault, said)
        seconds = time.monotonic() - made
    is_mended = _is_mended(ground, fault, limit=mended)
    others = sorted({f"{context[0]}:{id_}" for context, id_ in said.bad if (context, id_) != found})
    row = Row(
        name=fault.name,
        found=f"{found[0]} {found[1]}" if found is not None else "",
        said=said.bad[found][1][:200] if found is not None else "",
        status=said.status,
        seconds=round(seconds, 1),
        others=tuple(others),
        breaks=fault.breaks,
        mended=is_mended,
    )
    print(line(row), f"({time.monotonic() - began:.0f} s in all)", flush=True)
    return row


def line(row: Row) -> str:
    """One line of the table."""
    mark = "GREEN" if row.is_green else "named" if row.found else "MISSED"
    rest = "" if row.mended else " NOT MENDED"
    return f"{mark:<7}{row.seconds:>6.1f} s  {row.name:<52} {row.found:<20} {row.said[:90]}{rest}"


def table(rows: Sequence[Row]) -> str:
    """All of it, and the score."""
    named, green = sum(1 for row in rows if row.found), [row.name for row in rows if row.is_green]
    share = 100 * named / len(rows) if rows else 0.0
    lines = [line(row) for row in rows]
    lines.append(
        f"{named} of {len(rows)} faults named by the right check ({share:.0f} %), {len(green)} green"
    )
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> str:
    """The same for programs."""
    named = sum(1 for row in rows if row.found)
    body = {"faults": [asdict(row) for row in rows], "named": named, "of": len(rows)}
    return json.dumps(body, indent=1)


def settled(ground: Ground, *, limit: float = 180.0) -> Said:
    """What is said when all is fine, or in the end."""
    deadline = time.monotonic() + limit
    while True:
        said = asked(ground)
        if not said.bad or time.monotonic() > deadline:
            return said


def _named(fault: Fault, said: Said) -> Place | None:
    for place in fault.named:
        verdict, words = said.bad.get(place, ("ok", ""))
        # That a check could not look names a cause only where its words do.
        is_said = verdict not in ("ok", "unknown") or (verdict == "unknown" and fault.words != ("",))
        if is_said and any(one in words for one in fault.words):
            return place
    return None


def _is_mended(ground: Ground, fault: Fault, *, limit: float) -> bool:
    """Whether all is fine again, so that the next fault is not taken for this one. That a busy machine keeps
    something from being seen is no fault, unless it is what named this one."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        bad = asked(ground).bad
        if not any(place in fault.named or verdict != "unknown" for place, (verdict, _) in bad.items()):
            return True
    return False
