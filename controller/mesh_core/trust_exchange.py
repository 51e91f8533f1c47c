"""What two controllers say to each other of trust: pure decisions about signed texts that travel (ruling 1).

1. Whoever has the newer text sends it: what hellos say decides, and what this stream has carried since. Who
   is behind is told once a stream, not again and again. What a cluster has settled on is said in reports; it
   may lag behind the texts that it has.
2. A text travels alone in its message, so that the longest one fits in a frame.
3. What is byte by byte the text in force, or not newer, costs no signature check.
4. Texts that want to be checked are counted: somebody who sends ever new ones keeps nobody busy.
"""

from dataclasses import dataclass
from typing import Final

from mesh_core.objects.mesh import PeerTrust
from mesh_core.peer_wire import Hello, PeerProtocolError, Trust, TrustReport, frame
from mesh_core.trust_statement import Held

MOST_TEXTS: Final = 8
"""Texts of one sender that are looked at in `TEXTS_PER` seconds, and at once."""
TEXTS_PER: Final = 60.0


@dataclass(frozen=True, slots=True)
class Settled:
    """What a cluster goes by as a whole: numbers of its texts, and the KeyId of the root above itself."""

    generation: int = 0
    revision: int = 0
    root: str = ""


def report_of(ours: Settled) -> TrustReport:
    """The message that says it."""
    return TrustReport(generation=ours.generation, revision=ours.revision, root=ours.root)


def reported(said: Hello | TrustReport) -> PeerTrust:
    """What a peer has said, as its MeshPeer shows it.

    A hello names the texts that a peer has, which is more than it has settled on: that is not heard yet.
    """
    match said:
        case Hello():
            root = said.trust_root
            generation, revision = 0, said.trust_revision
        case TrustReport():
            generation, revision, root = said.generation, said.revision, said.root
    is_key = len(root) == 64 and set(root) <= set("0123456789abcdef")
    return PeerTrust(generation=generation, revision=revision, root=root if is_key else "")


@dataclass(frozen=True, slots=True)
class Has:
    """The numbers of the texts that the other end of a stream has, as far as this end knows."""

    generation: int = 0
    revision: int = 0

    def also(self, held: Held) -> "Has":
        """The same after it has got, or has shown, the texts of `held`."""
        return Has(max(self.generation, held.generation), max(self.revision, held.revision))


def news(held: Held, *, has: Has) -> tuple[Trust, ...]:
    """What of `held` is newer than what the other end has; the statement first, by which the rest counts."""
    found: list[Trust] = []
    if held.generation > has.generation:
        found.append(Trust(statement=held.signed_statement))
    if held.revision > has.revision:
        found.append(Trust(revocations=held.signed_revocations))
    return tuple(message for message in found if _fits(message))


def unseen(offered: Trust, *, held: Held) -> Trust:
    """What of a message is not byte by byte what is held."""
    statement, revocations = offered.statement, offered.revocations
    return Trust(
        statement=statement if statement != held.signed_statement else None,
        revocations=revocations if revocations != held.signed_revocations else None,
    )


@dataclass(slots=True)
class TextBudget:
    """How many more texts of one sender are looked at; `at` is when that was last asked (seconds)."""

    left: float = MOST_TEXTS
    at: float = 0.0

    def spend(self, *, now: float) -> bool:
        """Whether one more is looked at."""
        self.left = min(MOST_TEXTS, self.left + max(now - self.at, 0.0) * MOST_TEXTS / TEXTS_PER)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def is_full(self, *, now: float) -> bool:
        """Whether it stands as if nobody had ever spent of it."""
        return self.left + max(now - self.at, 0.0) * MOST_TEXTS / TEXTS_PER >= MOST_TEXTS


def _fits(message: Trust) -> bool:
    """Whether it fits in a frame: a text in the strangest characters may become longer than one."""
    try:
        frame(message)
    except PeerProtocolError:
        return False
    return True
