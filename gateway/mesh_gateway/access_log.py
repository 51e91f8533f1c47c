"""The access log: one line at the end of a stream, for those who switched it on (it is off by default).

1. Which streams are logged follows from the stream's id alone, so the gateways at both ends log the same
   ones; one that samples less logs a part of what the other one logs. Of streams without an id, which only
   `meshctl/1` carries, every n-th one is logged.
2. Refusals are no matter of this log: `refusals` tells them always, and bounded.
3. Names come from strangers; `mesh_runtime.log` quotes them, so that a line stays a line.
"""

import zlib
from dataclasses import dataclass

from mesh_core.errors import UserError
from mesh_gateway.metrics import Direction, Unsaid
from mesh_gateway.opening import Reason, Source
from mesh_gateway.route import Address, ServicePort
from mesh_runtime.log import logger

_log = logger(__name__)

_NOBODY = Source()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEntry:
    """A stream that is over. `sent` and `received` are payload bytes towards and from the peer.
    `service` is text where it is a reserved target.

    `id` "" is none; `endpoint` is the local endpoint at the ingress, and the peer's gateway at the egress.
    `reason` is why it was refused or broken off, None where it ended by itself; `cleanly`: both ways did.
    """

    id: str
    direction: Direction
    peer: str
    service: ServicePort | str
    endpoint: Address | None
    source: Source | None
    sent: int
    received: int
    seconds: float
    cleanly: bool
    reason: Reason | Unsaid | None = None


class AccessLog:
    """`sample` is the part of all streams that is logged, 0 to 1. Raises UserError for another number.

    Whoever ends a stream asks `is_on` first, and saves the making of an entry.
    """

    def __init__(self, sample: float = 0.0) -> None:
        if not 0.0 <= sample <= 1.0:
            raise UserError(
                f"{sample} is no part of all streams", next_step="give the access log a number from 0 to 1"
            )
        self.is_on = sample > 0.0
        self._sample = sample
        self._owed = 0.0

    def ended(self, entry: AccessEntry) -> None:
        """Logs the stream if it is one of the sample."""
        if self._wants(entry.id):
            _write(entry)

    def _wants(self, stream: str) -> bool:
        if stream:
            return is_sampled(stream, sample=self._sample)
        self._owed += self._sample
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True


def is_sampled(stream: str, *, sample: float) -> bool:
    """Whether the stream with this id is in the sample; whoever samples more has it too."""
    return zlib.crc32(stream.encode(errors="replace")) < sample * 2**32


def _write(entry: AccessEntry) -> None:
    source = entry.source or _NOBODY
    _log.info(
        "stream ended",
        id=entry.id or None,
        direction=entry.direction.value,
        peer=entry.peer,
        service=str(entry.service),
        endpoint=str(entry.endpoint) if entry.endpoint else None,
        namespace=source.namespace or None,
        account=source.account or None,
        pod=source.pod or None,
        address=source.address or None,
        sent=entry.sent,
        received=entry.received,
        seconds=round(entry.seconds, 6),
        outcome="finished" if entry.cleanly else "reset",
        reason=entry.reason.value if entry.reason else None,
    )
