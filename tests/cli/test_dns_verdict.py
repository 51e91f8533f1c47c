"""Who on the way of a name disagrees, and which cause is named."""

from dataclasses import replace

import pytest

from mesh_cli.check.verdict import Unseen
from mesh_cli.dns.corefile import stub
from mesh_cli.dns.render import way_as_json, way_as_text
from mesh_cli.dns.reply import Query, Reply
from mesh_cli.dns.verdict import findings, notes
from mesh_cli.dns.way import Part, PodView, Self, SetUp, Step, Way
from mesh_cli.dns.zone import CoreDnsConfig

MESH, CLUSTER = "10.96.0.53", "10.96.0.10"
GOOD = Reply("NOERROR", ("10.96.1.1",), 5)
OLD = Reply("NOERROR", ("10.96.9.9",), 5)
NONE = Reply("NXDOMAIN")
COREFILE = ".:53 {\n    kubernetes cluster.local\n    reload\n}\n"
GOES_ON = stub(MESH) + COREFILE
QUERY = Query("hello.demo.svc.clusterset.local", "A")
PARTS = (
    Step(Part.API, "", "ServiceImport demo/hello", GOOD),
    Step(Part.MESH_POD, "dns-a", "10.0.0.1:5353", GOOD),
    Step(Part.MESH_POD, "dns-b", "10.0.0.2:5353", GOOD),
    Step(Part.MESH_SERVICE, "meshctl-dns", f"{MESH}:53", GOOD),
    Step(Part.DNS_POD, "coredns-a", "10.0.0.3:53", GOOD),
    Step(Part.DNS_SERVICE, "", f"{CLUSTER}:53", GOOD),
    Step(Part.POD, "demo/client", CLUSTER, replace(GOOD, rcode="", ttl=None)),
)
API, POD_A, POD_B, SERVICE, COREDNS, CLUSTER_DNS, CLIENT = range(7)


def way(said: dict[int, Reply | Unseen] | None = None, *, corefile: str | Unseen | None = GOES_ON) -> Way:
    """Everybody says the same, but for what is given by place."""
    told = said or {}
    steps = tuple(replace(step, said=told.get(at, step.said)) for at, step in enumerate(PARTS))
    config = CoreDnsConfig(corefile) if isinstance(corefile, str) else corefile
    set_up = SetUp(config=config, wanted=(MESH,), cluster_dns=(CLUSTER,), asker="dns-a")
    return Way("west", QUERY, steps, set_up, pod_view=PodView((CLUSTER,)))


def told(seen: Way) -> list[tuple[str, str]]:
    return [(str(one.step).strip(), one.why) for one in findings(seen)]


def test_nothing_is_found_where_all_say_the_same_in_whatever_order_and_with_whatever_time_to_live() -> None:
    older = replace(GOOD, ttl=2)
    assert findings(way({COREDNS: older, CLUSTER_DNS: older})) == ()
    denied = dict.fromkeys(range(7), NONE)
    assert findings(way({**denied, CLIENT: Reply("")})) == ()


CASES = [
    ("a stale pod", {POD_B: OLD}, GOES_ON, {"mesh-dns pod dns-b": "stale"}),
    (
        "a pod before its first list",
        {POD_B: Reply("SERVFAIL")},
        GOES_ON,
        {"mesh-dns pod dns-b": "no complete"},
    ),
    (
        "a stale pod that the Service leads to",
        {POD_B: OLD, SERVICE: OLD, COREDNS: OLD, CLUSTER_DNS: OLD, CLIENT: replace(OLD, rcode="")},
        GOES_ON,
        {
            "mesh-dns pod dns-b": "stale",
            "mesh-dns Service meshctl-dns": "passes on what mesh-dns pod dns-b says",
            "cluster DNS pod coredns-a": "passes on what mesh-dns pod dns-b says",
            "cluster DNS": "passes on what mesh-dns pod dns-b says",
            "pod demo/client": "passes on what cluster DNS",
        },
    ),
    (
        "another server at the address",
        {SERVICE: OLD},
        GOES_ON,
        {"mesh-dns Service meshctl-dns": "none of its pods"},
    ),
    (
        "no stub",
        {COREDNS: NONE, CLUSTER_DNS: NONE},
        COREFILE,
        {"cluster DNS pod coredns-a": "stub is missing", "cluster DNS": "passes on"},
    ),
    (
        "a stub to somebody else",
        {COREDNS: Reply("SERVFAIL"), CLUSTER_DNS: Unseen("timed out")},
        stub("10.96.7.7") + COREFILE,
        {
            "cluster DNS pod coredns-a": f"points to 10.96.7.7, and meshctl-dns has {MESH}",
            "cluster DNS": "10.96.7.7",
        },
    ),
    (
        "a cache",
        {COREDNS: OLD, CLUSTER_DNS: OLD},
        GOES_ON.replace("    errors\n", "    errors\n    cache 30\n"),
        {"cluster DNS pod coredns-a": "the plugin cache", "cluster DNS": "passes on"},
    ),
    (
        "no reload",
        {COREDNS: NONE, CLUSTER_DNS: NONE},
        GOES_ON.replace("    reload\n", ""),
        {"cluster DNS pod coredns-a": "does not reload", "cluster DNS": "passes on"},
    ),
    (
        "multicluster",
        {COREDNS: NONE, CLUSTER_DNS: NONE},
        COREFILE.replace(
            "cluster.local", "cluster.local clusterset.local {\n multicluster clusterset.local\n}"
        ),
        {"cluster DNS pod coredns-a": "its own option multicluster", "cluster DNS": "passes on"},
    ),
    (
        "a right Corefile that is not followed",
        {COREDNS: NONE},
        GOES_ON,
        {"cluster DNS pod coredns-a": "not taken it up yet"},
    ),
    (
        "another cluster DNS",
        {COREDNS: NONE},
        None,
        {"cluster DNS pod coredns-a": "does not send clusterset.local"},
    ),
    ("the address of cluster DNS", {CLUSTER_DNS: NONE}, GOES_ON, {"cluster DNS": "somebody else answers"}),
    ("a pod's own resolver", {CLIENT: Reply("")}, GOES_ON, {"pod demo/client": "its own resolver"}),
    (
        "a silent pod",
        {POD_A: Unseen("no answer within 6 s")},
        GOES_ON,
        {"mesh-dns pod dns-a": "no answer within"},
    ),
]


