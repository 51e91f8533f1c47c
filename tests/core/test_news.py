"""What is news about an export, an import, a peer or the trust, and what is none."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mesh_core.lifetimes import Window
from mesh_core.news import CERTIFICATE, News, Observed, Told, news_of
from mesh_core.objects import (
    Condition,
    ExportStatus,
    ImportStatus,
    MeshPeer,
    MeshPeerStatus,
    Meta,
    PathReport,
    ServiceExport,
    ServiceImport,
    TrustBundle,
    TrustBundleSpec,
)
from mesh_core.objects.mesh import PeerTrust
from mesh_core.objects.trust import RootEntry, Signed, Statement, TrustBundleStatus
from mesh_core.trust_statement import text_of
from mesh_fakes.exports import NOW

NAME = Meta(namespace="demo", name="hello", uid="u-1")


def condition(kind: str, status: str, reason: str, *, words: str = "because") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=words)


def export(*conditions: Condition, uid: str = "u-1") -> ServiceExport:
    return ServiceExport(metadata=replace(NAME, uid=uid), status=ExportStatus(conditions=conditions))


def peer(*conditions: Condition, ends: str = "", root: str = "") -> MeshPeer:
    gateways = (PathReport(address="10.0.0.1", cert_not_after=ends),) if ends else ()
    trust = PeerTrust(root=root) if root else None
    return MeshPeer(
        metadata=Meta(name="west", uid="u-2"),
        status=MeshPeerStatus(conditions=conditions, gateways=gateways, trust=trust),
    )


def bundle(*, generation: int, roots: str) -> TrustBundle:
    entries = tuple(RootEntry(key=one * 64, certificate="-") for one in roots)
    text = text_of(Statement(domain="mesh.example", generation=generation, roots=entries, roster=()))
    return TrustBundle(
        metadata=Meta(name="clusterset", uid="u-3"),
        spec=TrustBundleSpec(domain="mesh.example", statement=Signed(text=text)),
        status=TrustBundleStatus(),
    )


def told(*history: Observed, ours: Window | None = None) -> list[list[str]]:
    """What is told of each state in turn, "!" before a warning."""
    known: Told | None = None
    found: list[list[str]] = []
    for seen in history:
        known, news = news_of(seen, told=known, now=NOW, ours=ours)
        found.append([f"{'!' if one.is_warning else ''}{one.what}/{one.reason}" for one in news])
    return found


VALID = condition("Valid", "True", "Valid")
READY = condition("Ready", "True", "Exported")
AGREED = condition("Conflict", "False", "NoConflicts")
CONFLICT = condition("Conflict", "True", "PortConflict")
WITHHELD = condition("Ready", "False", "InvalidPolicy")
SYNCED = condition("Connected", "True", "Synced")
CONNECTING = condition("Connected", "False", "Connecting")
LOST = condition("Connected", "False", "Unreachable")
LEFT = condition("Connected", "False", "Left")
TAKEN = condition("RecordsAccepted", "True", "AllAccepted")
REFUSED = condition("RecordsAccepted", "False", "SomeRefused")

HISTORIES: dict[str, tuple[tuple[Observed, ...], list[list[str]]]] = {
    "an export goes out": ((export(), export(VALID, READY, AGREED)), [[], ["Ready/Exported"]]),
    "nothing is told of an export that stays as it is": (
        (export(VALID, READY, AGREED), export(VALID, READY, AGREED)),
        [["Ready/Exported"], []],
    ),
    "a conflict begins and ends": (
        (export(VALID, READY, AGREED), export(VALID, READY, CONFLICT), export(VALID, READY, AGREED)),
        [["Ready/Exported"], ["!Conflict/PortConflict"], ["Conflict/NoConflicts"]],
    ),
    "an annotation withholds an export, which ends its conflict with it": (
        (export(VALID, READY, CONFLICT), export(VALID, WITHHELD), export(VALID, READY, AGREED)),
        [
            ["Ready/Exported", "!Conflict/PortConflict"],
            ["!Ready/InvalidPolicy"],
            ["Ready/Exported", "Conflict/NoConflicts"],
        ],
    ),
    "an export without a Service is told once and not for each condition": (
        (
            export(condition("Valid", "False", "NoService"), condition("Ready", "False", "Pending")),
            export(VALID, READY, AGREED),
        ),
        [["!Valid/NoService"], ["Valid/Valid", "Ready/Exported"]],
    ),
    "an export that was deleted and made again is another one": (
        (export(VALID, READY), export(VALID, READY, uid="u-9")),
        [["Ready/Exported"], ["Ready/Exported"]],
    ),
    "other words for the same are no news": (
        (export(VALID, WITHHELD), export(VALID, replace(WITHHELD, message="other words"))),
        [["!Ready/InvalidPolicy"], []],
    ),
    "another reason for what is bad is news": (
        (peer(LOST), peer(condition("Connected", "False", "Refused"))),
        [["!Connected/Unreachable"], ["!Connected/Refused"]],
    ),
    "a peer is lost and comes back": (
        (peer(), peer(CONNECTING), peer(SYNCED), peer(LOST), peer(CONNECTING), peer(SYNCED)),
        [[], [], ["Connected/Synced"], ["!Connected/Unreachable"], [], ["Connected/Synced"]],
    ),
    "a peer that is dialled again after a new start was never away": (
        (peer(SYNCED), peer(CONNECTING), peer(SYNCED)),
        [["Connected/Synced"], [], []],
    ),
    "a peer that has left is told of without alarm": (
        (peer(SYNCED), peer(LEFT)),
        [["Connected/Synced"], ["Connected/Left"]],
    ),
    "records are refused, and taken again": (
        (peer(SYNCED, TAKEN), peer(SYNCED, REFUSED), peer(SYNCED, TAKEN)),
        [["Connected/Synced"], ["!RecordsAccepted/SomeRefused"], ["RecordsAccepted/AllAccepted"]],
    ),
    "what nobody knows is neither good nor bad": (
        (peer(SYNCED), peer(condition("Connected", "Unknown", "Nobody")), peer(SYNCED)),
        [["Connected/Synced"], [], []],
    ),
    "conditions of other writers are theirs to tell of": (
        (export(VALID, READY), export(VALID, READY, condition("Theirs", "False", "Bad"))),
        [["Ready/Exported"], []],
    ),
    "a peer's root changes": (
        (peer(SYNCED), peer(SYNCED, root="a" * 64), peer(SYNCED, root="b" * 64)),
        [["Connected/Synced"], [], ["PeerRootChanged/PeerRootChanged"]],
    ),
    "a new root is believed, and the old one no more": (
        (bundle(generation=1, roots="a"), bundle(generation=2, roots="ab"), bundle(generation=3, roots="b")),
        [
            [],
            ["TrustRootsChanged/TrustRootsChanged", "TrustStatementTaken/TrustStatementTaken"],
            ["TrustRootsChanged/TrustRootsChanged", "TrustStatementTaken/TrustStatementTaken"],
        ],
    ),
    "a member more is a statement more, below the same roots": (
        (bundle(generation=1, roots="a"), bundle(generation=2, roots="a")),
        [[], ["TrustStatementTaken/TrustStatementTaken"]],
    ),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_what_is_told_of(history: str) -> None:
    states, wanted = HISTORIES[history]
    assert told(*states) == wanted


def test_an_import_is_told_of_when_it_is_blocked_and_when_it_is_free_again() -> None:
    def seen(one: Condition) -> ServiceImport:
        return ServiceImport(metadata=NAME, status=ImportStatus(conditions=(one,)))

    good, blocked = condition("Ready", "True", "Ready"), condition("Ready", "False", "Pending")
    assert told(seen(good), seen(blocked), seen(good)) == [[], ["!Ready/Pending"], ["Ready/Ready"]]


@pytest.mark.parametrize(
    ("left", "wanted"),
    [(timedelta(hours=2), []), (timedelta(minutes=50), [f"!{CERTIFICATE}/{CERTIFICATE}"])],
)
def test_a_peers_certificate_is_told_of_in_its_last_hour(left: timedelta, wanted: list[str]) -> None:
    assert told(peer(ends=(NOW + left).isoformat())) == [wanted]


@pytest.mark.parametrize("ends", ["soon", "2026-01-01T11:00:00", "9" * 300])
def test_an_end_that_does_not_read_is_no_end(ends: str) -> None:
    assert told(peer(ends=ends)) == [[]]


def test_our_own_intermediate_is_told_of_in_its_last_quarter_and_when_there_is_a_new_one() -> None:
    ours = bundle(generation=1, roots="a")
    known: Told | None = None
    found: list[tuple[News, ...]] = []
    for left in (30, 20, 10, 90):
        end = NOW + timedelta(days=left)
        window = Window(end - timedelta(days=90), end)
        known, news = news_of(ours, told=known, now=NOW, ours=window)
        found.append(news)
    reasons = [[one.reason for one in news] for news in found]
    assert reasons == [[], [CERTIFICATE], [], ["CertificateRenewed"]]
    assert "meshctl trust renew" in found[1][0].words


CONDITIONS = st.lists(
    st.builds(
        condition,
        st.sampled_from(["Valid", "Ready", "Conflict", "Connected", "RecordsAccepted", "Theirs"]),
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(["One", "Two", "Connecting", "Left"]),
        words=st.text(max_size=5),
    ),
    unique_by=lambda one: one.type,
    max_size=6,
)
STATES = CONDITIONS.flatmap(
    lambda found: st.sampled_from([export(*found), peer(*found)]),
)


@given(st.lists(STATES, min_size=1, max_size=6), st.data())
def test_who_begins_anew_at_any_moment_tells_nothing_of_what_stays(
    history: list[Observed], data: st.DataObject
) -> None:
    kind = type(history[0])
    states = [one for one in history if isinstance(one, kind)]
    now = data.draw(st.sampled_from(states))
    fresh, _ = news_of(now, told=None, now=NOW)
    assert news_of(now, told=fresh, now=NOW) == (fresh, ())


@given(CONDITIONS, CONDITIONS)
def test_whoever_saw_more_tells_what_whoever_saw_less_would_at_most(
    first: list[Condition], second: list[Condition]
) -> None:
    """Only conditions that differ from what was told of them are told again."""
    before, after = export(*first), export(*second)
    known, _ = news_of(before, told=None, now=NOW)
    _, news = news_of(after, told=known, now=NOW)
    same = {(one.type, one.status, one.reason) for one in first}
    changed = {one.type for one in second if (one.type, one.status, one.reason) not in same}
    # `Ready` may be told late: it was not while `Valid` was bad.
    assert {one.what for one in news} <= changed | {"Ready"}


@given(CONDITIONS)
def test_a_warning_is_only_ever_of_what_is_bad(found: list[Condition]) -> None:
    bad = {"Valid": "False", "Ready": "False", "Conflict": "True"}
    _, news = news_of(export(*found), told=None, now=NOW)
    status = {one.type: one.status for one in found}
    assert all(one.is_warning == (status[one.what] == bad[one.what]) for one in news if one.reason != "Left")
