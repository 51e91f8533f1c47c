"""Plug-ins of the scheduler that other packages bring, by entry points (`schedule.plugins` says what one is).

A hub with a plug-in that cannot be had does not run: what it was to forbid would be allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from mesh_core.errors import EnvironmentFault
from mesh_placement.schedule.interpreting import INTERPRETER_GROUP, Component, Interpreter
from mesh_placement.schedule.plugins import (
    DIVIDER_GROUP,
    FILTER_GROUP,
    SCORE_GROUP,
    Divider,
    Filter,
    Plugins,
    Score,
)
from mesh_runtime.log import logger

_log = logger(__name__)
_P = TypeVar("_P", Filter, Score, Divider, Interpreter)


class PluginRefused(EnvironmentFault):
    """A plug-in that is installed and cannot be used."""

    def __init__(self, where: str, *, why: str) -> None:
        super().__init__(
            f"the plug-in {where} cannot be used: {why}",
            next_step="correct it, or take its package out of the hub's image",
        )


def with_installed(built_in: Plugins) -> Plugins:
    """`built_in`, and behind them those that are installed, in the order of their names.

    Raises PluginRefused.
    """
    # A Protocol is no class that could be made; only `isinstance` is asked of it.
    return Plugins(
        filters=_all(built_in.filters, FILTER_GROUP, kind=Filter),  # type: ignore[type-abstract]  # see above
        scores=_all(built_in.scores, SCORE_GROUP, kind=Score),  # type: ignore[type-abstract]  # see above
        dividers=_all(built_in.dividers, DIVIDER_GROUP, kind=Divider),  # type: ignore[type-abstract]  # see above
    )


def installed_interpreters() -> tuple[Interpreter, ...]:
    """Those that are installed, in the order of their names; raises PluginRefused."""
    found = _all((), INTERPRETER_GROUP, kind=Interpreter)  # type: ignore[type-abstract]  # as above
    return tuple(_Careful(one) for one in found)


class _Careful:
    """An interpreter that knows no object on which the plug-in fails: one manifest must not stop a hub."""

    def __init__(self, plugin: Interpreter) -> None:
        self.name = plugin.name
        self._plugin = plugin

    def components(self, manifest: Mapping[str, Any]) -> Sequence[Component] | None:  # Any: JSON
        try:
            found = self._plugin.components(manifest)
            return None if found is None else tuple(found)
        except Exception as error:  # somebody else's code may raise whatever it likes
            _log.error("an interpreter failed", plugin=self.name, why=f"{type(error).__name__}: {error}")
            return None


def _all(built_in: Iterable[_P], group: str, *, kind: type[_P]) -> tuple[_P, ...]:
    found = list(built_in)
    names = {one.name for one in found}
    for point in sorted(entry_points(group=group), key=lambda one: (one.name, one.value)):
        plugin = _loaded(point, kind=kind)
        if plugin.name in names:
            raise PluginRefused(point.value, why=f"there is a {kind.__name__} {plugin.name} already")
        names.add(plugin.name)
        found.append(plugin)
    return tuple(found)


def _loaded(point: EntryPoint, *, kind: type[_P]) -> _P:
    """What the entry point names: the plug-in itself, or a class that makes it."""
    try:
        found = point.load()
        plugin = found() if isinstance(found, type) else found
    except Exception as error:  # somebody else's code may raise whatever it likes
        raise PluginRefused(point.value, why=f"{type(error).__name__}: {error}") from error
    if not isinstance(plugin, kind):
        raise PluginRefused(point.value, why=f"it is no {kind.__name__}")
    return plugin
