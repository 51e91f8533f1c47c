"""What `status` shows, to the letter."""

import json
import re
from dataclasses import replace

import msgspec
import pytest

from mesh_cli.paint import plain
from mesh_cli.status.links import Standing, link_of
from mesh_cli.status.render import survey_as_json, survey_as_text
from mesh_cli.status.survey import (
    AcknowledgedSeen,
    CertificateSeen,
    ExportSeen,
    ImportSeen,
    MemberSeen,
    NotSeen,
    PathSeen,
    PeerSeen,
    Program,
    Survey,
)
from mesh_core.objects import Condition

AT = "2026-03-01T12:00:00Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message)


EAST = MemberSeen(
    context="kind-east",
    cluster="east",
    domain="clusterset.internal",
    why="",
    server_version="v1.34.4",
    programs=(
        Program("meshctl-controller", 2, 2),
        Program("meshctl-gateway", 1, 2),
        Program("meshctl-dns", 2, 2),
    ),
    peers=(
        PeerSeen(
            cluster="west",
            gateways=("192.0.2.7:15443", "[2001:db8::7]:15443"),
            connected=condition("Connected", "True", "Synced"),
            exports=12,
            last_sync="2026-03-01T11:58:30Z",
            last_contact="2026-03-01T11:59:57.123456Z",
            acknowledged=AcknowledgedSeen(17, "2026-03-01T11:59:56Z"),
            paths=(
                PathSeen("10.1.0.4", True, "Up", 0.00152),
                PathSeen("10.1.0.9", False, "Down", None, "no answer"),
            ),
            complaints=(condition("PartialMesh", "True", "LinkMissing", "west is linked\nwith south"),),
        ),
        PeerSeen(
            cluster="north",
            gateways=("gw.north.example:15443",),
            connected=condition("Connected", "False", "Unreachable", "no address of north answers"),
            exports=0,
            last_sync="",
            last_contact="2026-02-27T12:00:00Z",
        ),
    ),
    exports=(
        ExportSeen(
            namespace="demo",
            name="hello",
            conditions=(
                condition("Valid", "True", "Valid"),
                condition("Ready", "True", "Exported"),
                condition("Conflict", "True", "PortConflict", "port 80 is http here and web in west"),
            ),
        ),
        ExportSeen(namespace="demo", name="new", conditions=()),
    ),
    imports=(
        ImportSeen(
            namespace="demo",
            name="hello",
            type="ClusterSetIP",
            ips=("10.96.7.7",),
            ports=("80/TCP", "443/TCP"),
            clusters=("east", "west"),
            conditions=(condition("Ready", "True", "Ready"),),
        ),
    ),
    at="2026-03-01T12:00:00Z",
    certificates=(
        CertificateSeen("gateways of west", "2026-03-01T13:30:00Z", True),
        CertificateSeen("intermediate of west", "2026-02-28T13:30:00Z", True),
        CertificateSeen("root", "2035-03-01T13:30:00Z", False),
    ),
)
NEWCOMER = MemberSeen(
    context="kind-new",
    cluster="",
    domain="",
    why="there is no TrustBundle clusterset; run meshctl join for this cluster",
    server_version="v1.33.0",
    programs=(),
    peers=(),
    exports=(),
    imports=(),
)
GONE = NotSeen(context="kind-gone", error="the API server at https://gone\ndoes not answer; check it")


def test_a_survey_is_shown_as_tables_and_what_is_wrong_below_them() -> None:
    assert plain(survey_as_text(Survey(at=AT, clusters=(EAST, NEWCOMER, GONE)))) == (
        "2026-03-01T12:00:00Z   1 of 3 members; links: 1 up, 1 down; exports: 2, 1 in conflict; impor"
        "ts: 1; certificates near expiry: 2\n"
        "\n"
        "CLUSTER   CONTEXT     KUBERNETES   CONTROLLER   GATEWAY   DNS   EXPORTS   IMPORTS\n"
        "east      kind-east   v1.34.4      2/2          1/2       2/2   2         1\n"
        "-         kind-new    v1.33.0      -            -         -     0         0\n"
        "-         kind-gone   not seen     -            -         -     -         -\n"
        "\n"
        "CLUSTER   PEER    LINK   ACKNOWLEDGED   RTT       PATHS   EXPORTS   LAST LIST\n"
        "east      west    up     4s             1.52 ms   1/2     12        90s\n"
        "east      north   down   -              -         -       0         -\n"
        "\n"
        "CLUSTER   EXPORT       VALID          READY             CONFLICT\n"
        "east      demo/hello   True (Valid)   True (Exported)   True (PortConflict)\n"
        "east      demo/new     -              -                 -\n"
        "\n"
        "CLUSTER   IMPORT       TYPE           IPS         PORTS            FROM\n"
        "east      demo/hello   ClusterSetIP   10.96.7.7   80/TCP,443/TCP   east,west\n"
        "\n"
        "CLUSTER   CERTIFICATE            UNTIL                  LEFT\n"
        "east      gateways of west       2026-03-01T13:30:00Z   90m\n"
        "east      intermediate of west   2026-02-28T13:30:00Z   ended\n"
        "\n"
        "east: peer west: PartialMesh=True: west is linked with south\n"
        "east: peer north: down: no address of north answers\n"
        "east: export demo/hello: Conflict=True: port 80 is http here and web in west\n"
        "kind-new: not a member: there is no TrustBundle clusterset; run meshctl join for this cluste"
        "r\n"
        "kind-gone: the API server at https://gone does not answer; check it\n"
    )


