"""Who gets to see the dashboard: every way in that a page or a program of the machine could try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_cli.dashboard.guard import PAGES, Door, Knock, Verdict, judge

DOOR = Door(port=4711, path="/way/", token="token", session="session")
HOME = {"host": "127.0.0.1:4711"}


def knock(
    path: str = "/way/", *, method: str = "GET", token: str = "", cookie: str = "session", **headers: str
) -> Knock:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Knock(method=method, path=path, token=token, cookie=cookie, headers={**HOME, **named})


@pytest.mark.parametrize("page", PAGES)
def test_who_has_the_cookie_sees_every_page(page: str) -> None:
    assert judge(knock(f"/way/{page}"), door=DOOR) is Verdict.SHOW


@pytest.mark.parametrize(
    "asked",
    [
        knock(token="token", cookie=""),
        knock(token="token", cookie="old", sec_fetch_site="cross-site"),
        knock(token="token", cookie="", host="localhost:4711"),
    ],
)
def test_who_has_the_token_is_let_in_wherever_he_clicked_on_it(asked: Knock) -> None:
    assert judge(asked, door=DOOR) is Verdict.LET_IN


@pytest.mark.parametrize("cookie", ["", "guess", "token", "sessio", "session ", "sessi\u00f6n", "\ud800"])
@pytest.mark.parametrize("token", ["", "guess", "session", "toke"])
@pytest.mark.parametrize("page", [*PAGES, "../etc/passwd", "nothing"])
def test_without_token_and_cookie_nothing_is_told(page: str, token: str, cookie: str) -> None:
    assert judge(knock(f"/way/{page}", token=token, cookie=cookie), door=DOOR) is Verdict.NO_TOKEN


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:4711",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1.evil.example:4711",
        "[::1]:4711",
    ],
)
def test_a_name_that_was_made_to_lead_here_is_another_host(host: str) -> None:
    assert judge(knock(token="token", host=host), door=DOOR) is Verdict.OTHER_HOST


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "get"])
def test_nothing_but_get_is_taken(method: str) -> None:
    assert judge(knock(method=method, token="token"), door=DOOR) is Verdict.ONLY_GET


@pytest.mark.parametrize(
    "asked",
    [
        knock("/way/events", origin="http://evil.example"),
        knock("/way/events", origin="null"),
        knock("/way/events", origin="http://127.0.0.1:8080"),
        knock("/way/survey.json", sec_fetch_site="cross-site"),
        knock("/way/survey.json", sec_fetch_site="same-site"),
        knock(token="token", origin="https://evil.example"),
    ],
)
def test_another_origin_is_refused_even_with_the_cookie(asked: Knock) -> None:
    assert judge(asked, door=DOOR) is Verdict.FOREIGN


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/way",
        "/way/../way/x",
        "/way/../../etc/passwd",
        "/way//etc/passwd",
        "/way/app.js/",
        "/way/%2e%2e",
        "//",
    ],
)
def test_no_path_leads_anywhere_but_to_the_pages(path: str) -> None:
    assert judge(knock(path), door=DOOR) is Verdict.NOT_FOUND


@given(st.text(), st.text(), st.text(), st.sampled_from(["GET", "POST"]))
def test_nobody_guesses_his_way_in(path: str, token: str, cookie: str, method: str) -> None:
    asked = knock(f"/{path}", method=method, token=token, cookie=cookie)
    assert judge(asked, door=DOOR) not in {Verdict.SHOW, Verdict.LET_IN}
