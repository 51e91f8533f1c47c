"""Public names: what the annotation may say, who gets a name, and where it leads."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.identity import domain
from mesh_core.objects import ImportPort, Meta, ServiceExport
from mesh_core.policy import InvalidPolicy, Policy, policy_of
from mesh_core.public_names import PublicName, Unreadable, clashes, public_names
from mesh_fakes.route_objects import exported, headless, imported, local, member, own, table_of
from mesh_gateway.route import Address, Ingress, NameRefused

PUBLIC = "meshctl.dev/public"
HTTP = ImportPort(port=80, name="http")
HTTPS = ImportPort(port=443, name="https")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("https=shop.example.com", [("shop.example.com", "https")]),
        ("443=shop.example.com", [("shop.example.com", 443)]),
        (" 443 = shop.example.com ", [("shop.example.com", 443)]),
        ("443=b.example, https=a.example", [("a.example", "https"), ("b.example", 443)]),
        ("65535=xn--bcher-kva.example", [("xn--bcher-kva.example", 65535)]),
        (
            f"1={'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
            [(f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}", 1)],
        ),
        ("a=1.2.example", [("1.2.example", "a")]),
        ("a=clusterset.local.example", [("clusterset.local.example", "a")]),
        ("a=notclusterset.local", [("notclusterset.local", "a")]),
    ],
)
def test_names_with_their_ports_are_read(text: str, means: list[tuple[str, int | str]]) -> None:
    assert public_names(text) == tuple(PublicName(name=name, port=port) for name, port in means)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "''"),
        ("true", "'true'"),
        ("shop.example.com", "write <port name or number>=<DNS name>"),
        ("https=shop.example.com,", "''"),
        ("=shop.example.com", "write"),
        ("https:shop.example.com", "write"),
        ("Https=shop.example.com", "write"),
        ("ht tps=shop.example.com", "write"),
        ("0=shop.example.com", "write"),
        ("080=shop.example.com", "write"),
        ("65536=shop.example.com", "write"),
        ("\u0661=shop.example.com", "write"),
        ("443=", "no lower-case DNS name"),
        ("443=shop", "two labels"),
        ("443=Shop.example.com", "lower-case"),
        ("443=shop.example.com.", "no lower-case DNS name"),
        ("443=.example.com", "no lower-case DNS name"),
        ("443=shop..com", "no lower-case DNS name"),
        ("443=-shop.com", "no lower-case DNS name"),
        ("443=sh_op.com", "no lower-case DNS name"),
        ("443=b\u00fccher.example", "no lower-case DNS name"),
        ("443=shop.example.com\0", "no lower-case DNS name"),
        ("443=shop.example\n.com", "no lower-case DNS name"),
        ("443=a=b.com", "no lower-case DNS name"),
        ("443=*.example.com", "wildcard"),
        ("443=10.0.0.1", "address"),
        ("443=fd00::1", "no lower-case DNS name"),
        ("443=example.7", "address"),
        (f"443={'a' * 64}.com", "no lower-case DNS name"),
        (f"443={'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}", "longer than 253"),
        ("443=clusterset.local", "zone of the services"),
        ("443=80.hello.demo.svc.clusterset.local", "zone of the services"),
        ("443=a.example,80=a.example", "twice"),
        (",".join(f"443=n{number}.example" for number in range(33)), "more than 32"),
    ],
)
def test_what_does_not_read_says_what_to_do(text: str, says: str) -> None:
    found = public_names(text)
    assert isinstance(found, Unreadable)
    assert says in found.why
    assert policy_of({PUBLIC: text}) == InvalidPolicy(f"the annotation {PUBLIC} {found.why}")
    assert len(found.why) < 250


def test_the_annotation_becomes_part_of_the_policy() -> None:
    assert policy_of({PUBLIC: "443=a.example"}) == Policy(public=(PublicName("a.example", 443),))


@pytest.mark.parametrize("other", [{"meshctl.dev/allow": "west"}, {"meshctl.dev/proxy-protocol": "v2"}])
def test_public_contradicts_what_needs_to_know_the_caller_ruling_3(other: dict[str, str]) -> None:
    found = policy_of({PUBLIC: "443=a.example", **other})
    assert isinstance(found, InvalidPolicy)
    assert "remove one of the two" in found.why
    assert next(iter(other)) in found.why


@given(text=st.text(max_size=60))
def test_no_text_gives_away_what_is_not_an_exact_name(text: str) -> None:
    for entry in (text, f"443={text}"):
        found = public_names(entry)
        if not isinstance(found, Unreadable):
            for public in found:
                assert public.name in entry
                assert len(public.name) <= 253
                assert "." in public.name
                assert public.name == public.name.lower().strip()
                assert set(public.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


def wishing(
    text: str, *, service: str = "hello", created: str = "2026-01-01T00:00:00Z", uid: str = "a"
) -> ServiceExport:
    return ServiceExport(
        metadata=Meta(
            name=service,
            namespace="demo",
            uid=uid,
            creation_timestamp=created,
            annotations={PUBLIC: text},
        )
    )


def given_names(*exports: ServiceExport) -> tuple[Mapping[str, Ingress], tuple[NameRefused, ...]]:
    table = table_of(
        local("10.244.0.5", "10.244.0.6", port=8443, name="https"),
        local("10.244.0.5", port=8080, name="http", ready=None),
        local("10.244.0.7", service="shop", port=8443, name="https"),
        imports=(imported("hello", HTTP, HTTPS), imported("shop", HTTPS)),
        exports=exports,
    )
    return table.public, table.names_refused


@pytest.mark.parametrize("port", ["https", "443"])
def test_a_name_leads_to_the_ready_endpoints_of_its_port(port: str) -> None:
    routes, refused = given_names(wishing(f"{port}=a.example"))
    assert routes == {
        "a.example": Ingress((Address("10.244.0.5", 8443), Address("10.244.0.6", 8443)), owner="demo/hello")
    }
    assert refused == ()


def test_a_name_without_a_ready_endpoint_leads_nowhere_and_is_kept_for_its_export() -> None:
    older = wishing("https=a.example", service="gone")
    younger = wishing("https=a.example", created="2026-01-02T00:00:00Z", uid="b")
    routes, refused = given_names(older, younger)
    assert routes == {}
    assert [(one.name, one.service) for one in refused] == [("a.example", "hello")]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("hello", "shop", "winner"),
    [
        (("2026-01-01T00:00:00Z", "b"), ("2026-01-02T00:00:00Z", "a"), "hello"),
        (("2026-01-02T00:00:00Z", "a"), ("2026-01-01T00:00:00Z", "b"), "shop"),
        (("2026-01-01T00:00:00Z", "a"), ("2026-01-01T00:00:00Z", "b"), "hello"),
        (("2026-01-01T00:00:00Z", "b"), ("2026-01-01T00:00:00Z", "a"), "shop"),
    ],
)
def test_a_name_that_two_ask_for_goes_to_the_older_export_then_to_the_lower_uid(
    hello: tuple[str, str], shop: tuple[str, str], winner: str, *, swapped: bool
) -> None:
    exports = [
        wishing("https=a.example", service="hello", created=hello[0], uid=hello[1]),
        wishing("https=a.example", service="shop", created=shop[0], uid=shop[1]),
    ]
    routes, refused = given_names(*(reversed(exports) if swapped else exports))
    ours = {"hello": "10.244.0.5", "shop": "10.244.0.7"}
    assert routes["a.example"].endpoints[0].host == ours[winner]
    (loser,) = refused
    assert loser.service != winner
    assert f"demo/{winner}, which is older" in loser.why


def test_names_of_members_are_never_given_away() -> None:
    names = ["peer.east.clusterset.internal", "gateway.west.clusterset.internal", "clusterset.internal"]
    routes, refused = given_names(wishing(",".join(f"https={name}" for name in names)))
    assert routes == {}
    assert sorted(one.name for one in refused) == sorted(names)


def test_a_name_beside_the_identity_domain_is_nobodys() -> None:
    own_domain = domain("clusterset.internal")
    assert clashes("a.clusterset.internal", domain=own_domain)
    assert not clashes("aclusterset.internal", domain=own_domain)
    assert not clashes("clusterset.internal.example", domain=own_domain)


def test_a_port_that_is_not_there_is_told() -> None:
    routes, refused = given_names(wishing("grpc=a.example, 81=b.example, 443=c.example"))
    assert list(routes) == ["c.example"]
    assert [one.why for one in refused] == ["there is no TCP port grpc", "there is no TCP port 81"]


def test_only_an_export_that_stands_and_reads_has_public_names() -> None:
    text = "https=a.example"
    for annotations in ({PUBLIC: text, "meshctl.dev/alow": "x"}, {PUBLIC: f"{text},"}):
        assert given_names(exported(annotations=annotations)) == ({}, ())
    assert given_names(exported(annotations={PUBLIC: text}, going=True)) == ({}, ())
    assert given_names() == ({}, ())


def test_of_a_headless_service_all_endpoints_that_listen_on_the_number_serve_a_name() -> None:
    table = table_of(
        own(member("10.244.0.8", hostname="db-0"), member("10.244.0.9"), member("10.244.0.10", ready=False)),
        own(member("10.244.0.9"), port=9999),
        imports=(headless(),),
        exports=(wishing("5432=db.example, tcp=other.example", service="db"),),
    )
    assert table.public == {
        "db.example": Ingress((Address("10.244.0.8", 5432), Address("10.244.0.9", 5432)), owner="demo/db")
    }
    (refused,) = table.names_refused
    assert refused.name == "other.example"
    assert "by its number" in refused.why
