"""Who asks the access proxy, as whom he appears in a member, and where a request leads."""

import base64
from datetime import UTC, datetime

import pytest

from mesh_core.objects import Condition, Meta, Secret
from mesh_placement.decide.access_path import Proxied, proxied, verb_of
from mesh_placement.decide.caller import Believed, Caller, Headers, Shown, Token, believed, caller_of
from mesh_placement.decide.impersonation import NotPassedOn, headers_as, is_passed, without_token
from mesh_placement.decide.route import NoRoute, Route, route_to
from mesh_placement.objects import ClusterRegistration, ClusterRegistrationSpec, ClusterRegistrationStatus

RULES = believed(
    {
        "requestheader-allowed-names": '["front"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    },
    client_cas=frozenset({"clients"}),
    front_cas=frozenset({"fronts"}),
)
ANY_NAME = Believed(
    client_cas=frozenset({"both", "clients"}),
    front_cas=frozenset({"both", "fronts"}),
    user_headers=("x-remote-user",),
)
TOLD: Headers = [
    ("x-remote-user", "J\xc3\xbcrgen"),
    ("x-remote-group", "a"),
    ("x-remote-group", "b"),
    ("x-remote-uid", "7"),
    ("x-remote-extra-scopes%2fx", "s"),
]
BEARER: Headers = [("authorization", "Bearer t"), *TOLD]


def shown(name: str, issuer: str, *, until: float = 100.0) -> Shown:
    return Shown(name, ("g",), frozenset({issuer}), until)


PERSON = Caller("ada", ("g", "system:authenticated"))


@pytest.mark.parametrize(
    ("certificate", "headers", "rules", "expected"),
    [
        (None, TOLD, RULES, None),
        (None, BEARER, RULES, Token("t")),
        (None, [("authorization", "Basic t")], RULES, None),
        (None, [("authorization", "bearer ")], RULES, None),
        (
            shown("front", "fronts"),
            TOLD,
            RULES,
            Caller("Jürgen", ("a", "b"), "7", (("scopes/x", ("s",)),)),
        ),
        (shown("front", "fronts"), [], RULES, None),
        (shown("front", "fronts"), [("x-remote-user", "\xff")], RULES, None),
        (shown("front", "fronts", until=10.0), TOLD, RULES, None),
        (shown("other", "fronts"), TOLD, RULES, None),
        (shown("front", "clients"), TOLD, RULES, Caller("front", PERSON.groups)),
        (shown("ada", "clients"), BEARER, RULES, PERSON),
        (shown("ada", "nobody"), TOLD, RULES, None),
        (shown("", "clients"), TOLD, RULES, None),
        (shown("any", "fronts"), TOLD[:1], ANY_NAME, Caller("Jürgen")),
        # One CA for users and front proxies, and no names: whoever has a certificate is only himself.
        (shown("ada", "both"), TOLD, ANY_NAME, PERSON),
    ],
)
def test_who_asks(
    certificate: Shown | None, headers: Headers, rules: Believed, expected: Caller | Token | None
) -> None:
    assert caller_of(certificate, headers, rules=rules, now=50.0) == expected


def test_lists_that_cannot_be_read_believe_nobody() -> None:
    rules = believed(
        {"requestheader-allowed-names": "{", "requestheader-username-headers": "7"},
        client_cas=frozenset(),
        front_cas=frozenset({"fronts"}),
    )
    assert caller_of(shown("front", "fronts"), TOLD, rules=rules, now=0.0) is None


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (Caller("ada", ("dev", "system:authenticated")), ["User: ada", "Group: dev"]),
        (Caller("ada", ("system:masters", "system:nodes", "kubeadm:cluster-admins")), ["User: ada"]),
        (Caller("ada", ("meshctl:clusters", "", "dev", "dev")), ["User: ada", "Group: dev"]),
        (
            Caller("system:serviceaccount:a:b", ("system:serviceaccounts",), "u"),
            ["User: meshctl:hub:system:serviceaccount:a:b", "Uid: u"],
        ),
        (Caller("system:kube-scheduler"), ["User: meshctl:hub:system:kube-scheduler"]),
        (Caller("meshctl:hub:system:x"), ["User: meshctl:hub:meshctl:hub:system:x"]),
        (
            Caller("ada", (), "", (("a/b", ("1", "2")), ("node", ("n",)))),
            ["User: ada", "Extra-a%2Fb: 1", "Extra-a%2Fb: 2"],
        ),
        (Caller("Jürgen"), ["User: J\xc3\xbcrgen"]),
    ],
)
def test_as_whom_somebody_appears_in_a_member(caller: Caller, expected: list[str]) -> None:
    fields = [f"{name}: {value}" for name, value in headers_as(caller, extras=("a/b",))]
    assert fields == [f"Impersonate-{field}" for field in expected]


@pytest.mark.parametrize("name", ["", "a\r\nImpersonate-Group: system:masters", "a\0", " ada", "ada "])
def test_a_name_that_a_header_would_change_is_not_passed_on(name: str) -> None:
    with pytest.raises(NotPassedOn):
        headers_as(Caller(name))


