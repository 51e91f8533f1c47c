"""What the suite's report says, and the table that we make of it: pure.

Laws:
1. A spec that did not pass is never shown as passed, and one that did not run is not counted as run.
2. A run is good when every spec of it passed, but for those that its mode excludes by definition.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec
import yaml

from conformance.mode import Mode
from mesh_core.errors import EnvironmentFault

# Specs that compare with what only the exporter's own network can have: by mode, a part of the spec's
# text. docs/conformance.md gives the reason for each.
EXCLUDED: Mapping[Mode, tuple[str, ...]] = {
    # Answers must be the exporter's pod addresses, which mean other pods here, or none.
    Mode.GATEWAY: ("headless service should return the ready endpoint addresses of all the backing pods",),
    Mode.FLAT: (),
}


class Spec(msgspec.Struct, frozen=True):
    """One spec, as the suite writes it down; a message begins with ` - `."""

    desc: str
    passed: bool
    failed: bool
    skipped: bool
    conformant: bool
    labels: tuple[str, ...] = ()
    message: str = ""


class Group(msgspec.Struct, frozen=True):
    """`Required` or `Optional`."""

    name: str
    tests: tuple[Spec, ...]


class Report(msgspec.Struct, frozen=True):
    """report.yaml, as far as we read it."""

    groups: tuple[Group, ...]
    suitefailure: str = ""

    @property
    def specs(self) -> Iterator[tuple[str, Spec]]:
        """Each spec with its group's name, in the suite's order."""
        return ((group.name, spec) for group in self.groups for spec in group.tests)


class Verdict(Enum):
    """`UNKNOWN`: the spec ended before it could tell."""

    PASSED = "yes"
    FAILED = "no"
    EXCLUDED = "no (by definition)"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class NoReport(EnvironmentFault):
    """The suite wrote no report that can be read, or says that it could not start."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one mode's run came to."""

    mode: Mode
    report: Report

    def verdict(self, spec: Spec) -> Verdict:
        """How the spec ended."""
        if spec.passed:
            return Verdict.PASSED
        if spec.skipped:
            return Verdict.SKIPPED
        if any(part in spec.desc for part in EXCLUDED[self.mode]):
            return Verdict.EXCLUDED
        return Verdict.UNKNOWN if spec.failed and spec.conformant else Verdict.FAILED

    @property
    def is_good(self) -> bool:
        """Whether something ran, and all of it passed that could."""
        verdicts = {self.verdict(spec) for _, spec in self.report.specs} - {Verdict.SKIPPED}
        return Verdict.PASSED in verdicts and verdicts <= {Verdict.PASSED, Verdict.EXCLUDED}

    def count(self, group: str) -> str:
        """`13/14`: passed of all specs of the group that ran."""
        verdicts = [self.verdict(spec) for name, spec in self.report.specs if name == group]
        ran = [verdict for verdict in verdicts if verdict is not Verdict.SKIPPED]
        return f"{ran.count(Verdict.PASSED)}/{len(ran)}"


def read(text: str) -> Report:
    """The report in a report.yaml; raises NoReport."""
    try:
        report = msgspec.convert(yaml.safe_load(text), type=Report)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        what = f"the suite's report cannot be read: {' '.join(str(error).split())}"
        raise NoReport(what, next_step="see whether this version of the suite writes another form") from error
    if report.suitefailure:
        raise NoReport(
            f"the suite could not start: {report.suitefailure}", next_step="mend that and run it again"
        )
    return report


def text(outcomes: Iterable[Outcome]) -> str:
    """For a terminal: a line a spec, the totals, then what those said that did not pass."""
    outcomes = list(outcomes)
    rows = _rows(outcomes)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_totals(outcomes), *_complaints(outcomes)]) + "\n"


def markdown(outcomes: Iterable[Outcome], *, ours: str, suite: str) -> str:
    """The same as a page's part, with what was run against what."""
    outcomes = list(outcomes)
    head, *rows = ("| " + " | ".join(row) + " |" for row in _rows(outcomes, quote=True))
    line = "|---" * (len(outcomes) + 2) + "|"
    facts = f"clusterset-mesh {ours}, suite {suite}."
    totals = [f"* {total}" for total in _totals(outcomes)]
    return "\n".join([facts, "", *totals, "", head, line, *rows]) + "\n"


def _rows(outcomes: list[Outcome], *, quote: bool = False) -> list[tuple[str, ...]]:
    """The head, then a row a spec, in the order of the first outcome."""
    found: dict[tuple[str, str], dict[Mode, Verdict]] = {}
    for outcome in outcomes:
        for group, spec in outcome.report.specs:
            found.setdefault((group, spec.desc), {})[outcome.mode] = outcome.verdict(spec)
    head = (*(outcome.mode.value for outcome in outcomes), "group", "spec")
    rows = [
        (
            *(_said(verdicts.get(outcome.mode)) for outcome in outcomes),
            group,
            _quoted(desc) if quote else desc,
        )
        for (group, desc), verdicts in found.items()
    ]
    return [head, *rows]


def _said(verdict: Verdict | None) -> str:
    return "-" if verdict is None else verdict.value


def _quoted(desc: str) -> str:
    """Names like <service> are no tags."""
    return desc.replace("<", "&lt;").replace(">", "&gt;")


def _totals(outcomes: list[Outcome]) -> list[str]:
    return [
        f"{outcome.mode.value}: "
        + ", ".join(f"{group.name} {outcome.count(group.name)}" for group in outcome.report.groups)
        for outcome in outcomes
    ]


def _complaints(outcomes: list[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        for _, spec in outcome.report.specs:
            verdict = outcome.verdict(spec)
            if verdict not in (Verdict.PASSED, Verdict.SKIPPED):
                yield f"{outcome.mode.value}: {verdict.value}: {spec.desc}{spec.message}"
