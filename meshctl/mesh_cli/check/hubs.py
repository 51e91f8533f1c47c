"""Checks of a placement hub, where the cluster is one; where it is none, that is fine and said. Pure."""

from collections.abc import Iterator
from typing import Final

from mesh_cli.check.findings import Findings
from mesh_cli.check.hub_seen import HubMember, HubSeen
from mesh_cli.check.times import seconds_since, span
from mesh_cli.check.verdict import Observed, Unseen, fail, ok, seen, warn
from mesh_core.names import HUB, SYSTEM_NAMESPACE
from mesh_placement.names import AGENT

_KIND: Final = "clusterregistrations.placement.meshctl.dev"
_MOST: Final = 20
"""So many of one sort are told one by one."""
_SILENT: Final = 60.0
"""Seconds: by then a leader has lost its Lease, whatever this machine's clock says."""
_SUSPECT: Final = "Suspect"
_LOOK_THERE: Final = f"do what it says; in that member: kubectl -n {SYSTEM_NAMESPACE} logs deployment/{AGENT}"


def members(findings: Findings) -> Iterator[Observed]:
    """MESH-PLACE-001."""
    hub = _hub(findings)
    if hub is None:
        yield _is_none()
        return
    inside = [one for one in hub.members if one.accepted and not one.leaving]
    bad = [one for one in inside if not one.is_ready]
    for one in bad[:_MOST]:
        judge = fail if one.agent and one.phase != _SUSPECT else warn
        told = f"is {one.phase or 'not judged yet'}: {one.why}"
        yield judge(one.name, seen=told, next_step=_LOOK_THERE, since=one.since)
    if len(bad) > _MOST:
        yield warn("members", seen=f"{len(bad) - _MOST} more are not ready", next_step="see meshctl clusters")
    if not bad:
        yield ok("members", seen=f"all {len(inside)} are ready")


def waiting(findings: Findings) -> Iterator[Observed]:
    """MESH-PLACE-002."""
    hub = _hub(findings)
    if hub is None:
        yield _is_none()
        return
    outside = [one for one in hub.members if one.leaving or not one.accepted]
    for one in outside[:_MOST]:
        yield _on_the_way(one)
    if len(outside) > _MOST:
        yield warn("members", seen=f"{len(outside) - _MOST} more wait", next_step="see meshctl clusters")
    if not outside:
        yield ok("members", seen="nobody waits to come in or to go")


def _on_the_way(one: HubMember) -> Observed:
    if one.leaving:
        gone = f"meshctl clusters leave {one.name} --force"
        advice = f"its agent takes away what it has; where that is gone for good: {gone}"
        return warn(one.name, seen="is leaving", next_step=advice, since=one.leaving)
    advice = f"compare its key, then meshctl clusters accept {one.name}; or delete the registration"
    return warn(one.name, seen="is not let in", next_step=advice, since=one.since)


def leads(findings: Findings) -> Iterator[Observed]:
    """MESH-PLACE-003."""
    hub = _hub(findings)
    if hub is None:
        yield _is_none()
        return
    look = f"kubectl -n {SYSTEM_NAMESPACE} describe deployment {HUB}"
    if hub.pods is None:
        advice = "meshctl hub init installs it again; a hub that was moved: ask the new one"
        told = f"is not installed, and {len(hub.members)} clusters are registered"
        yield fail(HUB, seen=told, next_step=advice)
        return
    ready, wanted = hub.pods
    told = f"{ready} of {wanted} pods ready"
    if ready == 0:
        yield fail(HUB, seen=told, next_step=look)
    elif ready < wanted:
        yield warn(HUB, seen=told, next_step=look)
    elif wanted < 2:
        yield warn(HUB, seen=f"{told}: nobody takes over when it ends", next_step="scale it to two")
    else:
        yield ok(HUB, seen=told)
    age = seconds_since(hub.led, at=findings.there)
    if age is None:
        yield fail("leader", seen="nobody has led yet", next_step=look)
    elif age > _SILENT:
        advice = (
            f"nothing is decided or let in meanwhile: kubectl -n {SYSTEM_NAMESPACE} logs deployment/{HUB}"
        )
        yield fail(
            "leader", seen=f"nobody leads: last heard {span(age)} ago", next_step=advice, since=hub.led
        )
    else:
        yield ok("leader", seen="renewed its Lease a moment ago")


def versions(findings: Findings) -> Iterator[Observed]:
    """MESH-PLACE-004."""
    hub = _hub(findings)
    if hub is None:
        yield _is_none()
        return
    found: dict[str, list[str]] = {}
    for one in hub.members:
        if one.agent:
            found.setdefault(one.agent, []).append(one.name)
    if len(found) > 1:
        told = "; ".join(
            f"{version} in {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            for version, names in sorted(found.items())[:_MOST]
        )
        advice = "upgrade the older ones: docs/upgrading.md"
        yield warn("agents", seen=f"are of {len(found)} versions: {told}", next_step=advice)
    else:
        yield ok("agents", seen=f"all are {next(iter(found))}" if found else "none has come yet")


def placements(findings: Findings) -> Iterator[Observed]:
    """MESH-PLACE-005."""
    hub = _hub(findings)
    if hub is None:
        yield _is_none()
        return
    for one in hub.troubled[:_MOST]:
        advice = f"meshctl explain placement {one.namespace}/{one.name}"
        yield warn(f"{one.namespace}/{one.name}", seen=one.why, next_step=advice, since=one.since)
    if len(hub.troubled) > _MOST:
        told = f"{len(hub.troubled) - _MOST} more are not carried out"
        yield warn("Placements", seen=told, next_step="see meshctl placements")
    if not hub.troubled:
        yield ok("Placements", seen=f"none of {hub.placements} is in trouble")


def _hub(findings: Findings) -> HubSeen | None:
    """The hub; None where the cluster is none. Raises CouldNotLook.

    Who may not read the kinds is refused before the API server looks whether it has them.
    """
    if isinstance(findings.hub, Unseen) and not isinstance(findings.kinds, Unseen):
        if not any(one.name == _KIND for one in findings.kinds):
            return None
    found = seen(findings.hub)
    return found if found is not None and found.is_one else None


def _is_none() -> Observed:
    return ok("hub", seen="this cluster is none")