def test_where_nothing_is_wrong_nothing_stands_below_the_tables() -> None:
    quiet = MemberSeen(
        context="c",
        cluster="east",
        domain="d",
        why="",
        server_version="v1.34.4",
        programs=(),
        peers=(),
        exports=(),
        imports=(),
    )
    assert plain(survey_as_text(Survey(at=AT, clusters=(quiet,)))) == (
        f"{AT}   1 of 1 members; links: none; exports: 0; imports: 0; certificates near expiry: 0\n"
        "\n"
        "CLUSTER   CONTEXT   KUBERNETES   CONTROLLER   GATEWAY   DNS   EXPORTS   IMPORTS\n"
        "east      c         v1.34.4      -            -         -     0         0\n"
    )


@pytest.mark.parametrize(("seconds", "text"), [(0.000237, "0.24 ms"), (0.000001, "<1 ms")])
def test_a_round_trip_below_a_millisecond_is_shown_as_measured(seconds: float, text: str) -> None:
    near = replace(EAST.peers[0], paths=(PathSeen("10.1.0.4", True, "Up", seconds),))
    shown = plain(survey_as_text(Survey(at=AT, clusters=(replace(EAST, peers=(near,)),))))
    assert f"   {text}   " in shown, shown


def test_wide_shows_revisions_reasons_and_every_certificate() -> None:
    text = plain(survey_as_text(Survey(at=AT, clusters=(EAST,)), wide=True))
    (west,) = (line for line in text.splitlines() if line.startswith("east      west"))
    assert west.split() == [
        *("east", "west", "up", "4s", "1.52", "ms", "1/2", "12", "90s", "17", "2s", "Synced"),
        "192.0.2.7:15443,[2001:db8::7]:15443",
    ]
    assert text.count("TURNED LAST") == 2, "exports and imports"
    assert "root                   2035-03-01T13:30:00Z   3287d" in text


def test_wide_says_what_turned_last_and_how_long_ago() -> None:
    valid, ready, conflict = EAST.exports[0].conditions
    turned = msgspec.structs.replace(ready, last_transition_time="2026-03-01T11:58:00Z")
    before = msgspec.structs.replace(valid, last_transition_time="2026-03-01T11:00:00Z")
    export = replace(EAST.exports[0], conditions=(before, turned, conflict))
    text = plain(survey_as_text(Survey(at=AT, clusters=(replace(EAST, exports=(export,)),)), wide=True))
    assert re.search(r"demo/hello .* Ready=True \(Exported\) +2m\n", text), text


def peer(*, status: str = "True", acknowledged: str = "", contact: str = "2026-03-01T11:59:59Z") -> PeerSeen:
    """One whose socket is open: the last word came a second ago."""
    return PeerSeen(
        cluster="west",
        gateways=(),
        connected=condition("Connected", status, "Synced", "why") if status else None,
        exports=1,
        last_sync="2026-03-01T11:00:00Z",
        last_contact=contact,
        acknowledged=AcknowledgedSeen(17, acknowledged) if acknowledged else None,
    )


@pytest.mark.parametrize(
    ("seen", "standing", "why"),
    [
        (peer(acknowledged="2026-03-01T11:59:56Z"), Standing.UP, ""),
        (peer(acknowledged="2026-03-01T11:59:20Z"), Standing.UP, ""),
        (peer(acknowledged="2026-03-01T11:59:19Z"), Standing.STALE, "41s old (revision 17)"),
        (peer(acknowledged="2026-03-01T09:00:00Z"), Standing.STALE, "3h old (revision 17)"),
        (peer(acknowledged="2026-03-01T12:00:30Z"), Standing.UP, ""),
        (peer(), Standing.UNKNOWN, "nothing says what of it was acknowledged"),
        (peer(status="False", acknowledged="2026-03-01T11:59:59Z"), Standing.DOWN, "why"),
        (peer(status=""), Standing.UNKNOWN, "no controller has looked yet"),
    ],
)
def test_a_link_is_up_by_what_was_acknowledged_and_not_by_a_word_or_an_open_socket(
    seen: PeerSeen, standing: Standing, why: str
) -> None:
    """In each the peer was heard a second ago, and its condition may say that it is connected."""
    found = link_of(seen, at=AT)
    assert found.standing is standing
    assert why in found.why


def test_the_json_holds_everything_and_says_null_where_there_is_nothing() -> None:
    text = survey_as_json(Survey(at=AT, clusters=(EAST, NEWCOMER, GONE)))
    east, newcomer, gone = json.loads(text)["clusters"]
    assert text.endswith("}\n")
    assert json.loads(text)["at"] == AT
    assert east["programs"][1] == {"name": "meshctl-gateway", "ready": 1, "wanted": 2}
    assert east["peers"][0]["connected"]["reason"] == "Synced"
    assert east["peers"][0]["lastWord"] == "2026-03-01T11:59:57.123456Z"
    assert east["peers"][0]["lastContact"] == "2026-03-01T11:59:56Z"
    assert east["peers"][0]["link"] == "up"
    assert east["peers"][0]["acknowledged"] == {"revision": 17, "at": "2026-03-01T11:59:56Z"}
    assert (east["peers"][0]["rttMs"], east["peers"][0]["paths"][1]["problem"]) == (1.52, "no answer")
    assert [one["nearExpiry"] for one in east["certificates"]] == [True, True, False]
    assert east["peers"][1]["lastSync"] is None
    assert (east["peers"][1]["link"], east["peers"][1]["acknowledged"]) == ("down", None)
    assert [one["type"] for one in east["exports"][0]["conditions"]] == ["Valid", "Ready", "Conflict"]
    assert east["imports"][0]["clusters"] == ["east", "west"]
    assert (newcomer["cluster"], newcomer["notAMember"][:5]) == (None, "there")
    assert gone == {"context": "kind-gone", "error": GONE.error}
