"""The importing end: what counts, what is put aside, and what ends a stream."""

import msgspec
import pytest

from mesh_core import peer_view
from mesh_core.objects import ImportLimits
from mesh_core.objects.mesh import PeerTrust
from mesh_core.objects.trust import Signed
from mesh_core.peer_identity import IdentityUsedTwice
from mesh_core.peer_log import ListDigest, RecordLog
from mesh_core.peer_session import PeerLeft, PeerSession, Phase
from mesh_core.peer_view import Absence, PeerView, Wanted
from mesh_core.peer_wire import (
    Ack,
    Bye,
    Drop,
    Heartbeat,
    Hello,
    Mesh,
    Message,
    PeerProtocolError,
    Put,
    Signer,
    Synced,
    Trust,
    TrustReport,
    Watch,
    record_bytes,
)
from mesh_core.record import ExportRecord, RecordPort
from mesh_core.record_signature import Signature

OURS = Hello(version=1, cluster="east", kube_system_uid="uid-east")
THEIRS = Hello(version=1, cluster="west", kube_system_uid="uid-west")
HELLO = ("demo", "hello", "")


def export(name: str = "hello", *, ready: int = 1, cluster: str = "west", day: int = 1) -> ExportRecord:
    return ExportRecord(
        cluster=cluster,
        namespace="demo",
        name=name,
        created=f"2026-01-{day:02}T00:00:00Z",
        ports=(RecordPort(port=80, name="http", ready=ready),),
    )


def bad(revision: int = 1, *, name: str = "hello") -> Put:
    """A record that says whose it is, and is refused."""
    broken = msgspec.structs.replace(export(name), ports=())
    return Put(revision=revision, record=record_bytes(broken))


def test_a_list_that_is_under_way_is_acknowledged_so_that_a_thin_line_is_not_silence() -> None:
    session = session_of(PeerView(cluster="west"))
    effect = session.take(Put(revision=1, record=record_bytes(export())))
    assert isinstance(effect.reply, Ack)
    assert session.view.standing(HELLO) is Absence.UNKNOWN


def test_an_explicit_drop_counts_though_another_record_could_not_be_read() -> None:
    view = PeerView(cluster="west")
    session = listed(view, Put(revision=1, record=record_bytes(export())), UNREADABLE)
    assert view.standing(("demo", "other", "")) is Absence.UNKNOWN
    session.take(Drop(revision=10, namespace="demo", name="hello"))
    assert view.standing(HELLO) is Absence.GONE
    session.take(Put(revision=11, record=record_bytes(export())))
    assert isinstance(view.standing(HELLO), Wanted)


UNREADABLE = Put(revision=1, record=msgspec.Raw(b'{"name": 1}'))


def session_of(view: PeerView) -> PeerSession:
    session = PeerSession(view, hello=OURS)
    session.take(THEIRS)
    return session


def listed(view: PeerView, *puts: Put, epoch: str = "e1", revision: int = 9) -> PeerSession:
    """A session that has just been synced by a list of `puts`."""
    session = session_of(view)
    for put in puts:
        session.take(put)
    session.take(synced_by(*puts, epoch=epoch, revision=revision))
    return session


def synced_by(*puts: Put, epoch: str = "e1", revision: int = 9) -> Synced:
    digest = ListDigest()
    for put in puts:
        digest.add(bytes(put.record))
    return Synced(epoch=epoch, revision=revision, complete=True, count=digest.count, hash=digest.text())


def put(record: ExportRecord, revision: int = 1) -> Put:
    return Put(revision=revision, record=record_bytes(record))


def view_of(*records: ExportRecord) -> PeerView:
    view = PeerView(cluster="west")
    listed(view, *(put(record) for record in records))
    return view


def test_the_answer_to_a_hello_is_a_watch_from_where_we_are() -> None:
    view = PeerView(cluster="west")
    effect = PeerSession(view, hello=OURS).take(THEIRS)
    assert effect.reply == Watch(epoch="", revision=0)
    listed(view, put(export()))
    assert PeerSession(view, hello=OURS).take(THEIRS).reply == Watch(epoch="e1", revision=9)


def test_nothing_of_a_list_counts_before_it_is_whole() -> None:
    view = PeerView(cluster="west")
    session = session_of(view)
    session.take(put(export()))
    assert view.standing(HELLO) is Absence.UNKNOWN
    effect = session.take(synced_by(put(export())))
    assert effect.synced
    assert effect.reply == Ack(revision=9)
    assert view.standing(HELLO) == Wanted(export())


