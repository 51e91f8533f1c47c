"""What `meshctl check` decides: a fault is named by the id that stands for it, and nothing unseen is fine."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from mesh_cli.check.asking import WANTED
from mesh_cli.check.findings import (
    Answer,
    ClockSeen,
    Findings,
    OurNamespace,
    PodSeen,
    RecordSeen,
    Right,
    Rules,
    SecretSeen,
    nothing_seen,
)
from mesh_cli.check.hub_seen import HubMember, HubPlacement, HubSeen
from mesh_cli.check.registry import CHECKS, Check, UnknownCheck, chosen, run_check, run_checks
from mesh_cli.check.render import exit_status, results_as_json, results_as_text
from mesh_cli.check.rights import Grant
from mesh_cli.check.verdict import Observed, Result, Unseen, Verdict
from mesh_cli.dns.corefile import stub
from mesh_cli.precheck.verdict import HUB_CHECKS, MEMBER_CHECKS
from mesh_core.identity import cluster_id
from mesh_core.names import DNS, GATEWAY, LABEL_REPLICA
from mesh_core.objects import (
    CertificateSigningRequest,
    Condition,
    ConfigMap,
    EndpointPort,
    EndpointSlice,
    Meta,
    PathReport,
    TrustBundle,
    TrustBundleSpec,
)
from mesh_core.objects.mesh import PeerTrust
from mesh_core.objects.platform import RequestSpec, RequestStatus
from mesh_core.objects.trust import LocalRefusal, RefusedKey, RosterEntry
from mesh_fakes.check_findings import (
    AT,
    CLOCK,
    EARLIER,
    GRANT,
    SOON,
    bundle,
    conditions,
    corefile,
    deployment,
    export,
    fine,
    handshake,
    intermediate,
    invited,
    issuer,
    issuer_entry,
    key_of,
    leaf,
    lease,
    member,
    peer,
    piece,
    policy,
    record,
    resolved,
    root,
    seen_of,
    service_import,
    shadow,
    source,
    statement,
    to_namespace,
    tried,
)
from mesh_runtime.pem import certificates_to_pem

DOCS = Path(__file__).parents[2] / "docs" / "checks.md"
OK, WARN, UNKNOWN, FAIL = Verdict.OK, Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL
EAST, WEST = cluster_id("east"), cluster_id("west")


def results(findings: Findings) -> dict[str, Result]:
    return {result.check.id: result for result in run_checks(CHECKS, all_findings=[findings])}


def states(**changes: str) -> dict[str, Any]:
    """The peer with other conditions."""
    return {"peers": (peer(states=conditions(**changes)),)}


def programs(name: str, *, ready: int, wanted: int) -> dict[str, Any]:
    all_of_them = {one: deployment(one) for one in ("meshctl-controller", GATEWAY, DNS)}
    return {"deployments": all_of_them | {name: deployment(name, ready=ready, wanted=wanted)}}


def without(name: str) -> dict[str, Any]:
    return {
        "deployments": {one: deployment(one) for one in ("meshctl-controller", GATEWAY, DNS) if one != name}
    }


def shakes(cluster: str, component: str, **changes: Any) -> dict[str, Any]:
    """The handshakes, one of them other than it should be."""
    every = [(name, part) for name in ("east", "west") for part in ("gateway", "controller")]
    return {
        "handshakes": tuple(
            handshake(name, part, **(changes if (name, part) == (cluster, component) else {}))
            for name, part in every
        )
    }


def request(signer: str = "meshctl.dev/leaf", *, age: float, **status: Any) -> dict[str, Any]:
    made = (AT - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    meta = Meta(name="meshctl-gateway-x", creation_timestamp=made)
    spec = RequestSpec(request="", signer_name=signer)
    return {
        "requests": (CertificateSigningRequest(metadata=meta, spec=spec, status=RequestStatus(**status)),)
    }


def said(kind: str, reason: str = "Why") -> Condition:
    return Condition(type=kind, status="True", reason=reason, message="words")


def trusting(generation: int) -> dict[str, Any]:
    return {"peers": (peer(trust=PeerTrust(generation=generation)),)}


def beside(**changes: Any) -> dict[str, Any]:
    """With west asked in the same run, of which `changes` are otherwise than they should be."""
    theirs: dict[str, Any] = {
        "context": "w",
        "member": member(cluster="west"),
        "peers": (peer("east"),),
        "records": (record("east"),),
        **changes,
    }
    return {"others": {"w": fine(**theirs)}}


def word(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"address": "10.1.0.8", "reachable": True, "since": EARLIER, **changes}
    return {"peers": (peer(gateways=(PathReport(**fields),)),)}


def block(*lines: str) -> ConfigMap:
    body = "".join(f"    {line}\n" for line in lines)
    return corefile(f"clusterset.local:53 {{\n{body}}}\n.:53 {{\n    cache\n    reload\n}}\n")


def kinds(name: str, *, versions: set[str], is_established: bool = True) -> dict[str, Any]:
    known = fine().kinds
    assert not isinstance(known, Unseen)
    return {
        "kinds": tuple(
            replace(one, versions=frozenset(versions), is_established=is_established)
            if one.name == name
            else one
            for one in known
        )
    }


def signed(**changes: Any) -> dict[str, Any]:
    """A TrustBundle with another statement, of generation 3 all the same."""
    return {"member": member(bundle(statement(**changes)))}


def roster(*entries: tuple[str, str]) -> tuple[RosterEntry, ...]:
    return tuple(RosterEntry(cluster=name, keys=(key,)) for name, key in entries)


def letting_in(*, days: int) -> dict[str, Any]:
    """With an issuer of that age."""
    return signed(issuers=(issuer_entry(issuer(age=timedelta(days=days))),))


EAST_KEY, WEST_KEY = key_of(intermediate(EAST)), key_of(intermediate(WEST))
STRANGE = replace(leaf(WEST, "gateway"), subject="CN=lb.example", uris=())
OLD = replace(seen_of(intermediate(EAST)), start=AT - timedelta(days=95), end=AT - timedelta(days=5))
AGEING = replace(OLD, end=AT + timedelta(days=10))
YOUNG = replace(OLD, start=AT + timedelta(hours=1), end=AT + timedelta(days=90))
HELLO = record()
LEASES = lease("peer-west"), lease("g", **{LABEL_REPLICA: GATEWAY})
CROWDED = (
    piece(),
    *(
        piece(f"s{n}", ports=tuple(EndpointPort(name=f"p{p}", port=p) for p in range(n, n + 100)))
        for n in range(16384, 16384 + 15700, 100)
    ),
)

HUB = HubSeen((HubMember("east", agent="0.1.0"),), 1, (), (2, 2), SOON)
SILENT = "AgentUnreachable: it was not heard for 40 s"


def spoiled(**changes: Any) -> dict[str, Any]:  # Any: fields of several types
    """A hub whose one member is so."""
    return {"hub": replace(HUB, members=(replace(HUB.members[0], **changes),))}


FAULTS: list[tuple[str, str, dict[str, Any], Verdict, str]] = [
    ("MESH-API-002", "a kind is missing", {"kinds": ()}, FAIL, "is not installed"),
    (
        "MESH-API-002",
        "an old version",
        kinds("meshpeers.meshctl.dev", versions={"v1"}),
        FAIL,
        "serves v1, not v1alpha1",
    ),
    (
        "MESH-API-002",
        "v1beta1 alone",
        kinds("serviceimports.multicluster.x-k8s.io", versions={"v1beta1"}),
        FAIL,
        "not v1alpha1",
    ),
    (
        "MESH-API-002",
        "not taken up",
        kinds("meshpeers.meshctl.dev", versions={"v1alpha1"}, is_established=False),
        FAIL,
        "not established",
    ),
    (
        "MESH-API-003",
        "no right",
        {"rights": (Right("patch meshpeers", "meshctl link", False),)},
        WARN,
        "you may not",
    ),
    (
        "MESH-API-004",
        "rights gone",
        {"rules": Rules({}, {GATEWAY: frozenset({GRANT})})},
        FAIL,
        "may not get meshpeers",
    ),
    (
        "MESH-API-004",
        "rights more",
        {
            "rules": Rules(
                {GATEWAY: frozenset({GRANT, Grant("", "secrets", "list")})}, {GATEWAY: frozenset({GRANT})}
            )
        },
        WARN,
        "list secrets",
    ),
    (
        "MESH-API-004",
        "a stranger binds",
        {"rules": Rules({}, {}, ("ClusterRoleBinding x",))},
        WARN,
        "did not ask",
    ),
    ("MESH-API-005", "no namespace", {"namespace": OurNamespace(None)}, FAIL, "no such namespace"),
    ("MESH-API-005", "no profile", {"namespace": OurNamespace({})}, WARN, "not 'restricted'"),
    ("MESH-CLOCK-002", "40 s apart", {"clocks": {"e": CLOCK, "w": ClockSeen(41, 0.5)}}, WARN, "41 s behind"),
    ("MESH-CLOCK-002", "6 min apart", {"clocks": {"e": CLOCK, "w": ClockSeen(-360, 0.5)}}, FAIL, "ahead"),
    ("MESH-CLOCK-002", "one not seen", {"clocks": {"e": CLOCK, "w": Unseen("gone")}}, UNKNOWN, "gone"),
    (
        "MESH-CLOCK-003",
        "nobody renews",
        {"stamps": ()},
        UNKNOWN,
        "no program of ours",
    ),  # test_check_clocks.py
    (
        "MESH-TRUST-001",
        "another clusterset",
        {"member": member(clusterset="other.example")},
        FAIL,
        "other.example",
    ),
    (
        "MESH-TRUST-002",
        "a statement that is old",
        {"member": member(bundle(generation=4))},
        FAIL,
        "generation 4",
    ),
    (
        "MESH-TRUST-003",
        "a peer that the roster lacks",
        signed(roster=roster(("east", EAST_KEY))),
        FAIL,
        "does not know",
    ),
    (
        "MESH-TRUST-003",
        "a key that is refused",
        signed(refused=(RefusedKey(key=WEST_KEY, cluster="west", why="stolen"),)),
        FAIL,
        "stolen",
    ),
    (
        "MESH-TRUST-005",
        "intermediate ended",
        shakes("east", "gateway", shown=(leaf(EAST, "gateway"), OLD)),
        FAIL,
        "ended",
    ),
    (
        "MESH-TRUST-005",
        "ends",
        shakes("east", "gateway", shown=(leaf(EAST, "gateway"), AGEING)),
        WARN,
        "ends in 10 d",
    ),
    (
        "MESH-TRUST-005",
        "to come",
        shakes("east", "gateway", shown=(leaf(EAST, "gateway"), YOUNG)),
        FAIL,
        "good in 60 min",
    ),
    (
        "MESH-TRUST-006",
        "another root",
        shakes("east", "gateway", answer=Answer.NOT_BELIEVED),
        FAIL,
        "no root",
    ),
    ("MESH-TRUST-007", "no Secret", {"secret": None}, FAIL, "not there"),
    ("MESH-TRUST-008", "nobody signs", request(age=61), FAIL, "waits for 61 s, neither approved nor denied"),
    ("MESH-TRUST-008", "refused", request(age=5, conditions=(said("Denied"),)), FAIL, "was refused: words"),
    (
        "MESH-TRUST-008",
        "approved only",
        request("meshctl.dev/leaf", age=200, conditions=(said("Approved"),)),
        FAIL,
        "approved but not signed",
    ),
    (
        "MESH-TRUST-008",
        "the next intermediate waits",
        request("meshctl.dev/intermediate", age=200),
        WARN,
        "neither approved nor denied; the one in force is good for 89 d",
    ),
    (
        "MESH-TRUST-008",
        "its key is lost",
        request("meshctl.dev/intermediate", age=5)
        | {"secret": SecretSeen((AT - timedelta(seconds=6)).isoformat())},
        FAIL,
        "waits before its time",
    ),
    (
        "MESH-TRUST-008",
        "the first intermediate waits",
        request("meshctl.dev/intermediate", age=200)
        | shakes("east", "gateway", shown=(leaf(EAST, "gateway"), OLD)),
        FAIL,
        "neither approved nor denied",
    ),
    (
        "MESH-TRUST-008",
        "the first issuer waits",
        request("meshctl.dev/issuer", age=90),
        FAIL,
        "waits for 90 s",
    ),
    (
        "MESH-TRUST-009",
        "evicted and linked",
        {"member": member(bundle(refused_here=(LocalRefusal(cluster="west", keys=("0" * 64,)),)))},
        FAIL,
        "still has a MeshPeer",
    ),
    (
        "MESH-TRUST-010",
        "a peer behind",
        trusting(2),
        WARN,
        "generation 2, this cluster by 3",
    ),
    (
        "MESH-TRUST-010",
        "we are behind",
        trusting(4),
        WARN,
        "this cluster only by 3",
    ),
    ("MESH-TRUST-011", "the issuer ends", letting_in(days=21), WARN, "ends in 9 d"),
    ("MESH-TRUST-011", "the issuer ended", letting_in(days=31), FAIL, "ended 24 h ago"),
    ("MESH-TRUST-010", "it says nothing", {"peers": (peer(trust=None),)}, UNKNOWN, "has not said"),
    (
        "MESH-CERT-001",
        "leaf ended",
        shakes(
            "east",
            "gateway",
            shown=(replace(leaf(EAST, "gateway"), end=AT - timedelta(hours=1)), seen_of(intermediate(EAST))),
        ),
        FAIL,
        "ended 60 min ago",
    ),
    (
        "MESH-CERT-001",
        "leaf not renewed",
        shakes(
            "east",
            "gateway",
            shown=(leaf(EAST, "gateway", life=timedelta(hours=22)), seen_of(intermediate(EAST))),
        ),
        WARN,
        "ends in",
    ),
    (
        "MESH-CERT-001",
        "silent",
        shakes("east", "gateway", answer=Answer.SILENT, shown=(), detail="no answer"),
        UNKNOWN,
        "no answer",
    ),
    (
        "MESH-CERT-002",
        "silent",
        shakes("east", "controller", answer=Answer.SILENT, shown=()),
        UNKNOWN,
        "did not answer",
    ),
    ("MESH-CERT-003", "another root", shakes("west", "gateway", answer=Answer.NOT_BELIEVED), FAIL, "no root"),
    (
        "MESH-CERT-003",
        "silent",
        shakes("west", "gateway", answer=Answer.SILENT, shown=()),
        UNKNOWN,
        "did not answer",
    ),
    (
        "MESH-CERT-003",
        "another key",
        shakes(
            "west", "gateway", shown=(leaf(WEST, "gateway"), seen_of(intermediate(EAST)), seen_of(root()))
        ),
        FAIL,
        "does not know west with another key",
    ),
    (
        "MESH-CERT-003",
        "another cluster",
        shakes(
            "west", "gateway", shown=(leaf(EAST, "gateway"), seen_of(intermediate(EAST)), seen_of(root()))
        ),
        FAIL,
        "it is spiffe://east",
    ),
    ("MESH-PEER-001", "not connected", states(Connected="False"), FAIL, "Why: words"),
    (
        "MESH-PEER-002",
        "stale",
        {
            "leases": (
                lease("peer-west", renewed="2026-03-01T11:59:00Z"),
                lease("g", **{LABEL_REPLICA: GATEWAY}),
            )
        },
        FAIL,
        "60 s ago, though Connected is True",
    ),
    (
        "MESH-PEER-002",
        "never heard",
        {"leases": (lease("g", **{LABEL_REPLICA: GATEWAY}),)},
        FAIL,
        "never heard",
    ),
    ("MESH-PEER-003", "refused records", states(RecordsAccepted="False"), WARN, "Why"),
    ("MESH-PEER-004", "a link is missing", states(PartialMesh="True"), WARN, "Why"),
    ("MESH-PEER-005", "two clusters", states(IdentityUsedTwice="True"), FAIL, "Why"),
    ("MESH-PEER-006", "networks differ", states(NetworkAgreed="False"), FAIL, "Why"),
    ("MESH-PEER-006", "not said", states(NetworkAgreed="Unknown"), UNKNOWN, "has not said"),
    ("MESH-PEER-007", "nobody dials", states(DialAgreed="False"), FAIL, "Why"),
    ("MESH-PEER-008", "no way", states(Reachable="False"), FAIL, "Why"),
    ("MESH-PEER-009", "one does not reach it", word(reachable=False), FAIL, "not reached"),
    ("MESH-PEER-009", "a tunnel down", word(tunnel="Down"), WARN, "tunnel down"),
    ("MESH-PEER-009", "no word", {"peers": (peer(gateways=()),)}, UNKNOWN, "no gateway says"),
    ("MESH-PEER-010", "refused", states(TunnelAccepted="False"), FAIL, "Why"),
    ("MESH-GW-001", "one replica", programs(GATEWAY, ready=1, wanted=1), WARN, "nobody takes over"),
    ("MESH-GW-001", "none ready", programs(GATEWAY, ready=0, wanted=2), FAIL, "0 of 2"),
    ("MESH-GW-001", "one of two", programs(GATEWAY, ready=1, wanted=2), WARN, "1 of 2"),
    ("MESH-GW-001", "scaled away", programs(GATEWAY, ready=0, wanted=0), FAIL, "no pods"),
    ("MESH-GW-001", "missing", without(GATEWAY), FAIL, "is not installed"),
    ("MESH-GW-002", "missing", without("meshctl-controller"), FAIL, "is not installed"),
    ("MESH-DNS-001", "missing", without(DNS), FAIL, "is not installed"),
    ("MESH-GW-003", "none lives", {"leases": (lease("peer-west"),)}, FAIL, "none is alive"),
    (
        "MESH-GW-003",
        "one is old",
        {
            "leases": (
                lease("peer-west"),
                lease("a", **{LABEL_REPLICA: GATEWAY}),
                lease("b", renewed=EARLIER, **{LABEL_REPLICA: GATEWAY}),
            )
        },
        WARN,
        "24 h ago",
    ),
    ("MESH-GW-004", "no Service", {"gateway_service": None}, FAIL, "not there"),
    ("MESH-GW-004", "no address", {"own_addresses": ()}, FAIL, "NodePort without an address"),
    (
        "MESH-GW-005",
        "few ports",
        {
            "slices": CROWDED,
            "imports": (service_import(), *(service_import(f"s{n}") for n in range(16384, 32100, 100))),
        },
        FAIL,
        "of 16384",
    ),
    (
        "MESH-GW-005",
        "many at rest",
        {
            "resting_ports": ConfigMap(
                metadata=Meta(name="r"), data={str(n): "1 x" for n in range(16384, 26000)}
            )
        },
        WARN,
        "9616 at rest",
    ),
    ("MESH-GW-006", "another protocol", shakes("west", "controller", alpn="h2"), FAIL, "speaks h2"),
    ("MESH-DNS-002", "no block", {"corefile": corefile(".:53 {\n reload\n}\n")}, FAIL, "the stub is missing"),
    (
        "MESH-DNS-002",
        "another address",
        {"corefile": corefile(stub("10.0.0.9") + "reload\n")},
        FAIL,
        "to 10.0.0.9",
    ),
    ("MESH-DNS-002", "no Service", {"dns_service": None}, FAIL, "not there"),
    ("MESH-DNS-002", "no reload", {"corefile": corefile(stub("10.96.0.53"))}, WARN, "does not reload"),
    (
        "MESH-DNS-003",
        "a cache",
        {"corefile": block("errors", "cache 30", "forward . 10.96.0.53")},
        WARN,
        "plugin cache",
    ),
    ("MESH-SVC-001", "not ready", {"exports": (export(Ready="False"),)}, FAIL, "Ready is False"),
    ("MESH-SVC-001", "nobody looked", {"exports": (export(Valid="Unknown"),)}, WARN, "Valid is Unknown"),
    ("MESH-SVC-002", "conflict", {"exports": (export(Conflict="True"),)}, WARN, "Conflict is True"),
    ("MESH-SVC-003", "nothing arrives", {"records": ()}, FAIL, "no record"),
    (
        "MESH-SVC-003",
        "one namespace of several",
        {"records": (HELLO, RecordSeen("cart.a", "west", ("shop", "cart")))},
        WARN,
        "shop (cart of west)",
    ),
    ("MESH-SVC-003", "no namespace", {"imports": (), "shadows": (), "slices": ()}, WARN, "no ServiceImport"),
    (
        "MESH-LEFT-001",
        "a shadow",
        {"shadows": (shadow(), shadow("gone"))},
        WARN,
        "belongs to no ServiceImport",
    ),
    ("MESH-LEFT-001", "a slice", {"slices": (piece(), piece("gone"))}, WARN, "belongs to no ServiceImport"),
    (
        "MESH-LEFT-002",
        "records",
        {"records": (HELLO, RecordSeen("gone.a.b", "gone", ("a", "b")))},
        WARN,
        "but 1 records",
    ),
    ("MESH-API-006", "too old", {"version": "v1.27.9"}, FAIL, "older than 1.28"),
    ("MESH-API-006", "no version", {"version": "main"}, UNKNOWN, "'main'"),
    ("MESH-CERT-004", "it ended", word(cert_not_after=EARLIER), FAIL, "ended"),
    ("MESH-CERT-004", "it ends soon", word(cert_not_after="2026-03-01T12:30:00Z"), WARN, "ends in 30 min"),
    ("MESH-PEER-011", "it has no peer", beside(peers=()), FAIL, "has no MeshPeer for this cluster"),
    (
        "MESH-PEER-011",
        "it does not reach us",
        beside(peers=(peer("east", states=conditions(Reachable="False")),)),
        FAIL,
        "says Reachable of this cluster is False: Why: words",
    ),
    ("MESH-PEER-011", "it does not say", beside(peers=(peer("east", states=()),)), UNKNOWN, "does not say"),
    (
        "MESH-PEER-012",
        "elsewhere",
        {**beside(), "own_addresses": ("10.0.0.9:30443",)},
        WARN,
        "dials this cluster at 10.0.0.4:30443, and its gateway's Service has 10.0.0.9:30443",
    ),
    ("MESH-PATH-001", "refused", {"tried": (tried(answer="refused", leaf=None),)}, FAIL, "refuses"),
    ("MESH-PATH-001", "silent", {"tried": (tried(answer="silent", leaf=None),)}, FAIL, "does not take"),
    ("MESH-PATH-001", "stuck", {"tried": (tried(answer="stuck", leaf=None),)}, FAIL, "says nothing"),
    ("MESH-PATH-001", "closed", {"tried": (tried(answer="closed", leaf=None),)}, FAIL, "without a certif"),
    ("MESH-PATH-001", "no certificate", {"tried": (tried(leaf=None),)}, FAIL, "is no certificate"),
    ("MESH-PATH-001", "a middlebox", {"tried": (tried(leaf=STRANGE),)}, FAIL, "no certificate of ours"),
    (
        "MESH-PATH-001",
        "another cluster",
        {"tried": (tried(leaf=leaf(EAST, "gateway")),)},
        FAIL,
        "answers as spiffe://east",
    ),
    ("MESH-PATH-001", "another root", {"tried": (tried(believed=False),)}, FAIL, "is not believed"),
    ("MESH-PATH-002", "a small MTU", {"tried": (tried(size=1200),)}, FAIL, "1200 bytes of payload"),
    (
        "MESH-GW-007",
        "two versions",
        {
            "pods": (
                PodSeen("a", "gateway", True, "", "x/mesh:1"),
                PodSeen("b", "gateway", True, "", "x/mesh:2"),
            )
        },
        WARN,
        "run 2 images: x/mesh:1, x/mesh:2",
    ),
    (
        "MESH-GW-007",
        "the other is older",
        beside(pods=(PodSeen("a", "gateway", True, "", "x/mesh:0.0.9"),)),
        WARN,
        "runs 0.0.9, this cluster 0.1.0",
    ),
    (
        "MESH-DNS-004",
        "an old answer",
        {"resolved": resolved(pod="10.96.9.9", dns="10.96.9.9")},
        FAIL,
        "stale, it has not heard",
    ),
    ("MESH-DNS-004", "cluster DNS alone", {"resolved": resolved(dns="10.96.9.9")}, FAIL, "10.96.9.9"),
    ("MESH-SVC-004", "no endpoint", {"sources": ()}, WARN, "no endpoint that is ready"),
    ("MESH-SVC-005", "no slice", {"slices": ()}, FAIL, "no EndpointSlice here leads to one"),
    ("MESH-SVC-005", "no Service", {"shadows": ()}, FAIL, "not the Service behind it"),
    (
        "MESH-SVC-005",
        "no endpoint in it",
        {"slices": (piece(endpoints=()),)},
        FAIL,
        "no EndpointSlice here leads to one",
    ),
    (
        "MESH-SVC-006",
        "fewer there",
        beside(records=(record("east", ports=(("http", 80, "TCP", 1),)),)),
        FAIL,
        "other endpoints there than here",
    ),
    ("MESH-SVC-006", "not there", beside(records=()), FAIL, "not known there"),
    (
        "MESH-SVC-006",
        "refused there",
        beside(records=(), peers=(peer("east", states=conditions(RecordsAccepted="False")),)),
        WARN,
        "not known there",
    ),
    (
        "MESH-SVC-006",
        "more there",
        beside(records=(record("east"), record("east", key=("demo", "more")))),
        FAIL,
        "known there and not exported here",
    ),
    ("MESH-SVC-007", "no way out", {"policies": (policy("Egress"),)}, WARN, "let its pods out to no gateway"),
    (
        "MESH-SVC-007",
        "a way elsewhere",
        {"policies": (policy("Egress", to_namespace("kube-system")),)},
        WARN,
        "to no gateway",
    ),
    ("MESH-SVC-007", "no way in", {"policies": (policy("Ingress"),)}, WARN, "let no gateway in"),
    (
        "MESH-GW-004",
        "it chooses no pod",
        {
            "sources": (
                source(),
                EndpointSlice(
                    metadata=Meta(
                        name="x",
                        namespace="meshctl-system",
                        labels={"kubernetes.io/service-name": GATEWAY},
                    ),
                    endpoints=(),
                ),
            )
        },
        FAIL,
        "chooses no pod that is ready",
    ),
    ("MESH-PLACE-001", "silent", spoiled(phase="Unreachable", is_ready=False, why=SILENT), FAIL, "not heard"),
    ("MESH-PLACE-001", "late", spoiled(phase="Suspect", is_ready=False, why=SILENT), WARN, "is Suspect"),
    (
        "MESH-PLACE-001",
        "not there yet",
        spoiled(agent="", is_ready=False, why="NotJoined: x"),
        WARN,
        "NotJoined",
    ),
    ("MESH-PLACE-002", "waits", spoiled(accepted=False, is_ready=False), WARN, "is not let in"),
    ("MESH-PLACE-002", "is leaving", spoiled(leaving=EARLIER, is_ready=False), WARN, "is leaving"),
    ("MESH-PLACE-003", "not installed", {"hub": replace(HUB, pods=None)}, FAIL, "is not installed"),
    ("MESH-PLACE-003", "no pod", {"hub": replace(HUB, pods=(0, 2))}, FAIL, "0 of 2 pods ready"),
    ("MESH-PLACE-003", "one pod", {"hub": replace(HUB, pods=(1, 2))}, WARN, "1 of 2 pods ready"),
    ("MESH-PLACE-003", "one alone", {"hub": replace(HUB, pods=(1, 1))}, WARN, "nobody takes over"),
    ("MESH-PLACE-003", "no leader", {"hub": replace(HUB, led=EARLIER)}, FAIL, "nobody leads"),
    ("MESH-PLACE-003", "never led", {"hub": replace(HUB, led="")}, FAIL, "nobody has led yet"),
    (
        "MESH-PLACE-004",
        "two versions",
        {"hub": replace(HUB, members=(*HUB.members, HubMember("west", agent="0.0.9")))},
        WARN,
        "0.0.9 in west; 0.1.0 in east",
    ),
    (
        "MESH-PLACE-005",
        "no cluster fits",
        {
            "hub": replace(
                HUB, troubled=(HubPlacement("shop", "web", "Scheduled is False, NoClusterFits: x"),)
            )
        },
        WARN,
        "NoClusterFits",
    ),
    ("MESH-LEFT-002", "a Lease", {"leases": (*LEASES, lease("peer-gone"))}, WARN, "but a Lease"),
]

# A fault that others stand on is named by more than one id, and by these alone.
ALSO: dict[tuple[str, str], set[str]] = {
    ("MESH-TRUST-003", "a peer that the roster lacks"): {"MESH-CERT-003"},
    ("MESH-TRUST-003", "a key that is refused"): {"MESH-CERT-003"},
    ("MESH-DNS-002", "no block"): {"MESH-DNS-003"},
    ("MESH-TRUST-008", "the first intermediate waits"): {"MESH-TRUST-005"},
    ("MESH-SVC-003", "no namespace"): {"MESH-SVC-005"},
    **{("MESH-PATH-001", how): {"MESH-PATH-002"} for how in ("refused", "silent", "stuck", "closed")},
}


def test_where_everything_is_in_order_every_check_is_ok() -> None:
    assert {name: one.verdict for name, one in results(fine()).items() if one.verdict is not OK} == {}


@pytest.mark.parametrize(
    ("id_", "fault", "changes", "verdict", "words"), FAULTS, ids=[f"{one[0]}: {one[1]}" for one in FAULTS]
)
def test_a_fault_is_named_by_its_own_id(
    id_: str, fault: str, changes: dict[str, Any], verdict: Verdict, words: str
) -> None:
    found = results(fine(**changes))
    first = found[id_].observed[0]
    assert (found[id_].verdict, words in first.seen) == (verdict, True), first
    assert first.next_step
    named = {name for name, one in found.items() if one.verdict is not OK}
    assert named == {id_} | ALSO.get((id_, fault), set())


def test_what_many_checks_could_not_see_for_one_reason_is_said_once_below_what_was_seen() -> None:
    """An API server that is slow would bury the one failure below sixty times the same words."""
    found = run_checks(CHECKS, all_findings=[nothing_seen("e", at=AT, why="it did not answer within 3 s")])
    text = results_as_text(found, at=AT)
    assert text.count("it did not answer within 3 s") == 1
    assert f"{len(CHECKS)} checks could not look" in text
    assert all(check.id in text for check in CHECKS), "which they are can be read all the same"
    few = results_as_text(run_checks(CHECKS, all_findings=[fine(secret=Unseen("Forbidden"))]), at=AT)
    assert "unknown MESH-TRUST-007" in few


@pytest.mark.parametrize("hub", [None, HubSeen()])
def test_a_cluster_that_is_no_hub_is_fine_and_says_so(hub: HubSeen | None) -> None:
    for name, one in results(fine(hub=hub)).items():
        if name.startswith("MESH-PLACE"):
            assert (one.verdict, one.observed[0].seen) == (OK, "this cluster is none")


def test_who_may_not_read_kinds_that_are_not_there_is_asked_for_no_right() -> None:
    """The API server judges rights before it looks whether it has the kind."""
    elsewhere = fine()
    assert not isinstance(elsewhere.kinds, Unseen)
    kinds = tuple(one for one in elsewhere.kinds if "placement" not in one.name)
    found = results(fine(hub=Unseen("forbidden"), kinds=kinds))
    assert {one.verdict for name, one in found.items() if name.startswith("MESH-PLACE")} == {OK}


def test_many_members_in_trouble_are_told_in_part() -> None:
    many = tuple(HubMember(f"c{n}", is_ready=False, phase="Unreachable", agent="1") for n in range(50))
    observed = results(fine(hub=replace(HUB, members=many)))["MESH-PLACE-001"].observed
    assert len(observed) == 21
    assert any("30 more" in one.seen for one in observed)


def test_an_export_that_is_for_others_leaves_nothing_to_be_missed_here() -> None:
    """Its record comes to all members, and no slice is made of it where it is not for anybody."""
    for allow, verdict in (
        (("north",), OK),
        ((), OK),
        (("east/shop",), FAIL),
        (("*/shop",), FAIL),
        (None, FAIL),
    ):
        limited = replace(HELLO, allow=allow)
        assert results(fine(records=(limited,), slices=()))["MESH-SVC-005"].verdict is verdict, allow


def test_every_check_can_be_bad() -> None:
    alone = {"MESH-API-001", "MESH-CLOCK-001", "MESH-TRUST-004"}  # below, with others
    assert {check.id for check in CHECKS} - {one[0] for one in FAULTS} == alone


@pytest.mark.parametrize(("ahead", "verdict"), [(29.0, OK), (-31.0, OK), (-45.0, WARN), (302.0, FAIL)])
def test_what_is_certain_of_a_clock_counts(ahead: float, verdict: Verdict) -> None:
    clock = ClockSeen(ahead, within=1.5)
    found = results(fine(clock=clock, clocks={"e": clock}))
    assert found["MESH-CLOCK-001"].verdict is verdict


def test_a_root_near_its_end_is_named_beside_what_hangs_on_it() -> None:
    late = fine(at=AT + timedelta(days=3400))
    assert results(late)["MESH-TRUST-004"].verdict is WARN
    assert results(fine(at=AT + timedelta(days=3700)))["MESH-TRUST-004"].verdict is FAIL


def test_ages_go_by_the_clusters_own_clock() -> None:
    clock = ClockSeen(ahead=100.0, within=0.5)
    found = results(fine(at=AT - timedelta(seconds=100), clock=clock, clocks={"e": clock}))
    assert found["MESH-PEER-002"].verdict is OK
    assert found["MESH-CLOCK-001"].verdict is WARN


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_what_could_not_be_looked_at_is_never_fine(check: Check) -> None:
    result = run_check(check, nothing_seen("e", at=AT, why="the API server at x does not answer"))
    assert result.verdict is UNKNOWN
    assert "does not answer" in result.observed[0].seen
    assert exit_status([result]) == 1


PARTS = sorted(set(Findings.__dataclass_fields__) - {"context", "at", "clocks", "others"})


@pytest.mark.parametrize("part", PARTS)
def test_each_part_that_is_not_seen_makes_checks_unknown_and_none_of_the_others_worse(part: str) -> None:
    found = results(fine(**{part: Unseen("forbidden")}))
    verdicts = {one.verdict for one in found.values()}
    assert verdicts == {OK, UNKNOWN}, f"nobody needs {part}, or somebody guesses"


@pytest.mark.parametrize(
    "check", [one for one in CHECKS if one.id.startswith("MESH-PEER")], ids=lambda one: one.id
)
def test_without_a_peer_nothing_about_peers_is_fine(check: Check) -> None:
    assert run_check(check, fine(peers=())).verdict is WARN


@pytest.mark.parametrize("name", ["meshctl-controller", "meshctl-gateway", "meshctl-dns"])
def test_a_component_that_is_missing_is_never_green(name: str) -> None:
    """Field-notes 54: another mesh's check was green without its controller."""
    assert exit_status(list(results(fine(**without(name))).values())) == 1


