"""What a hub's next leader needs, as it is copied to the witnesses: objects in pieces, and an index of them.

1. A *bucket* is all objects of one kind in one namespace. A piece is named by what is in it, so what has not
   changed is not written again, and an index is whole as soon as its pieces are there.
2. Of two copies the one of the later term is newer, of one term the one with the higher number.
3. Beyond a backup (`decide.backup`) a copy has what was decided and what members said, because the next
   leader is to decide the same: a Placement keeps the UID and the age that it had at first (`origin`).
4. What was deleted is listed: another candidate may still have it from the time when it led.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate
from typing import Any, Final

import msgspec

from mesh_core.plan import Json
from mesh_placement.decide.backup import PUBLIC, kept_of
from mesh_placement.names import GROUP, LABEL_CLUSTER, TOMBSTONES

FORMAT: Final = f"copy.{GROUP}/v1"
PIECE_BYTES: Final = 600 << 10
"""Of a Secret's 1 MiB; base64 takes a third more."""
MOST_GONE: Final = 10_000
GONE_BYTES: Final = 256 << 10
"""Of names that tenants choose; the index is one Secret, and the names of pieces are in it too."""
_MOST_BUCKET: Final = 256 << 20
MOST_WRITTEN: Final = _MOST_BUCKET // 2
"""Of what one bucket has: anybody may fill a namespace, and what nobody can read ends all leading."""

_OURS: Final = f"{GROUP}/v1alpha1"
COPIED: Final = {
    "ClusterSet": _OURS,
    "ResourceInterpreter": _OURS,
    "Namespace": "v1",
    "Secret": "v1",
    "Assignment": _OURS,
    "Work": "multicluster.x-k8s.io/v1alpha1",
    "ClusterLink": _OURS,
    "ClusterCapacity": _OURS,
    "ConfigMap": "v1",
    "ClusterRegistration": _OURS,
    "Placement": _OURS,
}
"""Every kind that is copied, in the order in which they are made: clusters before Placements."""
_SAID: Final = frozenset(("Assignment", "ClusterLink", "ClusterCapacity", "ClusterRegistration", "Placement"))
"""Those whose status is copied."""

Key = tuple[str, str, str]
"""(kind, namespace, name)."""


class UnreadableCopy(ValueError):
    """What was unsealed is no copy of ours."""


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """`pieces` by bucket ("kind/namespace"), in their order; `gone` are keys ("kind/namespace/name")."""

    term: int
    number: int
    pieces: dict[str, tuple[str, ...]] = {}
    gone: tuple[str, ...] = ()
    format: str = FORMAT

    @property
    def age(self) -> tuple[int, int]:
        """Law 2."""
        return self.term, self.number

    def names(self) -> frozenset[str]:
        """All pieces."""
        return frozenset(name for names in self.pieces.values() for name in names)


def bucket_of(kind: str, namespace: str) -> str:
    """The bucket's name."""
    return f"{kind}/{namespace}"


def key_of(one: Json) -> Key:
    """Of a copied object."""
    return str(one["kind"]), str(one["metadata"].get("namespace", "")), str(one["metadata"]["name"])


def copied_of(kind: str, seen: Json) -> Json:
    """What is copied of one object."""
    meta = seen["metadata"]
    if kind == "ClusterCapacity":
        body: Json = {
            "apiVersion": COPIED[kind],
            "kind": kind,
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        }
    else:
        body = kept_of(kind, seen)
    if kind in _SAID and seen.get("status"):
        body["status"] = seen["status"]
    if kind == "Placement":
        own = {"uid": meta.get("uid", ""), "created": meta.get("creationTimestamp", "")}
        body["status"] = {"origin": own, **seen.get("status", {})}
        body["metadata"]["generation"] = meta.get("generation", 0)
    return body


