"""From what clusters and gateways said to one picture. Pure.

A cluster that was not asked is drawn where a peer names it: what is known of it is what its peers say. A
context that does not answer is taken for the cluster of the same name, if a peer knows one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from mesh_cli.check.peers import STALE
from mesh_cli.check.times import moment, seconds_since
from mesh_cli.gateways.survey import ClusterGateways, Figures, GatewaySurvey, PeerTraffic
from mesh_cli.graph.picture import Cluster, End, Link, Picture, Service, State, in_print
from mesh_cli.status.survey import ExportSeen, ImportSeen, MemberSeen, NotSeen, PeerSeen, Survey

_NAME: Final = 63
_WORST: Final = (State.DOWN, State.TROUBLED, State.STALE, State.UNKNOWN, State.FINE)

Traffic = Mapping[tuple[str, str], Sequence[PeerTraffic]]
"""What the gateways of a cluster (by context) say of a peer."""


def draw(survey: Survey, gateways: GatewaySurvey) -> Picture:
    """The picture of both surveys, of the same contexts."""
    members = _members(survey)
    traffic = _traffic(gateways)
    links = _links(members, traffic=traffic, at=survey.at)
    named = {name for link in links for name in (link.first, link.second)}
    problems = {one.context: _problem(one) for one in gateways.clusters}
    asked = _asked(survey, problems=problems)
    others = {name: _not_asked(name) for name in named - asked.keys()}
    clusters = sorted((asked | others).values(), key=lambda one: one.name)
    return Picture(at=survey.at, clusters=tuple(clusters), links=links, services=_services(members))


def _asked(survey: Survey, *, problems: Mapping[str, str]) -> dict[str, Cluster]:
    """Clusters by name. One that two contexts lead to is there once; one that is silent hides no other."""
    found: dict[str, Cluster] = {}
    for seen in sorted(survey.clusters, key=lambda one: isinstance(one, NotSeen)):
        cluster = _cluster(seen, problems)
        if cluster.name in found and isinstance(seen, NotSeen):
            cluster = replace(cluster, name=f"{cluster.name} (context)")
        found.setdefault(cluster.name, cluster)
    return found


def rated(picture: Picture, *, before: Picture) -> Picture:
    """The same picture with rates since an earlier one; a counter that began anew has none."""
    now, then = moment(picture.at), moment(before.at)
    seconds = (now - then).total_seconds() if now and then else 0.0
    old = {(link.first, link.second): link for link in before.links}
    if seconds <= 0:
        return picture
    links = []
    for link in picture.links:
        was = old.get((link.first, link.second))
        rates: tuple[float | None, float | None] = (None, None)
        if was is not None:
            rates = _rate(link.forth, was.forth, seconds), _rate(link.back, was.back, seconds)
        links.append(replace(link, forth_rate=rates[0], back_rate=rates[1]))
    return replace(picture, links=tuple(links))


def _rate(now: int | None, before: int | None, seconds: float) -> float | None:
    return (now - before) / seconds if now is not None and before is not None and now >= before else None


def _members(survey: Survey) -> list[MemberSeen]:
    """Each member once, however many contexts lead to it."""
    found: dict[str, MemberSeen] = {}
    for one in survey.clusters:
        if isinstance(one, MemberSeen) and one.cluster:
            found.setdefault(in_print(one.cluster, most=_NAME), one)
    return [found[name] for name in sorted(found)]


def _cluster(seen: MemberSeen | NotSeen, problems: Mapping[str, str]) -> Cluster:
    context = in_print(seen.context, most=_NAME)
    match seen:
        case NotSeen():
            return replace(_not_asked(context), context=context, state=State.DOWN, note=in_print(seen.error))
        case MemberSeen():
            ready = sum(program.ready for program in seen.programs)
            wanted = sum(program.wanted for program in seen.programs)
            note = seen.why or problems.get(seen.context, "")
            if not note and not wanted:
                note = "none of our programs is installed; run meshctl join"
            state = State.TROUBLED if note or ready < wanted else State.FINE
            return Cluster(
                name=in_print(seen.cluster, most=_NAME) or context,
                context=context,
                state=State.UNKNOWN if seen.why else state,
                domain=in_print(seen.domain),
                version=in_print(seen.server_version, most=_NAME),
                ready=ready,
                wanted=wanted,
                note=in_print(note),
            )


def _not_asked(name: str) -> Cluster:
    return Cluster(
        name=name,
        context="",
        state=State.UNKNOWN,
        domain="",
        version="",
        ready=0,
        wanted=0,
        note="it was not asked: add --context",
    )


def _problem(one: ClusterGateways | NotSeen) -> str:
    """Why the traffic of a cluster is not known, or not whole."""
    match one:
        case NotSeen():
            return f"its gateways could not be asked: {one.error}"
        case ClusterGateways():
            silent = [g for g in one.gateways if not isinstance(g.figures, Figures)]
            return f"gateway {silent[0].pod}: {silent[0].figures}" if silent else ""


def _traffic(gateways: GatewaySurvey) -> Traffic:
    found: dict[tuple[str, str], list[PeerTraffic]] = defaultdict(list)
    for cluster in gateways.clusters:
        if isinstance(cluster, ClusterGateways):
            for gateway in cluster.gateways:
                if isinstance(gateway.figures, Figures):
                    for peer in gateway.figures.peers:
                        found[cluster.context, peer.peer].append(peer)
    return found


def _links(members: Sequence[MemberSeen], *, traffic: Traffic, at: str) -> tuple[Link, ...]:
    ends: dict[tuple[str, str], list[End]] = defaultdict(list)
    for member in members:
        here = in_print(member.cluster, most=_NAME)
        for peer in member.peers:
            there = in_print(peer.cluster, most=_NAME)
            if there != here:
                told = traffic.get((member.context, peer.cluster), ())
                ends[min(here, there), max(here, there)].append(_end(here, peer, told=told, at=at))
    return tuple(_link(pair, ends[pair]) for pair in sorted(ends))


def _end(here: str, peer: PeerSeen, *, told: Sequence[PeerTraffic], at: str) -> End:
    now = moment(at)
    heard = seconds_since(peer.last_contact, at=now) if now and peer.last_contact else None
    heard = None if heard is None else max(0.0, heard)
    condition = peer.connected
    message = condition.message if condition is not None else "no controller has looked yet"
    state = {"True": State.FINE, "False": State.DOWN}.get(
        condition.status if condition else "", State.UNKNOWN
    )
    if state is State.FINE and (heard is None or heard > STALE):
        state = State.STALE
        message = "it was never heard" if heard is None else f"last heard {heard:.0f} s ago"
    return End(
        cluster=here,
        state=state,
        reason=in_print(condition.reason if condition else ""),
        message=in_print(message),
        heard=heard,
        exports=peer.exports,
        tunnels=sum(one.tunnels for one in told) if told else None,
        rtt=max((one.rtt for one in told if one.rtt is not None), default=None),
        streams=sum(one.to_peer + one.from_peer for one in told) if told else None,
        sent=sum(one.sent for one in told) if told else None,
        received=sum(one.received for one in told) if told else None,
    )


def _link(pair: tuple[str, str], ends: Sequence[End]) -> Link:
    """Both ends count the same bytes; the end that sends them is asked first."""
    first = next((one for one in ends if one.cluster == pair[0]), None)
    second = next((one for one in ends if one.cluster == pair[1]), None)
    return Link(
        first=pair[0],
        second=pair[1],
        state=min((one.state for one in ends), key=_WORST.index),
        ends=tuple(ends),
        rtt=max((one.rtt for one in ends if one.rtt is not None), default=None),
        streams=max((one.streams for one in ends if one.streams is not None), default=None),
        forth=_told(first.sent if first else None, second.received if second else None),
        back=_told(second.sent if second else None, first.received if first else None),
    )


def _told(mine: int | None, theirs: int | None) -> int | None:
    return mine if mine is not None else theirs


def _services(members: Sequence[MemberSeen]) -> tuple[Service, ...]:
    exports: dict[tuple[str, str], dict[str, ExportSeen]] = defaultdict(dict)
    imports: dict[tuple[str, str], dict[str, ImportSeen]] = defaultdict(dict)
    for member in members:
        cluster = in_print(member.cluster, most=_NAME)
        for export in member.exports:
            exports[_key(export)][cluster] = export
        for entry in member.imports:
            imports[_key(entry)][cluster] = entry
    keys = sorted(exports.keys() | imports.keys())
    return tuple(_service(key, exports.get(key, {}), imports.get(key, {})) for key in keys)


def _key(one: ExportSeen | ImportSeen) -> tuple[str, str]:
    return in_print(one.namespace, most=_NAME), in_print(one.name, most=_NAME)


def _service(
    key: tuple[str, str], exports: Mapping[str, ExportSeen], imports: Mapping[str, ImportSeen]
) -> Service:
    told = {in_print(name, most=_NAME) for entry in imports.values() for name in entry.clusters}
    sample = next(iter(imports.values()), None)
    conflicts = _said(exports, kind="Conflict", fine="False")
    troubles = [*_said(exports, kind="Valid", fine="True"), *_said(exports, kind="Ready", fine="True")]
    return Service(
        namespace=key[0],
        name=key[1],
        type=in_print(sample.type, most=_NAME) if sample else "",
        ports=tuple(in_print(port, most=_NAME) for port in sample.ports) if sample else (),
        exporters=tuple(sorted(told | exports.keys())),
        importers=tuple(sorted(imports)),
        conflict=in_print("; ".join(conflicts)),
        trouble=in_print("; ".join(troubles)),
    )


def _said(exports: Mapping[str, ExportSeen], *, kind: str, fine: str) -> Iterable[str]:
    """What all clusters say alike, as a conflict is, is said once."""
    told: dict[str, list[str]] = defaultdict(list)
    for cluster, export in exports.items():
        for one in export.conditions:
            if one.type == kind and one.status != fine:
                told[one.message or one.reason or kind].append(cluster)
    return [f"{', '.join(clusters)}: {message}" for message, clusters in told.items()]
