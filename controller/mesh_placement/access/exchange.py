"""One request to a member and its answer, streamed both ways.

Whatever ends early ends the whole exchange: a caller who goes takes his request with him, a member that goes
breaks the caller's connection, so that half an answer is never taken for a whole one.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from mesh_placement.access.framing import Framing, framing
from mesh_placement.access.heads import BadHead, RequestHead, ResponseHead, read_response
from mesh_placement.access.passing import backward, leaves_member, upgrade_of
from mesh_placement.access.wire import Wire
from mesh_placement.decide.access_path import Proxied

HEAD_LIMIT: Final = 75.0
"""Seconds until an answer begins that is no stream: an API server ends its work on such a one after 60."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class MemberGone(ConnectionError):
    """The member's end closed before its answer began."""


class TokenRefused(Exception):
    """The member does not take the hub's own token; that is no matter of the caller's."""


@dataclass(slots=True)
class Exchange:
    """Between a caller and a member, after both are known. `begun`: something was said to the caller."""

    front: Wire
    back: Wire
    request: RequestHead
    target: Proxied
    begun: bool = False
    back_keeps: bool = False

    async def run(self, head: bytes) -> bool:
        """Do it; whether the caller's connection goes on.

        Raises MemberGone, TokenRefused, TimeoutError, BadHead before something was said to the caller, and
        OSError or BadHead afterwards.
        """
        body = framing(self.request.length)
        if self.request.expects:
            self.front.write(_CONTINUE)
        self.back.write(head + _waiting(self.front, body))
        if body.done:
            return await self._answered(body)
        sender = asyncio.ensure_future(_carry(self.front, self.back, body))
        # Half a request is none: the member must not wait for the other half.
        sender.add_done_callback(self._sent)
        try:
            return await self._answered(body)
        except MemberGone:
            if sender.done():
                sender.result()
            raise
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _sent(self, sender: "asyncio.Future[None]") -> None:
        if not sender.cancelled() and sender.exception() is not None:
            self.back.abort()

    async def _answered(self, body: Framing) -> bool:
        now = asyncio.get_running_loop().time()
        response = await self._response(until=None if self.target.may_be_silent else now + HEAD_LIMIT)
        if response.status == 401:
            raise TokenRefused
        if response.status == 101:
            return await self._stream(response)
        keeps = self.request.keeps and response.length != -1 and not upgrade_of(self.request)
        # An answer before the end of the request: what is left of it would be taken for the next one.
        keeps = keeps and body.done
        rest = framing(response.length)
        self.begun = True
        first = backward(response, request=self.request, target=self.target, keeps=keeps)
        self.front.write(first + _waiting(self.back, rest))
        await self.front.drain()
        await _carry(self.back, self.front, rest)
        # The request's end may have come with the answer.
        keeps = keeps and body.done
        self.back_keeps = response.keeps and body.done and not upgrade_of(self.request)
        return keeps

    async def _response(self, *, until: float | None) -> ResponseHead:
        while True:
            head = await self.back.head(until=until)
            if head is None:
                raise MemberGone("the member's API server closed before it answered")
            response = read_response(head, method=self.request.method)
            if response.status == 101 and not upgrade_of(self.request):
                raise BadHead("the member changes to a protocol that nobody asked for")
            if leaves_member(response):
                raise BadHead("the member leads elsewhere, and nobody is led out of it")
            if response.status >= 200 or response.status == 101:
                return response

    async def _stream(self, response: ResponseHead) -> bool:
        """What is no HTTP any more: bytes, both ways, until one end closes."""
        self.begun = True
        # From here the end of one side is the end of its bytes; what it said before still goes on.
        self.front.on_end = None
        self.front.write(backward(response, request=self.request, target=self.target, keeps=False))
        ways = [
            asyncio.ensure_future(_carry(self.front, self.back, framing(-1))),
            asyncio.ensure_future(_carry(self.back, self.front, framing(-1))),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.back.close()
        return False


def _waiting(source: Wire, body: Framing) -> bytes:
    """What has come of a body already."""
    if body.done or not source.waiting:
        return b""
    data = source.take(source.waiting)
    taken = body.take(data)
    if taken < len(data):
        source.give_back(data[taken:])
    return data[:taken]


async def _carry(source: Wire, sink: Wire, body: Framing) -> None:
    """The rest of a body; ConnectionError when it ends too early, BadHead when it is not plainly one."""
    endless = framing(-1).__class__
    while not body.done:
        data = await source.some()
        if not data:
            if isinstance(body, endless):
                return
            raise ConnectionResetError("a body ended too early")
        taken = body.take(data)
        if taken < len(data):
            source.give_back(data[taken:])
            data = data[:taken]
        sink.write(data)
        await sink.drain()
