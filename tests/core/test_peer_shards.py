"""Shards of a peer: when one stands, what the peer may occupy, what our own policy takes (ruling 11)."""

import msgspec
import pytest

from mesh_core.import_policy import ImportPolicy, policy_for
from mesh_core.objects import ImportLimits, MeshPeer, MeshPeerSpec, Meta, PeerImport
from mesh_core.peer_log import ListDigest
from mesh_core.peer_view import Absence, Arrival, PeerView, Stored, Wanted
from mesh_core.peer_wire import Drop, Put, Synced, record_bytes
from mesh_core.record import ExportRecord, RecordPort, Shard, ShardEndpoint

RECORD = ("demo", "hello", "")
SHARD = ("demo", "hello", "aaaaaaaaaa")


def record(name: str = "hello", *, kind: str = "Headless", day: int = 1, **more: object) -> ExportRecord:
    return msgspec.convert(
        {
            "cluster": "west",
            "namespace": "demo",
            "name": name,
            "created": f"2026-01-{day:02}T00:00:00Z",
            "type": kind,
            "ports": [RecordPort(port=80)],
            **more,
        },
        ExportRecord,
    )


def shard(name: str = "hello", *addresses: str, letter: str = "a", namespace: str = "demo") -> Shard:
    endpoints = tuple(ShardEndpoint(address=address) for address in addresses or ("10.2.0.1",))
    return Shard(cluster="west", namespace=namespace, name=name, shard=letter * 10, endpoints=endpoints)


def put(entry: ExportRecord | Shard, revision: int = 1) -> Arrival:
    return Arrival(Put(revision=revision, record=record_bytes(entry)))


def list_of(view: PeerView, *entries: ExportRecord | Shard) -> PeerView:
    puts = [put(entry) for entry in entries]
    digest = ListDigest()
    synced = Synced(epoch="e1", revision=9, complete=True, count=digest.count, hash=digest.text())
    view.replace(puts, synced=synced)
    return view


def west(network: str = "", **imports: object) -> MeshPeer:
    spec = MeshPeerSpec(network=network, imports=msgspec.convert(imports, PeerImport))
    return MeshPeer(metadata=Meta(name="west"), spec=spec)


def view_by(peer: MeshPeer, *entries: ExportRecord | Shard, network: str = "blue") -> PeerView:
    """A view of west by what its MeshPeer says, after a list of `entries`; we are east."""
    view = PeerView(cluster="west", policy=policy_for(peer, cluster="east", network=network))
    return list_of(view, *entries)


NEIGHBOUR = west("blue", podCIDRs=["10.2.0.0/16", "fd00:2::/64"])
PLAIN = record(kind="ClusterSetIP")


@pytest.mark.parametrize(
    ("peer", "service", "stands"),
    [
        (west(), record(), True),
        (west(), PLAIN, False),
        (west("green"), PLAIN, False),
        (NEIGHBOUR, PLAIN, True),
        (NEIGHBOUR, record(), True),
        (west("blue"), PLAIN, False),
        (west("blue"), record(), False),
    ],
    ids=[
        "headless, another network",
        "clusterset IP, another network",
        "clusterset IP, a network that is not ours",
        "clusterset IP, our network",
        "headless, our network",
        "our network, no podCIDRs",
        "headless on our network, no podCIDRs",
    ],
)
def test_a_shard_stands_only_where_it_is_of_use_and_believed(
    peer: MeshPeer, service: ExportRecord, stands: bool
) -> None:
    view = view_by(peer, service, shard())
    assert view.standing(RECORD) == Wanted(service)
    assert view.standing(SHARD) == (Wanted(shard()) if stands else Absence.GONE)


def test_two_clusters_without_a_network_are_no_neighbours() -> None:
    assert view_by(west(""), PLAIN, shard(), network="").standing(SHARD) is Absence.GONE


def test_a_shard_without_its_record_says_nothing() -> None:
    assert view_by(NEIGHBOUR, shard()).standing(SHARD) is Absence.GONE


def test_a_neighbour_is_told_what_to_do_once_however_many_shards_it_has() -> None:
    view = view_by(west("blue"), PLAIN, shard(), shard(letter="b"))
    (why,) = view.refusals
    assert "set spec.import.podCIDRs of MeshPeer west" in why


