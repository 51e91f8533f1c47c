"""Damage to bytes, of the kinds that parsers fall over; the same number always makes the same damage."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

NUMBER = int(os.environ.get("FUZZ", "3000"))
"""How many cases a fuzz test tries: the variable FUZZ."""

FIRST = int(os.environ.get("SEED", "1"))
"""The number of the first case: the variable SEED. `FUZZ=1 SEED=4711` repeats one."""

_LONGEST = 40_000
_EDGES = (0, 1, 2, 0x0A, 0x16, 0x20, 0x2E, 0x7F, 0x80, 0xFE, 0xFF)
_LENGTHS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x4000, 0x4001, 0x7FFF, 0x8000, 0xFFFF)


def corpus(folder: Path) -> list[bytes]:
    """What the files of a corpus hold, in the order of their names."""
    found = [path.read_bytes() for path in sorted(folder.glob("*.bin"))]
    assert found, f"no corpus in {folder}"
    return found


def cases() -> Iterator[tuple[int, random.Random]]:
    """The numbers of the cases to try, each with dice of its own."""
    for number in range(FIRST, FIRST + NUMBER):
        yield number, random.Random(number)


def damaged(data: bytes, *, dice: random.Random, others: Sequence[bytes]) -> bytes:
    """`data` after one to six blows."""
    found = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        dice.choice(_BLOWS)(found, dice)
    if dice.random() < 0.1:
        other = dice.choice(others)
        found[_place(found, dice) :] = other[_place(other, dice) :]
    return bytes(found[:_LONGEST])


def cut(data: bytes, *, dice: random.Random, most: int = 12) -> list[bytes]:
    """The same bytes in pieces, as a network would bring them."""
    edges = sorted(dice.randint(0, len(data)) for _ in range(dice.randint(0, most)))
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


def _place(data: Sequence[int], dice: random.Random) -> int:
    return dice.randrange(len(data) + 1)


def _flip(data: bytearray, dice: random.Random) -> None:
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _edge(data: bytearray, dice: random.Random) -> None:
    if data:
        data[dice.randrange(len(data))] = dice.choice(_EDGES)


def _length(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    data[at : at + 2] = dice.choice(_LENGTHS).to_bytes(2, "big")


def _nearly(data: bytearray, dice: random.Random) -> None:
    """A number of two bytes that is a little off."""
    if len(data) >= 2:
        at = dice.randrange(len(data) - 1)
        value = int.from_bytes(data[at : at + 2], "big") + dice.choice((-2, -1, 1, 2))
        data[at : at + 2] = (value & 0xFFFF).to_bytes(2, "big")


def _insert(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    data[at:at] = dice.randbytes(dice.choice((1, 1, 2, 4, 64, 3000)))


def _delete(data: bytearray, dice: random.Random) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 1, 2, 4, 64))]


def _repeat(data: bytearray, dice: random.Random) -> None:
    start = _place(data, dice)
    piece = data[start : start + dice.choice((1, 4, 32, 256))]
    data[start:start] = piece * dice.choice((1, 1, 2, 20))


def _end(data: bytearray, dice: random.Random) -> None:
    del data[_place(data, dice) :]


_BLOWS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _edge,
    _edge,
    _length,
    _nearly,
    _nearly,
    _insert,
    _delete,
    _repeat,
    _end,
)
