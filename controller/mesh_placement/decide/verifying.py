"""Handshakes that the hub wants: what the member's gateways are asked, and what their answers come to.

1. Each entry of ClusterLink.spec.verify becomes one ServiceProbe of ours, with a name that tells it apart,
   for as long as the entry stands. It ends by itself when nobody prolongs it; what nobody wants is deleted.
2. An answer counts while its gateway is ready and it is not old. OK is what the majority says of those that
   could tell; a tie is none. It is said as soon as the missing ones cannot change it, or have had their time.
3. `NotProbed` is for what nobody here can know: no mesh, no gateway, nothing that could be tried. It says
   nothing of the way.
4. For this cluster's own export nobody needs to be asked: an endpoint is ready or none is.
5. Every answer has the time of its last try, so that the hub can tell a new one from the one before.
6. So many are tried at a time (`MOST`); of the others it is said.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from mesh_core.conditions import rfc3339
from mesh_core.names import LABEL_MANAGED_BY, SYSTEM_NAMESPACE
from mesh_core.objects import ProbeResult, ServiceProbe
from mesh_core.plan import Json
from mesh_core.service_probe import GOOD, SAY_NOTHING, Found, found_in
from mesh_placement.names import AGENT_MANAGER
from mesh_placement.objects import Handshake, Verification

MOST: Final = 256
LIFE: Final = timedelta(seconds=60)
"""From a prolongation to the end; it is prolonged when half of it is over."""
FRESH: Final = timedelta(seconds=40)
"""How old an answer may be: with `MOST` probes a gateway comes to each of them every 26 seconds."""
SIBLINGS: Final = timedelta(seconds=3)
"""How long gateways that have not answered are waited for, once others have."""
PATIENCE: Final = timedelta(seconds=9, milliseconds=500)
"""How long the first answer is waited for: longer than a try takes."""
_LONGEST: Final = 1_024

ServiceKey = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be applied (bodies) and deleted, and in how many seconds something may be due again."""

    apply: tuple[Json, ...] = ()
    delete: tuple[ServiceProbe, ...] = ()
    again: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the member says. `probes` are ours, None where it has no such kind; `gateways` the addresses of
    those that are ready, None where nobody lists any; `ready` the ready endpoints of each exported Service.
    """

    cluster: str
    probes: Iterable[ServiceProbe] | None
    gateways: Set[str] | None
    ready: Mapping[ServiceKey, int]
    now: datetime


def probe_name(one: Verification) -> str:
    """Of the ServiceProbe for it."""
    return f"verify-{hashlib.sha256(f'{one.service} {one.via}'.encode()).hexdigest()[:20]}"


def probes_due(
    verify: Iterable[Verification], *, seen: Iterable[ServiceProbe], cluster: str, now: datetime
) -> Due:
    """What makes the ServiceProbes fit `verify`; `seen` are ours that are there, `cluster` is our id."""
    there = {one.metadata.name: one for one in seen}
    wanted = {probe_name(one): one for one in _tried(verify, cluster=cluster)}
    bodies, wrong, waits = [], [], []
    for name, one in wanted.items():
        known = there.get(name)
        if known is not None and (known.spec.service, known.spec.cluster) != (one.service, one.via):
            wrong.append(known)
            continue
        left = _left(known, now=now) if known is not None else timedelta(0)
        if left <= LIFE / 2:
            bodies.append(_body(name, one, until=now + LIFE))
            left = LIFE
        waits.append((left - LIFE / 2).total_seconds())
    gone = [one for name, one in sorted(there.items()) if name not in wanted]
    return Due(tuple(bodies), (*wrong, *gone), 0.0 if wrong else min(waits, default=None))


def handshakes(verify: Iterable[Verification], *, known: Known) -> tuple[Handshake, ...]:
    """What is known of each entry, in their order; those that are still waited for are left out."""
    entries = _distinct(verify)
    tried = set(_tried(entries, cluster=known.cluster))
    probes = {one.metadata.name: one for one in known.probes or ()}
    found: list[Handshake] = []
    for one in entries:
        if one.via == known.cluster:
            said: tuple[str, str] | None = _local(one, ready=known.ready), rfc3339(known.now)
        elif known.probes is None:
            said = "NotProbed: the mesh is not installed here", rfc3339(known.now)
        elif one not in tried:
            said = f"NotProbed: {MOST} services are being tried already", rfc3339(known.now)
        else:
            said = _said(probes.get(probe_name(one)), known=known)
        if said is not None:
            result, at = said
            found.append(Handshake(service=one.service, via=one.via, result=result[:_LONGEST], at=at))
    return tuple(found)


def seconds_waited(probe: ServiceProbe, *, now: datetime) -> tuple[float, ...]:
    """In how many seconds an answer may be due though nobody says anything new; none when all have passed."""
    age = now - _moment(probe.metadata.creation_timestamp, otherwise=now)
    return tuple((limit - age).total_seconds() for limit in (SIBLINGS, PATIENCE) if limit > age)


def _said(probe: ServiceProbe | None, *, known: Known) -> tuple[str, str] | None:
    """Result and time; None while gateways are waited for."""
    if known.gateways is not None and not known.gateways:
        return "NotProbed: no gateway of this cluster is ready", rfc3339(known.now)
    answers = _answers(probe, known=known)
    if not answers and known.gateways is None:
        return "NotProbed: this cluster has no gateway", rfc3339(known.now)
    if probe is None:
        return None
    age = known.now - _moment(probe.metadata.creation_timestamp, otherwise=known.now)
    if not answers:
        late = "NotProbed: no gateway of this cluster has tried it", rfc3339(known.now)
        return late if age >= PATIENCE else None
    telling = [one for one in answers if found_in(one.result) not in SAY_NOTHING]
    missing = len(known.gateways) - len(answers) if known.gateways is not None and age < SIBLINGS else 0
    good = sum(found_in(one.result) in GOOD for one in telling)
    at = max(one.at for one in answers)
    if 2 * good > len(telling) + missing:
        return Found.OK.value, at
    if 2 * (good + missing) > len(telling) + missing:
        return None
    if not telling:
        return f"NotProbed: {answers[0].result}", at
    bad = [one for one in telling if found_in(one.result) not in GOOD]
    so_many = f" (so say {len(bad)} of {len(telling)} gateways)" if len(telling) > 1 else ""
    return f"{bad[0].result}{so_many}", at


def _answers(probe: ServiceProbe | None, *, known: Known) -> Sequence[ProbeResult]:
    """Those that count, by gateway."""
    results = probe.status.results if probe is not None else ()
    oldest = known.now - FRESH
    return sorted(
        (
            one
            for one in results
            if (known.gateways is None or one.gateway in known.gateways)
            and _moment(one.at, otherwise=datetime.min.replace(tzinfo=UTC)) >= oldest
        ),
        key=lambda one: one.gateway,
    )


def _local(one: Verification, *, ready: Mapping[ServiceKey, int]) -> str:
    namespace, _, name = one.service.partition("/")
    count = ready.get((namespace, name))
    if count is None:
        return f"{Found.NOT_EXPORTED.value}: {one.service} is not exported here"
    return Found.OK.value if count else f"{Found.NO_ENDPOINT.value}: {one.service} has no ready endpoint here"


def _distinct(verify: Iterable[Verification]) -> tuple[Verification, ...]:
    return tuple(dict.fromkeys(verify))


def _tried(verify: Iterable[Verification], *, cluster: str) -> tuple[Verification, ...]:
    """Those for which gateways are asked."""
    return tuple(one for one in _distinct(verify) if one.via != cluster)[:MOST]


def _body(name: str, one: Verification, *, until: datetime) -> Json:
    labels = {LABEL_MANAGED_BY: AGENT_MANAGER}
    return {
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE, "labels": labels},
        "spec": {"service": one.service, "cluster": one.via, "until": rfc3339(until)},
    }


def _left(probe: ServiceProbe, *, now: datetime) -> timedelta:
    return _moment(probe.spec.until, otherwise=now) - now


def _moment(text: str, *, otherwise: datetime) -> datetime:
    """An RFC 3339 time; `otherwise` where it does not read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return found if found.tzinfo is not None else otherwise
