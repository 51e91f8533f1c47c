"""What `precheck` saw of the two clusters: facts, or in their place why they could not be had."""

from dataclasses import dataclass

from mesh_cli.check.findings import ClockSeen, Right
from mesh_cli.check.verdict import Unseen

NOT_TRIED = Unseen("it was not tried (--read-only)")


@dataclass(frozen=True, slots=True)
class HubSeen:
    """A cluster that is, or shall be, the hub.

    `tokens` is whether a bootstrap token makes its holder a user; `signer` whether a client certificate was
    signed; `public` whether somebody without a credential may read `HUB_INFO`, None where there is none yet;
    `aggregation` whether the API server says by whom it passes requests on.
    """

    context: str
    version: str | Unseen
    clock: ClockSeen | Unseen
    rights: tuple[Right, ...] | Unseen
    tokens: bool | Unseen
    signer: bool | Unseen
    public: bool | Unseen | None
    aggregation: bool | Unseen


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """A cluster that shall register. `registered` is the hub's address that it has been told, "" for none;
    `hub` the address of the hub that was tried from here, "" for none, and `hub_answers` what came of it."""

    context: str
    version: str | Unseen
    clock: ClockSeen | Unseen
    rights: tuple[Right, ...] | Unseen
    registered: str | Unseen
    hub: str = ""
    hub_clock: ClockSeen | Unseen | None = None
    hub_answers: bool | Unseen | None = None
