"""What `status` shows, to the letter."""

import json

from mesh_cli.status.render import survey_as_json, survey_as_text
from mesh_cli.status.survey import ExportSeen, ImportSeen, MemberSeen, NotSeen, PeerSeen, Program, Survey
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
    assert survey_as_text(Survey(at=AT, clusters=(EAST, NEWCOMER, GONE))) == (
        "CLUSTER   CONTEXT     DOMAIN                KUBERNETES   CONTROLLER   GATEWAY   DNS\n"
        "east      kind-east   clusterset.internal   v1.34.4      2/2          1/2       2/2\n"
        "-         kind-new    -                     v1.33.0      -            -         -\n"
        "-         kind-gone   -                     not seen     -            -         -\n"
        "\n"
        "CLUSTER   PEER    CONNECTED   REASON        LAST CONTACT   EXPORTS   LAST SYNC   GATEWAYS\n"
        "east      west    True        Synced        2s             12        90s"
        "         192.0.2.7:15443,[2001:db8::7]:15443\n"
        "east      north   False       Unreachable   2d             0         -"
        "           gw.north.example:15443\n"
        "\n"
        "CLUSTER   EXPORT       VALID          READY             CONFLICT\n"
        "east      demo/hello   True (Valid)   True (Exported)   True (PortConflict)\n"
        "east      demo/new     -              -                 -\n"
        "\n"
        "CLUSTER   IMPORT       TYPE           IPS         PORTS            FROM\n"
        "east      demo/hello   ClusterSetIP   10.96.7.7   80/TCP,443/TCP   east,west\n"
        "\n"
        "east: peer north: no address of north answers\n"
        "east: export demo/hello: Conflict=True: port 80 is http here and web in west\n"
        "kind-new: not a member: there is no TrustBundle clusterset; run meshctl join for this cluster\n"
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
    assert survey_as_text(Survey(at=AT, clusters=(quiet,))) == (
        "CLUSTER   CONTEXT   DOMAIN   KUBERNETES   CONTROLLER   GATEWAY   DNS\n"
        "east      c         d        v1.34.4      -            -         -\n"
    )


def test_the_json_holds_everything_and_says_null_where_there_is_nothing() -> None:
    text = survey_as_json(Survey(at=AT, clusters=(EAST, NEWCOMER, GONE)))
    east, newcomer, gone = json.loads(text)["clusters"]
    assert text.endswith("}\n")
    assert json.loads(text)["at"] == AT
    assert east["programs"][1] == {"name": "meshctl-gateway", "ready": 1, "wanted": 2}
    assert east["peers"][0]["connected"]["reason"] == "Synced"
    assert east["peers"][0]["lastContact"] == "2026-03-01T11:59:57.123456Z"
    assert east["peers"][1]["lastSync"] is None
    assert [one["type"] for one in east["exports"][0]["conditions"]] == ["Valid", "Ready", "Conflict"]
    assert east["imports"][0]["clusters"] == ["east", "west"]
    assert (newcomer["cluster"], newcomer["notAMember"][:5]) == (None, "there")
    assert gone == {"context": "kind-gone", "error": GONE.error}
