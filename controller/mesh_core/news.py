"""What is new about an object, from what was last said of it and what its status shows now.

1. Only an edge is news: a condition that was good and is bad, that was bad and is good, or is bad for
   another reason. The words of a condition may change as they like.
2. What is good at first is news only where somebody waits for it (`hail`); what is bad at first always is.
3. `passing` reasons stand between two states and count as neither: a stream that is dialled again after a
   new start of this program is neither lost nor come back.
4. What a condition only repeats of another one that is bad (`unless`) is said once.
5. A deleted object that comes back under its name is another one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from mesh_core.export import CONFLICT, READY, VALID
from mesh_core.join_order import JOINED
from mesh_core.lifetimes import Window
from mesh_core.objects import Condition, MeshPeer, ServiceExport, ServiceImport, TrustBundle
from mesh_core.peer_identity import IDENTITY_USED_TWICE
from mesh_core.peer_status import (
    CONNECTED,
    DIAL_AGREED,
    NETWORK_AGREED,
    PARTIAL_MESH,
    RECORDS_ACCEPTED,
    Link,
)
from mesh_core.reach import REACHABLE, TUNNEL_ACCEPTED
from mesh_core.trust_statement import held_by
from mesh_core.trust_status import ACCEPTED

CERTIFICATE: Final = "CertificateNearExpiry"
PEER_ROOT: Final = "PeerRootChanged"
ROOTS: Final = "TrustRootsChanged"
STATEMENT: Final = "TrustStatementTaken"
_NEAR: Final = timedelta(hours=1)
"""So near to its end a leaf is old for hours: `meshctl check` warns then, too (MESH-CERT-004)."""

Observed = ServiceExport | ServiceImport | MeshPeer | TrustBundle
"""What people look at, and what Events are about."""


@dataclass(frozen=True, slots=True)
class News:
    """One thing to be told: `what` is the condition, `reason` and `words` are those that it has."""

    what: str
    is_warning: bool
    reason: str
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """What was last said of the object `uid`: for each condition its status and its reason."""

    uid: str
    states: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    """`bad` is the status that is worth a warning; "" for a value, whose every change is news."""

    bad: str
    hail: bool = False
    passing: frozenset[str] = frozenset()
    usual: frozenset[str] = frozenset()
    """Reasons of the bad status that somebody has wished for."""
    unless: str = ""


_BAD_IF_FALSE, _BAD_IF_TRUE, _VALUE = _Rule("False"), _Rule("True"), _Rule("")
_EXPORT: Final[Mapping[str, _Rule]] = {
    VALID: _BAD_IF_FALSE,
    READY: _Rule("False", hail=True, unless=VALID),
    CONFLICT: _BAD_IF_TRUE,
}
_IMPORT: Final[Mapping[str, _Rule]] = {READY: _BAD_IF_FALSE}
_PEER: Final[Mapping[str, _Rule]] = {
    CONNECTED: _Rule(
        "False",
        hail=True,
        passing=frozenset({Link.CONNECTING.value}),
        usual=frozenset({Link.LEFT.value}),
    ),
    RECORDS_ACCEPTED: _BAD_IF_FALSE,
    PARTIAL_MESH: _BAD_IF_TRUE,
    NETWORK_AGREED: _BAD_IF_FALSE,
    DIAL_AGREED: _BAD_IF_FALSE,
    REACHABLE: _BAD_IF_FALSE,
    TUNNEL_ACCEPTED: _BAD_IF_FALSE,
    IDENTITY_USED_TWICE: _BAD_IF_TRUE,
    CERTIFICATE: _BAD_IF_TRUE,
    PEER_ROOT: _VALUE,
}
_BUNDLE: Final[Mapping[str, _Rule]] = {
    ACCEPTED: _BAD_IF_FALSE,
    JOINED: _Rule("False", hail=True),
    CERTIFICATE: _BAD_IF_TRUE,
    ROOTS: _VALUE,
    STATEMENT: _VALUE,
}


def news_of(
    seen: Observed, *, told: Told | None, now: datetime, ours: Window | None = None
) -> tuple[Told, tuple[News, ...]]:
    """What is new about `seen` since `told`, and what has been told then; None for nothing ever.

    `ours` is the life of this cluster's own intermediate, which is told of the TrustBundle.
    """
    if told is None or told.uid != seen.metadata.uid:
        told = Told(seen.metadata.uid)
    rules = _rules_of(seen)
    facts = {one.type: one for one in _facts(seen, now=now, ours=ours)}
    states, found = dict(told.states), list[News]()
    for what, rule in rules.items():
        fact = facts.get(what)
        if fact is None or fact.reason in rule.passing or _is_repeated(rule, rules=rules, facts=facts):
            continue
        before, after = states.get(what), (fact.status, fact.reason)
        states[what] = after
        news = _news(fact, rule=rule, before=before)
        found += [news] if news is not None else []
    return Told(told.uid, states), tuple(found)


def _rules_of(seen: Observed) -> Mapping[str, _Rule]:
    match seen:
        case ServiceExport():
            return _EXPORT
        case ServiceImport():
            return _IMPORT
        case MeshPeer():
            return _PEER
        case TrustBundle():
            return _BUNDLE


def _is_repeated(rule: _Rule, *, rules: Mapping[str, _Rule], facts: Mapping[str, Condition]) -> bool:
    other = facts.get(rule.unless)
    return other is not None and other.status == rules[rule.unless].bad


def _news(fact: Condition, *, rule: _Rule, before: tuple[str, str] | None) -> News | None:
    if not rule.bad:
        # The state is a value, and what it is called is all that there is of a reason.
        is_new = before is not None and before[1] != fact.reason
        return News(fact.type, False, fact.type, fact.message) if is_new else None
    was_bad = before is not None and before[0] == rule.bad
    if fact.status == rule.bad:
        is_new = before != (fact.status, fact.reason)
        is_warning = fact.reason not in rule.usual
    else:
        is_new = was_bad or (before is None and rule.hail)
        is_warning = False
    return News(fact.type, is_warning, fact.reason, fact.message) if is_new else None


def _facts(seen: Observed, *, now: datetime, ours: Window | None) -> Iterable[Condition]:
    """The conditions that are known to be so or not, and what else is told of."""
    yield from (one for one in seen.status.conditions if one.status in ("True", "False"))
    match seen:
        case MeshPeer():
            yield from _facts_of_peer(seen, now=now)
        case TrustBundle():
            yield from _facts_of_bundle(seen)
            if ours is not None:
                left = ours.end - now
                sentence = f"this cluster's intermediate ends at {ours.end:%Y-%m-%dT%H:%MZ}"
                advice = "run meshctl trust renew with the root's folder"
                # A quarter of the life is what is left when all tries to renew have failed.
                is_near = left < (ours.end - ours.start) / 4
                yield _expiry(sentence, is_near=is_near, advice=advice)


def _facts_of_peer(peer: MeshPeer, *, now: datetime) -> Iterable[Condition]:
    ends = [end for one in peer.status.gateways if (end := _moment(one.cert_not_after)) is not None]
    if ends:
        end = max(ends)
        sentence = f"the newest certificate that its gateways show ends at {end:%Y-%m-%dT%H:%MZ}"
        advice = "look there why it has no newer one: meshctl check"
        yield _expiry(sentence, is_near=end - now < _NEAR, advice=advice)
    if peer.status.trust is not None and peer.status.trust.root:
        root = peer.status.trust.root
        yield _value(PEER_ROOT, value=root, words=f"its own certificates hang on the root {root[:16]} now")


def _facts_of_bundle(bundle: TrustBundle) -> Iterable[Condition]:
    held = held_by(bundle)
    if held.statement is None:
        return
    roots = sorted(root.key for root in held.statement.roots)
    shown = ", ".join(root[:16] for root in roots)
    yield _value(ROOTS, value=",".join(roots), words=f"the roots that are believed are {shown} now")
    number = str(held.generation)
    yield _value(STATEMENT, value=number, words=f"statement {number} of the clusterset's root is in force")


def _expiry(sentence: str, *, is_near: bool, advice: str) -> Condition:
    if is_near:
        return Condition(type=CERTIFICATE, status="True", reason=CERTIFICATE, message=f"{sentence}; {advice}")
    return Condition(type=CERTIFICATE, status="False", reason="CertificateRenewed", message=sentence)


def _value(kind: str, *, value: str, words: str) -> Condition:
    return Condition(type=kind, status="True", reason=value, message=words)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
