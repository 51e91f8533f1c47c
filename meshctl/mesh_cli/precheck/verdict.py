"""The checks of `meshctl precheck`, by ids that never change their meaning. Pure.

What each means, and what to do about it, is in docs/registration.md under the id.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mesh_cli.check.findings import ClockSeen, Right
from mesh_cli.check.verdict import (
    Observed,
    Question,
    Result,
    Unseen,
    fail,
    ok,
    seen,
    sorted_result,
    unknown,
    warn,
)
from mesh_cli.precheck.findings import HubSeen, MemberSeen

F = TypeVar("F")

LEAST_HUB: Final = (1, 30)
"""ValidatingAdmissionPolicy, by which accepting is a right of its own, is v1 from there on."""
LEAST_MEMBER: Final = (1, 28)
MOST_SKEW: Final = 30.0
"""Seconds; a hub refuses more (placement 4.1)."""

_ANSWER: Final = "make it visible to this machine, or ask for the right to look; then check again"
_NTP: Final = "let NTP set the clocks of both clusters' nodes"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Precheck(Question, Generic[F]):
    """A question before a cluster becomes the hub, or registers."""

    look: Callable[[F], Iterable[Observed]]

    @property
    def anchor(self) -> str:
        """Where it is explained."""
        return f"docs/registration.md#{self.id.lower()}"


def hub_version(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-001."""
    yield _version(seen(found.version), least=LEAST_HUB)