@pytest.mark.parametrize("address", ["10.3.0.1", "192.168.0.1", "10.1.255.255"])
def test_an_address_outside_of_the_podcidrs_is_refused_with_its_shard(address: str) -> None:
    view = view_by(NEIGHBOUR, PLAIN, shard("hello", "10.2.0.1", address), shard(letter="b"))
    assert view.standing(SHARD) is Absence.GONE
    assert isinstance(view.standing(("demo", "hello", "bbbbbbbbbb")), Wanted)
    (why,) = view.refusals
    assert address in why


def test_a_shard_that_leaves_the_podcidrs_takes_the_last_good_one_with_it() -> None:
    view = view_by(NEIGHBOUR, PLAIN, shard())
    view.change(put(shard("hello", "192.168.0.1"), revision=10))
    assert view.standing(SHARD) is Absence.GONE
    view.change(put(shard(), revision=11))
    assert view.standing(SHARD) == Wanted(shard())
    assert view.refusals == ()


def test_another_family_has_its_own_podcidrs() -> None:
    good, bad = (
        msgspec.structs.replace(shard("hello", address), address_type="IPv6")
        for address in ("fd00:2::1", "fd00:3::1")
    )
    assert view_by(NEIGHBOUR, PLAIN, good).standing(SHARD) == Wanted(good)
    assert view_by(NEIGHBOUR, PLAIN, bad).standing(SHARD) is Absence.GONE


def test_when_a_service_becomes_headless_its_shards_are_looked_at_anew() -> None:
    view = view_by(west(), PLAIN, shard(), shard(letter="b"))
    touched = view.change(put(record(), revision=10))
    assert touched == (RECORD, SHARD, ("demo", "hello", "bbbbbbbbbb"))
    assert view.standing(SHARD) == Wanted(shard())
    assert view.change(put(PLAIN, revision=11)) == touched
    assert view.standing(SHARD) is Absence.GONE


def test_a_count_that_changes_touches_the_record_alone() -> None:
    view = view_by(west(), record(), shard())
    assert view.change(put(record(ports=[RecordPort(port=80, ready=5)]), revision=10)) == (RECORD,)
    assert view.change(put(shard("hello", "10.2.0.9"), revision=11)) == (SHARD,)


def test_a_record_that_goes_takes_its_shards_with_it() -> None:
    view = view_by(west(), record(), shard())
    assert view.change(Drop(revision=10, namespace="demo", name="hello")) == (RECORD, SHARD)
    assert view.standing(SHARD) is Absence.GONE


def test_a_shard_that_is_dropped_is_gone_and_its_service_is_not() -> None:
    view = view_by(west(), record(), shard())
    view.change(Drop(revision=10, namespace="demo", name="hello", shard="aaaaaaaaaa"))
    assert (view.standing(RECORD), view.standing(SHARD)) == (Wanted(record()), Absence.GONE)


def test_before_the_first_list_what_is_stored_stays_by_the_stored_record() -> None:
    view = PeerView(cluster="west", policy=policy_for(NEIGHBOUR, cluster="east", network="blue"))
    assert view.standing(SHARD, stored=Stored(shard(), PLAIN)) is Absence.UNKNOWN
    assert view.standing(RECORD, stored=Stored(PLAIN, PLAIN)) is Absence.UNKNOWN


@pytest.mark.parametrize(
    "peer", [west(), west("blue"), west("blue", podCIDRs=["10.3.0.0/16"])], ids=["left", "none", "others"]
)
def test_what_is_stored_goes_without_a_word_of_the_peer_when_our_policy_takes_it_no_more(
    peer: MeshPeer,
) -> None:
    view = PeerView(cluster="west", policy=policy_for(peer, cluster="east", network="blue"))
    assert view.standing(SHARD, stored=Stored(shard(), PLAIN)) is Absence.GONE
    assert view.standing(RECORD, stored=Stored(PLAIN, PLAIN)) is Absence.UNKNOWN


def test_another_policy_counts_at_once_and_has_everything_told_again() -> None:
    view = view_by(NEIGHBOUR, PLAIN, shard())
    view.adopt(policy_for(west("blue", podCIDRs=["10.3.0.0/16"]), cluster="east", network="blue"))
    assert view.standing(SHARD) is Absence.GONE
    assert (view.epoch, view.revision) == ("", 0)
    view.adopt(policy_for(NEIGHBOUR, cluster="east", network="blue"))
    assert view.standing(RECORD) == Wanted(PLAIN)
    assert list_of(view, PLAIN, shard()).standing(SHARD) == Wanted(shard())


