"""One caller's connection: its requests, one after the other.

1. Who he is and what he may is asked before a byte of his request goes anywhere.
2. A request that says as whom to act (Impersonate-*) is refused: passed on it would make him anybody, left
   out it would make him himself where he believes to be less. The hub's own API server answers such a wish
   on the aggregated way.
3. A refusal is a metav1.Status, as from any API server.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from mesh_core.errors import MeshError
from mesh_placement.access.answers import DOCUMENTS, answer, refusal
from mesh_placement.access.exchange import Exchange, MemberGone, TokenRefused
from mesh_placement.access.heads import BadHead, RequestHead, read_request
from mesh_placement.access.passing import onward, upgrade_of
from mesh_placement.access.pool import Pool, TooMany
from mesh_placement.access.reviews import Reviews
from mesh_placement.access.wire import Wire
from mesh_placement.decide.access_path import Proxied, proxied, verb_of
from mesh_placement.decide.caller import Believed, Caller, Shown, Token, caller_of
from mesh_placement.decide.impersonation import NotPassedOn
from mesh_placement.decide.route import NoRoute, Route
from mesh_placement.way.routes import Routes
from mesh_runtime.log import logger

_log = logger(__name__)

IDLE_LIMIT: Final = 120.0
"""Seconds until the next request has to be there."""
STRANGER_LIMIT: Final = 10.0
"""The same for who has said nothing yet by which the hub knows him: anybody may connect."""
_DISCOVERY: Final = "as=APIGroupDiscoveryList"
_REPEATABLE: Final = ("GET", "HEAD", "OPTIONS")


@dataclass(slots=True)
class Desk:
    """What all sessions go by; `rules` changes when the hub's do."""

    reviews: Reviews
    routes: Routes
    pool: Pool
    rules: Believed = field(default_factory=Believed)
    extras: tuple[str, ...] = ()


