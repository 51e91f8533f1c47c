"""What a placement with `dependencies: Auto` takes along out of its own namespace of the hub.

1. Only kinds of `FETCHED`, and only of the Placement's own namespace: what its writer could reach anyway.
   What a cluster has as a whole (definitions, classes, namespaces) is expected in the members: it would be
   everybody's there, and would go with the last placement that brought it.
2. What the Placement brings itself comes before what lies in the namespace.
3. Of Secrets only which they are, and how large, is looked at here: what is in them goes from Secret to
   Secret.
4. The account that applies must be in the member already, so it is not brought.
5. What is nowhere on the hub is no fault: a member may have it, and waits for it by its gates.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from mesh_placement.decide.manifests import digest
from mesh_placement.decide.placement_refusal import PlacementReason, PlacementRefusal
from mesh_placement.objects import Manifest
from mesh_placement.schedule.dependencies import closure
from mesh_placement.schedule.envelope import Identity, items_of
from mesh_placement.schedule.references import Reference
from mesh_placement.schedule.ruled import NO_RULES, Rules

FETCHED: Final = frozenset(("ConfigMap", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"))
"""Kinds of the core group."""
MOST_OBJECTS: Final = 256
MOST_SECRETS: Final = 64
MOST_KINDS: Final = 16
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of all that one placement takes along, as JSON, and what is in its Secrets: the hub holds it, and writes it
once a cluster."""