@pytest.mark.parametrize(
    ("peer", "taken"),
    [
        (west(namespaces=["demo"]), True),
        (west(namespaces=["other"]), False),
        (west(namespaces=[]), False),
        (west(requireAllow=True), False),
    ],
    ids=["named", "not named", "none named", "an allow is wanted"],
)
def test_what_may_be_exported_into_is_ours_to_say(peer: MeshPeer, taken: bool) -> None:
    view = view_by(peer, record(), shard())
    expected = (Wanted(record()), Wanted(shard())) if taken else (Absence.GONE, Absence.GONE)
    assert (view.standing(RECORD), view.standing(SHARD)) == expected
    assert bool(view.refusals) is not taken
    assert view.services == int(taken)


@pytest.mark.parametrize(
    ("allow", "taken"),
    [
        (["east"], True),
        (["east/shop"], True),
        (["*"], True),
        (["north"], False),
        (["east/what/is/this"], False),
        ([], False),
        (None, False),
    ],
)
def test_where_an_allow_is_wanted_it_must_name_us(allow: list[str] | None, taken: bool) -> None:
    view = view_by(west(requireAllow=True), record(allow=allow))
    assert isinstance(view.standing(RECORD), Wanted) is taken


def test_of_too_many_endpoints_those_of_the_oldest_exports_are_kept() -> None:
    peer = west(limits={"endpoints": 3})
    young, old = record("young", day=2), record("old", day=1)
    view = view_by(
        peer, young, old, shard("young", "10.2.0.1", "10.2.0.2"), shard("old", "10.2.0.3", "10.2.0.4")
    )
    assert isinstance(view.standing(("demo", "old", "aaaaaaaaaa")), Wanted)
    assert view.standing(("demo", "young", "aaaaaaaaaa")) is Absence.GONE, "what is beyond a bound goes"
    (why,) = view.refusals
    assert "more than 3 endpoints" in why


def test_of_too_many_ports_those_of_the_oldest_exports_are_kept() -> None:
    """Each takes an egress port, of which there are 16,384 for everybody."""
    old, young = record("old", day=1), record("young", day=2)
    view = view_by(west(limits={"ports": len(old.ports)}), young, old)
    assert isinstance(view.standing(("demo", "old", "")), Wanted)
    assert view.standing(("demo", "young", "")) is Absence.GONE
    (why,) = view.refusals
    assert f"more than {len(old.ports)} ports" in why


def test_ports_that_take_no_egress_port_are_not_counted() -> None:
    """SCTP is carried nowhere; UDP takes an egress port like TCP."""
    http = RecordPort(port=80, name="http")
    signal = RecordPort(port=9, name="signal", protocol="SCTP")
    dns = RecordPort(port=53, name="dns", protocol="UDP")
    assert not view_by(west(limits={"ports": 1}), record(ports=[http, signal])).refusals
    (why,) = view_by(west(limits={"ports": 1}), record(ports=[http, dns])).refusals
    assert "more than 1 ports" in why


def test_a_limit_that_is_lowered_takes_back_what_was_stored_beyond_it() -> None:
    old, young = record("old", day=1), record("young", day=2)
    view = list_of(PeerView(cluster="west", policy=ImportPolicy(limits=ImportLimits(services=1))), old, young)
    stored = Stored(entry=young, record=young)
    assert view.standing(("demo", "young", ""), stored=stored) is Absence.GONE


def test_a_shard_that_shrinks_makes_room() -> None:
    view = view_by(west(limits={"endpoints": 2}), record(), shard("hello", "10.2.0.1", "10.2.0.2"))
    view.change(put(shard(letter="b"), revision=10))
    assert len(view.refusals) == 1
    view.change(put(shard("hello", "10.2.0.1"), revision=11))
    view.change(put(shard(letter="b"), revision=12))
    assert len(view.refusals) == 0
    view.change(Drop(revision=13, namespace="demo", name="hello", shard="aaaaaaaaaa"))
    view.change(put(shard("hello", "10.2.0.1", "10.2.0.2", letter="b"), revision=14))
    assert len(view.refusals) == 0


def test_services_and_their_shards_are_counted_apart() -> None:
    # Four shards: one for the Service, and three for as many times 25 endpoints.
    policy = ImportPolicy(limits=ImportLimits(services=1, endpoints=75))
    shards = [shard(letter=letter) for letter in "abcde"]
    view = list_of(PeerView(cluster="west", policy=policy), record(), record("more", day=2), *shards)
    assert view.services == 1
    assert view.keys() == {RECORD, *(("demo", "hello", letter * 10) for letter in "abcd")}
    assert len(view.refusals) == 2