def test_a_list_that_breaks_off_changes_nothing() -> None:
    view = view_of(export("hello"), export("other"))
    session_of(view).take(put(export("other", ready=5)))
    assert view.standing(HELLO) == Wanted(export())
    assert view.standing(("demo", "other", "")) == Wanted(export("other"))


@pytest.mark.parametrize(
    "lie",
    [{"count": 2}, {"hash": "0" * 64}, {"count": 0}],
    ids=["count too high", "another hash", "count too low"],
)
def test_a_list_whose_count_or_hash_does_not_agree_sweeps_nothing(lie: dict[str, object]) -> None:
    view = view_of(export("hello"))
    session = session_of(view)
    session.take(put(export("other")))
    with pytest.raises(PeerProtocolError):
        session.take(msgspec.structs.replace(synced_by(put(export("other"))), **lie))
    assert view.keys() == {HELLO}


def test_what_a_complete_list_does_not_name_is_gone() -> None:
    view = view_of(export("hello"), export("other"))
    listed(view, put(export("other")))
    assert view.standing(HELLO) is Absence.GONE


def test_a_resumption_brings_changes_and_takes_nothing_for_gone() -> None:
    view = view_of(export("hello"), export("other"))
    session = session_of(view)
    session.take(put(export("hello", ready=3), revision=10))
    session.take(Drop(revision=11, namespace="demo", name="other"))
    assert view.standing(HELLO) == Wanted(export())
    session.take(Synced(epoch="e1", revision=11, complete=False))
    assert view.standing(HELLO) == Wanted(export(ready=3))
    assert view.standing(("demo", "other", "")) is Absence.GONE
    assert view.revision == 11


def test_a_resumption_of_an_epoch_that_we_did_not_ask_for_is_refused() -> None:
    for view, epoch in ((PeerView(cluster="west"), ""), (view_of(export()), "e2")):
        with pytest.raises(PeerProtocolError):
            session_of(view).take(Synced(epoch=epoch, revision=3, complete=False))


def test_live_changes_count_at_once_and_are_acknowledged() -> None:
    view = PeerView(cluster="west")
    session = listed(view)
    effect = session.take(put(export(), revision=10))
    assert (effect.changed, effect.reply) == ((HELLO,), Ack(revision=10))
    effect = session.take(Drop(revision=11, namespace="demo", name="hello"))
    assert effect.changed == (HELLO,)
    assert view.standing(HELLO) is Absence.GONE


def test_a_bad_record_is_refused_and_the_good_ones_apply() -> None:
    view = PeerView(cluster="west")
    listed(view, put(export("good")), bad(name="poor"))
    assert view.keys() == {("demo", "good", "")}
    (why,) = view.refusals
    assert "ports" in why


def test_a_bad_record_leaves_the_last_good_one_in_force() -> None:
    view = view_of(export(ready=2))
    session = listed(view, bad())
    assert view.standing(HELLO) == Wanted(export(ready=2))
    session.take(bad(revision=10))
    assert view.standing(HELLO) == Wanted(export(ready=2))
    session.take(put(export(ready=3), revision=11))
    assert view.standing(HELLO) == Wanted(export(ready=3))
    assert view.refusals == ()


def test_a_refused_service_that_an_earlier_life_accepted_is_not_taken_for_gone() -> None:
    view = PeerView(cluster="west")
    listed(view, bad())
    assert view.standing(HELLO) is Absence.UNKNOWN
    assert view.standing(("demo", "other", "")) is Absence.GONE


def test_while_a_record_cannot_be_read_at_all_nothing_is_taken_for_gone() -> None:
    view = view_of(export("hello"))
    listed(view, UNREADABLE)
    assert view.standing(HELLO) is Absence.UNKNOWN
    assert len(view.refusals) == 1
    listed(view)
    assert view.standing(HELLO) is Absence.GONE


def test_a_record_of_another_cluster_is_refused() -> None:
    view = PeerView(cluster="west")
    listed(view, put(export(cluster="north")))
    assert view.keys() == frozenset()


def test_of_too_many_exports_the_oldest_are_kept() -> None:
    most = ImportLimits().services
    records = [export(f"s{number}", day=2) for number in range(most)]
    view = view_of(*records, export("z-oldest", day=1))
    assert len(view.keys()) == most
    assert ("demo", "z-oldest", "") in view.keys()
    assert len(view.refusals) == 1


def test_a_peer_must_be_who_its_certificate_says() -> None:
    with pytest.raises(PeerProtocolError):
        PeerSession(PeerView(cluster="north"), hello=OURS).take(THEIRS)


