"""The token of an invitation: one spelling, and no typo goes unseen."""

import base64
import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.identity import cluster_id, domain
from mesh_core.invitation_token import BadToken, Token, default_pool, key_of, read_token, write_token
from mesh_core.objects import PeerGateway

TOKEN = Token(
    gateways=(PeerGateway(host="192.0.2.1", port=15443), PeerGateway(host="2001:db8::7", port=443)),
    cluster=cluster_id("east"),
    domain=domain("clusterset.internal"),
    root="ab" * 32,
    id="00112233445566ff",
    secret=bytes(range(16)),
    expires=datetime(2026, 5, 1, 12, tzinfo=UTC),
    pool="by-east",
)
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
DOMAINS = (
    st.lists(LABELS, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda text: not text.rpartition(".")[2].isdigit() and not text.endswith("clusterset.local"))
)
GATEWAYS = st.builds(PeerGateway, host=DOMAINS, port=st.integers(1, 65535))
TOKENS = st.builds(
    Token,
    gateways=st.lists(GATEWAYS, min_size=1, max_size=3).map(tuple),
    cluster=LABELS.map(cluster_id),
    domain=DOMAINS.map(domain),
    root=st.binary(min_size=32, max_size=32).map(bytes.hex),
    id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    secret=st.binary(min_size=16, max_size=16),
    expires=st.integers(0, 4_000_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    pool=LABELS,
    generation=st.integers(0, (1 << 53) - 1),
    revision=st.integers(0, (1 << 53) - 1),
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "


@given(token=TOKENS)
def test_what_was_written_is_read(token: Token) -> None:
    assert read_token(write_token(token)) == token


@given(token=TOKENS, data=st.data())
def test_a_single_wrong_character_is_always_found(token: Token, data: st.DataObject) -> None:
    text = write_token(token)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(LETTERS).filter(lambda one: one != text[at]))
    with pytest.raises(BadToken):
        read_token(text[:at] + letter + text[at + 1 :])


def test_every_single_wrong_character_of_one_token_is_found() -> None:
    text = write_token(TOKEN)
    for at in range(len(text)):
        for letter in LETTERS:
            if letter != text[at]:
                with pytest.raises(BadToken):
                    read_token(text[:at] + letter + text[at + 1 :])


def test_a_missing_a_doubled_and_two_swapped_characters_are_found() -> None:
    text = write_token(TOKEN)
    for at in range(len(text)):
        wrong = {text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:]}
        wrong.add(text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :])
        for one in wrong - {text}:
            with pytest.raises(BadToken):
                read_token(one)


def test_line_breaks_and_spaces_of_a_terminal_count_for_nothing() -> None:
    text = write_token(TOKEN)
    assert read_token(f"  {text[:40]}\n {text[40:90]}\r\n{text[90:]}\n") == TOKEN


def test_a_token_is_short() -> None:
    assert len(write_token(replace(TOKEN, gateways=TOKEN.gateways[:1], generation=900))) < 160


def test_the_usual_pool_takes_no_room() -> None:
    other = replace(TOKEN, pool="elsewhere")
    assert len(write_token(other)) > len(write_token(TOKEN))
    assert read_token(write_token(other)) == other
    assert TOKEN.pool == default_pool("east")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "meshctl1",
        "meshctl1.",
        "meshctl1.AAAA",
        "meshctl2.AAAAAAAA",
        "eyJhbGciOi.e30.x",
        "meshctl1.é",
    ],
)
def test_what_is_no_token_is_refused_with_a_next_step(text: str) -> None:
    with pytest.raises(BadToken) as error:
        read_token(text)
    assert "copy the token" in error.value.next_step


@given(content=st.binary(max_size=200))
def test_bytes_with_a_right_check_are_a_token_or_refused(content: bytes) -> None:
    body = content + zlib.crc32(content).to_bytes(4)
    with suppress(BadToken):
        read_token("meshctl1." + base64.urlsafe_b64encode(body).decode().rstrip("="))


@pytest.mark.parametrize("gateways", [(), (PeerGateway(host="a", port=1),) * 4])
def test_a_token_names_one_to_three_gateways(gateways: tuple[PeerGateway, ...]) -> None:
    with pytest.raises(BadToken):
        write_token(replace(TOKEN, gateways=gateways))


def test_the_secret_shows_nowhere_and_the_key_is_not_the_secret() -> None:
    assert TOKEN.secret.hex() not in f"{TOKEN!r} {TOKEN}" and repr(TOKEN.secret) not in repr(TOKEN)
    key = key_of(TOKEN.secret, invitation=TOKEN.id)
    assert len(key) == 32 and TOKEN.secret not in key
    assert key != key_of(TOKEN.secret, invitation="another")


@pytest.mark.parametrize("number", [b"\x01\x00", b"\x02\x00\x07", b"\x08" + b"\xff" * 8])
def test_a_generation_has_one_spelling(number: bytes) -> None:
    body = base64.urlsafe_b64decode(write_token(replace(TOKEN, generation=7))[9:] + "==")[:-4]
    assert body.count(b"\xab\x01\x07\x00") == 1
    other = body.replace(b"\xab\x01\x07\x00", b"\xab" + number + b"\x00")
    content = other + zlib.crc32(other).to_bytes(4)
    with pytest.raises(BadToken, match="made wrongly"):
        read_token("meshctl1." + base64.urlsafe_b64encode(content).decode().rstrip("="))
