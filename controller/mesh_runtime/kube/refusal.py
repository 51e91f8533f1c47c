"""An answer that is a refusal: metav1.Status, or whatever stands in its place."""

from typing import TYPE_CHECKING, Final

import msgspec

from mesh_runtime.kube.bounds import Bounds, read_within
from mesh_runtime.kube.errors import ApiError

if TYPE_CHECKING:
    import aiohttp

_LONGEST_WAIT: Final = 300.0
"""Seconds that a server may ask us to wait."""


class _Status(msgspec.Struct, rename="camel"):
    """metav1.Status."""

    reason: str = ""
    message: str = ""
    code: int = 0


async def refusal_in(response: "aiohttp.ClientResponse", bounds: Bounds | None, *, path: str) -> ApiError:
    """What the API server refuses with; raises TooMuch."""
    raw = await read_within(response, bounds, path=path)
    try:
        status = msgspec.json.decode(raw, type=_Status)
    except msgspec.DecodeError:
        status = _Status(message=raw[:200].decode(errors="replace").strip())
    try:
        wait = float(response.headers.get("Retry-After", "0"))
    except ValueError:
        wait = 0.0
    return ApiError(
        status=response.status,
        reason=status.reason or str(response.reason),
        message=status.message or "no message",
        retry_after=min(max(0.0, wait), _LONGEST_WAIT),
    )
