"""Which DNS names of a certificate are good for a host: ours against OpenSSL's, in real handshakes."""

import ssl

import pytest

from mesh_cli.placement.hosts_verdict import covers, shown_of
from mesh_fakes.applications import ApplicationCa

CA = ApplicationCa()
HOST = "shop.example.com"
NAMES = {
    HOST: True,
    "SHOP.example.COM": True,
    "*.example.com": True,
    "*.EXAMPLE.com": True,
    "www.shop.example.com": False,
    "example.com": False,
    "*.shop.example.com": False,
    "*.com": False,
    "*.*.com": False,
    "*": False,
    "s*.example.com": False,
    "shop.*.com": False,
    "shop.example.co": False,
    "xshop.example.com": False,
}


def client_takes(server: ssl.SSLContext, *, host: str) -> tuple[bool, bytes]:
    """Whether OpenSSL's client ends its handshake, and the certificate; no socket is needed for it."""
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = CA.client().wrap_bio(there, here, server_hostname=host)
    serving = server.wrap_bio(here, there, server_side=True)
    for _ in range(4):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return False, b""
        else:
            return True, client.getpeercert(binary_form=True) or b""
        try:
            serving.do_handshake()
        except ssl.SSLWantReadError:
            pass
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize(("name", "is_good"), NAMES.items())
def test_a_name_is_good_for_a_host_where_openssl_finds_it_so(name: str, is_good: bool) -> None:
    taken, _ = client_takes(CA.server(name), host=HOST)
    assert (covers(name, host=HOST), taken) == (is_good, is_good)


@pytest.mark.parametrize(
    ("name", "host", "is_good"),
    [
        ("*.example.com", "xn--bcher-kva.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("*.com", "example.com", False),
    ],
)
def test_a_wildcard_stands_for_one_label_below_two_others(name: str, host: str, is_good: bool) -> None:
    taken, _ = client_takes(CA.server(name), host=host)
    assert (covers(name, host=host), taken) == (is_good, is_good)


def test_a_common_name_is_no_name() -> None:
    taken, _ = client_takes(CA.server(common_name=HOST), host=HOST)
    assert not taken


def test_names_are_read_as_they_stand() -> None:
    taken, der = client_takes(CA.server("www.example.org", HOST), host=HOST)
    assert (taken, shown_of(der).names) == (True, ("www.example.org", HOST))
