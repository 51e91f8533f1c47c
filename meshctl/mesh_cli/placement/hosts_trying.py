"""Handshakes by business host names, as any client makes them, from where `meshctl` runs.

A client of TLS decides whether it is good; only when it refuses is the certificate looked at once more,
without belief, to tell why. Nothing is sent inside TLS.
"""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh_cli.placement.hosts_verdict import Found, Shown, Verdict, believed, refused, shown_of
from mesh_core.errors import UserError
from mesh_core.objects import PeerGateway
from mesh_placement.schedule.said import one_line
from mesh_runtime.clock import utc_now

LIMIT: Final = 5.0
"""Seconds for one connection with its handshake."""
_AT_ONCE: Final = 16
_CLOSED: Final = (
    "it closed without a certificate; see that its export stands, that an endpoint is ready, and in the "
    "gateway's log whether an older export has the name"
)


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Whom to ask for `host`; `cluster` "" is no member's gateway."""

    host: str
    cluster: str
    address: PeerGateway


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """A client that believes this machine's CAs, or those in `ca_file` alone. Raises UserError."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"{ca_file} holds no CA certificates that can be read", next_step="give a file of them as PEM"
        ) from error
    context.hostname_checks_common_name = False
    return context


async def handshakes(
    wanted: Iterable[Target], *, context: ssl.SSLContext, limit: float = LIMIT
) -> tuple[Found, ...]:
    """One with each, side by side, in their order."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(target: Target) -> Found:
        async with places:
            return await _found(target, context=context, limit=limit)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(target)) for target in wanted]
    return tuple(task.result() for task in tasks)


async def _found(target: Target, *, context: ssl.SSLContext, limit: float) -> Found:
    try:
        async with asyncio.timeout(limit):
            try:
                return believed(await _shown(target, context=context))
            except ssl.SSLCertVerificationError as error:
                why = error.verify_message or str(error.reason)
            shown = await _shown(target, context=_without_belief())
            return refused(shown, host=target.host, now=utc_now(), why=why)
    except TimeoutError:
        return Found(
            Verdict.SILENT, f"no answer within {limit:g} s; see that it is up and can be reached from here"
        )
    except ConnectionRefusedError:
        return Found(Verdict.SILENT, "nobody listens there; see that its gateways run")
    except UnicodeError:
        # Names that cannot be asked for in DNS, which a member may write as a gateway's.
        return Found(Verdict.SILENT, "no way there: it is no DNS name; correct the gateway's address")
    except ValueError as error:
        return Found(
            Verdict.NOT_BELIEVED, f"its certificate does not read: {one_line(str(error))}; have it made anew"
        )
    except ssl.SSLError as error:
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Found(Verdict.CLOSED, _CLOSED)
        said = one_line(error.reason or str(error))
        return Found(Verdict.CLOSED, f"no handshake: {said}; see that its application speaks TLS")
    except ConnectionError:
        return Found(Verdict.CLOSED, _CLOSED)
    except OSError as error:
        return Found(
            Verdict.SILENT, f"no way there: {one_line(str(error))}; see that it can be reached from here"
        )


async def _shown(target: Target, *, context: ssl.SSLContext) -> Shown:
    reader, writer = await asyncio.open_connection(
        target.address.host, target.address.port, ssl=context, server_hostname=target.host
    )
    del reader
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        # Nothing is sent, so nobody waits for an end in good order.
        writer.transport.abort()
    return shown_of(der or b"")


def _without_belief() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
