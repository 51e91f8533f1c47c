"""aiohttp, loaded with the first name of it that is asked for: who wants only help does not wait for it.

Whoever writes types with it imports it itself where `TYPE_CHECKING` holds.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:  # Any: whatever aiohttp has
    found = globals()[name] = getattr(import_module("aiohttp"), name)
    return found
