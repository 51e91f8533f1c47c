"""What a gateway says of one service of one peer: its entry in `ServiceProbe.status.results`.

1. A result is a word of a closed list, and for people a sentence behind it: "NoEndpoint: demo/hello has ...".
2. `OK` is only said when an endpoint of the peer took a connection that came by the way of traffic.
3. Each gateway writes its own entry, under a field manager of its own, and nobody else's. It says when it
   tried at every try, so that whoever reads knows that somebody still tries.
4. The more probes there are, the longer are the pauses between two tries of one: a gateway tries so many in a
   second at most.
"""

from datetime import UTC, datetime
from enum import Enum
from typing import Final

from mesh_core.objects import ServiceProbe
from mesh_core.plan import Json

LONGEST_RESULT: Final = 512
EVERY: Final = 5.0
"""Seconds between two tries of one gateway."""
MOST_A_SECOND: Final = 10
"""Tries of one gateway, in the long run."""


class Found(Enum):
    """What a try came to. Words of the far side are among them as it says them (docs/wire.md)."""

    OK = "OK"
    OK_IN_PART = "OKInPart"
    """The way is good; who may use it depends on the pod that calls."""
    NO_PEER = "NoPeer"
    UNREACHABLE = "Unreachable"
    NOT_TRUSTED = "NotTrusted"
    NOT_EXPORTED = "NotExported"
    NOT_ALLOWED = "NotAllowed"
    NO_ENDPOINT = "NoEndpoint"
    ENDPOINT_FAILED = "EndpointFailed"
    EXTERNAL_ADDRESS = "ExternalAddressNotAllowed"
    OVERLOAD = "Overload"
    STOPPING = "Stopping"
    TIMEOUT = "Timeout"
    REFUSED = "Refused"
    UNPROVEN = "Unproven"
    """Nothing speaks against it, and nobody said that an endpoint took a connection."""
    UNSUPPORTED = "Unsupported"


GOOD: Final = frozenset({Found.OK, Found.OK_IN_PART})
SAY_NOTHING: Final = frozenset({Found.UNPROVEN, Found.UNSUPPORTED})
"""Whoever says so has neither seen that the way is good nor that it is not."""


def result_text(found: Found, *, why: str = "") -> str:
    """A result as it is written."""
    return (f"{found.value}: {why}" if why else found.value)[:LONGEST_RESULT]


def found_in(result: str) -> Found:
    """The word of a result; `REFUSED` for one of a later version."""
    try:
        return Found(result.partition(":")[0])
    except ValueError:
        return Found.REFUSED


def is_over(probe: ServiceProbe, *, now: datetime) -> bool:
    """Whether nobody tries any more; what does not read as a time is over."""
    try:
        until = datetime.fromisoformat(probe.spec.until)
    except ValueError:
        return True
    return until.tzinfo is None or now >= until


def pause(probes: int) -> float:
    """Seconds until the next try, when there are so many probes."""
    return max(EVERY, probes / MOST_A_SECOND)


def entry_of(probe: ServiceProbe, *, gateway: str, result: str, now: datetime) -> Json:
    """The body that has the gateway say `result`, for an apply to the status by `manager_of` it."""
    meta = probe.metadata
    at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"gateway": gateway, "result": result[:LONGEST_RESULT], "at": at}
    return {"metadata": {"name": meta.name, "namespace": meta.namespace}, "status": {"results": [entry]}}


def manager_of(gateway: str) -> str:
    """The field manager of a gateway's entries."""
    return f"gateway-{gateway}.meshctl.dev"
