"""What the annotations of a ServiceExport ask for, and what they do not get to ask (ruling 26)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.allow import allow_of
from mesh_core.policy import InvalidPolicy, Policy, policy_of
from mesh_core.record import Traffic

ALLOW, TRAFFIC, PROXY = "meshctl.dev/allow", "meshctl.dev/traffic", "meshctl.dev/proxy-protocol"
ENTRIES = ["west/shop", "*/@node", "north/shop/till"]
LONGEST = ".".join(["a" * 63] * 3 + ["a" * 61])
"""As long as the name of a service account may be."""


@pytest.mark.parametrize(
    ("annotations", "means"),
    [
        ({}, Policy()),
        ({ALLOW: "west"}, Policy(allow=allow_of(["west"]))),
        ({ALLOW: " west ,north"}, Policy(allow=allow_of(["west", "north"]))),
        ({ALLOW: "west,west"}, Policy(allow=allow_of(["west"]))),
        ({ALLOW: "west/shop, */@node,north/shop/till"}, Policy(allow=allow_of(ENTRIES))),
        ({ALLOW: "*"}, Policy(allow=allow_of(["*"]))),
        ({ALLOW: f"west/{'n' * 63}/{LONGEST}"}, Policy(allow=allow_of([f"west/{'n' * 63}/{LONGEST}"]))),
        ({PROXY: "v2"}, Policy(proxy_protocol=True)),
        ({TRAFFIC: "balanced"}, Policy(traffic=Traffic.BALANCED)),
        ({TRAFFIC: "local-first"}, Policy(traffic=Traffic.LOCAL_FIRST)),
        ({ALLOW: "west", TRAFFIC: "local-first"}, Policy(allow_of(["west"]), Traffic.LOCAL_FIRST)),
        ({"example.com/allow": "x y", "allow": "", "notmeshctl.dev/alow": "west"}, Policy()),
    ],
)
def test_what_reads_is_followed_and_others_annotations_are_none_of_ours(
    annotations: dict[str, str], means: Policy
) -> None:
    assert policy_of(annotations) == means


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"meshctl.dev/alow": "west"}, "meshctl.dev/alow"),
        ({"meshctl.dev/": "x"}, "meshctl.dev/ is not known"),
        ({"meshctl.dev/Allow": "west"}, "meshctl.dev/Allow"),
        ({ALLOW: ""}, "''"),
        ({ALLOW: " "}, "''"),
        ({ALLOW: "west,"}, "''"),
        ({ALLOW: "west north"}, "'west north'"),
        ({ALLOW: "West"}, "'West'"),
        ({ALLOW: '["west"]'}, "use <cluster>"),
        ({ALLOW: "**"}, "'**'"),
        ({ALLOW: "west/"}, "'west/'"),
        ({ALLOW: "/shop"}, "'/shop'"),
        ({ALLOW: "west/*"}, "'west/*'"),
        ({ALLOW: "west/@"}, "'west/@'"),
        ({ALLOW: "west/@nodes"}, "'west/@nodes'"),
        ({ALLOW: "west/@node/till"}, "'west/@node/till'"),
        ({ALLOW: "@node"}, "'@node'"),
        ({ALLOW: "west/shop/"}, "'west/shop/'"),
        ({ALLOW: "west/shop/till/pod-1"}, "'west/shop/till/pod-1'"),
        ({ALLOW: "west/shop.a"}, "'west/shop.a'"),
        ({ALLOW: "west / shop"}, "'west / shop'"),
        ({ALLOW: f"west/shop/a{LONGEST}"}, "use <cluster>"),
        ({PROXY: ""}, "use v2"),
        ({PROXY: "v1"}, "use v2"),
        ({PROXY: "true"}, "use v2"),
        ({ALLOW: "x" * 5000}, "..."),
        ({ALLOW: ",".join(f"c{n}" for n in range(257))}, "more than 256"),
        ({TRAFFIC: ""}, "use balanced or local-first"),
        ({TRAFFIC: "Local-First"}, "use balanced or local-first"),
        ({TRAFFIC: " balanced"}, "use balanced or local-first"),
        ({TRAFFIC: "local-first", ALLOW: "!"}, "'!'"),
        ({ALLOW: "west", "meshctl.dev/public": "true"}, "meshctl.dev/public"),
    ],
)
def test_what_does_not_read_is_no_policy_and_says_what_to_do(annotations: dict[str, str], says: str) -> None:
    found = policy_of(annotations)
    assert isinstance(found, InvalidPolicy)
    assert says in found.why
    assert len(found.why) < 250, "a condition's message is no place for what somebody pasted"


Caller = tuple[str, str, str, bool]
TILL: Caller = ("west", "shop", "till", False)
CLERK: Caller = ("west", "shop", "clerk", False)
STRANGER: Caller = ("west", "other", "till", False)
NODE: Caller = ("west", "", "", True)
UNKNOWN: Caller = ("west", "", "", False)
ELSEWHERE: Caller = ("north", "shop", "till", False)
CALLERS = [TILL, CLERK, STRANGER, NODE, UNKNOWN, ELSEWHERE]


@pytest.mark.parametrize(
    ("entries", "allowed"),
    [
        ([], []),
        (["west"], [TILL, CLERK, STRANGER, NODE, UNKNOWN]),
        (["*"], CALLERS),
        (["west/shop"], [TILL, CLERK]),
        (["west/shop/till"], [TILL]),
        (["*/shop/till"], [TILL, ELSEWHERE]),
        (["*/shop"], [TILL, CLERK, ELSEWHERE]),
        (["west/@node"], [NODE]),
        (["*/@node"], [NODE]),
        (["west/other", "north"], [STRANGER, ELSEWHERE]),
        (["west/shop/till/later", "west/@pod", "West", "west/", "", "*/*", "west/shop\n"], []),
        (["west/shop/till/later", "north/shop"], [ELSEWHERE]),
    ],
)
def test_an_entry_allows_whom_it_names_and_one_that_does_not_read_allows_nobody(
    entries: list[str], allowed: list[Caller]
) -> None:
    allow = allow_of(entries)
    assert [
        caller
        for caller in CALLERS
        if allow.allows(caller[0], namespace=caller[1], account=caller[2], node=caller[3])
    ] == allowed


@pytest.mark.parametrize(
    ("entries", "clusters", "north"),
    [
        ([], frozenset(), False),
        (["west", "west/shop"], {"west"}, False),
        (["west/@node", "north/shop/till"], {"west", "north"}, True),
        (["*/shop", "west"], None, True),
        (["west", "north/what/is/this"], {"west"}, False),
    ],
)
def test_a_cluster_may_use_an_export_when_an_entry_is_about_any_of_it(
    entries: list[str], clusters: set[str] | None, north: bool
) -> None:
    allow = allow_of(entries)
    assert allow.clusters == clusters
    assert allow.names("north") is north


label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
entry = st.one_of(
    label,
    st.tuples(label | st.just("*"), label).map("/".join),
    st.tuples(label | st.just("*"), label, label).map("/".join),
    st.tuples(label | st.just("*"), st.just("@node")).map("/".join),
)


@given(entries=st.lists(entry, max_size=6), more=entry, cluster=label, namespace=label, account=label)
def test_another_entry_takes_nothing_away_and_what_it_gives_is_in_the_clusters_it_is_about(
    entries: list[str], more: str, cluster: str, namespace: str, account: str
) -> None:
    before, after = allow_of(entries), allow_of([*entries, more])
    for node in (False, True):
        was = before.allows(cluster, namespace=namespace, account=account, node=node)
        now = after.allows(cluster, namespace=namespace, account=account, node=node)
        assert now or not was
        assert after.names(cluster) or not now
        if now and not was:
            assert more.partition("/")[0] in (cluster, "*")


@given(cluster=label, namespace=st.text(max_size=20), account=st.text(max_size=20))
def test_whatever_a_source_calls_itself_it_is_never_of_another_cluster(
    cluster: str, namespace: str, account: str
) -> None:
    allow = allow_of(["west/shop", "west/shop/till", "west/@node", "west"])
    assert not allow.allows(f"{cluster}x-", namespace=namespace, account=account)


@given(text=st.text(max_size=40))
def test_no_text_of_allow_opens_an_export_to_everybody(text: str) -> None:
    found = policy_of({ALLOW: text})
    assert isinstance(found, InvalidPolicy) or (found.allow is not None and found.allow.entries)


@given(key=st.text(max_size=20), text=st.text(max_size=20))
def test_a_key_of_ours_is_known_or_withholds(key: str, text: str) -> None:
    found = policy_of({f"meshctl.dev/{key}": text})
    assert isinstance(found, InvalidPolicy) or key in ("allow", "proxy-protocol", "public", "traffic")
