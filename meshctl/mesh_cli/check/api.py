"""Checks of the API server: it answers, serves the kinds, gives the rights, and its clock agrees. Pure."""

from collections.abc import Iterator
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.rights import Grant
from mesh_cli.check.times import moment, seconds_since
from mesh_cli.check.verdict import CouldNotLook, Observed, Unseen, fail, ok, seen, unknown, warn
from mesh_cli.table import one_line
from mesh_core.names import SYSTEM_NAMESPACE

_MCS: Final = frozenset({"v1alpha1", "v1beta1"})
NEEDED: Final = {
    "serviceexports.multicluster.x-k8s.io": _MCS,
    "serviceimports.multicluster.x-k8s.io": _MCS,
    "clusterproperties.about.k8s.io": frozenset({"v1beta1"}),
    "meshpeers.meshctl.dev": frozenset({"v1alpha1"}),
    "importedrecords.meshctl.dev": frozenset({"v1alpha1"}),
    "importedshards.meshctl.dev": frozenset({"v1alpha1"}),
    "serviceprobes.meshctl.dev": frozenset({"v1alpha1"}),
    "trustbundles.meshctl.dev": frozenset({"v1alpha1"}),
}
"""Kinds and versions that our programs, CoreDNS and the conformance suite read."""

SKEW_WARN: Final = 30.0
SKEW_FAIL: Final = 300.0
"""Seconds; a certificate is good five minutes before it was made (`mesh_core.lifetimes`), and no more."""
_MOST_SHOWN: Final = 4
_ALIVE: Final = 60.0
"""Seconds; every program of ours renews a Lease each ten, or oftener."""
_WRITING: Final = 11.0
"""Seconds: a renewal is given up after ten, and the API server notes whole seconds."""
_JOIN_AGAIN: Final = "run meshctl join again for this cluster"


def server(findings: Findings) -> Iterator[Observed]:
    """MESH-API-001."""
    yield ok("API server", seen=f"answers, Kubernetes {seen(findings.version)}")


def kinds(findings: Findings) -> Iterator[Observed]:
    """MESH-API-002."""
    known = {kind.name: kind for kind in seen(findings.kinds)}
    for name, versions in NEEDED.items():
        kind = known.get(name)
        if kind is None:
            yield fail(name, seen="is not installed", next_step=_JOIN_AGAIN)
        elif not kind.is_established:
            yield fail(name, seen="is not established", next_step=f"look at kubectl describe crd {name}")
        elif not versions <= kind.versions:
            missing = ", ".join(sorted(versions - kind.versions))
            served = ", ".join(sorted(kind.versions)) or "nothing"
            yield fail(name, seen=f"serves {served}, not {missing}", next_step=_JOIN_AGAIN)
        else:
            yield ok(name, seen=f"serves {', '.join(sorted(kind.versions))}")


def rights(findings: Findings) -> Iterator[Observed]:
    """MESH-API-003."""
    for right in seen(findings.rights):
        if right.is_allowed:
            yield ok(right.what, seen="you may")
        else:
            yield warn(
                right.what,
                seen=f"you may not, so {right.needed_by} does not work for you",
                next_step="ask for that right, or use a context that has it",
            )


def rules(findings: Findings) -> Iterator[Observed]:
    """MESH-API-004."""
    found = seen(findings.rules)
    for account, wanted in sorted(found.shipped.items()):
        given = found.given.get(account, frozenset())
        missing, more = wanted - given, given - wanted
        if missing:
            yield fail(account, seen=f"may not {_some(missing)}", next_step=_JOIN_AGAIN)
        if more:
            yield warn(
                account,
                seen=f"may more than this version needs: {_some(more)}",
                next_step="apply manifests/rbac of the version that runs, or use the meshctl of that version",
            )
        if not missing and not more:
            yield ok(account, seen=f"has the {len(wanted)} rights that it needs, and no other")
    for binding in found.strangers:
        yield warn(
            binding,
            seen="gives one of our accounts rights that we did not ask for",
            next_step="find out who made that binding and delete it",
        )


def pod_security(findings: Findings) -> Iterator[Observed]:
    """MESH-API-005."""
    labels = seen(findings.namespace).labels
    if labels is None:
        yield fail(SYSTEM_NAMESPACE, seen="there is no such namespace", next_step=_JOIN_AGAIN)
        return
    enforced = labels.get("pod-security.kubernetes.io/enforce", "")
    if enforced == "restricted":
        yield ok(SYSTEM_NAMESPACE, seen="its pods are held to the restricted profile")
    else:
        yield warn(
            SYSTEM_NAMESPACE,
            seen=f"pod-security.kubernetes.io/enforce is {enforced!r}, not 'restricted'",
            next_step="apply manifests/namespace",
        )


def clock(findings: Findings) -> Iterator[Observed]:
    """MESH-CLOCK-001."""
    found = seen(findings.clock)
    yield _skew("API server and this machine", ahead=found.ahead, within=found.within)


def clocks(findings: Findings) -> Iterator[Observed]:
    """MESH-CLOCK-002."""
    own = seen(findings.clock)
    others = {name: other for name, other in findings.clocks.items() if name != findings.context}
    if not others:
        yield ok("other clusters", seen="no other was asked; give several --context to compare clocks")
    for name, other in sorted(others.items()):
        if isinstance(other, Unseen):
            yield unknown(f"API server and {name}", seen=other.why, next_step=f"check {name} first")
        else:
            within = own.within + other.within
            yield _skew(f"API server and {name}", ahead=own.ahead - other.ahead, within=within)


def programs(findings: Findings) -> Iterator[Observed]:
    """MESH-CLOCK-003. A Lease that nobody renews tells nothing of a clock that somebody has."""
    seen(findings.clock)
    alive = []
    for one in seen(findings.stamps):
        age = seconds_since(one.written, at=findings.there)
        if age is not None and age < _ALIVE:
            alive.append(one)
    if not alive:
        raise CouldNotLook(f"no program of ours renewed a Lease in {SYSTEM_NAMESPACE} within {_ALIVE:.0f} s")
    for one in sorted(alive, key=lambda stamp: stamp.lease):
        written = moment(one.written)
        behind = seconds_since(one.renewed, at=written) if written is not None else None
        subject = f"{one_line(one.holder or one.lease)} (Lease {one.lease}) and the API server"
        if behind is None:
            yield unknown(subject, seen="says no time", next_step="look into its log")
        else:
            yield _skew(subject, ahead=-behind, within=_WRITING)


def _skew(subject: str, *, ahead: float, within: float) -> Observed:
    """What is certain counts: an answer that took long says little about a clock."""
    certain = max(0.0, abs(ahead) - within)
    side = "ahead" if ahead > 0 else "behind"
    told = f"{abs(ahead):.0f} s {side}, to within {within:.1f} s"
    advice = "let NTP set the clocks of nodes and of this machine"
    if certain > SKEW_FAIL:
        return fail(subject, seen=told, next_step=f"{advice}: certificates are not believed across so much")
    if certain > SKEW_WARN:
        return warn(subject, seen=told, next_step=advice)
    return ok(subject, seen=told)


def _some(grants: frozenset[Grant]) -> str:
    listed = [str(grant) for grant in sorted(grants)]
    more = f" and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    return "; ".join(listed[:_MOST_SHOWN]) + more
