"""How much we take from an API server that is not our own: a member's, when the hub delivers to it.

An API server of ours is believed: whoever has it has us. A member's may be hostile, and whoever reads its
answers has other members to serve. So an answer is read up to its bound and no further, lists are asked for
in smaller pages where one is too long, and a cache takes so much and no more.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mesh_runtime.kube.errors import BadAnswer

if TYPE_CHECKING:
    import aiohttp

FIRST_PAGE: Final = 500
"""Objects that a list is asked for at once."""
_SMALLER: Final = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """`answer`: bytes of one answer, be it an object or a page of a list. `cache`: bytes of one list, and
    again of what one watch tells afterwards. `listing`: seconds for a whole list."""

    answer: int = 4 << 20
    cache: int = 32 << 20
    listing: float = 60.0


class TooMuch(BadAnswer):
    """It goes on beyond its bound; what was read of it is dropped."""

    def __init__(self, *, path: str, most: int) -> None:
        super().__init__(path=path, why=f"it has more than {most} bytes")


async def read_within(response: "aiohttp.ClientResponse", bounds: Bounds | None, *, path: str) -> bytes:
    """The body; raises TooMuch, having read hardly more than the bound."""
    if bounds is None:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > bounds.answer:
            raise TooMuch(path=path, most=bounds.answer)
        parts.append(part)
    return b"".join(parts)


def fewer(page: int) -> int:
    """How many objects are asked for after a page of `page` was too much; 0 when it was one alone."""
    return max(1, page // _SMALLER) if page > 1 else 0