def hub_rights(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-002."""
    return _rights(seen(found.rights))


def hub_tokens(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-003."""
    if seen(found.tokens):
        yield ok("bootstrap token", seen="a token that was made for a moment was taken")
    else:
        yield fail(
            "bootstrap token",
            seen="a token that was made for a moment was not taken",
            next_step="start the API server with --enable-bootstrap-token-auth, or register clusters with "
            "--hub-context: but their agents claim with such a token too",
        )


def hub_signer(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-004."""
    if seen(found.signer):
        yield ok("client certificates", seen="a request that was made for a moment was signed")
    else:
        yield warn(
            "client certificates",
            seen="nobody signed a request for a client certificate",
            next_step="register clusters with --driver token, or have kube-controller-manager sign "
            "(--cluster-signing-cert-file and --cluster-signing-key-file)",
        )


def hub_public(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-005."""
    match seen(found.public):
        case None:
            yield ok("who the hub is", seen="this cluster is no hub yet")
        case True:
            yield ok("who the hub is", seen="read without a credential")
        case False:
            yield warn(
                "who the hub is",
                seen="the API server lets nobody read it without a credential",
                next_step="allow anonymous requests, or give the hub's CA to meshctl register --ca-file",
            )


def hub_aggregation(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-006."""
    if seen(found.aggregation):
        yield ok("aggregation layer", seen="the API server says whom it passes requests on as")
    else:
        yield warn(
            "aggregation layer",
            seen="kube-system/extension-apiserver-authentication names no CA for passed-on requests",
            next_step="give the API server --requestheader-client-ca-file and --proxy-client-cert-file: "
            "without, meshctl clusters proxy leads nowhere",
        )


def hub_clock(found: HubSeen) -> Iterator[Observed]:
    """MESH-HUB-007."""
    yield _skew("API server and this machine", seen(found.clock))


def member_version(found: MemberSeen) -> Iterator[Observed]:
    """MESH-MEMBER-001."""
    yield _version(seen(found.version), least=LEAST_MEMBER)


def member_rights(found: MemberSeen) -> Iterator[Observed]:
    """MESH-MEMBER-002."""
    return _rights(seen(found.rights))


def member_clock(found: MemberSeen) -> Iterator[Observed]:
    """MESH-MEMBER-003."""
    own = seen(found.clock)
    if found.hub_clock is None:
        yield _skew("API server and this machine", own)
        return
    hub = seen(found.hub_clock)
    between = ClockSeen(ahead=own.ahead - hub.ahead, within=own.within + hub.within)
    yield _skew("API server and the hub's", between)


def member_hub(found: MemberSeen) -> Iterator[Observed]:
    """MESH-MEMBER-004."""
    if found.hub_answers is None:
        yield ok("hub", seen="no hub was named that is one already; give --hub-context then")
    elif isinstance(found.hub_answers, Unseen):
        yield unknown(
            found.hub or "hub",
            seen=f"not reached from this machine: {found.hub_answers.why}",
            next_step="see that pods of the member reach that address; it is what the agent dials",
        )
    elif found.hub_answers:
        yield ok(
            found.hub,
            seen="answers this machine with its CA; whether the member's pods reach it, the agent's log says",
        )
    else:
        yield fail(
            found.hub,
            seen="does not answer this machine with the CA that it says",
            next_step="run meshctl hub init again with the right --server and --ca-file",
        )


def member_free(found: MemberSeen) -> Iterator[Observed]:
    """MESH-MEMBER-005."""
    registered = seen(found.registered)
    if not registered or registered == found.hub:
        yield ok("registration", seen=f"with {registered}" if registered else "with no hub")
        return
    yield warn(
        "registration",
        seen=f"it has been told of another hub, {registered}",
        next_step="have it leave that one first: meshctl clusters leave ID, there",
    )


HUB_CHECKS: Final = (
    Precheck("MESH-HUB-001", "the hub's API server answers, in a version that is enough", hub_version),
    Precheck("MESH-HUB-002", "you have the rights that a hub's commands need", hub_rights),
    Precheck("MESH-HUB-003", "bootstrap tokens are taken", hub_tokens),
    Precheck("MESH-HUB-004", "client certificates are signed", hub_signer),
    Precheck("MESH-HUB-005", "who wants to join may read who the hub is", hub_public),
    Precheck("MESH-HUB-006", "the API server passes requests on", hub_aggregation),
    Precheck("MESH-HUB-007", "the hub's clock agrees with this machine's", hub_clock),
)
MEMBER_CHECKS: Final = (
    Precheck("MESH-MEMBER-001", "the API server answers, in a version that is enough", member_version),
    Precheck("MESH-MEMBER-002", "you have the rights that registering needs", member_rights),
    Precheck("MESH-MEMBER-003", "the member's clock agrees with the hub's", member_clock),
    Precheck(
        "MESH-MEMBER-004", "the hub answers this machine at the address that members are told", member_hub
    ),
    Precheck("MESH-MEMBER-005", "the cluster is not registered elsewhere", member_free),
)


def judged(checks: Iterable[Precheck[F]], found: F, *, context: str) -> list[Result]:
    """What each check says, in their order."""
    return [_judged(check, found, context=context) for check in checks]


def _judged(check: Precheck[F], found: F, *, context: str) -> Result:
    return sorted_result(check, context=context, look=lambda: check.look(found), next_step=_ANSWER)


def _version(text: str, *, least: tuple[int, int]) -> Observed:
    match = _VERSION.match(text)
    if match is None:
        return unknown("version", seen=text, next_step="look at it with kubectl version")
    if (int(match[1]), int(match[2])) < least:
        wanted = ".".join(map(str, least))
        return fail("version", seen=text, next_step=f"use Kubernetes {wanted} or newer")
    return ok("version", seen=text)


def _rights(rights: Iterable[Right]) -> Iterator[Observed]:
    for right in rights:
        if right.is_allowed:
            yield ok(right.needed_by, seen=f"you may {right.what}")
        else:
            yield fail(
                right.needed_by,
                seen=f"you may not {right.what}",
                next_step="ask for the right, or use another context",
            )


def _skew(subject: str, found: ClockSeen) -> Observed:
    """What is certain counts: an answer that took long says little about a clock."""
    certain = max(0.0, abs(found.ahead) - found.within)
    side = "ahead" if found.ahead > 0 else "behind"
    told = f"{abs(found.ahead):.0f} s {side}, to within {found.within:.1f} s"
    if certain > MOST_SKEW:
        return fail(subject, seen=told, next_step=f"{_NTP}: a hub refuses more than {MOST_SKEW:.0f} s")
    return ok(subject, seen=told)
