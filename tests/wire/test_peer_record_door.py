"""The door for records of peers: hostile until checked (failure rule 5, ruling 11)."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.admission import LONGEST_RECORD, RecordRefused, admit
from mesh_core.record import ExportRecord, RecordPort
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
    for original in (full, record("west")):
        assert admit(msgspec.json.encode(original), cluster="west") == original


def test_fields_that_a_newer_peer_adds_are_ignored() -> None:
    assert admit(sent(weather="fine", ports=port(colour="red")), cluster="west").name == "hello"


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
    "headless": sent(type="Headless"),
    "no ports": sent(ports=[]),
    "too many ports": sent(ports=[{"port": n, "name": f"p{n}"} for n in range(1, 66)]),
    "port 0": sent(ports=port(port=0)),
    "port 65536": sent(ports=port(port=65536)),
    "port as text": sent(ports=port(port="80")),
    "port as a float": sent(ports=port(port=80.5)),
    "port true": sent(ports=port(port=True)),
    "UDP": sent(ports=port(protocol="UDP")),
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
    "nothing": b"",
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
    assert refusal.value.key == ("demo", "hello")
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
    assert found.cluster == "west"
    assert 1 <= len(found.ports) <= 64
    assert all(1 <= p.port <= 65535 and 0 <= p.ready <= 10_000 for p in found.ports)