def test_a_copy_of_this_cluster_is_refused_ruling_29() -> None:
    twin = msgspec.structs.replace(THEIRS, kube_system_uid="uid-east")
    with pytest.raises(PeerProtocolError, match="this very cluster"):
        PeerSession(PeerView(cluster="west"), hello=OURS).take(twin)


def test_another_cluster_than_the_one_that_was_pinned_is_refused_with_words_for_both_ruling_29() -> None:
    PeerSession(PeerView(cluster="west"), hello=OURS, pinned="uid-west").take(THEIRS)
    PeerSession(PeerView(cluster="west"), hello=OURS, pinned="x").take(
        msgspec.structs.replace(THEIRS, kube_system_uid="")
    )
    with pytest.raises(IdentityUsedTwice, match="two clusters use the id west") as refusal:
        PeerSession(PeerView(cluster="west"), hello=OURS, pinned="uid-old").take(THEIRS)
    for word in ("uid-old", "uid-west", "delete MeshPeer west in east"):
        assert word in refusal.value.what


class Verifier:
    """Believes chains that begin with "good", and signatures that name the chain."""

    def __init__(self) -> None:
        self.leaf = ""

    def adopt(self, chain: tuple[str, ...]) -> str:
        if not chain[0].startswith("good"):
            return "it is somebody else"
        self.leaf = chain[0]
        return ""

    def holds(self, record: bytes, *, signature: str) -> bool:
        return bool(self.leaf) and signature == f"by {self.leaf}"


SIGNING = msgspec.structs.replace(THEIRS, features=("signatures",))


def signed(revision: int, by: str, *, ready: int = 1) -> Put:
    return msgspec.structs.replace(put(export(ready=ready), revision=revision), signature=by)


def signing_session(view: PeerView, *puts: Put) -> PeerSession:
    session = PeerSession(view, hello=OURS, verifier=Verifier())
    session.take(SIGNING)
    session.take(Signer(chain=("good 1",)))
    for one in puts:
        session.take(one)
    session.take(synced_by(*puts))
    return session


def test_a_signature_is_kept_with_the_record() -> None:
    view = PeerView(cluster="west")
    session = signing_session(view, signed(1, "by good 1"))
    assert view.standing(HELLO) == Wanted(export(), Signature("by good 1", "good 1"))
    session.take(Signer(chain=("good 2",)))
    session.take(signed(10, "by good 2", ready=2))
    assert view.standing(HELLO) == Wanted(export(ready=2), Signature("by good 2", "good 2"))


@pytest.mark.parametrize(
    ("signature", "said"), [("", "not signed"), ("by good 2", "not that of the peer's controller")]
)
def test_a_record_with_a_bad_signature_is_refused_and_the_last_good_one_stays(
    signature: str, said: str
) -> None:
    view = PeerView(cluster="west")
    session = signing_session(view, signed(1, "by good 1"))
    session.take(signed(10, signature, ready=2))
    assert view.standing(HELLO) == Wanted(export(), Signature("by good 1", "good 1"))
    (why,) = view.refusals
    assert why.startswith("demo/hello: ")
    assert said in why


def test_in_a_list_a_signature_counts_by_the_signer_that_was_shown_before_it() -> None:
    view = PeerView(cluster="west")
    session = PeerSession(view, hello=OURS, verifier=Verifier())
    puts = [signed(1, "by good 1"), msgspec.structs.replace(put(export("other")), signature="by good 2")]
    for message in (SIGNING, Signer(chain=("good 1",)), puts[0], Signer(chain=("good 2",)), puts[1]):
        session.take(message)
    session.take(synced_by(*puts))
    assert view.keys() == {HELLO, ("demo", "other", "")}


def test_who_shows_another_signer_than_its_controller_is_not_listened_to() -> None:
    session = PeerSession(PeerView(cluster="west"), hello=OURS, verifier=Verifier())
    session.take(SIGNING)
    with pytest.raises(PeerProtocolError, match="it is somebody else"):
        session.take(Signer(chain=("bad",)))


def test_an_older_peer_that_does_not_sign_is_believed_by_its_certificate() -> None:
    view = PeerView(cluster="west")
    session = PeerSession(view, hello=OURS, verifier=Verifier())
    session.take(THEIRS)
    session.take(put(export()))
    session.take(synced_by(put(export())))
    assert view.standing(HELLO) == Wanted(export())


def test_what_is_stored_without_what_we_do_not_read_is_stored_without_its_signature() -> None:
    view = PeerView(cluster="west")
    raw = bytes(record_bytes(export()))[:-1] + b',"weather":"fine"}'
    newer = Put(revision=1, record=msgspec.Raw(raw), signature="by good 1")
    signing_session(view, newer)
    assert view.standing(HELLO) == Wanted(export())


