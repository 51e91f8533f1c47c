"""What the annotations of a ServiceExport ask for (docs/names.md, "Annotations").

    meshctl.dev/allow     cluster ids, separated by commas: nobody else may use the export
    meshctl.dev/traffic   balanced (default) or local-first

It fails closed (ruling 26): any other key below `meshctl.dev/`, and any value that does not read, withholds
the export, because it may have been meant to restrict it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh_core.identity import InvalidName, cluster_id
from mesh_core.names import ANNOTATION_ALLOW, ANNOTATION_PREFIX, ANNOTATION_TRAFFIC
from mesh_core.record import Traffic

MOST_ALLOWED = 256
"""Cluster ids in one `meshctl.dev/allow`."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow` are the only clusters that may use the export, None for all; an empty one allows nobody."""

    allow: frozenset[str] | None = None
    traffic: Traffic = Traffic.BALANCED

    def allows(self, cluster: str) -> bool:
        """Whether `cluster` may use the export."""
        return self.allow is None or cluster in self.allow


@dataclass(frozen=True, slots=True)
class InvalidPolicy:
    """Why the annotations cannot be followed, as a clause that says what to do."""

    why: str


def policy_of(annotations: Mapping[str, str]) -> Policy | InvalidPolicy:
    """What the annotations of a ServiceExport say."""
    ours = {key: text for key, text in annotations.items() if key.startswith(ANNOTATION_PREFIX)}
    for key in sorted(ours.keys() - {ANNOTATION_ALLOW, ANNOTATION_TRAFFIC}):
        return InvalidPolicy(f"the annotation {key} is not known to this version; remove it")
    traffic = ours.get(ANNOTATION_TRAFFIC, Traffic.BALANCED.value)
    if traffic not in {known.value for known in Traffic}:
        return InvalidPolicy(
            f"the annotation {ANNOTATION_TRAFFIC} is {_shown(traffic)}; use balanced or local-first"
        )
    allow = ours.get(ANNOTATION_ALLOW)
    if allow is None:
        return Policy(traffic=Traffic(traffic))
    clusters = [part.strip() for part in allow.split(",")]
    for cluster in clusters:
        try:
            cluster_id(cluster)
        except InvalidName:
            return InvalidPolicy(
                f"the annotation {ANNOTATION_ALLOW} names {_shown(cluster)}, which is no cluster id; "
                "use cluster ids separated by commas"
            )
    if len(clusters) > MOST_ALLOWED:
        return InvalidPolicy(f"the annotation {ANNOTATION_ALLOW} names more than {MOST_ALLOWED} clusters")
    return Policy(allow=frozenset(clusters), traffic=Traffic(traffic))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
