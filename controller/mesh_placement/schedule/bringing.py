"""What a placement with `dependencies: Auto` takes along out of its own namespace of the hub.

1. Only kinds of `FETCHED`, and only of the Placement's own namespace: what its writer could reach anyway.
   What a cluster has as a whole (definitions, classes, namespaces) is expected in the members: it would be
   everybody's there, and would go with the last placement that brought it.
2. What the Placement brings itself comes before what lies in the namespace.
3. Of Secrets only which they are is looked at here: what is in them goes from Secret to Secret.
4. The account that applies must be in the member already, so it is not brought.
5. What is nowhere on the hub is no fault: a member may have it, and waits for it by its gates.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from mesh_placement.decide.manifests import digest
from mesh_placement.objects import Manifest
from mesh_placement.schedule.dependencies import closure
from mesh_placement.schedule.envelope import Identity, items_of
from mesh_placement.schedule.references import Reference

FETCHED: Final = frozenset(("ConfigMap", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"))
"""Kinds of the core group."""
MOST_OBJECTS: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of all that one placement takes along, as JSON: the hub holds it, and writes it once a cluster."""


class Look(Enum):
    """What is known of an object that is not given."""

    ABSENT = "it is not there"
    UNREAD = "it was not read yet"
    FORBIDDEN = "the hub may not read it"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A Secret of the hub as it is: a copy says of which `version` ("uid/resourceVersion") it is."""

    name: str
    version: str


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
    """

    manifests: tuple[Manifest, ...] = ()
    secrets: tuple[SecretSource, ...] = ()
    missing: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    is_unread: bool = False
    too_much: str = ""
    asked: frozenset[tuple[str, str]] = frozenset()
    content: str = ""


NOTHING: Final = Brought()


def bring(roots: Sequence[Manifest], *, namespace: str, account: str, find: Find) -> Brought:
    """What `roots` name, directly or through others; `account` applies them, "" the one of Works."""
    given: dict[Identity, Manifest] = {}
    secrets: dict[Identity, SecretSource] = {}
    looks: dict[Identity, tuple[Reference, Look]] = {}
    own = {item.identity for item in items_of(roots)}
    too_much = ""
    while not too_much:
        unmet = closure(roots, given=[*given.values(), *map(_bare, secrets)]).unmet
        ahead = sorted(
            {
                one.identity: one
                for one in unmet
                if _is_fetched(one, namespace=namespace, account=account)
                and one.identity not in own | given.keys() | secrets.keys() | looks.keys()
            }.values()
        )
        if not ahead:
            break
        for reference in ahead:
            match find(reference.kind, reference.name):
                case SecretSource() as secret:
                    secrets[reference.identity] = secret
                case Look() as look:
                    looks[reference.identity] = reference, look
                case manifest:
                    given[reference.identity] = manifest
        too_much = _too_much(list(given.values()), len(given) + len(secrets))
    asked = given.keys() | secrets.keys() | looks.keys()
    manifests = () if too_much else tuple(given.values())
    beside = () if too_much else tuple(sorted(secrets.values(), key=lambda one: one.name))
    return Brought(
        manifests,
        beside,
        tuple(_names(looks.values(), Look.ABSENT)),
        tuple(sorted({one.kind for one, look in looks.values() if look is Look.FORBIDDEN})),
        any(look is Look.UNREAD for _, look in looks.values()),
        too_much,
        frozenset((kind, name) for _, kind, _, name in asked),
        _content(manifests, beside),
    )


def kinds_in(content: str) -> frozenset[str]:
    """The kinds of what a `Brought` of that content took along."""
    return frozenset(filter(None, content.partition(":")[0].split(",")))


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
    kinds = {str(one["kind"]) for one in manifests} | ({"Secret"} if secrets else set())
    mark = digest({"manifests": list(manifests), "secrets": [one.name for one in secrets]})
    return f"{','.join(sorted(kinds))}:{mark[:32]}"


def _too_much(manifests: Sequence[Manifest], count: int) -> str:
    if count > MOST_OBJECTS:
        return f"more than {MOST_OBJECTS} objects"
    if len(msgspec.json.encode(manifests)) > MOST_BYTES:
        return f"more than {MOST_BYTES // 1024} KiB"
    return ""
