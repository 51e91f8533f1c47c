"""A whole example of any type of ours: every field is filled, every list has something of each kind in it.

For tests that ask what may be in an answer. A text is a time in RFC 3339, since some texts are read as that.
"""

import dataclasses
import types
from collections import abc
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

TEXT = "2026-03-01T12:00:00Z"
_PLAIN: dict[Any, object] = {  # Any: whatever may stand in an annotation, here and below
    str: TEXT,
    int: 1,
    float: 1.0,
    bool: True,
    bytes: b"x",
    object: TEXT,
    Any: TEXT,
    datetime: datetime(2026, 3, 1, 12, tzinfo=UTC),
    timedelta: timedelta(hours=1),
    Path: Path("x"),
}
_LISTS = (abc.Sequence, abc.Iterable, abc.Collection, list)
_SETS = (abc.Set, frozenset, set)
_MAPS = (abc.Mapping, dict)


def example(of: Any) -> Any:
    """One of that type; where several are possible, the first that is not None."""
    return examples(of)[0]


def examples(of: Any) -> list[Any]:
    """One of each kind that a value of that type may be, None left out."""
    origin, arguments = get_origin(of), get_args(of)
    if of in _PLAIN:
        return [_PLAIN[of]]
    if origin in (Union, types.UnionType):
        return [each for one in arguments if one is not type(None) for each in examples(one)]
    if origin is Annotated:
        return examples(arguments[0])
    if origin is Literal:
        return [arguments[0]]
    if isinstance(of, NewType):
        return examples(of.__supertype__)
    if isinstance(of, TypeVar):
        return examples(of.__bound__ or str)
    if origin is tuple or of is tuple:
        return [_tuple(arguments)]
    if origin in _LISTS:
        return [examples(arguments[0])]
    if origin in _SETS:
        return [frozenset(examples(arguments[0]))]
    if origin in _MAPS:
        return [dict.fromkeys(examples(arguments[0]), example(arguments[1]))]
    if origin is abc.Callable:
        return [lambda *_words, **_named: example(arguments[1])]
    return [_made(origin or of)]


def call_with_examples(function: Any) -> Any:
    """What a function gives that is called with an example for each of its parameters."""
    hints = get_type_hints(function, include_extras=True)
    return function(
        *(example(hints[name]) for name in _positional(function)),
        **{name: example(hints[name]) for name in _named(function)},
    )


def _positional(function: Any) -> tuple[str, ...]:
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount])


def _named(function: Any) -> tuple[str, ...]:
    code = function.__code__
    return tuple(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])


def _tuple(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(examples(arguments[0]))
    return tuple(example(one) for one in arguments)


def _made(of: Any) -> Any:
    if issubclass(of, Enum):
        return next(iter(of))
    hints = get_type_hints(of, include_extras=True)
    if dataclasses.is_dataclass(of):
        names = [field.name for field in dataclasses.fields(of) if field.init]
    elif issubclass(of, msgspec.Struct):
        names = list(of.__struct_fields__)
    else:
        raise TypeError(f"there is no example of {of}")
    return of(**{name: example(hints[name]) for name in names})
