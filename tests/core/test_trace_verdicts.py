"""Which hop of a call's way is named, from what was seen along it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from mesh_cli.check.verdict import Unseen
from mesh_cli.trace.exporting import AT_THE_DOOR, AT_THE_ENDPOINTS, AT_THE_TUNNEL
from mesh_cli.trace.hop import State, Verdict
from mesh_cli.trace.render import verdict_as_json, verdict_as_text
from mesh_cli.trace.scene import Exporter, Importer, Knocked, PodState, Scene
from mesh_cli.trace.verdict import judge
from mesh_core.names import (
    ANNOTATION_ALLOW,
    ANNOTATION_READY_ENDPOINTS,
    LABEL_KUBERNETES_SERVICE,
    LABEL_SERVICE_NAME,
    LABEL_SOURCE_CLUSTER,
    shadow_service_name,
)
from mesh_core.objects import (
    Condition,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ExportStatus,
    ImportCluster,
    ImportPort,
    ImportSpec,
    ImportStatus,
    MeshPeer,
    MeshPeerStatus,
    Meta,
    Namespace,
    ProbeResult,
    Service,
    ServiceExport,
    ServiceImport,
)
from mesh_core.service_probe import GOOD, SAY_NOTHING, Found

AT = "2026-01-01T01:00:00Z"
META = Meta(name="hello", namespace="demo", creation_timestamp="2026-01-01T00:00:00Z")
SHADOW = shadow_service_name(namespace="demo", name="hello")
UP = (PodState("gateway-1", "10.0.0.1", True), PodState("gateway-2", "10.0.0.2", True))
DOWN = (PodState("gateway-1", "10.0.0.1", False),)


def piece(source: str, *, ready: bool = True, noted: str = '{"http": 2}') -> EndpointSlice:
    labels = {LABEL_SERVICE_NAME: "hello", LABEL_SOURCE_CLUSTER: source, LABEL_KUBERNETES_SERVICE: SHADOW}
    notes = {ANNOTATION_READY_ENDPOINTS: noted} if noted else {}
    conditions = EndpointConditions(ready=ready)
    meta = Meta(name=f"hello.{source}", namespace="demo", labels=labels, annotations=notes)
    ends = tuple(Endpoint(addresses=(pod.address,), conditions=conditions) for pod in UP)
    return EndpointSlice(metadata=meta, endpoints=ends, ports=(EndpointPort(name="http", port=16400),))


def exported(status: str = "True", message: str = "", *, allow: str = "") -> ServiceExport:
    ready = Condition(type="Ready", status=status, reason="R", message=message)
    notes = {ANNOTATION_ALLOW: allow} if allow else {}
    meta = replace_struct(META, annotations=notes)
    return ServiceExport(metadata=meta, status=ExportStatus(conditions=(ready,)))


def imported(*clusters: str) -> ServiceImport:
    spec = ImportSpec(ips=("10.96.0.9",), ports=(ImportPort(port=80),))
    status = ImportStatus(clusters=tuple(ImportCluster(cluster=one) for one in clusters))
    return ServiceImport(metadata=META, spec=spec, status=status)


def peer(reachable: str = "True") -> MeshPeer:
    found = Condition(type="Reachable", status=reachable, message="what gateways find")
    return MeshPeer(metadata=Meta(name="east"), status=MeshPeerStatus(conditions=(found,)))


def said(*words: str) -> dict[str, tuple[ProbeResult, ...]]:
    return {"east": tuple(ProbeResult(gateway=str(n), result=word) for n, word in enumerate(words))}


KNOCKS = {("10.0.0.1", 16400): Knocked(), ("10.0.0.2", 16400): Knocked()}
IMPORTER = Importer(
    context="w",
    cluster="west",
    dns=Unseen("not asked here"),
    imported=imported("east"),
    namespace=Namespace(metadata=Meta(name="demo")),
    shadow=Service(metadata=META),
    slices=(piece("east"),),
    gateways=UP,
    peers={"east": peer()},
    records={"east": ""},
    knocks=KNOCKS,
    probes=said("OK", "OK"),
    call=Knocked(),
)
EXPORTER = Exporter(
    context="e",
    cluster="east",
    export=exported(),
    service=Service(metadata=META),
    slices=(piece("east", noted=""),),
    pods=(PodState("hello-1", "10.1.0.1", True),),
    gateways=UP,
)
DEAD = replace(
    EXPORTER, slices=(piece("east", noted="", ready=False),), pods=(PodState("hello-1", "", False),)
)
SILENT = (piece("east", ready=False, noted='{"http": 0}'),)


def judged(importer: Importer = IMPORTER, exporter: Exporter | None = EXPORTER) -> Verdict:
    return judge(Scene("demo", "hello", importer, {exporter.cluster: exporter} if exporter else {}))


def title(found: Verdict) -> str:
    return found.hops[found.failing - 1].title if found.failing is not None else ""


def states(found: Verdict) -> dict[str, State]:
    return {hop.title: hop.state for hop in found.hops}


def test_where_everything_was_seen_to_work_only_the_name_that_was_not_asked_is_unknown() -> None:
    found = judged()
    assert (title(found), found.goes, found.works) == ("", True, False)
    assert [hop.title for hop in found.hops if hop.state is not State.OK] == ["name"]
    assert found.line == "calls go; nothing was seen to fail; not looked at: hop 1"


REFUSED = {at: Knocked("Connection refused") for at in KNOCKS}
ONE_REFUSED = {**KNOCKS, ("10.0.0.2", 16400): Knocked("Connection refused")}
LOST = Knocked("timed out")


@pytest.mark.parametrize(
    ("importer", "exporter", "hop", "told"),
    [
        (replace(IMPORTER, imported=None, namespace=None), EXPORTER, "import", "create namespace demo"),
        (replace(IMPORTER, imported=None), replace(EXPORTER, export=None), "import", "meshctl export hello"),
        (
            replace(IMPORTER, imported=None),
            replace(EXPORTER, export=exported("False", "no port; add one")),
            "import",
            "east withholds it (R): no port; next: add one",
        ),
        (replace(IMPORTER, imported=None, peers={}), EXPORTER, "import", "west has no peer east"),
        (replace(IMPORTER, imported=None, records={}), EXPORTER, "import", "its record has not come"),
        (replace(IMPORTER, imported=None), None, "import", "nobody exports it"),
        (replace(IMPORTER, imported=imported()), EXPORTER, "import", "no cluster stands behind it"),
        (
            replace(IMPORTER, imported=imported()),
            replace(EXPORTER, export=exported(allow="north, south")),
            "import",
            "east exports it to north, south alone (meshctl.dev/allow), not to west",
        ),
        (
            replace(IMPORTER, slices=(), probes=said("NotAllowed", "NotAllowed")),
            replace(EXPORTER, export=exported(allow="north")),
            "ingress gateway",
            "east exports it to north alone",
        ),
        (
            replace(IMPORTER, slices=SILENT, probes=said("NoEndpoint")),
            replace(EXPORTER, slices=(), pods=()),
            "endpoints",
            "its selector fits no pod: kubectl --context e -n demo get service hello",
        ),
        (replace(IMPORTER, shadow=None), EXPORTER, "slices", "there is no shadow Service"),
        (replace(IMPORTER, slices=()), EXPORTER, "slices", "no endpoint is listed"),
        (
            replace(IMPORTER, gateways=DOWN, slices=(), probes={}, call=LOST),
            EXPORTER,
            "egress gateway",
            "0 of 1",
        ),
        (replace(IMPORTER, knocks=REFUSED, call=LOST), EXPORTER, "egress gateway", "Connection refused"),
        (replace(IMPORTER, knocks=ONE_REFUSED), EXPORTER, "egress gateway", "10.0.0.2:16400"),
        (replace(IMPORTER, peers={}), EXPORTER, "tunnel", "no MeshPeer east"),
        (replace(IMPORTER, probes=said("Unreachable: t", "OK")), EXPORTER, "tunnel", "1 of 2 gateways"),
        (replace(IMPORTER, probes=said("NotTrusted: t")), EXPORTER, "tunnel", "meshctl trust status"),
        (replace(IMPORTER, peers={"east": peer("False")}, probes={}), None, "tunnel", "what gateways find"),
        (
            replace(IMPORTER, probes=said("Unreachable"), slices=SILENT, call=LOST),
            replace(EXPORTER, gateways=DOWN),
            "ingress gateway",
            "0 of 1 gateway pods are ready",
        ),
        (
            replace(IMPORTER, probes=said("NotAllowed: not west")),
            EXPORTER,
            "ingress gateway",
            "--to this cluster",
        ),
        (
            replace(IMPORTER, probes=said("NotExported: x")),
            None,
            "ingress gateway",
            "meshctl export it there",
        ),
        (replace(IMPORTER, probes=said("Overload: full")), EXPORTER, "ingress gateway", "try again"),
        (IMPORTER, replace(EXPORTER, export=None), "ingress gateway", "east has no ServiceExport"),
        (
            replace(IMPORTER, probes=said("NoEndpoint: x"), slices=SILENT),
            DEAD,
            "endpoints",
            "not ready: hello-1",
        ),
        (replace(IMPORTER, probes=said("NoEndpoint: x"), slices=SILENT), None, "endpoints", "it has 0 ready"),
        (replace(IMPORTER, probes=said("EndpointFailed: refused")), EXPORTER, "endpoints", "targetPort"),
        (replace(IMPORTER, call=LOST), EXPORTER, "call", "NetworkPolicies"),
        (replace(IMPORTER, call=Knocked(ended=True)), EXPORTER, "call", "it was ended at once"),
    ],
)
def test_the_hop_that_fails_by_itself_is_named_with_what_to_do(
    importer: Importer, exporter: Exporter | None, hop: str, told: str
) -> None:
    found = judged(importer, exporter)
    assert title(found) == hop, found.line
    assert told in found.line


def test_a_door_that_is_shut_without_a_word_is_explained_by_what_the_controller_was_told() -> None:
    evicted = Condition(type="Connected", status="False", reason="Refused", message="west was evicted")
    status = MeshPeerStatus(conditions=(*peer().status.conditions, evicted))
    refused = replace(
        IMPORTER,
        peers={"east": replace_struct(peer(), status=status)},
        probes=said("Refused: closed it unanswered", "Refused: closed it unanswered"),
    )
    found = judged(refused).line
    assert "ingress gateway of east" in found
    assert "closed it unanswered; MeshPeer east says: west was evicted" in found
    assert "MESH-TRUST" in found
    unsaid = judged(replace(refused, peers={"east": peer()})).line
    assert "MeshPeer east says" not in unsaid
    assert "try again" in unsaid


def test_slices_without_a_ready_endpoint_only_follow_a_dead_backend() -> None:
    found = states(judged(replace(IMPORTER, probes=said("NoEndpoint"), slices=SILENT, call=LOST), DEAD))
    assert (found["slices"], found["endpoints"], found["call"]) == (State.FOLLOWS, State.FAIL, State.FOLLOWS)


@pytest.mark.parametrize("export", [None, exported("False", "withheld; correct it")])
def test_a_tunnel_that_is_down_does_not_follow_an_export_that_is_missing_too(
    export: ServiceExport | None,
) -> None:
    broken = replace(IMPORTER, probes=said("Unreachable", "Unreachable"), slices=SILENT, call=LOST)
    found = judged(broken, replace(EXPORTER, export=export))
    assert title(found) == "tunnel"
    assert states(found)["ingress gateway"] is State.FAIL
    assert title(judged(broken, replace(EXPORTER, gateways=DOWN))) == "ingress gateway"


def test_gateways_that_were_not_dialled_are_not_said_to_take_connections() -> None:
    one = {at: found for at, found in KNOCKS.items() if at[0] == "10.0.0.1"}
    (hop,) = [hop for hop in judged(replace(IMPORTER, knocks=one)).hops if hop.title == "egress gateway"]
    assert hop.probe == "1 of 1 take connections at port 16400"


def test_a_connection_that_only_the_gateway_here_has_taken_is_no_call_that_goes() -> None:
    found = judged(replace(IMPORTER, probes=said("EndpointFailed", "EndpointFailed")))
    assert not found.goes
    assert states(found)["call"] is State.FOLLOWS


def test_a_call_that_another_exporter_takes_goes_and_the_broken_one_is_named() -> None:
    other = replace(EXPORTER, cluster="south", context="s")
    importer = replace(
        IMPORTER,
        imported=imported("east", "south"),
        slices=(piece("south"), piece("east", ready=False)),
        peers={"east": peer(), "south": peer()},
        probes={**said("NoEndpoint"), "south": (ProbeResult(gateway="1", result="OK"),)},
    )
    scene = Scene("demo", "hello", importer, {"east": DEAD, "south": other})
    found = judge(scene)
    assert found.goes
    assert found.line.startswith("calls go, but one exporter fails at hop 7, endpoints of east")


def test_pods_on_a_common_network_are_reached_without_gateways() -> None:
    importer = replace(IMPORTER, slices=(piece("east", noted=""),), gateways=DOWN, knocks={})
    found = judged(importer, None)
    assert [hop.title for hop in found.hops] == [
        "name",
        "import",
        "slices",
        "common network",
        "endpoints",
        "call",
    ]


def test_own_pods_need_no_way_at_all() -> None:
    importer = replace(
        IMPORTER, imported=imported("west"), slices=(piece("west", noted=""),), peers={}, probes={}
    )
    found = judged(importer, None)
    assert [hop.title for hop in found.hops] == ["name", "import", "slices", "endpoints", "call"]
    assert title(found) == ""


UNSEEN = Unseen("forbidden")


@pytest.mark.parametrize(
    "part", ["imported", "slices", "gateways", "peers", "knocks", "probes", "call", "namespace", "records"]
)
def test_what_was_not_seen_is_never_called_broken(part: str) -> None:
    found = judged(replace(IMPORTER, **{part: UNSEEN}))  # type: ignore[arg-type]  # one type for all
    assert title(found) == ""
    assert not found.works


def test_every_word_of_a_gateway_has_its_hop() -> None:
    classes = (AT_THE_TUNNEL, AT_THE_DOOR, AT_THE_ENDPOINTS, GOOD, SAY_NOTHING)
    assert frozenset().union(*classes) == frozenset(Found)
    assert sum(map(len, classes)) == len(Found)


@given(
    st.lists(st.sampled_from([one.value for one in Found]) | st.text(max_size=20), max_size=3),
    st.sampled_from([UP, DOWN, ()]),
    st.sampled_from([EXPORTER, DEAD, None]),
    st.sampled_from([Knocked(), LOST, Knocked(ended=True), UNSEEN]),
    st.sampled_from(["True", "False", "Unknown"]),
    st.sampled_from(['{"http": 2}', "[[", '{"http": "x"}', "[]", ""]),
)
def test_whatever_was_seen_a_failing_hop_says_what_to_do_and_only_works_where_all_is_ok(
    words: list[str],
    gateways: tuple[PodState, ...],
    exporter: Exporter | None,
    call: Knocked | Unseen,
    reachable: str,
    noted: str,
) -> None:
    importer = replace(
        IMPORTER,
        probes=said(*words),
        gateways=gateways,
        call=call,
        peers={"east": peer(reachable)},
        slices=(piece("east", noted=noted),),
    )
    found = judged(importer, exporter)
    for hop in found.hops:
        assert hop.state is not State.FAIL or hop.next_step
    if any(hop.state is State.FOLLOWS for hop in found.hops):
        assert found.failing is not None
    assert found.line.count("\n") == 0
    text = verdict_as_text(found, at=AT, deaf=[("x", "y")], wide=True)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert verdict_as_json(found, at=AT)


@pytest.mark.parametrize("noted", ['{"http": Infinity}', '{"http": NaN}', "[" * 5000, '{"http": null}', "2"])
def test_an_annotation_that_says_no_number_of_endpoints_ends_nothing(noted: str) -> None:
    """Who may write slices in the namespace may write it."""
    importer = replace(IMPORTER, slices=(piece("east", ready=False, noted=noted),))
    assert judged(importer, None).failing is not None
