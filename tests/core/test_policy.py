"""What the annotations of a ServiceExport ask for, and what they do not get to ask (ruling 26)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.policy import InvalidPolicy, Policy, policy_of
from mesh_core.record import Traffic

ALLOW, TRAFFIC = "meshctl.dev/allow", "meshctl.dev/traffic"


@pytest.mark.parametrize(
    ("annotations", "means"),
    [
        ({}, Policy()),
        ({ALLOW: "west"}, Policy(allow=frozenset({"west"}))),
        ({ALLOW: " west ,north"}, Policy(allow=frozenset({"west", "north"}))),
        ({ALLOW: "west,west"}, Policy(allow=frozenset({"west"}))),
        ({TRAFFIC: "balanced"}, Policy(traffic=Traffic.BALANCED)),
        ({TRAFFIC: "local-first"}, Policy(traffic=Traffic.LOCAL_FIRST)),
        ({ALLOW: "west", TRAFFIC: "local-first"}, Policy(frozenset({"west"}), Traffic.LOCAL_FIRST)),
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
        ({ALLOW: '["west"]'}, "no cluster id"),
        ({ALLOW: "*"}, "'*'"),
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


@pytest.mark.parametrize(
    ("allow", "west", "north"),
    [(None, True, True), (frozenset({"west"}), True, False), (frozenset(), False, False)],
)
def test_a_policy_says_who_may_use_the_export(allow: frozenset[str] | None, west: bool, north: bool) -> None:
    policy = Policy(allow=allow)
    assert (policy.allows("west"), policy.allows("north")) == (west, north)


@given(text=st.text(max_size=40))
def test_no_text_of_allow_opens_an_export_to_everybody(text: str) -> None:
    found = policy_of({ALLOW: text})
    assert isinstance(found, InvalidPolicy) or found.allow


@given(key=st.text(max_size=20), text=st.text(max_size=20))
def test_a_key_of_ours_is_known_or_withholds(key: str, text: str) -> None:
    found = policy_of({f"meshctl.dev/{key}": text})
    assert isinstance(found, InvalidPolicy) or key in ("allow", "traffic")
