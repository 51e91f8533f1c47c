"""Tunnels that are cut at any byte, and clusters that refuse: nothing is delivered twice (ruling 9).

And where nothing was delivered and another cluster takes streams, the client notices nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_fakes.cut_tunnels import FarCluster, Ground
from mesh_fakes.session_pair import MESSAGE, Reading

PAYLOAD = random.Random(9).randbytes(1 << 19)
NAMES = ("east", "north", "south")
SIZES = (1, 11, 1000, 40_000, 70_000, 262_144)
PIECES = (1, 12, 20, 100, 250, 1000, 66_000, 1 << 22)
DEEDS = (
    "write", "write", "end", "forth", "forth", "forth", "back", "back", "accept", "refuse", "reset", "cut",
    "away", "hold", "let go", "turn",
)  # fmt: skip

Step = tuple[str, int, int]
STEPS = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 2), st.integers(0, 7)), max_size=40)
KINDS = st.tuples(*[st.sampled_from(["tunnel", "tunnel", "both", "direct", "none"]) for _ in NAMES])


class Scene:
    """A client in front of three clusters."""

    def __init__(self, kinds: tuple[str, ...], *, group: asyncio.TaskGroup) -> None:
        self.far = {
            name: FarCluster(has_tunnel=kind in ("tunnel", "both"))
            for name, kind in zip(NAMES, kinds, strict=True)
        }
        direct = {name: kind in ("direct", "both") for name, kind in zip(NAMES, kinds, strict=True)}
        self.takes = direct
        self.ground = Ground(self.far, direct=direct, group=group)
        self.reading = Reading()
        self.ground.client.start(self.reading)
        self.written = 0
        self.has_ended = False

    async def step(self, step: Step) -> None:
        deed, which, size = step
        far = self.far[NAMES[which]]
        deeds: dict[str, Callable[[], object]] = {
            "write": lambda: self.write(SIZES[size % len(SIZES)]),
            "end": self.end,
            "forth": lambda: far.move(PIECES[size], back=False),
            "back": lambda: far.move(PIECES[size], back=True),
            "accept": far.accept,
            "refuse": lambda: far.refuse(with_words=True),
            "reset": lambda: far.refuse(with_words=False),
            "cut": far.cut,
            "away": far.go_away,
            "hold": lambda: far.hold(on=True),
            "let go": lambda: far.hold(on=False),
            "turn": lambda: None,
        }
        deeds[deed]()
        if deed in ("write", "end", "turn"):
            await asyncio.sleep(0)
        self.hold()

    def write(self, size: int) -> None:
        if not (self.has_ended or self.ground.client.is_gone):
            data = PAYLOAD[self.written : self.written + size]
            self.written += len(data)
            if data:
                self.ground.client.write(data)

    def end(self) -> None:
        if not self.ground.client.is_gone:
            self.has_ended = True
            self.ground.client.end()

    def hold(self) -> None:
        """What must be so at every moment."""
        reached = [far.backend for far in self.far.values() if far.backend.data]
        assert len(reached) <= 1, "a client's bytes have reached two backends"
        for backend in reached:
            assert PAYLOAD.startswith(backend.data)
        assert PAYLOAD.startswith(self.reading.data)

    async def finish(self, *, takes: bool) -> None:
        """Lets everything flow; whoever is asked now accepts, or refuses."""
        for _ in range(30):
            await asyncio.sleep(0)
            for far in self.far.values():
                if not far.is_gone:
                    far.hold(on=False)
                if takes:
                    far.accept()
                else:
                    far.refuse(with_words=True)
                for back in (False, True) * 3:
                    far.move(1 << 22, back=back)
            self.hold()


def story(kinds: tuple[str, ...], *, told: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            scene = Scene(kinds, group=group)
            await told(scene)
            scene.ground.traffic.abort()
            for far in scene.far.values():
                far.cut()
            for _ in range(10):
                await asyncio.sleep(0)
            assert scene.ground.traffic.admitted == 0

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1000, 65_536, 70_000, 300_000])
@pytest.mark.parametrize("refusal", ["in words", "by a reset"])
@pytest.mark.parametrize("following", ["tunnel", "direct"])
def test_a_refusal_after_early_data_costs_the_client_nothing(size: int, refusal: str, following: str) -> None:
    """Ruling 9 (b): what was said so far, and what is said meanwhile, goes to the next cluster, in order."""

    async def told(scene: Scene) -> None:
        scene.write(size)
        for _ in range(5):
            await asyncio.sleep(0)
            for far in scene.far.values():
                far.move(1 << 22, back=False)
        (first,) = [far for far in scene.far.values() if far.was_asked]
        first.refuse(with_words=refusal == "in words")
        first.move(1 << 22, back=True)
        scene.write(5000)
        await asyncio.sleep(0)
        scene.write(100)
        await scene.finish(takes=True)
        assert scene.reading.data == PAYLOAD[: size + 5100]
        assert scene.ground.traffic._stalls == 0, "it keeps up, and counts as one that does not"
        scene.end()
        await scene.finish(takes=True)
        assert scene.reading.gone is True

    story(("tunnel", following, "none"), told=told)


@pytest.mark.parametrize("phase", [0, 30, 1 << 20])
def test_a_service_of_one_cluster_is_served_though_its_tunnel_is_lost_before_a_byte_was_sent(
    phase: int,
) -> None:
    """The cluster has not refused: there is another way to it, and nothing can be delivered twice."""

    async def told(scene: Scene) -> None:
        scene.far["east"].move(phase, back=False)
        scene.far["east"].cut()
        scene.write(1000)
        scene.end()
        await scene.finish(takes=True)
        assert scene.reading.data == PAYLOAD[:1000]
        assert scene.reading.gone is True

    story(("both", "none", "none"), told=told)


@pytest.mark.parametrize(
    ("phase", "is_served"),
    [
        ("before the opening leaves", True),
        ("in the middle of the opening", True),
        ("when the opening has come", True),
        ("with early data that has not left", False),
        ("in the middle of early data", False),
        ("when early data has come", False),
        ("when it was accepted, and the answer is on its way", False),
        ("in the middle of the answer", False),
        ("when the answer has come", False),
    ],
)
@pytest.mark.parametrize("following", ["tunnel", "direct"])
def test_a_cut_is_noticed_by_the_client_when_something_may_have_been_delivered(
    phase: str, is_served: bool, following: str
) -> None:
    async def told(scene: Scene) -> None:
        first, other = scene.far["east"], scene.far["north"]
        if "early" in phase or "answer" in phase:
            scene.write(1000)
            await asyncio.sleep(0)
        if "middle of the opening" in phase:
            first.move(30, back=False)
        elif "middle of early" in phase:
            first.move(len(MESSAGE) + 300, back=False)
        elif "come" in phase or "answer" in phase:
            first.move(1 << 20, back=False)
        if "answer" in phase:
            first.accept()
        if "middle of the answer" in phase:
            first.move(13, back=True)
        elif phase == "when the answer has come":
            first.move(1 << 20, back=True)
        first.cut()
        assert first.was_broken != is_served or "answer" in phase
        scene.write(1000)
        await scene.finish(takes=True)
        if is_served:
            assert scene.reading.data == PAYLOAD[: scene.written]
            assert other.backend.data == PAYLOAD[: scene.written]
        else:
            assert scene.reading.gone is False
            assert not other.backend.data

    story(("tunnel", following, "none"), told=told)


@settings(max_examples=60, deadline=None)
@given(KINDS, STEPS, st.booleans())
def test_no_payload_reaches_two_backends_whatever_is_cut_or_refused(
    kinds: tuple[str, ...], steps: list[Step], takes: bool
) -> None:
    async def told(scene: Scene) -> None:
        for step in steps:
            await scene.step(step)
        await scene.finish(takes=takes)
        served = [far for far in scene.far.values() if far.backend.stream is not None]
        if scene.reading.gone is False or not served:
            return
        assert scene.reading.data == PAYLOAD[: scene.written], "who is not reset is served whole"
        assert scene.reading.has_ended == scene.has_ended

    story(kinds, told=told)


@settings(max_examples=60, deadline=None)
@given(KINDS, STEPS)
def test_who_lost_nothing_is_served_by_another_cluster(kinds: tuple[str, ...], steps: list[Step]) -> None:
    async def told(scene: Scene) -> None:
        for step in steps:
            await scene.step(step)
        scene.write(1000)
        await scene.finish(takes=True)
        was_broken = any(far.was_broken for far in scene.far.values())
        left = [
            name
            for name, far in scene.far.items()
            if (far.was_asked and far.backend.stream is not None and not far.is_gone)
            or (not far.was_asked and not far.is_gone and far.pair.client.reason is None)
            or (scene.takes[name] and not far.was_refused)
        ]
        if was_broken or not left:
            return
        assert scene.reading.gone in (None, True)
        assert scene.reading.data == PAYLOAD[: scene.written]

    story(kinds, told=told)
