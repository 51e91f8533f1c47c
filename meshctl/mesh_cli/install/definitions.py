"""Whether a CRD that a cluster already has may be replaced by ours.

Standard definitions belong to whoever installed them: they are installed when missing or older, never
downgraded and never touched when equal. Ours are never downgraded either, but an equal one is applied
again, which repairs what somebody changed.

Age is compared by the two labels that kubernetes-sigs/mcs-api gives to its definitions (release-version,
then crd-schema-revision), below the name of the group; ours carry the same two. ClusterProperty has none:
there the served versions decide.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from mesh_cli.install.inventory import is_our_group
from mesh_core.errors import EnvironmentFault
from mesh_core.objects import CustomResourceDefinition

# A CustomResourceDefinition as JSON: its schema is open, hence Any.
Definition = Mapping[str, Any]

_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


class Verdict(Enum):
    """What to do with one definition."""

    INSTALL = "install"
    """It is missing or older."""
    REPAIR = "repair"
    """It is ours and of our age: applying changes nothing unless somebody changed it."""
    KEEP = "keep"
    """It is somebody else's, or newer."""


class DefinitionTooNew(EnvironmentFault):
    """A newer definition no longer serves the version that we speak."""

    def __init__(self, *, name: str, version: str) -> None:
        super().__init__(
            f"the installed CRD {name} is newer than ours and does not serve {version}",
            next_step="use a newer meshctl",
        )


def verdict(wanted: Definition, *, existing: Definition | None) -> Verdict:
    """Whether `wanted` is to be applied over `existing`; raises DefinitionTooNew."""
    if existing is None:
        return Verdict.INSTALL
    ours, theirs = _age(wanted), _age(existing)
    if ours is None:
        older = not _served(wanted) <= _served(existing)
        return Verdict.INSTALL if older else Verdict.KEEP
    if theirs is None or theirs < ours:
        return Verdict.INSTALL
    if theirs == ours:
        return Verdict.REPAIR if is_our_group(wanted["spec"]["group"]) else Verdict.KEEP
    spoken = _stored(wanted)
    if spoken not in _served(existing):
        raise DefinitionTooNew(name=wanted["metadata"]["name"], version=spoken)
    return Verdict.KEEP


def is_established(definition: CustomResourceDefinition) -> bool:
    """Whether the API server serves the kind."""
    conditions = definition.status.conditions
    return any(one.type == "Established" and one.status == "True" for one in conditions)


def _age(definition: Definition) -> tuple[int, int, int, int] | None:
    """(major, minor, patch, revision), or None where the labels do not say."""
    labels = definition["metadata"].get("labels") or {}
    group = definition["spec"]["group"]
    release = _RELEASE.match(labels.get(f"{group}/release-version", ""))
    revision = labels.get(f"{group}/crd-schema-revision", "")
    if release is None or not revision.isdigit():
        return None
    major, minor, patch = (int(part) for part in release.groups())
    return major, minor, patch, int(revision)


def _served(definition: Definition) -> set[str]:
    return {one["name"] for one in definition["spec"]["versions"] if one.get("served")}


def _stored(definition: Definition) -> str:
    return next(str(one["name"]) for one in definition["spec"]["versions"] if one.get("storage"))