def test_a_check_that_says_nothing_is_unknown() -> None:
    silent = Check("MESH-TEST-001", "nothing", lambda _findings: ())
    assert run_check(silent, fine()).verdict is UNKNOWN


def test_a_middlebox_that_ends_tls_is_called_one() -> None:
    """Field-notes 35: a load balancer of layer 7 in front of the gateway."""
    found = results(
        fine(**shakes("west", "gateway", shown=(STRANGE,), answer=Answer.NOT_BELIEVED, alpn="h2"))
    )
    (box, *_) = found["MESH-GW-006"].observed
    assert "CN=lb.example" in box.seen
    assert "layer 4" in box.next_step
    assert found["MESH-CERT-003"].verdict is FAIL


def test_whoever_closes_without_a_certificate_may_be_no_gateway_of_ours() -> None:
    closed = {"answer": Answer.CLOSED, "shown": (), "detail": "it ended"}
    found = results(fine(**shakes("east", "gateway", **closed)))
    assert found["MESH-CERT-001"].verdict is FAIL
    assert found["MESH-GW-006"].verdict is UNKNOWN


def test_both_ends_are_shown_where_a_peer_is_not_believed() -> None:
    """Field-notes 23 (linkerd2#11668): a check that gives only yes or no helps nobody."""
    found = results(fine(**shakes("west", "gateway", answer=Answer.NOT_BELIEVED, detail="unknown issuer")))
    seen = found["MESH-CERT-003"].observed[0].seen
    for part in ("spiffe://west.clusterset.internal/gateway", WEST_KEY[:16], "roster: ", "unknown issuer"):
        assert part in seen


