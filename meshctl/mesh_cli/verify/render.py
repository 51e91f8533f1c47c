"""A run of `meshctl verify` for people, as JSON and as JUnit's XML. Pure."""

from xml.etree import ElementTree

from mesh_cli.output import as_json
from mesh_cli.table import one_line, table
from mesh_cli.verify.cases import SUITES, Outcome, Run


def run_as_text(run: Run) -> str:
    """A row for each case, why those failed that did, and the sum."""
    rows = [(one.suite, one.outcome.value, f"{one.seconds:.1f}s", one.name) for one in run.tried]
    parts = [table(("SUITE", "RESULT", "TOOK", "CASE"), rows)] if rows else []
    whys = [f"{one.outcome.value}: {one.name}: {one_line(one.why)}" for one in run.tried if one.why]
    parts += ["\n".join(whys)] if whys else []
    parts += ["\n".join(f"left behind: {one_line(what)}" for what in run.leftovers)] if run.leftovers else []
    return "\n\n".join([*parts, _sum(run)]) + "\n"


def run_as_json(run: Run) -> str:
    """Everything."""
    document = {
        "namespace": run.namespace,
        "clusters": run.clusters,
        "passed": run.passed,
        "seconds": round(run.seconds, 3),
        "cases": [
            {
                "suite": one.suite,
                "name": one.name,
                "outcome": one.outcome.value,
                "seconds": round(one.seconds, 3),
                "why": one.why or None,
            }
            for one in run.tried
        ],
        "leftovers": run.leftovers,
    }
    return as_json(document)


def run_as_junit(run: Run) -> bytes:
    """One testsuite for each suite, as CI systems read it."""
    root = ElementTree.Element("testsuites", name="meshctl verify", time=f"{run.seconds:.3f}")
    for suite in SUITES:
        found = [one for one in run.tried if one.suite == suite]
        if not found:
            continue
        counts = {
            "tests": len(found),
            "failures": sum(one.outcome is Outcome.FAILED for one in found),
            "skipped": sum(one.outcome is Outcome.SKIPPED for one in found),
            "errors": 0,
        }
        element = ElementTree.SubElement(
            root, "testsuite", {"name": suite, **{key: str(value) for key, value in counts.items()}}
        )
        for one in found:
            case = ElementTree.SubElement(
                element,
                "testcase",
                classname=f"meshctl.verify.{suite}",
                name=one_line(one.name),
                time=f"{one.seconds:.3f}",
            )
            if one.outcome is Outcome.FAILED:
                ElementTree.SubElement(case, "failure", message=one_line(one.why))
            elif one.outcome is Outcome.SKIPPED:
                ElementTree.SubElement(case, "skipped", message=one_line(one.why))
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _sum(run: Run) -> str:
    counts = ", ".join(f"{run.count(outcome)} {outcome.value}" for outcome in Outcome)
    return f"{' and '.join(run.clusters)}: {counts}, in {run.seconds:.0f} s"
