"""What `meshctl check` shows. Pure: the same results give the same bytes.

The text is for reading and may change; the JSON is a promise: keys are only ever added.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from mesh_cli.check.verdict import Observed, Result, Verdict
from mesh_cli.output import as_json
from mesh_cli.table import age, one_line

_MANY = 4


def results_as_text(results: Sequence[Result], *, at: datetime) -> str:
    """Cluster by cluster a line for each check, below it what is not fine, and how many there are of each."""
    lines: list[str] = []
    for context in dict.fromkeys(result.context for result in results):
        lines += [*([""] if lines else []), context]
        own = [result for result in results if result.context == context]
        blind = _blind(own)
        for result in own:
            if result not in blind:
                lines += _check_lines(result, at=at)
        lines += _blind_lines(blind)
    counts = Counter(result.verdict for result in results)
    lines += ["", ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)]
    return "\n".join(lines) + "\n"


def results_as_json(results: Sequence[Result], *, at: datetime) -> str:
    """All results; times in RFC 3339, absent things null."""
    counts = Counter(result.verdict for result in results)
    body = {
        "at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "summary": {verdict.value: counts[verdict] for verdict in Verdict},
        "checks": [
            {
                "id": result.check.id,
                "title": result.check.title,
                "context": result.context,
                "verdict": result.verdict.value,
                "explanation": result.check.anchor,
                "observed": [_observed_as_json(one) for one in result.observed],
            }
            for result in results
        ],
    }
    return as_json(body)


def exit_status(results: Sequence[Result]) -> int:
    """1 when something failed or could not be seen, or nothing was checked; a warning alone is 0."""
    bad = {Verdict.FAIL, Verdict.UNKNOWN}
    return 1 if not results or any(result.verdict in bad for result in results) else 0


def _blind(results: Sequence[Result]) -> list[Result]:
    """Checks that could not look, where many have one reason: each for itself would bury what was seen."""
    reasons = Counter(result.observed for result in results if result.verdict is Verdict.UNKNOWN)
    return [
        result
        for result in results
        if result.verdict is Verdict.UNKNOWN and reasons[result.observed] >= _MANY
    ]


def _blind_lines(results: Sequence[Result]) -> Iterator[str]:
    for observed in dict.fromkeys(result.observed for result in results):
        ids = [result.check.id for result in results if result.observed == observed]
        seen, next_step = one_line(observed[0].seen), observed[0].next_step
        yield f"  {Verdict.UNKNOWN.value:<8}{len(ids)} checks could not look: {seen}"
        yield f"              next: {next_step}"
        yield f"            {', '.join(ids)}"


def _check_lines(result: Result, *, at: datetime) -> Iterator[str]:
    word = result.verdict.value
    if result.verdict is Verdict.OK:
        more = f" (and {len(result.observed) - 1} more)" if len(result.observed) > 1 else ""
        first = _told(result.observed[0], at=at)
        yield f"  {word:<8}{result.check.id:<15} {result.check.title}: {first}{more}"
        return
    yield f"  {word:<8}{result.check.id:<15} {result.check.title}"
    for one in result.observed:
        if one.verdict is not Verdict.OK:
            yield f"            {one.verdict.value}: {_told(one, at=at)}"
            yield f"              next: {one.next_step}"
    yield f"            see {result.check.anchor}"


def _told(one: Observed, *, at: datetime) -> str:
    since = f" [for {_age(one.since, at=at)}]" if one.since else ""
    return f"{one.subject}: {one_line(one.seen)}{since}"


def _age(since: str, *, at: datetime) -> str:
    try:
        return age(since, at=at.isoformat())
    except (ValueError, TypeError):
        return "an unknown time"


def _observed_as_json(one: Observed) -> dict[str, object]:
    return {
        "verdict": one.verdict.value,
        "subject": one.subject,
        "seen": one_line(one.seen),
        "since": one.since or None,
        "nextStep": one.next_step or None,
    }