class Look(Enum):
    """What is known of an object that is not given."""

    ABSENT = "it is not there"
    UNREAD = "it was not read yet"
    FORBIDDEN = "the hub may not read it"
    RUNS = "somebody on the hub acts on it"
    UNSERVED = "there is no such kind"
    BEYOND = "there is too much of it to be looked at"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A Secret of the hub as it is: a copy says of which `version` ("uid/resourceVersion") it is.

    `size`: the bytes that each copy of it has.
    """

    name: str
    version: str
    size: int = 0


Found = Manifest | SecretSource | Look
Find = Callable[[str, str], Found]
"""By kind and name, in the Placement's namespace."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What comes along: `manifests` beside those of the spec, `secrets` beside the Works.

    `missing` is named and not on the hub ("ConfigMap/shop/x"), `forbidden` are kinds that the hub may not
    read there. `is_unread`: not all is known yet. `too_much` says what is beyond the bounds, "" for nothing.
    `asked` is what was looked for, by kind and name: when one of these changes, it is to be made anew.
    `content` is the same for equal things, and says their kinds (`kinds_in`); "" where nothing comes along.
    `refusal` is why the templates that it selects cannot be placed.
    """

    manifests: tuple[Manifest, ...] = ()
    secrets: tuple[SecretSource, ...] = ()
    missing: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    is_unread: bool = False
    too_much: str = ""
    asked: frozenset[tuple[str, str]] = frozenset()
    content: str = ""
    refusal: PlacementRefusal | None = None


NOTHING: Final = Brought()


def bring(
    roots: Sequence[Manifest], *, namespace: str, account: str, find: Find, rules: Rules = NO_RULES
) -> Brought:
    """What `roots` name, directly or through others; `account` applies them, "" the one of Works. `rules`
    say what custom resources name."""
    given: dict[Identity, Manifest] = {}
    secrets: dict[Identity, SecretSource] = {}
    looks: dict[Identity, tuple[Reference, Look]] = {}
    own = {item.identity for item in items_of(roots)}
    too_much = ""
    while not too_much:
        unmet = closure(roots, given=[*given.values(), *map(_bare, secrets)], rules=rules).unmet
        ahead = sorted(
            {
                one.identity: one
                for one in unmet
                if _is_fetched(one, namespace=namespace, account=account)
                and one.identity not in own | given.keys() | secrets.keys() | looks.keys()
            }.values()
        )
        # Before anything is looked for: what is looked for is read, and held.
        known = (*given, *secrets, *looks)
        too_much = _too_many([one.kind for one in ahead] + [kind for _, kind, _, _ in known])
        if too_much or not ahead:
            break
        for reference in ahead:
            match find(reference.kind, reference.name):
                case SecretSource() as secret:
                    secrets[reference.identity] = secret
                case Look() as look:
                    looks[reference.identity] = reference, look
                case manifest:
                    given[reference.identity] = manifest
        too_much = _too_large(list(given.values()), secrets.values())
    asked = given.keys() | secrets.keys() | looks.keys()
    manifests = () if too_much else tuple(given.values())
    beside = () if too_much else tuple(sorted(secrets.values(), key=lambda one: one.name))
    return Brought(
        manifests,
        beside,
        tuple(_names(looks.values(), Look.ABSENT)),
        tuple(sorted({one.kind for one, look in looks.values() if look is Look.FORBIDDEN})),
        # What is too much already is not less when the rest is known.
        not too_much and any(look is Look.UNREAD for _, look in looks.values()),
        too_much,
        frozenset((kind, name) for _, kind, _, name in asked),
        _content(manifests, beside),
    )


def label_of(api_version: str, kind: str) -> str:
    """A kind as kubectl has it: "Deployment.v1.apps"; of the core group "ConfigMap"."""
    group, _, version = api_version.rpartition("/")
    return f"{kind}.{version}.{group}" if group else kind


def kinds_in(content: str) -> frozenset[str]:
    """The kinds of what a `Brought` of that content took along."""
    return frozenset(filter(None, content.partition(":")[0].split(",")))


@dataclass(frozen=True, slots=True)
class Chosen:
    """One object that a selector means: `what` it is called, and what is known of it."""

    what: str
    kind: str
    name: str
    found: Found


def select(chosen: Sequence[Chosen], *, namespace: str) -> Brought:
    """The templates among what selectors mean; `asked` has a name of "" where all of a kind was asked for."""
    by_look = {look: [one for one in chosen if one.found is look] for look in Look}
    templates = {(one.kind, one.name): one.found for one in chosen if isinstance(one.found, dict)}
    manifests = tuple(templates[key] for key in sorted(templates))
    too_much = _too_many([str(one["kind"]) for one in manifests]) or _too_large(manifests)
    if by_look[Look.BEYOND]:
        too_much = f"more than {MOST_OBJECTS} objects"
    kinds = {one.kind for one in chosen}
    if len(kinds) > MOST_KINDS:
        too_much = f"of more than {MOST_KINDS} kinds"
    unread = bool(by_look[Look.UNREAD])
    return Brought(
        manifests,
        missing=tuple(sorted({one.what for one in by_look[Look.ABSENT] if one.name})),
        forbidden=tuple(sorted({one.kind for one in by_look[Look.FORBIDDEN]})),
        is_unread=unread,
        asked=frozenset((one.kind, one.name) for one in chosen),
        refusal=None if unread else _refusal(by_look, manifests, too_much=too_much, namespace=namespace),
    )


def together(templates: Brought, along: Brought) -> Brought:
    """What is selected, then what comes along with it."""
    manifests = (*templates.manifests, *along.manifests)
    return Brought(
        manifests,
        along.secrets,
        tuple(sorted({*templates.missing, *along.missing})),
        tuple(sorted({*templates.forbidden, *along.forbidden})),
        templates.is_unread or along.is_unread,
        along.too_much,
        templates.asked | along.asked,
        _content(manifests, along.secrets),
        templates.refusal,
    )


def _refusal(
    by_look: Mapping[Look, Sequence[Chosen]], manifests: Sequence[Manifest], *, too_much: str, namespace: str
) -> PlacementRefusal | None:
    """The first thing that is wrong with what is selected."""
    for look, (reason, words) in _WRONG.items():
        if by_look[look]:
            return PlacementRefusal(reason, f"{by_look[look][0].what} {words}".format(namespace=namespace))
    if too_much:
        words = f"its resourceSelectors mean templates that are {too_much}; take several Placements"
        return PlacementRefusal(PlacementReason.TOO_MUCH, words)
    if not manifests:
        words = f"its resourceSelectors mean nothing in namespace {namespace}; members keep what they have"
        return PlacementRefusal(PlacementReason.NOTHING_SELECTED, words)
    return None


_WRONG: Final = {
    Look.RUNS: (
        PlacementReason.RUNS_ON_HUB,
        "runs on this hub: a controller has acted on it; switch workload controllers off here, or put it "
        "into spec.manifests instead (docs/placement.md)",
    ),
    Look.UNSERVED: (
        PlacementReason.INVALID,
        "is of no kind with a namespace that this hub serves; correct spec.resourceSelectors",
    ),
    Look.FORBIDDEN: (
        PlacementReason.MAY_NOT_READ,
        "may not be read: nobody let the hub read that kind in namespace {namespace} (docs/placement.md)",
    ),
}


def _is_fetched(one: Reference, *, namespace: str, account: str) -> bool:
    if one.group or one.kind not in FETCHED or one.namespace != namespace:
        return False
    return (one.kind, one.name) != ("ServiceAccount", account)


def _bare(identity: Identity) -> Manifest:
    """A Secret that is there, for whoever looks for it."""
    _, kind, namespace, name = identity
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}


def _names(looks: Iterable[tuple[Reference, Look]], wanted: Look) -> list[str]:
    return sorted(
        {f"{one.kind}/{one.namespace}/{one.name}" for one, look in looks if look is wanted and one.must}
    )


def _content(manifests: Sequence[Manifest], secrets: Sequence[SecretSource]) -> str:
    if not manifests and not secrets:
        return ""
    kinds = {label_of(str(one["apiVersion"]), str(one["kind"])) for one in manifests}
    kinds |= {"Secret"} if secrets else set()
    mark = digest({"manifests": list(manifests), "secrets": [one.name for one in secrets]})
    return f"{','.join(sorted(kinds))}:{mark[:32]}"


def _too_many(kinds: Sequence[str]) -> str:
    """Of objects of these kinds, one for each."""
    if len(kinds) > MOST_OBJECTS:
        return f"more than {MOST_OBJECTS} objects"
    if kinds.count("Secret") > MOST_SECRETS:
        return f"more than {MOST_SECRETS} Secrets"
    return ""


def _too_large(manifests: Sequence[Manifest], secrets: Iterable[SecretSource] = ()) -> str:
    if len(msgspec.json.encode(manifests)) + sum(one.size for one in secrets) > MOST_BYTES:
        return f"more than {MOST_BYTES // 1024} KiB"
    return ""
