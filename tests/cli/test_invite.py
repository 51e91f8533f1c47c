"""`meshctl invite` and `meshctl accept` as a person uses them, on API servers that keep objects."""

import base64
import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from mesh_cli.dns.corefile import BEGIN, stub
from mesh_cli.invite.invitation_book import BadSpan, parse_span
from mesh_cli.main import command
from mesh_cli.member.accept_objects import ADDRESS_WORD, Acceptance
from mesh_core.conditions import as_json
from mesh_core.errors import MeshError
from mesh_core.identity import cluster_id, domain
from mesh_core.invitation_token import Token, default_pool, key_of, read_token, write_token
from mesh_core.invitations import MOST_INVITATIONS, Invitation, Taken, invitations_in, write_invitation
from mesh_core.join_order import joined, joining, not_joined, read_order
from mesh_core.join_wire import JoinCode, JoinFailed
from mesh_core.names import (
    INVITATIONS_SECRET,
    JOIN_TOKEN_SECRET,
    PROPERTY_CLUSTER_ID,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import Condition, PeerGateway, Secret
from mesh_core.objects.trust import IssuerEntry, RootEntry, RosterEntry, Statement
from mesh_fakes.clusters import MESH, bare_cluster, with_controllers
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.object_server import Object, ObjectServer, served, write_kubeconfig
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_issuer, new_key
from mesh_runtime.trust_signing import key_id_of, signed

Meshctl = Callable[..., Result]
TOKEN = Token(
    gateways=(PeerGateway(host="192.0.2.1", port=15443),),
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    root="ab" * 32,
    id="00112233445566ff",
    secret=bytes(range(16)),
    expires=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=15),
    pool=default_pool("east"),
)
TEXT = write_token(TOKEN)


@pytest.fixture
def east() -> ObjectServer:
    return bare_cluster("east")


@pytest.fixture
def west() -> ObjectServer:
    return with_controllers(bare_cluster("west"))


