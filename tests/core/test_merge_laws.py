"""One import from many exports (KEP-1645, "Constraints and Conflict Resolution")."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.merge import MergedImport, counted, is_reserved, merge
from mesh_core.record import ExportRecord, RecordPort
from mesh_fakes.exports import record

CLUSTERS = ("c0", "c1", "c2", "c3")

ports = st.lists(
    st.builds(
        RecordPort,
        name=st.sampled_from(["", "http", "web", "admin"]),
        protocol=st.sampled_from(["TCP", "TCP", "UDP", "SCTP"]),
        port=st.sampled_from([80, 81, 8080]),
        app_protocol=st.sampled_from([None, "h2c"]),
        ready=st.integers(0, 3),
    ),
    max_size=4,
    unique_by=(lambda port: port.name, lambda port: (port.protocol, port.port)),
).map(lambda found: tuple(port for port in found if port.name or len(found) == 1))
maps = st.dictionaries(
    st.sampled_from(["a", "b", "example.com/c", "kubernetes.io/d", "x.k8s.io/e", "meshctl.dev/f"]),
    st.sampled_from(["1", "2"]),
    max_size=3,
)


@st.composite
def exports(draw: st.DrawFn) -> list[ExportRecord]:
    """What up to four clusters export under one name."""
    found: list[ExportRecord] = []
    for cluster in draw(st.lists(st.sampled_from(CLUSTERS), unique=True, min_size=1)):
        affine = draw(st.booleans())
        found.append(
            ExportRecord(
                cluster=cluster,
                namespace="demo",
                name="hello",
                created=draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])),
                ports=draw(ports),
                session_affinity="ClientIP" if affine else "None",
                session_affinity_timeout=draw(st.sampled_from([10, 20])) if affine else None,
                internal_traffic_policy=draw(st.sampled_from(["Cluster", "Local"])),
                traffic_distribution=draw(st.sampled_from([None, "PreferClose"])),
                exported_labels=draw(maps),
                exported_annotations=draw(maps),
                type=draw(st.sampled_from(["ClusterSetIP", "Headless"])),
                traffic=draw(st.sampled_from(["balanced", "local-first"])),
                ip_families=draw(st.sampled_from([("IPv4",), ("IPv6", "IPv4"), ("IPv4", "IPv6")])),
                zone_scope=draw(st.sampled_from(["", "cloud/west"])),
            )
        )
    return found


def merged(*records: ExportRecord) -> MergedImport:
    found = merge(records)
    assert found is not None
    return found


def reasons(*records: ExportRecord) -> set[str]:
    return {conflict.reason for conflict in merged(*records).conflicts}


@given(records=exports(), shuffle=st.randoms(use_true_random=False))
def test_the_order_in_which_exports_come_does_not_matter_even_where_their_times_are_equal(
    records: list[ExportRecord], shuffle: object
) -> None:
    other = list(records)
    shuffle.shuffle(other)  # type: ignore[attr-defined]  # hypothesis hands in a random.Random
    assert merge(records) == merge(other)


@given(records=exports())
def test_an_import_has_no_port_name_and_no_port_number_twice(records: list[ExportRecord]) -> None:
    found = merged(*records).spec.ports
    assert len({port.name for port in found}) == len(found)
    assert len({(port.protocol, port.port) for port in found}) == len(found)


@given(records=exports())
def test_a_cluster_serves_just_those_of_its_ports_that_the_import_has(records: list[ExportRecord]) -> None:
    found = merged(*records)
    union = {(port.name, port.protocol, port.port) for port in found.spec.ports}
    for exported in records:
        served = found.serving[exported.cluster]
        lost = found.losing.get(exported.cluster, ())
        assert sorted(served + lost, key=repr) == sorted(exported.ports, key=repr)
        assert {(port.name, port.protocol, port.port) for port in served} <= union
        assert not {(port.name, port.protocol, port.port) for port in lost} & union
    assert union == {(p.name, p.protocol, p.port) for served in found.serving.values() for p in served}


def test_a_nameless_port_stands_alone_because_a_service_with_several_names_each() -> None:
    nameless, named = RecordPort(port=80), RecordPort(port=8080, name="http")
    older = record("west", nameless)
    newer = record("east", named, created="2026-02-01T00:00:00Z")
    assert [port.name for port in merged(older, newer).spec.ports] == [""]
    assert merged(older, newer).losing == {"east": (named,)}
    older, newer = record("east", named), record("west", nameless, created="2026-02-01T00:00:00Z")
    assert [port.name for port in merged(older, newer).spec.ports] == ["http"]


@given(records=exports())
def test_the_oldest_export_loses_nothing(records: list[ExportRecord]) -> None:
    oldest = min(records, key=lambda exported: (exported.created, exported.cluster))
    found = merged(*records)
    assert oldest.cluster not in found.losing
    assert found.spec.session_affinity == oldest.session_affinity
    assert found.spec.traffic_distribution == oldest.traffic_distribution
    assert found.labels == {k: v for k, v in oldest.exported_labels.items() if not is_reserved(k)}
    assert (found.spec.type, found.traffic.value) == (oldest.type, oldest.traffic)


@given(records=exports())
def test_a_new_export_changes_nothing_for_the_older_ones(records: list[ExportRecord]) -> None:
    newest = max(records, key=lambda exported: (exported.created, exported.cluster))
    others = [exported for exported in records if exported is not newest]
    if others:
        before, after = merged(*others), merged(*records)
        assert after.spec.ports[: len(before.spec.ports)] == before.spec.ports
        for exported in others:
            assert after.serving[exported.cluster] == before.serving[exported.cluster]


@given(records=exports())
def test_conflicts_are_told_exactly_when_something_differs(records: list[ExportRecord]) -> None:
    def value(exported: ExportRecord) -> object:
        numbers = {(p.name, p.protocol, p.port, p.app_protocol) for p in exported.ports}
        return [
            sorted(numbers, key=repr),
            exported.session_affinity,
            exported.session_affinity_timeout,
            exported.internal_traffic_policy,
            exported.traffic_distribution,
            exported.exported_labels,
            exported.exported_annotations,
            exported.type,
            exported.traffic,
            sorted(exported.ip_families),
        ]

    differ = any(value(exported) != value(records[0]) for exported in records)
    assert bool(merged(*records).conflicts) == differ


@pytest.mark.parametrize(
    ("theirs", "reason", "says"),
    [
        ({"type": "Headless"}, "TypeConflict", "east has ClusterSetIP"),
        ({"session_affinity": "ClientIP"}, "SessionAffinityConflict", "east has None"),
        ({"internal_traffic_policy": "Local"}, "InternalTrafficPolicyConflict", "east has Cluster"),
        ({"traffic_distribution": "PreferClose"}, "TrafficDistributionConflict", "east has None"),
        ({"traffic": "local-first"}, "TrafficConflict", "Conflicting traffic annotation"),
        ({"ip_families": ("IPv4", "IPv6")}, "IPFamilyConflict", "east has IPv4. 1/2 clusters disagree"),
        ({"exported_annotations": {"a": "1"}}, "AnnotationsConflict", "east has {}"),
    ],
)
def test_each_property_has_a_reason_of_its_own_and_the_oldest_export_wins(
    theirs: dict[str, object], reason: str, says: str
) -> None:
    younger = msgspec.structs.replace(record("west", created="2026-02-01T00:00:00Z"), **theirs)
    found = merged(record("east"), younger)
    assert [conflict.reason for conflict in found.conflicts] == [reason]
    assert says in found.conflicts[0].message
    assert found.spec == merged(record("east")).spec
    assert found.traffic == merged(record("east")).traffic


def test_the_order_of_ip_families_is_no_conflict() -> None:
    """It says which family a cluster calls its first, which no caller elsewhere notices."""
    east = msgspec.structs.replace(record("east"), ip_families=("IPv4", "IPv6"))
    west = msgspec.structs.replace(record("west"), ip_families=("IPv6", "IPv4"))
    assert not reasons(east, west)


def test_who_may_use_an_export_is_each_clusters_own_affair() -> None:
    assert not reasons(record("east"), msgspec.structs.replace(record("west"), allow=("east",)))


def test_one_number_for_two_protocols_is_no_clash() -> None:
    dns = (RecordPort(name="dns", port=53, protocol="UDP"), RecordPort(name="dns-tcp", port=53))
    found = merged(record("east", dns[0]), record("west", dns[1], created="2026-02-01T00:00:00Z"))
    assert [(port.name, port.protocol) for port in found.spec.ports] == [("dns", "UDP"), ("dns-tcp", "TCP")]
    assert not found.losing


def test_nobody_exports_nothing() -> None:
    assert merge(()) is None


def test_equal_times_are_decided_by_the_cluster_id() -> None:
    west = record("west", RecordPort(name="http", port=81))
    found = merged(west, record("east"))
    assert [port.port for port in found.spec.ports] == [80]
    assert found.losing == {"west": west.ports}


@pytest.mark.parametrize(
    ("theirs", "union", "lost"),
    [
        ((RecordPort(name="http", port=80),), ["http"], []),
        ((RecordPort(name="admin", port=90),), ["http", "admin"], []),
        ((RecordPort(name="http", port=81),), ["http"], ["http"]),
        ((RecordPort(name="web", port=80),), ["http"], ["web"]),
        ((RecordPort(name="http", port=80, app_protocol="h2c"),), ["http"], []),
        ((RecordPort(name="web", port=80), RecordPort(name="admin", port=90)), ["http", "admin"], ["web"]),
    ],
    ids=["same", "addition", "same name", "same number", "other application protocol", "one of two"],
)
def test_ports_are_a_union_in_which_the_older_export_wins(
    theirs: Sequence[RecordPort], union: list[str], lost: list[str]
) -> None:
    younger = record("west", *theirs, created="2026-02-02T00:00:00Z")
    found = merged(record("east"), younger)
    assert [port.name for port in found.spec.ports] == union
    assert [port.name for port in found.losing.get("west", ())] == lost


def test_even_a_mere_addition_of_a_port_is_a_conflict() -> None:
    assert reasons(record("east"), record("west", RecordPort(name="admin", port=90))) == {"PortConflict"}


def test_the_number_of_ready_endpoints_is_no_conflict() -> None:
    assert not reasons(record("east"), record("west", RecordPort(name="http", port=80, ready=9)))


def test_maps_are_taken_whole_from_the_oldest() -> None:
    east = msgspec.structs.replace(record("east"), exported_labels={"a": "1"})
    west = msgspec.structs.replace(record("west"), exported_labels={"b": "2"})
    found = merged(east, west)
    assert found.labels == {"a": "1"}
    assert reasons(east, west) == {"LabelsConflict"}


@pytest.mark.parametrize(
    "key",
    [
        "kubernetes.io/x",
        "multicluster.kubernetes.io/derived-service",
        "k8s.io/x",
        "multicluster.x-k8s.io/x",
        "meshctl.dev/ready-endpoints",
    ],
)
def test_a_peer_cannot_steer_our_software_by_labels_ruling_11(key: str) -> None:
    exported = msgspec.structs.replace(
        record("east"), exported_labels={key: "x", "a": "1"}, exported_annotations={key: "x", "b": "2"}
    )
    found = merged(exported)
    assert found.labels == {"a": "1"}
    assert found.annotations == {"b": "2"}


@pytest.mark.parametrize("key", ["a", "example.com/a", "notkubernetes.io/a", "meshctl.device/a"])
def test_other_keys_are_imported(key: str) -> None:
    assert not is_reserved(key)


def test_a_conflict_tells_whose_value_is_used_and_who_disagrees() -> None:
    west = msgspec.structs.replace(record("west"), session_affinity="ClientIP", session_affinity_timeout=10)
    messages = [conflict.message for conflict in merged(record("east"), west).conflicts]
    assert messages[0] == (
        "Conflicting session affinity. The oldest export wins: east has None. 1/2 clusters disagree: west."
    )


@pytest.mark.parametrize(
    ("created", "admitted", "expected"),
    [
        ("1970-01-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        ("2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        ("2026-06-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "", "1970-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "last May", "1970-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "2026-05-01T02:00:00+02:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_before_the_members_admission_counts_as_that_admission_ruling_11(
    created: str, admitted: str, expected: str
) -> None:
    claimed = msgspec.structs.replace(record("west"), created=created)
    assert counted(claimed, admitted=admitted).created == expected


def test_who_claims_1970_wins_no_conflict_against_a_member_of_longer_standing_ruling_11() -> None:
    ours = msgspec.structs.replace(record("east"), created="2026-02-01T00:00:00Z")
    theirs = msgspec.structs.replace(record("west"), created="1970-01-01T00:00:00Z", type="Headless")
    admitted = {"east": "2026-01-01T00:00:00Z", "west": "2026-03-01T00:00:00Z"}
    merged = merge(counted(one, admitted=admitted[one.cluster]) for one in (ours, theirs))
    assert merged is not None
    assert merged.spec.type == "ClusterSetIP"