def test_what_a_caller_writes_of_identities_is_not_passed_on() -> None:
    rules = Believed(user_headers=("x-user",), extra_prefixes=("x-more-",))
    sent = (
        "accept impersonate-user x-remote-group x-user x-more-a authorization cookie host connection audit-id"
    )
    assert [name for name in sent.split() if is_passed(name, rules=rules)] == ["accept", "audit-id"]
    offered = "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0"
    assert without_token(offered) == "v4.channel.k8s.io"


AGGREGATED = "/apis/access.meshctl.dev/v1alpha1/clusters/east-1/proxy"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/clusters/east-1/api/v1?watch=1", Proxied("east-1", "/api/v1?watch=1", "/clusters/east-1")),
        ("/clusters/east-1", Proxied("east-1", "/", "/clusters/east-1")),
        ("/clusters/east-1?a", Proxied("east-1", "/?a", "/clusters/east-1")),
        (f"{AGGREGATED}/version", Proxied("east-1", "/version", AGGREGATED)),
        ("/clusters/a/../b/api", Proxied("a", "/../b/api", "/clusters/a")),
        ("/clusters/../b/api", None),
        ("/clusters/%61/api", None),
        ("/clusters/A/api", None),
        ("/clusters/-a/api", None),
        (f"/clusters/{'a' * 64}/api", None),
        ("/clusters//api", None),
        ("//clusters/a/api", None),
        ("/apis/access.meshctl.dev/v1alpha1/clusters/east-1/other/version", None),
        ("/apis/access.meshctl.dev/v1alpha1/clusters/east-1", None),
    ],
)
def test_where_a_request_leads(target: str, expected: Proxied | None) -> None:
    assert proxied(target) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods?watch=1", True),
        ("/api/v1/pods?limit=5&watch=true", True),
        ("/api/v1/pods?watch=0", False),
        ("/api/v1/pods?nowatch=1", False),
        ("/api/v1/namespaces/a/pods/b/log?follow=true", True),
        ("/api/v1/namespaces/a/pods/b/exec", True),
        ("/api/v1/namespaces/a/services/b/proxy/x/y", True),
        ("/api/v1/namespaces/a/pods/b", False),
        ("/version", False),
    ],
)
def test_an_answer_that_may_begin_late(path: str, expected: bool) -> None:
    assert Proxied("a", path, "").may_be_silent == expected


def test_a_stream_needs_more_than_reading() -> None:
    told = [verb_of(method, upgrade=False) for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "BREW")]
    assert told == ["get", "create", "update", "patch", "delete", ""]
    assert [verb_of(method, upgrade=True) for method in ("GET", "POST", "BREW")] == ["create", "create", ""]


GOOD = {
    "token": "t",
    "ca.crt": "CA",
    "server": "https://[fd00::1]:6443/k/",
    "expires": "2026-01-01T00:00:00Z",
}


def secret(**changes: str) -> Secret:
    values = {**GOOD, **{name.replace("_", "."): value for name, value in changes.items()}}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return Secret(metadata=Meta(name="access"), data=data)


def registration(status: str | None = "True") -> ClusterRegistration:
    conditions = (Condition(type="Available", status=status, reason="R"),) if status else ()
    return ClusterRegistration(
        metadata=Meta(name="east-1"),
        spec=ClusterRegistrationSpec(cluster_set="prod"),
        status=ClusterRegistrationStatus(conditions=conditions),
    )


def test_an_available_member_that_lets_the_hub_in_has_a_way() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    way = route_to("east-1", registration=registration(), secret=secret())
    assert way == Route("east-1", "fd00::1", 6443, "/k", "CA", "t", until)
    by_tunnel = route_to("east-1", registration=registration(), secret=secret(server=""))
    assert by_tunnel == Route("east-1", "", 0, "", "CA", "t", until)
    assert "'t'" not in repr(way)


@pytest.mark.parametrize(
    ("registered", "data", "status", "word"),
    [
        (None, secret(), 404, "not registered"),
        (registration(None), secret(), 503, "not Available"),
        (registration("Unknown"), secret(), 503, "not Available (R"),
        (registration(), None, 503, "--allow-access"),
        (registration(), secret(token=""), 503, "--allow-access"),
        (registration(), secret(server="http://x"), 503, "cannot be read"),
        (registration(), secret(server="https://u:p@x"), 503, "cannot be read"),
        (registration(), secret(server="https://x:port"), 503, "cannot be read"),
        (registration(), secret(expires="soon"), 503, "cannot be read"),
        (registration(), secret(expires="2026-01-01T00:00:00"), 503, "cannot be read"),
        (registration(), secret(ca_crt=""), 503, "cannot be read"),
        (registration(), Secret(metadata=Meta(), data={"token": "?"}), 503, "--allow-access"),
    ],
)
def test_without_one_the_caller_is_told_why(
    registered: ClusterRegistration | None, data: Secret | None, status: int, word: str
) -> None:
    found = route_to("east-1", registration=registered, secret=data)
    assert isinstance(found, NoRoute)
    assert (found.status, word in found.message) == (status, True), found.message


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "224.0.0.1"])
def test_a_member_cannot_send_the_hub_to_what_is_of_the_hubs_own_node(host: str) -> None:
    found = route_to("east-1", registration=registration(), secret=secret(server=f"https://{host}:443"))
    assert isinstance(found, NoRoute) and "cannot be read" in found.message