@pytest.fixture
def meshctl(tmp_path: Path, east: ObjectServer, west: ObjectServer) -> Iterator[Meshctl]:
    """Runs `meshctl` with contexts `e` and `w`; an error that a person would read is the result's."""
    with ExitStack() as stack:
        urls = {"e": stack.enter_context(served(east)).url, "w": stack.enter_context(served(west)).url}
        file = write_kubeconfig(tmp_path / "kubeconfig", servers=urls, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


def issuing(server: ObjectServer, *, issuer: bool = True, ready: int = 2) -> FakeClusterset:
    """East as a member, with an issuer or without one."""
    clusterset, key = FakeClusterset(), new_key()
    certificate = make_issuer(
        clusterset.root,
        pool="by-east",
        holder=cluster_id("east"),
        domain=clusterset.domain,
        public_key=key.public_key(),
        now=clusterset.now,
    )
    entry = IssuerEntry(
        key=key_id_of(key.public_key()),
        pool="by-east",
        holder="east",
        certificate=certificates_to_pem((certificate,)).decode(),
    )
    root = RootEntry(key=key_id_of(clusterset.root.key.public_key()), certificate=clusterset.roots[0])
    statement = Statement(
        domain=clusterset.domain,
        generation=1,
        roots=(root,),
        roster=(RosterEntry(cluster="east", keys=("e" * 64,)),),
        issuers=(entry,) if issuer else (),
    )
    text = msgspec.to_builtins(signed(statement, by=(clusterset.root.key,)))
    name = {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": "east"}}
    server.put("about.k8s.io/v1beta1", "clusterproperties", name)
    spec = {"domain": clusterset.domain, "generation": 1, "statement": text}
    server.put(MESH, "trustbundles", {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
    meta = {"name": "meshctl-gateway", "namespace": SYSTEM_NAMESPACE}
    port = {"name": "mesh", "port": 15443, "nodePort": 30443}
    server.put("v1", "services", {"metadata": meta, "spec": {"type": "NodePort", "ports": [port]}})
    meta = {"name": "meshctl-controller", "namespace": SYSTEM_NAMESPACE}
    counts = {"availableReplicas": ready, "updatedReplicas": ready, "observedGeneration": 9}
    server.put("apps/v1", "deployments", {"metadata": meta, "spec": {"replicas": 2}, "status": counts})
    return clusterset


def book(server: ObjectServer) -> dict[str, Invitation]:
    """The invitations of the cluster."""
    secret = server.find("secrets", INVITATIONS_SECRET)
    return invitations_in(msgspec.convert(secret, Secret)) if secret is not None else {}


def told(result: Result) -> str:
    """The error of a command that must have failed as a person may read it."""
    assert isinstance(result.exception, MeshError), result.output
    assert result.exception.next_step
    return str(result.exception)


def test_an_invitation_is_kept_and_its_token_is_all_that_goes_to_standard_output(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    clusterset = issuing(east)
    result = meshctl("invite", "--unchecked", "--uses", "3", "--ttl", "2h", "--cluster-id", "west")
    assert result.exception is None, result.exception
    (line,) = result.stdout.split()
    token = read_token(line)
    assert (token.cluster, token.pool, token.domain) == ("east", "by-east", clusterset.domain)
    assert token.root == key_id_of(clusterset.root.key.public_key())
    assert token.gateways == (PeerGateway(host="10.0.0.4", port=30443),)
    kept = book(east)[token.id]
    assert (kept.uses, kept.cluster) == (3, "west")
    assert kept.key == key_of(token.secret, invitation=token.id).hex()
    assert timedelta(minutes=119) < datetime.fromisoformat(kept.expires) - datetime.now(UTC)
    whole = repr(east.find("secrets", INVITATIONS_SECRET))
    assert token.secret.hex() not in whole and base64.b64encode(token.secret).decode() not in whole
    assert "meshctl accept TOKEN" in result.stderr


def test_a_token_that_would_not_work_is_not_printed_and_nothing_stays(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    issuing(east)
    result = meshctl("invite", "--address", "127.0.0.1:1", "--timeout", "0.3")
    assert "the token would not work" in told(result)
    assert result.stdout == "" and book(east) == {}


def test_without_an_issuer_somebody_is_told_how_to_make_one(meshctl: Meshctl, east: ObjectServer) -> None:
    issuing(east, issuer=False)
    assert "meshctl invite --context e --trust DIR" in told(meshctl("invite", "--unchecked"))
    assert book(east) == {}


def test_without_a_controller_there_is_no_token(meshctl: Meshctl, east: ObjectServer) -> None:
    issuing(east, ready=0)
    assert "is not ready (0 of 2)" in told(meshctl("invite", "--unchecked"))


def test_who_is_no_member_invites_nobody(meshctl: Meshctl) -> None:
    assert "meshctl join" in told(meshctl("invite", "--context", "w", "--unchecked"))


def test_invitations_are_listed_and_revoked(meshctl: Meshctl, east: ObjectServer) -> None:
    issuing(east)
    assert meshctl("invite", "--list").stdout == "no invitations\n"
    token = read_token(meshctl("invite", "--unchecked").stdout)
    assert re.match(rf"{token.id}  open until .*, 1 left; not used\n", meshctl("invite", "--list").stdout)
    assert "is revoked" in meshctl("invite", "--revoke", token.id).stdout
    assert book(east)[token.id].revoked
    assert f"{token.id}  revoked; not used" in meshctl("invite", "--list").stdout
    assert "there is no invitation" in told(meshctl("invite", "--revoke", "nobody's"))


def test_there_is_room_for_so_many_and_what_is_over_makes_room(meshctl: Meshctl, east: ObjectServer) -> None:
    issuing(east)
    now = datetime.now(UTC)

    def fill(expires: datetime) -> None:
        one = Invitation(key="00" * 32, uses=1, expires=expires.isoformat())
        text = base64.b64encode(write_invitation(one)).decode()
        meta = {"name": INVITATIONS_SECRET, "namespace": SYSTEM_NAMESPACE}
        data = {f"{number:016x}": text for number in range(MOST_INVITATIONS)}
        east.put("v1", "secrets", {"metadata": meta, "data": data})

    fill(now + timedelta(hours=1))
    assert "open already" in told(meshctl("invite", "--unchecked"))
    fill(now - timedelta(hours=1))
    assert meshctl("invite", "--unchecked").exception is None
    assert len(book(east)) == MOST_INVITATIONS


def test_an_invitation_that_let_somebody_in_is_the_last_to_be_forgotten_for_want_of_room(
    meshctl: Meshctl, east: ObjectServer
) -> None:
    issuing(east)
    now = datetime.now(UTC)
    use = Taken(cluster="west", uid="uid", key="00" * 32, at=now.isoformat())
    data = {}
    for number in range(MOST_INVITATIONS):
        taken = (use,) if number == 0 else ()
        ended = (now - timedelta(hours=MOST_INVITATIONS - number)).isoformat()
        one = Invitation(key="00" * 32, uses=0, expires=ended, taken=taken)
        data[f"{number:016x}"] = base64.b64encode(write_invitation(one)).decode()
    meta = {"name": INVITATIONS_SECRET, "namespace": SYSTEM_NAMESPACE}
    east.put("v1", "secrets", {"metadata": meta, "data": data})
    assert meshctl("invite", "--unchecked").exception is None
    left = book(east)
    assert f"{0:016x}" in left and f"{1:016x}" not in left
    assert len(left) == MOST_INVITATIONS


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800), (" 1m ", 60)]
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_span(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "0m", "-1m", "1.5h", "8d", "99999999d", "1w"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadSpan):
        parse_span(text)


# accept


def saying(answer: Callable[[Token], Condition]) -> Callable[[ObjectServer, Object], None]:
    """A controller that looks at the token and says that of it."""

    def react(server: ObjectServer, item: Object) -> None:
        if item["metadata"]["name"] != JOIN_TOKEN_SECRET:
            return
        order = read_order(msgspec.convert(item, Secret))
        body: dict[str, Any] = {"metadata": {"name": TRUST_BUNDLE}}  # Any: JSON
        server.put(MESH, "trustbundles", {**body, "status": {"conditions": [as_json(answer(order.token))]}})

    return react


def accept(*words: str) -> tuple[str, ...]:
    return ("accept", TEXT, "--context", "w", "--cluster-id", "west", "--service-type", "nodeport", *words)


def test_a_cluster_comes_in(meshctl: Meshctl, west: ObjectServer) -> None:
    west.reactions.append(saying(joined))
    result = meshctl(*accept())
    assert result.exception is None, result.exception
    assert "west is a member of clusterset.internal (context w), let in by east" in result.stdout
    spec = west.get("trustbundles", TRUST_BUNDLE)["spec"]
    assert spec == {"domain": "clusterset.internal", "pool": "by-east", "pins": ["ab" * 32]}
    order = read_order(msgspec.convert(west.get("secrets", JOIN_TOKEN_SECRET), Secret))
    assert order.token == TOKEN
    assert order.gateways is not None and len(order.gateways) == 1
    assert west.get("clusterproperties", PROPERTY_CLUSTER_ID)["spec"] == {"value": "west"}


def test_a_cluster_that_cannot_be_dialled_says_so(meshctl: Meshctl, west: ObjectServer) -> None:
    west.reactions.append(saying(joined))
    assert meshctl(*accept("--dial", "outbound")).exception is None
    order = read_order(msgspec.convert(west.get("secrets", JOIN_TOKEN_SECRET), Secret))
    assert order.gateways == ()


@pytest.mark.parametrize("code", [code for code in JoinCode if not code.can_pass])
def test_what_the_inviter_says_is_told_with_its_next_step(
    meshctl: Meshctl, west: ObjectServer, code: JoinCode
) -> None:
    failed = JoinFailed(code, "it is so; or so", next_step="do that")
    west.reactions.append(saying(lambda token: not_joined(token, failed)))
    result = meshctl(*accept("--timeout", "20"))
    assert told(result) == f"{code.value}: it is so; or so; do that"


def test_a_token_that_was_refused_is_tried_again_when_it_is_accepted_again(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    """The refusal takes no use of it; what the controller said before is not taken for its answer."""
    failed = JoinFailed(JoinCode.CLUSTER_ID_TAKEN, "the id is taken", next_step="unlink it")
    west.reactions.append(saying(lambda token: not_joined(token, failed)))
    assert "the id is taken" in told(meshctl(*accept("--timeout", "20")))
    first = west.get("secrets", JOIN_TOKEN_SECRET)["metadata"]["resourceVersion"]
    west.reactions[-1] = saying(joined)
    result = meshctl(*accept("--timeout", "20"))
    assert result.exception is None, result.exception
    # It would not be looked at again if it stayed as it was.
    assert west.get("secrets", JOIN_TOKEN_SECRET)["metadata"]["resourceVersion"] != first


@pytest.mark.parametrize("answer", ["nothing", "joining", "an earlier token's", "not now"])
def test_waiting_has_an_end_and_an_earlier_answer_is_none(
    meshctl: Meshctl, west: ObjectServer, answer: str
) -> None:
    earlier = msgspec.structs.replace(joined(TOKEN), message="let in by east (invitation of long ago)")
    not_now = JoinFailed(JoinCode.NOT_NOW, "no issuer", next_step="wait")
    says: dict[str, Callable[[Token], Condition]] = {
        "joining": joining,
        "an earlier token's": lambda _: earlier,
        "not now": lambda token: not_joined(token, not_now),
    }
    if answer in says:
        west.reactions.append(saying(says[answer]))
    words = told(meshctl(*accept("--timeout", "0.5")))
    assert ("NotNow: no issuer" if answer == "not now" else "has said nothing of the token") in words


def test_a_typo_is_told_from_an_expired_token_and_nothing_is_written(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    before = west.versions()
    typo = TEXT[:-3] + ("A" if TEXT[-3] != "A" else "B") + TEXT[-2:]
    over = write_token(dataclasses.replace(TOKEN, expires=datetime.now(UTC) - timedelta(hours=1)))
    assert "wrong or missing character" in told(
        meshctl("accept", typo, "--context", "w", "--cluster-id", "west")
    )
    assert "the invitation ended at" in told(
        meshctl("accept", over, "--context", "w", "--cluster-id", "west")
    )
    assert west.versions() == before


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"domain": "clusterset.internal", "generation": 1, "roots": ["pem"]}, "is a member already"),
        ({"domain": "other.internal", "pins": ["ab" * 32]}, "trusts the clusterset other.internal"),
        (
            {"domain": "clusterset.internal", "pool": "by-north", "pins": ["ab" * 32]},
            "came in by another inviter",
        ),
    ],
)
def test_a_cluster_that_is_somebody_already_is_not_changed(
    meshctl: Meshctl, west: ObjectServer, spec: Object, words: str
) -> None:
    west.put(MESH, "trustbundles", {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
    before = west.versions()
    assert words in told(meshctl(*accept()))
    assert west.versions() == before


def test_nobody_takes_the_inviters_id(meshctl: Meshctl) -> None:
    assert "the id of the inviter" in told(meshctl("accept", TEXT, "--context", "w", "--cluster-id", "east"))


def test_a_form_of_a_dry_run_without_one_is_refused_before_anything_is_written(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    before = west.versions()
    assert "-o yaml prints what would be written; give --dry-run too" in told(meshctl(*accept("-o", "yaml")))
    assert west.versions() == before


def test_a_dry_run_says_what_cluster_dns_needs_in_comments_that_are_the_stub(meshctl: Meshctl) -> None:
    printed = meshctl(*accept("--dry-run")).stdout
    comment = printed[printed.index("# Cluster DNS") :].splitlines()
    assert all(line.startswith("#") for line in comment)
    begin = comment.index(f"#   {BEGIN}")
    text = "".join(line.removeprefix("#   ") + "\n" for line in comment[begin:])
    assert text.replace(ADDRESS_WORD, "10.96.0.7") == stub("10.96.0.7")


def test_a_dry_run_prints_all_there_is_to_it_and_no_private_key(meshctl: Meshctl, west: ObjectServer) -> None:
    before = west.versions()
    result = meshctl(*accept("--dry-run", "-o", "yaml", "--address", "192.0.2.9:15443", "--network", "lan"))
    assert result.exception is None, result.exception
    assert west.versions() == before
    assert "PRIVATE KEY" not in result.stdout and "tls.key" not in result.stdout
    objects = [one for one in yaml.safe_load_all(result.stdout) if one]
    named = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(named) == len(objects)
    kinds = [one["kind"] for one in objects]
    assert kinds.index("CustomResourceDefinition") == 0 and kinds[-1] == "Secret"
    assert [kind for kind in kinds if kind == "Secret"] == ["Secret"], "the one-time token, and nothing else"
    assert named["TrustBundle", TRUST_BUNDLE]["spec"]["pins"] == [TOKEN.root]
    assert named["ClusterProperty", "network.meshctl.dev"]["spec"] == {"value": "lan"}
    order = read_order(msgspec.convert(named["Secret", JOIN_TOKEN_SECRET], Secret))
    assert order.token == TOKEN
    assert order.gateways == (PeerGateway(host="192.0.2.9", port=15443),)


def test_a_dry_run_beside_helm_prints_what_no_chart_can_know_and_no_program(meshctl: Meshctl) -> None:
    words = (
        word for word in accept("--dry-run", "--no-install") if word not in ("--service-type", "nodeport")
    )
    printed = meshctl(*words).stdout
    kinds = [one["kind"] for one in yaml.safe_load_all(printed) if one]
    assert kinds == ["ClusterProperty", "ClusterProperty", "TrustBundle", "Secret"]


@pytest.mark.parametrize("way", ["standard input", "file"])
def test_the_token_need_not_stand_among_the_words_of_the_command(
    way: str, tmp_path: Path, west: ObjectServer
) -> None:
    west.reactions.append(saying(joined))
    file = tmp_path / "token"
    file.write_text(f"{TEXT}\n")
    place = ("-",) if way == "standard input" else ("--token-file", str(file))
    with served(west) as api:
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", servers={"w": api.url}, current="w")
        words = ("accept", *place, "--cluster-id", "west", "--service-type", "nodeport")
        result = CliRunner().invoke(
            command, ["--kubeconfig", str(kubeconfig), *words], standalone_mode=False, input=f"{TEXT}\n"
        )
    assert result.exception is None, result.exception
    assert read_order(msgspec.convert(west.get("secrets", JOIN_TOKEN_SECRET), Secret)).token == TOKEN


@pytest.mark.parametrize("words", [(), (TEXT, "--token-file", __file__)])
def test_a_token_is_given_exactly_once(meshctl: Meshctl, words: tuple[str, ...]) -> None:
    result = meshctl("accept", *words, "--context", "w", "--cluster-id", "west")
    assert isinstance(result.exception, click.UsageError)


def test_what_is_accepted_shows_no_token_in_its_repr() -> None:
    acceptance = Acceptance(token=TOKEN, text=TEXT, cluster=cluster_id("west"))
    assert TEXT not in repr(acceptance) and TOKEN.secret.hex() not in repr(acceptance)


def test_a_token_of_another_root_than_a_member_knows_changes_nothing(
    meshctl: Meshctl, west: ObjectServer
) -> None:
    clusterset = FakeClusterset()
    root = RootEntry(key=key_id_of(clusterset.root.key.public_key()), certificate=clusterset.roots[0])
    statement = Statement(domain=clusterset.domain, generation=1, roots=(root,), roster=())
    text = msgspec.to_builtins(signed(statement, by=(clusterset.root.key,)))
    spec = {"domain": clusterset.domain, "pool": "by-east", "statement": text}
    west.put(MESH, "trustbundles", {"metadata": {"name": TRUST_BUNDLE}, "spec": spec})
    before = west.versions()
    assert "knows other roots" in told(meshctl(*accept()))
    assert west.versions() == before