def test_the_intermediate_is_seen_in_the_roster_where_no_gateway_can_be_dialled() -> None:
    silent = {
        "handshakes": tuple(
            handshake("east", part, answer=Answer.SILENT, shown=()) for part in ("gateway", "controller")
        )
    }
    assert results(fine(**silent))["MESH-TRUST-005"].verdict is UNKNOWN
    pem = certificates_to_pem([intermediate(EAST).certificate]).decode()
    entry = RosterEntry(cluster="east", keys=(EAST_KEY,), certificates=(pem,))
    trust = {"member": member(bundle(statement(roster=(entry, *roster(("west", WEST_KEY))))))}
    found = results(fine(**silent, **trust))["MESH-TRUST-005"]
    assert (found.verdict, "as the roster has it" in found.observed[0].subject) == (OK, True)


def test_a_request_for_the_next_issuer_warns_while_the_one_in_force_is_good() -> None:
    trust = letting_in(days=21)
    waits = results(fine(**trust, **request("meshctl.dev/issuer", age=90)))["MESH-TRUST-008"]
    assert (waits.verdict, "good for 9 d" in waits.observed[0].seen) == (WARN, True)
    assert waits.observed[0].next_step.startswith("run meshctl invite --trust DIR, or meshctl trust renew")
    ended = fine(**letting_in(days=31), **request("meshctl.dev/issuer", age=90))
    assert results(ended)["MESH-TRUST-008"].verdict is FAIL