@pytest.mark.parametrize(
    ("said", "corefile", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_who_disagrees_is_named_with_the_cause(
    said: dict[int, Reply | Unseen], corefile: str | None, expected: dict[str, str]
) -> None:
    found = told(way(said, corefile=corefile))
    assert [name for name, _why in found] == list(expected)
    for name, why in found:
        assert expected[name] in why
    assert all(one.next_step for one in findings(way(said, corefile=corefile)))


def test_a_pod_that_says_its_age_is_told_with_it_and_an_old_one_is_noted_though_it_is_right() -> None:
    seen = way({POD_B: OLD})
    old = tuple(replace(one, itself=Self(372.0)) if one.name == "dns-b" else one for one in seen.steps)
    assert "372 s ago" in told(replace(seen, steps=old))[0][1]
    restarted = tuple(replace(one, itself=Self(None, "snapshot")) for one in seen.steps)
    assert "goes by its snapshot" in told(replace(seen, steps=restarted))[0][1]
    right = tuple(replace(one, said=GOOD) if one.name == "dns-b" else one for one in old)
    assert findings(replace(seen, steps=right)) == ()
    assert any("has not heard the API server for 372 s" in note for note in notes(replace(seen, steps=right)))


def test_nodelocal_dnscache_is_named_where_it_stands_between() -> None:
    seen = way({CLUSTER_DNS: NONE})
    between = replace(seen, set_up=replace(seen.set_up, has_node_local=True))
    assert "NodeLocal DNSCache answers in between" in told(between)[0][1]
    asked = replace(way({CLIENT: Reply("")}), pod_view=PodView(("169.254.20.10",)))
    assert "it asks NodeLocal DNSCache (169.254.20.10)" in told(asked)[0][1]


def test_a_pod_that_asks_somebody_else_is_told_to_look_at_its_policy() -> None:
    seen = replace(way({CLIENT: Reply("")}), pod_view=PodView(("192.0.2.1",)))
    [found] = findings(seen)
    assert "it does not ask cluster DNS, its resolv.conf has 192.0.2.1" in found.why
    assert "dnsPolicy" in found.next_step


def test_without_the_objects_the_pods_are_compared_with_one_another() -> None:
    found = told(way({API: Unseen("403"), POD_B: OLD}))
    assert [name for name, _why in found] == ["API server", "mesh-dns pod dns-b"]


def test_the_service_follows_pods_that_do_not_answer() -> None:
    silent = Unseen("no answer within 6 s")
    found = told(way({POD_A: silent, POD_B: silent, SERVICE: silent}))
    assert "the pods behind it do not answer" in found[2][1]


def test_the_table_and_the_json_name_the_same() -> None:
    seen = way({COREDNS: NONE, CLUSTER_DNS: Unseen("timed out")}, corefile=COREFILE)
    text = way_as_text(seen)
    assert "x    cluster DNS pod    coredns-a" in text
    assert "?    cluster DNS " in text
    assert "cluster DNS pod coredns-a: says NXDOMAIN: the stub is missing" in text
    assert "  next: run meshctl join again" in text
    assert '"agree": false' in way_as_json(seen)
    assert way_as_text(way()).endswith("\nall say the same\n")
