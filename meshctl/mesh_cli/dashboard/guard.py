"""Who may see the dashboard: decided for each request from its head. Pure.

The page listens on loopback, where every program of the machine and every page in the person's browser gets.
1. The Host is an address of loopback with our port: a name that was made to lead here (DNS rebinding) is not.
2. Nothing but GET: there is nothing to change.
3. A browser that says that another origin asks is believed.
4. Everything lies below a path that is drawn anew for each run, so that the cookie, which browsers send to
   all ports of a host, goes to no other server on this machine.
5. Whoever comes with the token gets the cookie; whoever has neither gets nothing.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

COOKIE: Final = "meshctl-dashboard"
PAGES: Final = ("", "app.js", "style.css", "icon.svg", "events", "graph.svg", "survey.json")


class Verdict(Enum):
    """What becomes of a request; the value is the HTTP status."""

    SHOW = 200
    LET_IN = 201
    """It has the token: it gets the cookie, and is sent to the page without the token. Answered with 200."""
    NOT_FOUND = 404
    NO_TOKEN = 401
    FOREIGN = 403
    ONLY_GET = 405
    OTHER_HOST = 421


@dataclass(frozen=True, slots=True)
class Door:
    """One run of the dashboard: its port, its path ("/…/"), the token to come in, the secret to stay."""

    port: int
    path: str
    token: str
    session: str


@dataclass(frozen=True, slots=True)
class Knock:
    """What counts of a request; the names of `headers` are in lower case."""

    method: str
    path: str
    token: str
    cookie: str
    headers: Mapping[str, str]


def judge(knock: Knock, *, door: Door) -> Verdict:
    """What becomes of a request."""
    hosts = {f"127.0.0.1:{door.port}", f"localhost:{door.port}"}
    if knock.headers.get("host", "").lower() not in hosts:
        return Verdict.OTHER_HOST
    if knock.method != "GET":
        return Verdict.ONLY_GET
    origin = knock.headers.get("origin")
    site = knock.headers.get("sec-fetch-site", "none")
    is_entry = knock.path == door.path and knock.token != ""
    # A link in another page may lead to the door, as one in a terminal of the browser does; no further.
    if (origin is not None and origin not in {f"http://{one}" for one in hosts}) or (
        not is_entry and site not in {"none", "same-origin"}
    ):
        return Verdict.FOREIGN
    if is_entry and _same(knock.token, door.token):
        return Verdict.LET_IN
    if not _same(knock.cookie, door.session):
        return Verdict.NO_TOKEN
    is_ours = knock.path.startswith(door.path) and knock.path.removeprefix(door.path) in PAGES
    return Verdict.SHOW if is_ours else Verdict.NOT_FOUND


def _same(given: str, wanted: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