def test_what_the_issuer_let_in_is_looked_at_beside_it() -> None:
    """A renewed issuer does not renew whom it let in before."""
    guest, above = invited(WEST, age=timedelta(days=21)), issuer(age=timedelta(days=21))
    entry = replace_struct(issuer_entry(issuer()), key=key_of(above))
    shown = leaf(WEST, "gateway"), seen_of(guest), seen_of(above), seen_of(root())
    trust = signed(issuers=(entry,), roster=roster(("east", EAST_KEY)))
    found = results(fine(**trust, **shakes("west", "gateway", shown=shown)))["MESH-TRUST-011"]
    assert [(one.verdict, one.subject[:5]) for one in found.observed] == [(WARN, "west,"), (OK, "issue")]
    assert "ends in 9 d" in found.observed[0].seen


def test_a_member_in_a_pool_is_told_how_it_gets_another_intermediate() -> None:
    inside = signed(issuers=(issuer_entry(issuer()),))["member"]
    member_of_pool = replace(inside, membership=replace(inside.membership, pool="guests"))
    old = shakes("east", "gateway", shown=(leaf(EAST, "gateway"), OLD))
    found = results(fine(member=member_of_pool, **old))["MESH-TRUST-005"]
    assert found.observed[0].next_step == "run meshctl trust approve, or meshctl accept with a new token"
    silent = {"handshakes": (handshake("east", "gateway", answer=Answer.SILENT, shown=()),)}
    inside = replace(
        member_of_pool, membership=replace(member_of_pool.membership, certificate="the issuer's")
    )
    assert results(fine(member=inside, **silent))["MESH-TRUST-005"].verdict is UNKNOWN


