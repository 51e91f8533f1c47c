"""Reads our kustomizations, so that `join` needs no kubectl.

Laws:

1. What comes out is what `kubectl kustomize` makes of the same folder, but for the order.
2. A key, a patch or an image rule that is not understood is refused, never skipped.

Understood are `resources` (files and folders), `components` (folders), `images` (`name` and `newTag`) and
`patches` (a target of kind and name; of RFC 6902 `replace` of what is there and `add` of what is not). Only
files that we ship are read, so a failure here is a defect of ours.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mesh_core.errors import MeshError

# A manifest is whatever Kubernetes kind a file holds; its values have no closed type.
Manifest = dict[str, Any]

_FILE = "kustomization.yaml"
_KNOWN = {"apiVersion", "kind", "resources", "components", "images", "patches"}
_OPERATIONS = ("add", "replace")


class NotUnderstood(MeshError):
    """A kustomization says something that this reader does not know."""

    def __init__(self, where: Path, *, what: str) -> None:
        super().__init__(
            f"{where}: {what}", next_step="write it with the keys that manifests/README.md names"
        )


def render(
    folder: Path, *, images: Mapping[str, str] | None = None, components: Iterable[Path] = ()
) -> list[Manifest]:
    """The objects of the kustomization in `folder`, in the order of its resources.

    `components` are applied after it, as by a kustomization that stands on it and lists them. `images`
    replaces whole image references by repository name, after the kustomization's own tags. Raises
    NotUnderstood, OSError, yaml.YAMLError.
    """
    manifests = list(_objects(folder))
    for component in components:
        manifests = _changed(manifests, component)
    _refuse_twins(manifests, where=folder)
    for name, reference in (images or {}).items():
        _set_image(manifests, name=name, reference=reference)
    return manifests


def brought_by(component: Path) -> list[Manifest]:
    """The objects that a component adds, without what it changes of others."""
    rules = yaml.safe_load((component / _FILE).read_text())
    return [found for entry in rules.get("resources", ()) for found in _resource(component / entry)]


def identity(manifest: Manifest) -> tuple[str, str, str]:
    """(kind, namespace, name): what tells objects of one kustomization apart."""
    meta = manifest["metadata"]
    return str(manifest["kind"]), str(meta.get("namespace", "")), str(meta["name"])


def _objects(folder: Path) -> list[Manifest]:
    return _changed([], folder)


def _changed(manifests: list[Manifest], folder: Path) -> list[Manifest]:
    """The objects with what the kustomization or component in `folder` adds, and as it changes them."""
    rules = yaml.safe_load((folder / _FILE).read_text())
    unknown = sorted(set(rules) - _KNOWN)
    if unknown:
        raise NotUnderstood(folder / _FILE, what=f"unknown keys {', '.join(unknown)}")
    manifests = manifests + [
        found for entry in rules.get("resources", ()) for found in _resource(folder / entry)
    ]
    for component in rules.get("components", ()):
        manifests = _changed(manifests, folder / component)
    for rule in rules.get("images", ()):
        if set(rule) != {"name", "newTag"}:
            raise NotUnderstood(folder / _FILE, what=f"image rule {rule}")
        reference = f"{rule['name']}:{rule['newTag']}"
        _set_image(manifests, name=rule["name"], reference=reference)
    for patch in rules.get("patches", ()):
        _patch(manifests, patch, where=folder / _FILE)
    return manifests


def _resource(path: Path) -> Iterator[Manifest]:
    if path.is_dir():
        yield from _objects(path)
        return
    for manifest in yaml.safe_load_all(path.read_text()):
        # Through JSON, because a YAML anchor makes two places share one object.
        yield json.loads(json.dumps(manifest))


def _set_image(manifests: Iterable[Manifest], *, name: str, reference: str) -> None:
    for container in _containers(manifests):
        if repository(container["image"]) == name:
            container["image"] = reference


def repository(image: str) -> str:
    """The image reference without tag and digest; a colon before the last slash belongs to a port."""
    head, slash, tail = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"


def _containers(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        template = manifest.get("spec", {}).get("template", {})
        pod = template.get("spec", {}) if isinstance(template, dict) else {}
        yield from pod.get("containers", ())
        yield from pod.get("initContainers", ())


def _patch(manifests: Iterable[Manifest], patch: Manifest, *, where: Path) -> None:
    if set(patch) != {"target", "patch"} or set(patch["target"]) != {"kind", "name"}:
        raise NotUnderstood(where, what=f"patch with the keys {sorted(patch)}")
    wanted = patch["target"]["kind"], patch["target"]["name"]
    hit = [one for one in manifests if (one["kind"], one["metadata"]["name"]) == wanted]
    if len(hit) != 1:
        raise NotUnderstood(where, what=f"a patch for {' '.join(wanted)} that meets {len(hit)} objects")
    for operation in yaml.safe_load(patch["patch"]):
        if operation.get("op") not in _OPERATIONS:
            raise NotUnderstood(where, what=f"patch operation {operation}")
        _edit(hit[0], operation, where=where)


def _edit(manifest: Manifest, operation: Manifest, *, where: Path) -> None:
    """One operation; what lies on the way to its place must be there (RFC 6902, 4.1 and 4.3)."""
    path, adds = operation["path"], operation["op"] == "add"
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    place: Any = manifest  # whatever lies on the way: maps and lists
    for part in parents:
        place = _within(place, part)
    match place:
        case list() if adds and last == "-":
            place.append(operation["value"])
        case dict() if adds is (last not in place):
            place[last] = operation["value"]
        case _:
            state = "there already" if adds and isinstance(place, dict) else "not there"
            raise NotUnderstood(where, what=f"a patch of {path}, which is {state}")


def _within(place: object, part: str) -> object:
    match place:
        case dict():
            return place.get(part)
        case list() if part.isdigit() and int(part) < len(place):
            return place[int(part)]
    return None


def _refuse_twins(manifests: Iterable[Manifest], *, where: Path) -> None:
    seen: set[tuple[str, str, str]] = set()
    for manifest in manifests:
        if identity(manifest) in seen:
            raise NotUnderstood(where, what=f"two objects {' '.join(identity(manifest))}")
        seen.add(identity(manifest))