def test_what_a_peer_says_of_its_peers_may_come_at_any_time_after_its_hello() -> None:
    session = session_of(PeerView(cluster="west"))
    assert session.take(Mesh(peers=("east",))).mesh
    assert session.mesh == Mesh(peers=("east",))
    session = listed(PeerView(cluster="west"))
    assert session.take(Mesh(peers=())).mesh


def test_another_version_of_the_stream_is_refused() -> None:
    with pytest.raises(PeerProtocolError, match="version 2"):
        PeerSession(PeerView(cluster="west"), hello=OURS).take(msgspec.structs.replace(THEIRS, version=2))


def test_a_heartbeat_is_answered() -> None:
    effect = session_of(view_of(export())).take(Heartbeat())
    assert effect.reply == Ack(revision=9)


def test_a_farewell_ends_the_stream_with_its_reason() -> None:
    with pytest.raises(PeerLeft, match="because"):
        session_of(PeerView(cluster="west")).take(Bye(reason="because"))


OUT_OF_PLACE: dict[str, tuple[Phase, Message]] = {
    "a record before the hello": (Phase.GREETING, put(export())),
    "peers before the hello": (Phase.GREETING, Mesh(peers=())),
    "a signer before the hello": (Phase.GREETING, Signer(chain=("good",))),
    "an end before the hello": (Phase.GREETING, synced_by()),
    "a second hello": (Phase.WATCHING, THEIRS),
    "a watch": (Phase.WATCHING, Watch(epoch="", revision=0)),
    "an acknowledgement": (Phase.SYNCED, Ack(revision=1)),
    "a second end": (Phase.SYNCED, synced_by()),
    "a revision that was": (Phase.SYNCED, put(export(), revision=9)),
}


@pytest.mark.parametrize(("phase", "message"), OUT_OF_PLACE.values(), ids=OUT_OF_PLACE)
def test_a_message_out_of_place_ends_the_stream(phase: Phase, message: Message) -> None:
    view = PeerView(cluster="west")
    match phase:
        case Phase.GREETING:
            session = PeerSession(view, hello=OURS)
        case Phase.WATCHING:
            session = session_of(view)
        case Phase.SYNCED:
            session = listed(view)
    with pytest.raises(PeerProtocolError):
        session.take(message)


def test_a_list_without_end_is_cut_off() -> None:
    session = session_of(PeerView(cluster="west"))
    drop = Drop(revision=1, namespace="demo", name="hello")
    with pytest.raises(PeerProtocolError, match="longer"):
        for _ in range(peer_view.MOST_LISTED + 1):
            session.take(drop)


def test_a_log_and_a_session_understand_each_other() -> None:
    log, view = RecordLog(epoch="e1"), PeerView(cluster="west")
    for number in range(20):
        log.put(export(f"s{number}"))
    first = session_of(view)
    for message in log.opening(Watch(epoch=view.epoch, revision=view.revision), shards=True).messages:
        first.take(message)
    assert len(view.keys()) == 20
    log.drop(("demo", "s3", ""))
    log.put(export("s4", ready=4))
    second = session_of(view)
    messages = log.opening(Watch(epoch=view.epoch, revision=view.revision), shards=True).messages
    assert len(messages) == 3
    for message in messages:
        second.take(message)
    assert view.standing(("demo", "s3", "")) is Absence.GONE
    assert view.standing(("demo", "s4", "")) == Wanted(export("s4", ready=4))


def test_the_peer_has_settled_on_nothing_until_it_reports_it() -> None:
    session = PeerSession(PeerView(cluster="west"), hello=OURS)
    session.take(msgspec.structs.replace(THEIRS, trust_generation=2, trust_revision=1))
    assert session.trust == PeerTrust(generation=0, revision=1)
    effect = session.take(TrustReport(generation=3, root="0" * 64))
    assert effect.report
    assert session.trust == PeerTrust(generation=3, root="0" * 64)


def test_texts_are_handed_on_in_every_phase_after_the_hello_and_change_no_records() -> None:
    passed = Trust(statement=Signed(text="{}"))
    assert session_of(PeerView(cluster="west")).take(passed).trust == passed
    session = listed(PeerView(cluster="west"), put(export()))
    effect = session.take(passed)
    assert (effect.trust, effect.reply, effect.changed) == (passed, None, ())


@pytest.mark.parametrize("message", [Trust(), TrustReport(generation=1)])
def test_trust_before_the_hello_ends_the_stream(message: Message) -> None:
    with pytest.raises(PeerProtocolError, match="before its hello"):
        PeerSession(PeerView(cluster="west"), hello=OURS).take(message)