def test_an_open_bundle_is_a_warning_and_nobody_is_missing_in_it() -> None:
    pem = certificates_to_pem([root().certificate]).decode()
    plain = TrustBundle(
        metadata=Meta(name="clusterset"), spec=TrustBundleSpec(domain="clusterset.internal", roots=(pem,))
    )
    found = results(fine(member=member(plain)))
    assert {name for name, one in found.items() if one.verdict is not OK} == {"MESH-TRUST-002"}
    assert exit_status(list(found.values())) == 0


def test_who_is_no_member_is_told_to_join_and_the_rest_of_trust_is_unknown() -> None:
    found = results(fine(member=member(cluster="No.Id")))
    assert found["MESH-TRUST-001"].verdict is FAIL
    assert found["MESH-TRUST-006"].verdict is UNKNOWN


def test_rights_are_asked_for_every_command_that_writes() -> None:
    commands = " ".join(sorted({command for command, _ in WANTED}))
    for word in (
        "accept",
        "gateways",
        "invite",
        "join",
        "leave",
        "link",
        "trace",
        "trust",
        "uninstall",
        "verify",
    ):
        assert word in commands
    secrets = {asked["verb"]: asked["namespace"] for _, asked in WANTED if asked["resource"] == "secrets"}
    assert secrets == dict.fromkeys(("create", "patch", "delete"), "meshctl-system")


