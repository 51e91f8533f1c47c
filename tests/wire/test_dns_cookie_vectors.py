"""DNS cookies against the published ones: SipHash-2-4's own vectors and RFC 9018 appendix A."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_dns.cookie import (
    CLIENT_BYTES,
    FRESH_FOR,
    LIFETIME,
    SEED_BYTES,
    Cookies,
    is_well_formed,
    server_cookie,
)
from mesh_dns.siphash import siphash24

SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf"
ROLLED = "445536bcd2513298075a5d379663c962"
BEFORE = "dd3bdf9344b678b185a6f5cb60fca715"
FOUR, OTHER, SIX = "198.51.100.100", "203.0.113.203", "2001:db8:220:1:59de:d0f4:8769:82b8"
DAY = 86400


@pytest.mark.parametrize(
    ("length", "word"),
    [(0, 0x726FDB47DD0E0E31), (15, 0xA129CA6149BE45E5), (63, 0x958A324CEB064572)],
)
def test_the_hash_is_that_of_the_paper(length: int, word: int) -> None:
    assert siphash24(bytes(range(16)), bytes(range(length))) == word.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("secret", "client", "address", "expected"),
    [
        (SECRET, "2464c4abcf10c957", FOUR, "010000005cf79f111f8130c3eee29480"),
        (SECRET, "2464c4abcf10c957", FOUR, "010000005cf7a871d4a564a1442aca77"),
        (SECRET, "fc93fc62807ddb86", OTHER, "01abcdef5cf78f71a314227b6679ebf5"),
        (SECRET, "fc93fc62807ddb86", OTHER, "010000005cf7a9acf73a7810aca2381e"),
        (BEFORE, "22681ab97d52c298", SIX, "010000005cf7c57926556bd0934c72f8"),
        (ROLLED, "22681ab97d52c298", SIX, "010000005cf7c609a6bb79d16625507a"),
    ],
)
def test_a_server_cookie_is_the_published_one(secret: str, client: str, address: str, expected: str) -> None:
    wanted = bytes.fromhex(expected)
    made = server_cookie(
        bytes.fromhex(client), head=wanted[:8], address=address, secret=bytes.fromhex(secret)
    )
    assert made == wanted


CLIENT = b"12345678"
SEED = bytes(range(SEED_BYTES))
NOW = 1_800_000_000.5


def given_at(now: float, *, seed: bytes = SEED, address: str = FOUR) -> bytes:
    return Cookies(seed).answer(CLIENT, is_good=False, address=address, now=now)


@pytest.mark.parametrize(
    ("age", "good"),
    [(0, True), (LIFETIME, True), (LIFETIME + 1, False), (-300, True), (-301, False), (DAY, False)],
)
def test_a_cookie_is_good_for_an_hour(age: int, good: bool) -> None:
    option = given_at(NOW - age)
    assert Cookies(SEED).is_good(option, address=FOUR, now=NOW) is good


def test_a_cookie_is_given_back_while_it_is_fresh_and_replaced_after_that() -> None:
    cookies = Cookies(SEED)
    option = given_at(NOW)
    assert cookies.answer(option, is_good=True, address=FOUR, now=NOW + FRESH_FOR - 1) == option
    fresh = cookies.answer(option, is_good=True, address=FOUR, now=NOW + FRESH_FOR)
    assert fresh != option
    assert cookies.is_good(fresh, address=FOUR, now=NOW + FRESH_FOR)


def test_a_cookie_is_good_over_the_change_of_the_secret_and_over_the_wrap_of_its_time() -> None:
    for border in (20_000 * DAY, 1 << 32):
        option = given_at(border - 10)
        assert Cookies(SEED).is_good(option, address=FOUR, now=border + 10)
    one, two = given_at(20_000 * DAY - 1), given_at(20_000 * DAY)
    assert one[-8:] != two[-8:]


def test_processes_with_one_seed_know_each_others_cookies_and_others_do_not() -> None:
    option = given_at(NOW)
    assert Cookies(SEED).is_good(option, address=FOUR, now=NOW)
    assert not Cookies(bytes(SEED_BYTES)).is_good(option, address=FOUR, now=NOW)


def test_a_cookie_belongs_to_one_address_and_one_client_cookie() -> None:
    option = given_at(NOW)
    assert not Cookies(SEED).is_good(option, address=OTHER, now=NOW)
    assert not Cookies(SEED).is_good(b"x" * CLIENT_BYTES + option[CLIENT_BYTES:], address=FOUR, now=NOW)


@given(st.binary(min_size=CLIENT_BYTES, max_size=40))
def test_what_we_did_not_make_is_no_cookie_of_ours(option: bytes) -> None:
    assert not Cookies(SEED).is_good(option, address=SIX, now=NOW)
    answer = Cookies(SEED).answer(option, is_good=False, address=SIX, now=NOW)
    assert answer[:CLIENT_BYTES] == option[:CLIENT_BYTES]
    assert Cookies(SEED).is_good(answer, address=SIX, now=NOW)


def test_secrets_of_days_gone_by_are_forgotten() -> None:
    cookies = Cookies(SEED)
    for day in range(10):
        option = cookies.answer(CLIENT, is_good=False, address=FOUR, now=day * DAY)
        assert cookies.is_good(option, address=FOUR, now=day * DAY)
        assert len(cookies._secrets) <= 2


def test_the_lengths_of_the_option_are_those_of_the_standard() -> None:
    assert [one for one in range(50) if is_well_formed(one)] == [8, *range(16, 41)]
