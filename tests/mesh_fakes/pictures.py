"""Surveys to draw pictures of: values as clusters and gateways would give them."""

from mesh_cli.gateways.survey import ClusterGateways, Figures, GatewaySeen, GatewaySurvey, PeerTraffic
from mesh_cli.status.survey import ExportSeen, ImportSeen, MemberSeen, NotSeen, PeerSeen, Program, Survey
from mesh_core.objects import Condition

AT = "2026-03-01T12:00:00Z"
HEARD = "2026-03-01T11:59:57Z"
LONG_AGO = "2026-03-01T11:58:00Z"

Surveys = tuple[Survey, GatewaySurvey]


def connected(status: str = "True", reason: str = "Synced", message: str = "") -> Condition:
    return Condition(type="Connected", status=status, reason=reason, message=message)


def peer(name: str, *, condition: Condition | None = None, heard: str = HEARD) -> PeerSeen:
    return PeerSeen(
        cluster=name,
        gateways=(f"gw.{name}.example:15443",),
        connected=condition or connected(),
        exports=1,
        last_sync=heard,
        last_contact=heard,
    )


def export(name: str, *conditions: Condition, namespace: str = "demo") -> ExportSeen:
    return ExportSeen(namespace=namespace, name=name, conditions=conditions)


def imported(name: str, *clusters: str, namespace: str = "demo") -> ImportSeen:
    return ImportSeen(
        namespace=namespace,
        name=name,
        type="ClusterSetIP",
        ips=("10.96.7.7",),
        ports=("80/TCP",),
        clusters=clusters,
        conditions=(),
    )


def member(
    name: str,
    *,
    peers: tuple[PeerSeen, ...] = (),
    exports: tuple[ExportSeen, ...] = (),
    imports: tuple[ImportSeen, ...] = (),
    ready: int = 2,
    context: str = "",
    why: str = "",
) -> MemberSeen:
    return MemberSeen(
        context=context or f"ctx-{name}",
        cluster="" if why else name,
        domain="" if why else "clusterset.internal",
        why=why,
        server_version="v1.34.4",
        programs=(Program("meshctl-controller", ready, 2),),
        peers=peers,
        exports=exports,
        imports=imports,
    )


def traffic(peer: str, *, sent: int = 1024, received: int = 2048, rtt: float | None = 0.02) -> PeerTraffic:
    return PeerTraffic(
        peer=peer,
        tunnels=4,
        rtt=rtt,
        handshake=None,
        to_peer=3,
        from_peer=2,
        opened=9,
        sent=sent,
        received=received,
    )


def gateways(cluster: str, *pods: tuple[PeerTraffic, ...] | str, context: str = "") -> ClusterGateways:
    """A gateway for each of `pods`: its traffic by peer, or why it tells none."""
    seen = []
    for number, told in enumerate(pods):
        figures = told if isinstance(told, str) else _figures(told)
        seen.append(GatewaySeen(pod=f"gw-{number}", ready=True, figures=figures))
    return ClusterGateways(context=context or f"ctx-{cluster}", cluster=cluster, gateways=tuple(seen))


def surveys(*members: MemberSeen | NotSeen, told: tuple[ClusterGateways, ...] = (), at: str = AT) -> Surveys:
    return Survey(at=at, clusters=members), GatewaySurvey(told)


def _figures(peers: tuple[PeerTraffic, ...]) -> Figures:
    return Figures(
        version="1",
        connections=1,
        waiting_bytes=0,
        egress_ports=1,
        ingress_names=1,
        table_age=1.0,
        peers=peers,
        refused=(),
    )