@pytest.mark.parametrize(
    ("verb", "resource", "command"),
    [
        ("create", "serviceprobes", "trace"),
        ("delete", "serviceprobes", "trace"),
        ("get", "pods/exec", "dns query"),
        ("create", "pods/exec", "verify"),
        ("create", "pods/portforward", "check"),
        ("delete", "networkpolicies", "uninstall"),
        ("create", "namespaces", "verify"),
    ],
)
def test_the_rights_that_came_with_newer_commands_are_asked_for(
    verb: str, resource: str, command: str
) -> None:
    found = [
        told
        for told, asked in WANTED
        if (asked["verb"], "/".join(filter(None, (asked["resource"], asked.get("subresource")))))
        == (verb, resource)
    ]
    assert any(command in told for told in found), found


def test_ids_are_unique_and_of_one_form() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids) >= 15
    assert all(re.fullmatch(r"MESH-[A-Z]+-\d{3}", name) for name in ids)


def test_no_id_of_a_check_is_one_of_a_precheck_too() -> None:
    """`meshctl explain` finds an id on one page, and it keeps its meaning for ever."""
    assert {check.id for check in CHECKS} & {one.id for one in (*HUB_CHECKS, *MEMBER_CHECKS)} == set()


def test_the_page_explains_every_check_and_no_other() -> None:
    listed = re.findall(r"^### (MESH-[A-Z]+-\d{3})$", DOCS.read_text(), re.MULTILINE)
    assert listed == [check.id for check in CHECKS]
    for check in CHECKS:
        assert f"### {check.id}\n\n**{check.title[0].upper()}{check.title[1:]}.**" in DOCS.read_text()


