"""The frames of `meshctl-join/1`, and the worked example of docs/wire.md: our code says and reads it."""

import json
import re
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh_core.identity import cluster_id, domain
from mesh_core.invitation_token import Token, key_of, read_token, write_token
from mesh_core.join_wire import (
    LONGEST_ACCEPT,
    Accept,
    BadJoinMessage,
    JoinCode,
    Refused,
    Request,
    accept_of,
    frame,
    length_in,
    proof_of,
    read_message,
    read_request,
)
from mesh_core.objects import PeerGateway

TEXT = (Path(__file__).parent.parent.parent / "docs" / "wire.md").read_text()
TOKEN = Token(
    gateways=(PeerGateway(host="192.0.2.1", port=15443),),
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    root="6b" * 32,
    id="0123456789abcdef",
    secret=bytes(range(16)),
    expires=datetime(2026, 5, 1, 12, tzinfo=UTC),
    pool="by-east",
    generation=7,
)
REQUEST = Request(
    domain="clusterset.internal",
    cluster="west",
    uid="8d0c",
    csr="-----BEGIN CERTIFICATE REQUEST-----\n...\n",
    clock="2026-05-01T11:58:00Z",
    gateways=(PeerGateway(host="198.51.100.7", port=15443),),
)
CHALLENGE = bytes(32)


def example() -> dict[str, str]:
    """The lines of the example, by their first word."""
    section = TEXT.split("## The door for newcomers: `meshctl-join/1`")[1].split("\n## ")[0]
    (block,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return {line[:8].strip(): line[8:] for line in block.splitlines()}


def bytes_of(line: str) -> bytes:
    """Four bytes in hexadecimal, and the rest in quotes as it is."""
    return bytes.fromhex(line[:11]) + line[12:].strip("'").encode()


def test_the_token_of_the_example_is_written_and_read() -> None:
    assert example()["token"] == write_token(TOKEN)
    assert read_token(example()["token"]) == TOKEN


def test_the_frames_of_the_example_are_what_we_say() -> None:
    key = key_of(TOKEN.secret, invitation=TOKEN.id)
    assert example()["key"] == key.hex()
    accept = accept_of(REQUEST, invitation=TOKEN.id, key=key, challenge=CHALLENGE)
    assert frame(accept) == bytes_of(example()["client"])
    refused = Refused(
        code=JoinCode.INVITATION_USED,
        words="the invitation was used by north",
        step="ask for a new token: meshctl invite",
    )
    assert frame(refused) == bytes_of(example()["server"])


def test_the_frames_of_the_example_are_what_we_understand() -> None:
    said = bytes_of(example()["client"])
    assert length_in(said[:4], most=LONGEST_ACCEPT) == len(said) - 4
    accept = read_message(said[4:])
    assert isinstance(accept, Accept)
    assert read_request(accept) == REQUEST
    key = bytes.fromhex(example()["key"])
    assert proof_of(accept, key=key, challenge=CHALLENGE) == accept.proof
    assert isinstance(read_message(bytes_of(example()["server"])[4:]), Refused)


def test_a_field_that_nobody_knows_is_skipped_and_covered_by_the_proof() -> None:
    """A newer client may say more: the proof is over its bytes, not over what an older server reads."""
    key = key_of(TOKEN.secret, invitation=TOKEN.id)
    more = json.dumps({**json.loads(frame_of_request()), "colour": "blue"})
    bare = Accept(invitation=TOKEN.id, request=more, proof=b"")
    assert read_request(bare) == REQUEST
    assert proof_of(bare, key=key, challenge=CHALLENGE) != proof_of(
        Accept(invitation=TOKEN.id, request=frame_of_request(), proof=b""), key=key, challenge=CHALLENGE
    )


def frame_of_request() -> str:
    accept = read_message(bytes_of(example()["client"])[4:])
    assert isinstance(accept, Accept)
    return accept.request


@pytest.mark.parametrize("length", [0, LONGEST_ACCEPT + 1, 0xFFFFFFFF])
def test_a_length_is_judged_before_anything_is_read(length: int) -> None:
    with pytest.raises(BadJoinMessage):
        length_in(struct.pack(">I", length), most=LONGEST_ACCEPT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"\xff",
        b'{"type":"hello"}',
        b'{"type":"accept"}',
        b'{"type":"accept","invitation":1,"request":"","proof":""}',
        b'{"type":"accept","invitation":"","request":"","proof":"!"}',
        b'{"type":"accept","invitation":"%s","request":"","proof":""}' % (b"x" * 254),
        b'{"type":"refused","code":"Whatever","words":""}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadJoinMessage):
        read_message(body)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"domain":1}', "{" * 10_000])
def test_what_is_no_request_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadJoinMessage):
        read_request(Accept(invitation="x", request=text, proof=b""))
