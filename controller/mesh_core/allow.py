"""Whom an export is for: the entries of the annotation `meshctl.dev/allow` (docs/names.md, "Annotations").

    <cluster>                                 everything in that cluster, its nodes included
    <cluster>/<namespace>                     the pods of a namespace
    <cluster>/<namespace>/<service account>   the pods that run under one account
    <cluster>/@node                           the nodes, and the pods on a node's own network

`*` in the place of the cluster is every member. No namespace begins with `@`: the words that do are ours.

1. Nobody is allowed but whom an entry names; without entries that is nobody.
2. An entry that does not read allows nobody, and takes nothing from the others: a later version may mean
   something narrower by it.
3. What a source is called is its own cluster's word: an entry narrows what is trusted of a cluster, and
   never lets one cluster speak for another.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

EVERY_CLUSTER: Final = "*"
NODE: Final = "@node"
MOST_ENTRIES: Final = 256
"""Entries of one `meshctl.dev/allow`, and of one record's `allow`."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_ACCOUNT = rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*"
_ENTRY: Final = re.compile(rf"(\*|{_LABEL})(/({NODE}|{_LABEL}(/{_ACCOUNT})?))?")


@dataclass(frozen=True, slots=True)
class Allow:
    """Who may use an export: entries as above, each of which reads. Made by `allow_of`."""

    entries: frozenset[str] = frozenset()

    def allows(self, cluster: str, *, namespace: str = "", account: str = "", node: bool = False) -> bool:
        """Whether a source in `cluster` may use the export.

        `namespace` and `account` are those of its pod, "" where they are not known; `node` says that it is a
        node, or a pod on a node's network. Without any of them only entries for a whole cluster count.
        """
        entries = self.entries
        for where in (cluster, EVERY_CLUSTER):
            if where in entries:
                return True
            if node:
                if f"{where}/{NODE}" in entries:
                    return True
            elif namespace and (
                f"{where}/{namespace}" in entries or (account and f"{where}/{namespace}/{account}" in entries)
            ):
                return True
        return False

    def names(self, cluster: str) -> bool:
        """Whether anything in `cluster` may use the export."""
        clusters = self.clusters
        return clusters is None or cluster in clusters

    @property
    def clusters(self) -> frozenset[str] | None:
        """The clusters in which anything may use the export; None for all of them."""
        found = frozenset(entry.partition("/")[0] for entry in self.entries)
        return None if EVERY_CLUSTER in found else found


def allow_of(entries: Iterable[str]) -> Allow:
    """What these entries allow; those that do not read are left out (law 2)."""
    return Allow(frozenset(filter(reads, entries)))


def reads(entry: str) -> bool:
    """Whether this version knows what the entry means."""
    return _ENTRY.fullmatch(entry) is not None
