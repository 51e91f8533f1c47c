"""Identities: one spelling, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.identity import (
    LONGEST_DOMAIN,
    Component,
    Expected,
    Identity,
    InvalidName,
    NotAnIdentity,
    cluster_id,
    domain,
    identity_of_uri,
    sole_identity,
)

DOMAIN = domain("clusterset.internal")
WEST = Identity(cluster=cluster_id("west"), component=Component.GATEWAY, domain=DOMAIN)

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
components = st.sampled_from(Component)


def test_a_gateway_has_one_uri_and_one_dns_name() -> None:
    assert WEST.uri == "spiffe://west.clusterset.internal/gateway"
    assert WEST.dns_names == ("gateway.west.clusterset.internal",)


def test_a_controller_answers_to_the_peer_streams_name_too() -> None:
    controller = Identity(cluster=WEST.cluster, component=Component.CONTROLLER, domain=DOMAIN)
    assert controller.dns_names == (
        "controller.west.clusterset.internal",
        "peer.west.clusterset.internal",
    )


@given(cluster=labels, component=components)
def test_every_identity_is_read_back_from_its_uri(cluster: str, component: Component) -> None:
    identity = Identity(cluster=cluster_id(cluster), component=component, domain=DOMAIN)
    assert identity_of_uri(identity.uri, domain=DOMAIN) == identity


@given(uri=st.text(max_size=80))
def test_whatever_is_read_has_exactly_that_spelling(uri: str) -> None:
    try:
        found = identity_of_uri(uri, domain=DOMAIN)
    except NotAnIdentity:
        return
    assert found.uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://west.clusterset.internal",
        "spiffe://west.clusterset.internal/",
        "spiffe://west.clusterset.internal/gateway/",
        "spiffe://west.clusterset.internal//gateway",
        "spiffe://west.clusterset.internal/gateway/x",
        "spiffe://west.clusterset.internal/../gateway",
        "spiffe://west.clusterset.internal/admin",
        "spiffe://west.clusterset.internal/Gateway",
        "spiffe://west.clusterset.internal/gateway?x=1",
        "spiffe://west.clusterset.internal/gateway#x",
        "spiffe://west.clusterset.internal/gate%77ay",
        "spiffe://west.clusterset.internal:443/gateway",
        "spiffe://east@west.clusterset.internal/gateway",
        "spiffe://west.clusterset.internal.evil.example/gateway",
        "spiffe://b.a.west.clusterset.internal/gateway",
        "spiffe://clusterset.internal/gateway",
        "spiffe://west.clusterset.internal./gateway",
        "spiffe://west.CLUSTERSET.internal/gateway",
        "spiffe://-west.clusterset.internal/gateway",
        "spiffe://w_st.clusterset.internal/gateway",
        "spiffe://w\u00e9st.clusterset.internal/gateway",
        f"spiffe://{'w' * 64}.clusterset.internal/gateway",
        "SPIFFE://west.clusterset.internal/gateway",
        "https://west.clusterset.internal/gateway",
        " spiffe://west.clusterset.internal/gateway",
        "spiffe://west.clusterset.internal/gateway\n",
        "spiffe://west.clusterset.internal/gateway\x00",
    ],
)
def test_another_spelling_is_nobody(uri: str) -> None:
    with pytest.raises(NotAnIdentity):
        identity_of_uri(uri, domain=DOMAIN)


def test_one_label_before_the_domain_is_the_pool_of_whoever_let_the_cluster_in() -> None:
    found = identity_of_uri("spiffe://north.by-west.clusterset.internal/gateway", domain=DOMAIN)
    assert (found.cluster, found.pool, found.component) == ("north", "by-west", Component.GATEWAY)
    assert found.uri == "spiffe://north.by-west.clusterset.internal/gateway"
    assert found != identity_of_uri("spiffe://north.clusterset.internal/gateway", domain=DOMAIN)


def test_a_dot_in_the_domain_is_a_dot() -> None:
    with pytest.raises(NotAnIdentity):
        identity_of_uri("spiffe://west.clustersetxinternal/gateway", domain=DOMAIN)


@pytest.mark.parametrize("uris", [[], [WEST.uri, WEST.uri], [WEST.uri, "https://example.org/"]])
def test_only_one_uri_is_an_identity(uris: list[str]) -> None:
    with pytest.raises(NotAnIdentity, match=f"{len(uris)} URIs"):
        sole_identity(uris, domain=DOMAIN)


@pytest.mark.parametrize("text", ["a", "west", "0", "a-b", "a" * 63])
def test_a_dns_label_is_a_cluster_id(text: str) -> None:
    assert cluster_id(text) == text


@pytest.mark.parametrize("text", ["", "West", "a.b", "-a", "a-", "a_b", "a" * 64, "a\n", "\u00e9"])
def test_anything_else_is_no_cluster_id(text: str) -> None:
    with pytest.raises(InvalidName, match="DNS label"):
        cluster_id(text)


@pytest.mark.parametrize("text", ["internal", "clusterset.internal", "a-b.c1.example"])
def test_a_dns_name_is_a_domain(text: str) -> None:
    assert domain(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a.", ".a", "a..b", "A.b", "a_b.c", "10.0.0.1", "example.42", "a.b\n"),
        *("clusterset.local", "svc.clusterset.local", "a." * 89 + "aa"),
    ],
)
def test_what_cannot_hold_identities_is_no_domain(text: str) -> None:
    with pytest.raises(InvalidName):
        domain(text)


def test_the_longest_names_still_fit_into_dns() -> None:
    longest = domain("a." * 88 + "aa")
    assert len(longest) == LONGEST_DOMAIN
    identity = Identity(cluster=cluster_id("c" * 63), component=Component.CONTROLLER, domain=longest)
    assert max(len(name) for name in identity.dns_names) == 253


def test_exactly_one_identity_can_be_expected() -> None:
    expected = Expected.exactly(WEST)
    assert expected.admits(WEST)
    for other in (
        Identity(cluster=cluster_id("east"), component=Component.GATEWAY, domain=DOMAIN),
        Identity(cluster=WEST.cluster, component=Component.CLIENT, domain=DOMAIN),
        Identity(cluster=WEST.cluster, component=Component.GATEWAY, domain=domain("example.org")),
    ):
        assert not expected.admits(other)


def test_any_member_can_be_expected() -> None:
    expected = Expected(domain=DOMAIN, components=frozenset({Component.GATEWAY, Component.CLIENT}))
    assert expected.admits(WEST)
    assert not expected.admits(Identity(cluster=WEST.cluster, component=Component.DNS, domain=DOMAIN))
    assert str(expected) == "client or gateway of any member in clusterset.internal"
