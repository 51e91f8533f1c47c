"""The stub in cluster DNS's Corefile."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mesh_cli.dns.corefile import BEGIN, END, ZoneTaken, reloads, stub, with_stub, without_stub

KUBEADM = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
    cache 30
    reload
}
"""
# Text that looks like a Corefile, with and without newlines at the end, odd braces and our markers' words.
LINES = st.sampled_from(
    [*KUBEADM.splitlines(), "", "}", "# meshctl", "example.org:53 {", "\t# meshctl beginning", "x" * 40]
)
TEXTS = st.one_of(st.lists(LINES, max_size=12).map("\n".join), st.text(max_size=60), st.just(KUBEADM))
ADDRESSES = st.ip_addresses(v=4).map(str)


@given(TEXTS, ADDRESSES)
def test_taking_the_stub_out_again_gives_the_very_text_that_was_there(text: str, address: str) -> None:
    assume(BEGIN not in text)
    assume("clusterset" not in text)
    assert without_stub(with_stub(text, addresses=(address,))) == text


@given(TEXTS, ADDRESSES, ADDRESSES)
def test_a_second_stub_replaces_the_first(text: str, first: str, second: str) -> None:
    assume(BEGIN not in text)
    again = with_stub(with_stub(text, addresses=(first,)), addresses=(second,))
    assert again == with_stub(text, addresses=(second,))
    assert again.count(BEGIN) == 1


def test_the_stub_forwards_the_zone_and_caches_nothing() -> None:
    assert stub("10.96.0.7").splitlines() == [
        BEGIN,
        "clusterset.local:53 {",
        "    errors",
        "    forward . 10.96.0.7 {",
        "        max_fails 0",
        "    }",
        "}",
        END,
    ]


@pytest.mark.parametrize(
    "keys", ["clusterset.local", "clusterset.local:53", "dns://clusterset.local.:53", "a.b, clusterset.local"]
)
def test_a_zone_that_somebody_else_serves_is_refused(keys: str) -> None:
    with pytest.raises(ZoneTaken, match="kube-system/coredns"):
        with_stub(f"{KUBEADM}{keys} {{\n    forward . 10.0.0.1\n}}\n", addresses=("10.96.0.7",))


@pytest.mark.parametrize(
    "text",
    [
        KUBEADM.replace("ip6.arpa {", "ip6.arpa clusterset.local {"),
        f"# clusterset.local {{\n{KUBEADM}",
        KUBEADM + "my-clusterset.local:53 {\n}\n",
    ],
    ids=["the plugin kubernetes inside another block", "a comment", "a longer name"],
)
def test_the_zone_named_elsewhere_is_no_block_for_it(text: str) -> None:
    assert with_stub(text, addresses=("10.96.0.7",)).endswith(text)


def test_whether_changes_are_taken_up_is_read_from_the_text() -> None:
    assert reloads(KUBEADM)
    assert not reloads(KUBEADM.replace("    reload\n", ""))
