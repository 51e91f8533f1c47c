"""Objects nested deeper than a decoder goes: one that somebody writes ends nobody who watches the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.errors import MeshError
from mesh_fakes.api_server import FakeApiServer
from mesh_fakes.waiting import until
from mesh_placement.deliver import Deliverer
from mesh_placement.objects import Budgets, Work
from mesh_placement.resources import WORKS
from mesh_runtime.kube import Informer, KubeClient
from mesh_runtime.kube.client import ObjectPage
from mesh_runtime.kube.depth import CUT, MOST_LEVELS, shallow

LEVELS = 9000
DEEP = b'{"a":' * LEVELS + b"1" + b"}" * LEVELS


def work(name: str, *, version: int, manifest: bytes = b"{}") -> bytes:
    meta = b'{"name":"%s","namespace":"n","resourceVersion":"%d"}' % (name.encode(), version)
    return b'{"metadata":%s,"spec":{"workload":{"manifests":[%s]}}}' % (meta, manifest)


def page(*items: bytes) -> bytes:
    return b'{"metadata":{"resourceVersion":"5"},"items":[%s]}' % b",".join(items)


class Content:
    """Watch events, then silence."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = lines

    async def iter_any(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield line + b"\n"
        await asyncio.Event().wait()


class Server:
    """As much of a client as an informer uses."""

    bounds = None

    def __init__(self, listed: bytes, *events: bytes) -> None:
        self._listed = listed
        self._events = events

    async def list(self, *_: Any, **__: Any) -> ObjectPage[Work]:  # Any: whatever is selected
        found = WORKS.decode_page(self._listed)
        return ObjectPage(found.items or [], "5", frozenset(found.unreadable))

    @asynccontextmanager
    async def stream(self, *_: Any, **__: Any) -> AsyncIterator[Content]:  # Any: as above
        yield Content(*self._events)


@pytest.mark.asyncio
async def test_a_work_nested_too_deep_hides_no_other_and_ends_nobody() -> None:
    added, changed = (b'{"type":"%s","object":%s}' % (kind, work("bad", version=7, manifest=DEEP))
                      for kind in (b"ADDED", b"MODIFIED"))  # fmt: skip
    good = b'{"type":"ADDED","object":%s}' % work("b", version=8)
    server = Server(page(work("bad", version=1, manifest=DEEP), work("a", version=2)), added, changed, good)
    informer = Informer(cast(KubeClient, server), WORKS)
    watching = asyncio.create_task(informer.run())
    try:
        await until(lambda: {one.metadata.name for one in informer.values()} == {"a", "b"} or watching.done())
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


JSON = st.recursive(
    st.text() | st.integers() | st.none(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)


@given(JSON, st.integers(0, MOST_LEVELS - 50), st.integers(MOST_LEVELS + 1, 300))
def test_what_is_not_too_deep_stays_and_what_is_becomes_one_word(value: object, few: int, many: int) -> None:
    raw = msgspec.json.encode(value)
    plain = b"[" * few + raw + b"]" * few
    assert shallow(plain) == plain
    found = shallow(b"[" * many + raw + b"]" * many + b"\n")
    assert found == b"[" * MOST_LEVELS + CUT + b"]" * MOST_LEVELS + b"\n"


@pytest.mark.asyncio
async def test_a_defect_that_one_work_meets_is_that_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With distribution Push the engine runs in the hub: what it does not survive ends all clusters'."""

    async def defect(_self: Deliverer, _name: str) -> None:
        raise RecursionError

    monkeypatch.setattr(Deliverer, "_unit", defect)
    api = FakeApiServer()
    engine = Deliverer(api.client(), api.client(), namespace="n", cluster="east", budgets=Budgets())
    with pytest.raises(MeshError, match="bad cannot be delivered"):
        await engine._reconcile(("unit", "bad"))
