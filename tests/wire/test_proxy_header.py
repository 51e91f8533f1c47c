"""What an endpoint is told of its caller, read by a parser made from the specification (ruling 23).

PROXY protocol, version 2: proxy-protocol.txt in HAProxy's documentation, section 2.2 and those below it.
"""

import ipaddress
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.ranges import ranges_of
from mesh_gateway.opening import Source
from mesh_gateway.proxy_header import Field, proxy_header
from mesh_gateway.route import Address

GATEWAY, POD = Address("10.244.0.3", 51000), Address("10.244.0.9", 8080)
GATEWAY_6, POD_6 = Address("fd00:1::3", 51000), Address("fd00:1::9", 8080)
TILL = Source(address="10.1.0.7", port=40000, namespace="shop", account="till", pod="till-7d9f8-x2")
NEAR = ranges_of(["10.1.0.0/16", "fd00:7::/64"])


@dataclass(frozen=True)
class Read:
    """What a receiver makes of a header."""

    command: int
    source: tuple[str, int]
    destination: tuple[str, int]
    fields: dict[int, str]


def read(header: bytes) -> Read:
    """The header, strictly as the specification has it."""
    signature, version_command, family, length = struct.unpack("!12sBBH", header[:16])
    assert signature == bytes.fromhex("0D0A0D0A000D0A515549540A")
    assert version_command >> 4 == 2
    rest = header[16:]
    assert len(rest) == length, "the length is of all that follows"
    if family == 0x11:
        source, destination, source_port, port = struct.unpack("!4s4sHH", rest[:12])
        rest = rest[12:]
    else:
        assert family == 0x21
        source, destination, source_port, port = struct.unpack("!16s16sHH", rest[:36])
        rest = rest[36:]
    fields: dict[int, str] = {}
    while rest:
        kind, high, low = rest[0], rest[1], rest[2]
        size = (high << 8) + low
        assert kind not in fields
        fields[kind] = rest[3 : 3 + size].decode("ascii")
        assert len(rest) >= 3 + size
        rest = rest[3 + size :]
    return Read(
        version_command & 0x0F,
        (str(ipaddress.ip_address(source)), source_port),
        (str(ipaddress.ip_address(destination)), port),
        fields,
    )


def test_a_caller_elsewhere_comes_from_the_gateways_address_and_is_named_in_fields() -> None:
    found = read(proxy_header(TILL, cluster="west", gateway=GATEWAY, endpoint=POD, neighbour=None))
    assert found == Read(
        command=1,
        source=("10.244.0.3", 51000),
        destination=("10.244.0.9", 8080),
        fields={0xE0: "west", 0xE1: "shop", 0xE2: "till", 0xE3: "till-7d9f8-x2", 0xE4: "10.1.0.7:40000"},
    )


def test_a_caller_on_our_network_comes_from_his_own_address() -> None:
    found = read(proxy_header(TILL, cluster="west", gateway=GATEWAY, endpoint=POD, neighbour=NEAR))
    assert (found.command, found.source) == (1, ("10.1.0.7", 40000))
    assert found.destination == ("10.244.0.9", 8080)
    assert found.fields[Field.CLUSTER] == "west"


def test_bytes_of_a_header_are_those_of_the_specification() -> None:
    header = proxy_header(
        Source(address="10.1.0.7", port=40000), cluster="west", gateway=GATEWAY, endpoint=POD, neighbour=NEAR
    )
    assert header.hex() == (
        "0d0a0d0a000d0a515549540a"  # signature
        "21"  # version 2, PROXY
        "11"  # TCP over IPv4
        "0024"  # 36 bytes follow
        "0a010007" "0af40009" "9c40" "1f90"
        "e00004" "77657374"
        "e4000e" "31302e312e302e373a3430303030"
    )  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(None, id="nobody vouches for a caller of meshctl/1"),
        pytest.param(Source(), id="not known"),
        pytest.param(Source(address="10.244.0.7", port=1), id="one of ours, says a neighbour"),
        pytest.param(Source(address="192.0.2.1", port=1, node=True), id="a node of a neighbour"),
        pytest.param(Source(address="10.1.0.7"), id="without a port"),
        pytest.param(Source(address="fd00:7::1", port=1), id="of the other family"),
        pytest.param(Source(address="10.1.0.7 ", port=1), id="no address"),
        pytest.param(Source(address="fe80::1%eth0", port=1), id="with a zone"),
    ],
)
def test_an_address_that_cannot_be_a_neighbours_pod_is_never_the_callers(source: Source | None) -> None:
    found = read(proxy_header(source, cluster="west", gateway=GATEWAY, endpoint=POD, neighbour=NEAR))
    assert (found.command, found.source) == (1, ("10.244.0.3", 51000))
    assert found.fields[Field.CLUSTER] == "west"


def test_a_node_is_called_a_node_and_nothing_else() -> None:
    node = Source(address="192.0.2.1", port=9, node=True, namespace="shop", account="till", pod="x")
    found = read(proxy_header(node, cluster="west", gateway=GATEWAY, endpoint=POD, neighbour=None))
    assert found.fields == {0xE0: "west", 0xE4: "192.0.2.1:9", 0xE5: ""}


def test_ipv6_is_carried_as_such() -> None:
    source = Source(address="fd00:7::1", port=40000)
    found = read(proxy_header(source, cluster="west", gateway=GATEWAY_6, endpoint=POD_6, neighbour=NEAR))
    assert (found.source, found.destination) == (("fd00:7::1", 40000), ("fd00:1::9", 8080))
    assert found.fields[Field.ADDRESS] == "[fd00:7::1]:40000"


any_source = st.builds(
    Source,
    address=st.text(max_size=253) | st.ip_addresses().map(str),
    port=st.integers(0, 65535),
    namespace=st.text(max_size=63) | st.just("shop"),
    account=st.text(max_size=253) | st.just("till"),
    pod=st.text(max_size=253) | st.just("till-1"),
    node=st.booleans(),
)


@given(source=any_source, six=st.booleans(), near=st.booleans())
def test_whatever_a_peer_says_the_header_reads_and_holds_only_names_and_addresses(
    source: Source, six: bool, near: bool
) -> None:
    gateway, pod = (GATEWAY_6, POD_6) if six else (GATEWAY, POD)
    header = proxy_header(
        source, cluster="west", gateway=gateway, endpoint=pod, neighbour=NEAR if near else None
    )
    found = read(header)
    assert found.command == 1
    assert found.source == (gateway.host, gateway.port) or near
    assert len(header) <= 800
    for text in found.fields.values():
        assert not set(text) - set("abcdefghijklmnopqrstuvwxyz0123456789.-:[]")