def copied_in(
    kind: str, seen: Iterable[Json], *, homes: Collection[str] = (), listed: Collection[str] = ()
) -> list[Json]:
    """Of objects of a bucket those that are copied, by name. `homes` are namespaces with Placements, `listed`
    names of Secrets that Assignments beside them list."""
    return [
        copied_of(kind, one)
        for one in sorted(seen, key=lambda one: str(one["metadata"]["name"]))
        if _is_copied(kind, one, homes=homes, listed=listed)
    ]


def secrets_listed(assignments: Iterable[Json]) -> frozenset[str]:
    """Names of the Secrets that they list."""
    return frozenset(str(name) for one in assignments for name in one.get("spec", {}).get("secrets", ()))


def pieces_of(objects: Iterable[Json], *, most: int = MOST_WRITTEN) -> tuple[bytes, ...]:
    """A bucket's content, packed and cut; equal objects give equal pieces. Where all of it is too much to be
    read again, the largest objects are left out."""
    raw = [msgspec.json.encode(one, order="deterministic") for one in objects]
    size = sum(len(one) + 1 for one in raw) + 1
    for number in sorted(range(len(raw)), key=lambda at: len(raw[at]), reverse=True):
        if size <= most:
            break
        size -= len(raw[number]) + 1
        raw[number] = b""
    packed = zlib.compress(b"[" + b",".join(filter(None, raw)) + b"]")
    return tuple(packed[at : at + PIECE_BYTES] for at in range(0, len(packed), PIECE_BYTES))


def objects_in(pieces: Iterable[bytes]) -> list[Json]:
    """The bucket again; raises UnreadableCopy."""
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(b"".join(pieces), _MOST_BUCKET)
        if not unpacking.eof:
            raise UnreadableCopy("it ends too early, or is too large")
        # Any: JSON.
        found = msgspec.json.decode(raw, type=list[dict[str, Any]])
    except (zlib.error, msgspec.DecodeError) as error:
        raise UnreadableCopy(str(error)) from error
    if any(COPIED.get(str(one.get("kind"))) != one.get("apiVersion") for one in found):
        raise UnreadableCopy("it has a kind that is not copied")
    return found


def read_index(raw: bytes) -> Index:
    """The index; raises UnreadableCopy."""
    try:
        found = msgspec.json.decode(raw, type=Index)
    except msgspec.DecodeError as error:
        raise UnreadableCopy(str(error)) from error
    if found.format != FORMAT:
        raise UnreadableCopy(f"it is {found.format[:60]}, not {FORMAT}")
    return found


def gone_after(
    before: Iterable[str], *, known: Collection[Key], now: Collection[Key], most: int = MOST_GONE
) -> tuple[str, ...]:
    """What is listed as deleted, the latest last: `before`, and what was `known` and is no more. Of too much
    the latest."""
    there = {"/".join(one) for one in now}
    lost = sorted("/".join(one) for one in set(known) - set(now))
    found = [one for one in dict.fromkeys((*before, *lost)) if one not in there][-most:]
    ends = accumulate(len(one) + len('"",') for one in reversed(found))
    kept = sum(end <= GONE_BYTES for end in ends)
    return tuple(found[len(found) - kept :])


def in_order(buckets: Mapping[str, Iterable[Json]]) -> list[Json]:
    """All objects, kind by kind."""
    kinds = list(COPIED)
    every = [one for name in sorted(buckets) for one in buckets[name]]
    return sorted(every, key=lambda one: (kinds.index(str(one["kind"])), key_of(one)))


def _is_copied(kind: str, one: Json, *, homes: Collection[str], listed: Collection[str]) -> bool:
    meta = one["metadata"]
    is_ending = bool(meta.get("deletionTimestamp"))
    match kind:
        case "Namespace":
            return not is_ending and (LABEL_CLUSTER in meta.get("labels", {}) or meta["name"] in homes)
        case "Secret":
            return not is_ending and meta["name"] in listed
        case "ConfigMap":
            return (meta.get("namespace"), meta["name"]) == (PUBLIC, TOMBSTONES)
        case _:
            return True