class Session:
    """The connection `front`, on which `shown` was shown in the handshake."""

    def __init__(self, front: Wire, *, shown: Shown | None, desk: Desk) -> None:
        self._front = front
        self._shown = shown
        self._desk = desk
        self._is_known = shown is not None

    async def run(self) -> None:
        """Until either end closes it."""
        try:
            while await self._next():
                pass
            self._front.close()
        except (OSError, BadHead) as error:
            _log.info("an exchange broke off", why=str(error) or type(error).__name__)
        except Exception as error:
            # A defect met by one connection must not end the others.
            _log.error("a connection is dropped by a defect", error=error)
        finally:
            if not self._front.transport.is_closing():
                self._front.abort()

    async def _next(self) -> bool:
        try:
            limit = IDLE_LIMIT if self._is_known else STRANGER_LIMIT
            head = await self._front.head(until=asyncio.get_running_loop().time() + limit)
            if head is None:
                return False
            request = read_request(head)
        except TimeoutError:
            return False
        except BadHead as error:
            self._front.write(refusal(400, "BadRequest", str(error), keeps=False))
            return False
        task = asyncio.current_task()
        assert task is not None
        # Who goes takes his request with him.
        self._front.on_end = lambda: _end(task)
        try:
            if self._front.ended:
                return False
            return await self._answer(request)
        finally:
            self._front.on_end = None

    async def _answer(self, request: RequestHead) -> bool:
        try:
            caller = await self._caller(request)
            if caller is None:
                return self._refuse(request, 401, "Unauthorized", "the hub does not know who asks")
            self._is_known = True
            if any(name.startswith("impersonate-") for name, _ in request.fields):
                why = "here nobody acts as somebody else; --as works on the hub's aggregated path"
                return self._refuse(request, 400, "BadRequest", why)
            target = proxied(request.target)
            if target is None:
                return self._document(request)
            verb = verb_of(request.method, upgrade=bool(upgrade_of(request)))
            if not verb:
                why = f"method {request.method} is not passed on"
                return self._refuse(request, 405, "MethodNotAllowed", why)
            if not await self._desk.reviews.may(caller, verb=verb, cluster=target.cluster):
                why = (
                    f'"{caller.user}" may not {verb} clusters/proxy "{target.cluster}" in access.meshctl.dev'
                )
                return self._refuse(request, 403, "Forbidden", why)
        except MeshError as error:
            _log.warning("the hub cannot be asked about a caller", why=error.what)
            return self._refuse(request, 503, "ServiceUnavailable", "the hub cannot be asked now")
        route = self._desk.routes.to(target.cluster)
        if isinstance(route, NoRoute):
            return self._refuse(request, route.status, route.reason, route.message)
        return await self._pass_on(request, target=target, caller=caller, route=route)

    async def _caller(self, request: RequestHead) -> Caller | None:
        found = caller_of(self._shown, request.fields, rules=self._desk.rules, now=time.time())
        return await self._desk.reviews.who(found) if isinstance(found, Token) else found

    async def _pass_on(self, request: RequestHead, *, target: Proxied, caller: Caller, route: Route) -> bool:
        try:
            head = onward(
                request,
                target=target,
                caller=caller,
                route=route,
                extras=self._desk.extras,
                rules=self._desk.rules,
            )
            return await self._exchanged(request, target=target, route=route, head=head)
        except NotPassedOn as error:
            return self._refuse(request, 403, "Forbidden", str(error))
        except TooMany as error:
            return self._refuse(request, 429, "TooManyRequests", str(error))
        except TokenRefused:
            _log.warning("a member refuses the hub's own token", cluster=route.cluster)
            why = f"cluster \"{route.cluster}\" refuses the hub's own token; look into its agent's log"
            return self._refuse(request, 503, "ServiceUnavailable", why)
        except MeshError as error:
            _log.warning("a member is not reached", cluster=route.cluster, why=error.what)
            return self._refuse(request, 503, "ServiceUnavailable", str(error))

    async def _exchanged(self, request: RequestHead, *, target: Proxied, route: Route, head: bytes) -> bool:
        """One exchange; once more on a fresh connection if the one that was kept had just been closed."""
        fresh = False
        while True:
            back, was_used = await self._desk.pool.take(route, fresh=fresh)
            one = Exchange(self._front, back, request, target)
            try:
                return await one.run(head)
            except MemberGone:
                if was_used and request.method in _REPEATABLE and request.length == 0:
                    fresh = True
                    continue
                return self._unanswered(
                    request, f'the API server of "{route.cluster}" closed before it answered'
                )
            except TimeoutError:
                return self._unanswered(
                    request, f'the API server of "{route.cluster}" does not answer in time'
                )
            except BadHead as error:
                if one.begun:
                    raise
                return self._unanswered(request, f"a message cannot be passed on: {error}")
            finally:
                self._desk.pool.give(route, back, keeps=one.back_keeps)

    def _unanswered(self, request: RequestHead, why: str) -> bool:
        return self._refuse(request, 502, "BadGateway", why)

    def _document(self, request: RequestHead) -> bool:
        path = request.target.partition("?")[0].rstrip("/")
        found = DOCUMENTS.get(path)
        if found is None:
            return self._refuse(request, 404, "NotFound", "there is nothing here")
        if request.method != "GET":
            return self._refuse(request, 405, "MethodNotAllowed", "this is only to be read")
        keeps = _ends_cleanly(request)
        self._front.write(answer(200, found, keeps=keeps))
        return keeps

    def _refuse(self, request: RequestHead, status: int, reason: str, message: str) -> bool:
        keeps = _ends_cleanly(request)
        discovers = any(name == "accept" and _DISCOVERY in value for name, value in request.fields)
        self._front.write(refusal(status, reason, message, keeps=keeps, discovers=discovers))
        return keeps


def _end(task: asyncio.Task[None]) -> None:
    task.cancel()


def _ends_cleanly(request: RequestHead) -> bool:
    """Whether the connection may go on after our own answer: the body of a refused request is not read, and
    the answer to a HEAD would have none."""
    return request.keeps and request.length == 0 and request.method != "HEAD"