@pytest.mark.parametrize(
    ("only", "count"),
    [
        (["mesh-gw-001"], 1),
        (["MESH-DNS"], 4),
        (["MESH-DNS-"], 4),
        (["MESH-DNS", "MESH-DNS-001"], 4),
        ([], len(CHECKS)),
    ],
)
def test_checks_are_chosen_by_ids_or_their_beginnings(only: list[str], count: int) -> None:
    assert len(chosen(only)) == count


@pytest.mark.parametrize("word", ["MESH-D", "TRUST", "MESH-GW-00", ""])
def test_an_id_that_does_not_exist_is_refused(word: str) -> None:
    with pytest.raises(UnknownCheck, match=r"docs/checks\.md"):
        chosen([word])


@pytest.mark.parametrize(
    ("verdicts", "status"), [([OK], 0), ([OK, WARN], 0), ([OK, FAIL], 1), ([OK, UNKNOWN], 1), ([], 1)]
)
def test_the_exit_status_is_that_of_the_worst(verdicts: list[Verdict], status: int) -> None:
    check = CHECKS[0]
    assert exit_status([Result(check, "e", (Observed(one, "x", "y", "z"),)) for one in verdicts]) == status


def test_the_text_shows_what_is_bad_with_its_next_step_and_where_it_is_explained() -> None:
    found = run_checks(
        chosen(["MESH-GW-001", "MESH-PEER-001"]), all_findings=[fine(**programs(GATEWAY, ready=0, wanted=2))]
    )
    text = results_as_text(found, at=AT)
    assert "fail    MESH-GW-001" in text
    assert "next: kubectl -n meshctl-system describe deployment meshctl-gateway" in text
    assert "see docs/checks.md#mesh-gw-001" in text
    assert "ok      MESH-PEER-001   the peers are connected: west: Why: words [for 24h]" in text
    assert text.endswith("1 ok, 0 warn, 0 unknown, 1 fail\n")


def test_the_json_holds_every_observation() -> None:
    found = run_checks(CHECKS, all_findings=[fine()])
    body = json.loads(results_as_json(found, at=AT))
    assert body["at"] == "2026-03-01T12:00:00Z"
    assert body["summary"] == {"ok": len(CHECKS), "warn": 0, "unknown": 0, "fail": 0}
    assert [one["id"] for one in body["checks"]] == [check.id for check in CHECKS]
    (first, *_) = body["checks"]
    assert set(first) == {"id", "title", "context", "verdict", "explanation", "observed"}
    assert set(first["observed"][0]) == {"verdict", "subject", "seen", "since", "nextStep"}


def test_what_others_wrote_cannot_write_to_the_terminal() -> None:
    nasty = Condition(type="Connected", status="False", reason="X", message="a\x1b[2Jb\nc" + "d" * 900)
    text = results_as_text(run_checks(CHECKS, all_findings=[fine(peers=(peer(states=(nasty,)),))]), at=AT)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 700
