"""The door for records of peers: hostile until checked (failure rule 5, ruling 11)."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.admission import LONGEST_RECORD, RecordRefused, admit, check
from mesh_core.record import ExportRecord, RecordPort, Shard, ShardEndpoint, ShardPort
from mesh_fakes.exports import record

# JSON objects of a peer: their values are whatever JSON has, hence Any.
Json = dict[str, Any]

GOOD: Json = {
    "cluster": "west",
    "namespace": "demo",
    "name": "hello",
    "created": "2026-01-01T00:00:00Z",
    "ports": [{"name": "http", "port": 80, "ready": 2}],
}


def sent(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def port(**changes: object) -> list[Json]:
    return [{"name": "http", "port": 80, **changes}]


def test_a_record_of_ours_comes_through_as_it_was() -> None:
    full = ExportRecord(
        cluster="west",
        namespace="demo",
        name="hello",
        created="2026-01-01T00:00:00Z",
        ports=(RecordPort(port=80, name="http", app_protocol="kubernetes.io/h2c", ready=7),),
        session_affinity="ClientIP",
        session_affinity_timeout=10800,
        internal_traffic_policy="Local",
        traffic_distribution="PreferClose",
        exported_labels={"app.example.com/name": "hello"},
        exported_annotations={"note": "any text, ünïcode too"},
        ip_families=("IPv4", "IPv6"),
    )
    headless = ExportRecord(
        cluster="west",
        namespace="demo",
        name="hello",
        created="2026-01-01T00:00:00Z",
        type="Headless",
        traffic="local-first",
        allow=("*/@node", "a/later/kind/of/entry", "east", "north-2/shop", "south/shop/till"),
        zone_scope="provider/region-1",
    )
    protocols = (RecordPort(port=53, name="a", protocol="UDP"), RecordPort(port=53, name="b"))
    named = record("west", *protocols, RecordPort(port=53, name="c", protocol="SCTP"))
    for original in (full, headless, named, record("west")):
        assert admit(msgspec.json.encode(original), cluster="west") == original
        check(original)


def test_a_shard_of_ours_comes_through_as_it_was() -> None:
    full = Shard(
        cluster="west",
        namespace="demo",
        name="hello",
        shard="0123456789",
        ports=(ShardPort(port=8080, name="http", app_protocol="kubernetes.io/h2c"), ShardPort(port=8080)),
        endpoints=(
            ShardEndpoint(address="10.2.0.1", hostname="hello-0", zone="zone-A.1"),
            ShardEndpoint(address="10.2.0.2", ready=False, serving=False, terminating=True),
        ),
    )
    six = msgspec.structs.replace(
        full, address_type="IPv6", ports=full.ports[:1], endpoints=(ShardEndpoint(address="fd00:2::1"),)
    )
    full = msgspec.structs.replace(full, ports=(full.ports[0], ShardPort(port=8080, name="web")))
    for original in (full, six):
        assert admit(msgspec.json.encode(original), cluster="west") == original
        check(original)


def test_fields_that_a_newer_peer_adds_are_ignored() -> None:
    assert admit(sent(weather="fine", ports=port(colour="red")), cluster="west").name == "hello"


GOOD_SHARD: Json = {
    "cluster": "west",
    "namespace": "demo",
    "name": "hello",
    "shard": "0123456789",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [{"address": "10.2.0.1"}],
}


def shard(**changes: object) -> bytes:
    return json.dumps({**GOOD_SHARD, **changes}).encode()


def at(address: str, **changes: object) -> bytes:
    family = "IPv6" if ":" in address else "IPv4"
    return shard(addressType=family, endpoints=[{"address": address, **changes}])


ADDRESSES_OF_NOBODY = (
    *"0.0.0.0 0.1.2.3 127.0.0.1 169.254.169.254 224.0.0.1 240.0.0.1 255.255.255.255".split(),
    *":: ::1 fe80::1 ff02::1 ::ffff:10.0.0.1 64:ff9b::a00:1".split(),
    *"10.2.0.01 010.2.0.1 10.2.1 10.2.0.1/32 fd00::0:1 FD00::1 fe80::1%eth0 fd00::1%eth0".split(),
    *("hello.example.com", "10.2.0.1 ", "", "1" * 50),
)

BAD_SHARDS = {
    "another cluster": shard(cluster="east"),
    "kube namespace": shard(namespace="kube-system"),
    "an endless name": shard(shard="0123456789a"),
    "no name": shard(shard=""),
    "a name with a slash": shard(shard="../3456789"),
    "a name that is a number": shard(shard=5),
    "a family that is none": shard(addressType="FQDN"),
    "65 ports": shard(ports=[{"port": n, "name": f"p{n}"} for n in range(1, 66)]),
    "port 0": shard(ports=[{"port": 0}]),
    "a port name twice": shard(ports=[{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]),
    "101 endpoints": shard(endpoints=[{"address": f"10.2.0.{n}"} for n in range(101)]),
    "another family": shard(addressType="IPv6"),
    "a hostname with a dot": at("10.2.0.1", hostname="a.b"),
    "a hostname of 64": at("10.2.0.1", hostname="a" * 64),
    "an endless zone": at("10.2.0.1", zone="z" * 64),
    "ready as text": at("10.2.0.1", ready="true"),
    "no address": shard(endpoints=[{}]),
    **{f"the address {address!r}": at(address) for address in ADDRESSES_OF_NOBODY},
}

BAD = {
    "another cluster": sent(cluster="east"),
    "no cluster": json.dumps({k: v for k, v in GOOD.items() if k != "cluster"}).encode(),
    "kube namespace": sent(namespace="kube-system"),
    "default namespace": sent(namespace="default"),
    "our namespace": sent(namespace="meshctl-system"),
    "namespace with a dot": sent(namespace="a.b"),
    "namespace of 64": sent(namespace="a" * 64),
    "name with a slash": sent(name="../hello"),
    "name that begins with a digit": sent(name="1hello"),
    "name with a line break": sent(name="hello\n"),
    "upper case": sent(name="Hello"),
    "a time with an offset": sent(created="2026-01-01T00:00:00+01:00"),
    "a time with fractions": sent(created="2026-01-01T00:00:00.5Z"),
    "no time at all": sent(created="yesterday"),
    "digits of another script": sent(created="٢٠٢٦-01-01T00:00:00Z"),
    "a type that is none": sent(type="ExternalName"),
    "traffic that is none": sent(traffic="nowhere"),
    "an audience with a space": sent(allow=["east west"]),
    "an audience with a line break": sent(allow=["east\n"]),
    "an empty audience": sent(allow=[""]),
    "an endless audience": sent(allow=["e" * 401]),
    "audiences that are too much together": sent(allow=[f"c{n}/{'n' * 300}" for n in range(256)]),
    "an audience that is no list": sent(allow="east"),
    "too great an audience": sent(allow=[f"c{n}" for n in range(257)]),
    "a scope that is none": sent(zoneScope="a b"),
    "an endless scope": sent(zoneScope="a" * 129),
    "headless with affinity of its own making": sent(type="Headless", ports=[], sessionAffinity="Always"),
    "three families": sent(ipFamilies=["IPv4", "IPv6", "IPv4"]),
    "no ports": sent(ports=[]),
    "too many ports": sent(ports=[{"port": n, "name": f"p{n}"} for n in range(1, 66)]),
    "port 0": sent(ports=port(port=0)),
    "port 65536": sent(ports=port(port=65536)),
    "port as text": sent(ports=port(port="80")),
    "port as a float": sent(ports=port(port=80.5)),
    "port true": sent(ports=port(port=True)),
    "a protocol that is none": sent(ports=port(protocol="ICMP")),
    "a name of a port that is none": sent(ports=port(name="-")),
    "an application protocol that is none": sent(ports=port(appProtocol="a b")),
    "an endless application protocol": sent(ports=port(appProtocol="a" * 318)),
    "one of several ports without a name": sent(ports=[*port(), *port(port=81, name="")]),
    "a port twice": sent(ports=[*port(), *port(name="web")]),
    "a port name twice": sent(ports=[*port(), *port(port=81)]),
    "a million endpoints": sent(ports=port(ready=1_000_000)),
    "fewer than none": sent(ports=port(ready=-1)),
    "a label that is none": sent(exportedLabels={"a": "not a value"}),
    "a label key that is none": sent(exportedLabels={"a b": "x"}),
    "an endless label value": sent(exportedLabels={"a": "x" * 64}),
    "65 annotations": sent(exportedAnnotations={f"k{n}": "" for n in range(65)}),
    "a big annotation": sent(exportedAnnotations={"k": "x" * 17_000}),
    "affinity of its own making": sent(sessionAffinity="Always"),
    "affinity without a time": sent(sessionAffinity="ClientIP"),
    "a time without affinity": sent(sessionAffinityTimeout=10),
    "an endless time": sent(sessionAffinity="ClientIP", sessionAffinityTimeout=86_401),
    "a family that is none": sent(ipFamilies=["IPv5"]),
    "not JSON": b"{",
    "a list": b"[]",
    "no UTF-8": b'{"cluster": "\xff"}',
    "deeply nested": b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "too long": sent(weather="x" * LONGEST_RECORD),
    "big in bytes, not in characters": sent(exportedAnnotations={"k": "\u0001" * 16_000}),
    "nothing": b"",
    **{f"shard: {name}": piece for name, piece in BAD_SHARDS.items()},
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_a_bad_record_is_refused_with_a_short_sentence(raw: bytes) -> None:
    with pytest.raises(RecordRefused) as refusal:
        admit(raw, cluster="west")
    assert 0 < len(refusal.value.what) < 500
    assert "\n" not in refusal.value.what


def test_a_refusal_names_the_service_where_that_much_can_be_read() -> None:
    with pytest.raises(RecordRefused) as refusal:
        admit(sent(ports=[]), cluster="west")
    assert refusal.value.key == ("demo", "hello", "")
    with pytest.raises(RecordRefused) as refusal:
        admit(at("127.0.0.1"), cluster="west")
    assert refusal.value.key == ("demo", "hello", "0123456789")
    with pytest.raises(RecordRefused) as refusal:
        admit(sent(name="Hello"), cluster="west")
    assert refusal.value.key is None


@given(raw=st.binary(max_size=300))
def test_noise_is_refused_and_nothing_else_happens(raw: bytes) -> None:
    with pytest.raises(RecordRefused):
        admit(raw, cluster="west")


@given(
    key=st.sampled_from(sorted(GOOD)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_what_comes_through_is_within_all_bounds(key: str, value: object) -> None:
    try:
        found = admit(sent(**{key: value}), cluster="west")
    except RecordRefused:
        return
    assert isinstance(found, ExportRecord)
    assert found.cluster == "west"
    assert found.type == "Headless" or 1 <= len(found.ports) <= 64
    assert all(1 <= p.port <= 65535 and 0 <= p.ready <= 10_000 for p in found.ports)


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_what_is_refused_of_others_is_not_sent_by_us_either(raw: bytes) -> None:
    ours: ExportRecord | Shard
    try:
        if "shard" in msgspec.json.decode(raw):
            ours = msgspec.json.decode(raw, type=Shard)
        else:
            ours = msgspec.json.decode(raw, type=ExportRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError):
        return  # a Struct of ours cannot say that
    if ours.cluster == "west" and len(raw) <= LONGEST_RECORD:
        with pytest.raises(RecordRefused):
            check(ours)
