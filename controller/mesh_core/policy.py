"""What the annotations of a ServiceExport ask for (docs/names.md, "Annotations").

    meshctl.dev/allow            who alone may use it: entries separated by commas (`mesh_core.allow`)
    meshctl.dev/proxy-protocol   v2: the endpoints are told who calls (ruling 23)
    meshctl.dev/public           names of its own TLS, passed through to everybody (`mesh_core.public_names`)
    meshctl.dev/traffic          balanced (default) or local-first

It fails closed (ruling 26): any other key below `meshctl.dev/`, and any value that does not read, withholds
the export, because it may have been meant to restrict it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh_core.allow import MOST_ENTRIES, Allow, allow_of, reads
from mesh_core.names import (
    ANNOTATION_ALLOW,
    ANNOTATION_PREFIX,
    ANNOTATION_PROXY_PROTOCOL,
    ANNOTATION_PUBLIC,
    ANNOTATION_TRAFFIC,
)
from mesh_core.public_names import PublicName, Unreadable, public_names
from mesh_core.record import Traffic

PROXY_PROTOCOL = "v2"
_KNOWN = {ANNOTATION_ALLOW, ANNOTATION_PROXY_PROTOCOL, ANNOTATION_PUBLIC, ANNOTATION_TRAFFIC}


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow`: who alone may use the export, None for all. `proxy_protocol`: endpoints are told who calls.
    `public`: under which names everybody may, whom nobody can tell apart."""

    allow: Allow | None = None
    traffic: Traffic = Traffic.BALANCED
    proxy_protocol: bool = False
    public: tuple[PublicName, ...] = ()


@dataclass(frozen=True, slots=True)
class InvalidPolicy:
    """Why the annotations cannot be followed, as a clause that says what to do."""

    why: str


def policy_of(annotations: Mapping[str, str]) -> Policy | InvalidPolicy:
    """What the annotations of a ServiceExport say."""
    ours = {key: text for key, text in annotations.items() if key.startswith(ANNOTATION_PREFIX)}
    for key in sorted(ours.keys() - _KNOWN):
        return InvalidPolicy(f"the annotation {key} is not known to this version; remove it")
    traffic = ours.get(ANNOTATION_TRAFFIC, Traffic.BALANCED.value)
    if traffic not in {known.value for known in Traffic}:
        return InvalidPolicy(
            f"the annotation {ANNOTATION_TRAFFIC} is {_shown(traffic)}; use balanced or local-first"
        )
    proxy_protocol = ours.get(ANNOTATION_PROXY_PROTOCOL)
    if proxy_protocol not in (None, PROXY_PROTOCOL):
        return InvalidPolicy(
            f"the annotation {ANNOTATION_PROXY_PROTOCOL} is {_shown(proxy_protocol)}; "
            f"use {PROXY_PROTOCOL}, or remove it"
        )
    allow = _allow(ours.get(ANNOTATION_ALLOW))
    if isinstance(allow, InvalidPolicy):
        return allow
    public = _public(ours)
    if isinstance(public, InvalidPolicy):
        return public
    return Policy(
        allow=allow, traffic=Traffic(traffic), proxy_protocol=proxy_protocol is not None, public=public
    )


def _public(ours: Mapping[str, str]) -> tuple[PublicName, ...] | InvalidPolicy:
    text = ours.get(ANNOTATION_PUBLIC)
    if text is None:
        return ()
    # Who calls is known to the application alone: the gateway could neither hold to it nor tell (ruling 3).
    for other in (ANNOTATION_ALLOW, ANNOTATION_PROXY_PROTOCOL):
        if other in ours:
            return InvalidPolicy(
                f"the annotation {ANNOTATION_PUBLIC} lets everybody in without saying who they are, and "
                f"{other} contradicts that; remove one of the two"
            )
    found = public_names(text)
    if isinstance(found, Unreadable):
        return InvalidPolicy(f"the annotation {ANNOTATION_PUBLIC} {found.why}")
    return found


def _allow(text: str | None) -> Allow | InvalidPolicy | None:
    if text is None:
        return None
    entries = [part.strip() for part in text.split(",")]
    for entry in entries:
        if not reads(entry):
            return InvalidPolicy(
                f"the annotation {ANNOTATION_ALLOW} names {_shown(entry)}; use <cluster>, "
                "<cluster>/<namespace>, <cluster>/<namespace>/<service account> or <cluster>/@node, "
                "separated by commas"
            )
    if len(entries) > MOST_ENTRIES:
        return InvalidPolicy(f"the annotation {ANNOTATION_ALLOW} has more than {MOST_ENTRIES} entries")
    return allow_of(entries)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
