"""Check of names: everybody on the way of a name of the clusterset is asked, and all say the same. Pure."""

from collections.abc import Iterator

from mesh_cli.check.findings import Findings
from mesh_cli.check.verdict import Observed, Unseen, fail, ok, seen, unknown
from mesh_cli.dns.reply import Reply
from mesh_cli.dns.verdict import findings as disagreements
from mesh_cli.dns.way import NotAllowed


def resolves(findings: Findings) -> Iterator[Observed]:
    """MESH-DNS-004."""
    way = seen(findings.resolved)
    name = f"{way.query.name} ({way.query.type})"
    wrong = disagreements(way)
    for one in wrong:
        judge = unknown if isinstance(one.step.said, NotAllowed) else fail
        yield judge(
            f"{one.step} at {one.step.where}" if one.step.where else str(one.step),
            seen=f"{name}: {one.why}",
            next_step=one.next_step,
        )
    reference = way.reference
    if reference is None or isinstance(reference.said, Unseen):
        advice = f"run meshctl dns query {way.query.name}"
        yield unknown(name, seen="nobody was seen who knows what is right", next_step=advice)
    elif not wrong:
        asked = sum(1 for step in way.steps if isinstance(step.said, Reply))
        yield ok(name, seen=f"{asked} on its way were asked, and all say {reference.said}")
