"""Our reader of kustomizations, against kubectl's."""

import asyncio
import io
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from mesh_cli.install.kustomize import Manifest, NotUnderstood, identity, render, repository
from mesh_cli.install.shipped import (
    Component,
    Overlay,
    component_folder,
    manifests_folder,
    overlay_folder,
    sample_folder,
)
from mesh_local.binaries import Component as Program
from mesh_local.binaries import find_binaries
from mesh_runtime.progress import progress_for

FOLDERS = [
    *(overlay_folder(overlay) for overlay in Overlay),
    *(manifests_folder() / "overlays" / name for name in ("hub", "member")),
    *(sample_folder(name) for name in ("hello", "client")),
]


@pytest.fixture(scope="module")
def kubectl() -> tuple[str, ...]:
    """How to start kubectl; the set-up of the tests has built it."""
    found = asyncio.run(find_binaries(components=[Program.KUBECTL], progress=progress_for(io.StringIO())))
    return found.commands[Program.KUBECTL]


def ordered(manifests: list[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=identity)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_makes_the_objects_that_kubectl_makes(folder: Path, kubectl: tuple[str, ...]) -> None:
    shown = subprocess.run(
        [*kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True, timeout=180
    )
    theirs = list(yaml.safe_load_all(shown.stdout))
    assert ordered(render(folder)) == ordered(theirs)


@pytest.mark.parametrize(
    "components",
    [*((one,) for one in Component), tuple(Component), tuple(reversed(Component))],
    ids=lambda components: "+".join(one.value for one in components),
)
@pytest.mark.parametrize("overlay", list(Overlay), ids=lambda overlay: overlay.value)
def test_with_components_it_makes_what_kubectl_makes_of_a_kustomization_that_lists_them(
    overlay: Overlay, components: tuple[Component, ...], kubectl: tuple[str, ...], tmp_path: Path
) -> None:
    def path_to(folder: Path) -> str:
        return os.path.relpath(folder, tmp_path)

    own = {
        "resources": [path_to(overlay_folder(overlay))],
        "components": [path_to(component_folder(one)) for one in components],
    }
    write(
        tmp_path,
        yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **own}),
    )
    words = [*kubectl, "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(tmp_path)]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=180)
    ours = render(overlay_folder(overlay), components=map(component_folder, components))
    assert ordered(ours) == ordered(list(yaml.safe_load_all(shown.stdout)))
    labels = next(one for one in ours if one["kind"] == "Namespace")["metadata"]["labels"]
    assert {one for one in Component if one.label in labels} == set(components)


def test_every_kustomization_that_we_ship_is_understood() -> None:
    for file in manifests_folder().rglob("kustomization.yaml"):
        # Components go into other ones; monitoring is applied by kubectl alone.
        if file.parents[1].name != "components" and file.parent.name != "monitoring":
            assert render(file.parent), file


def write(folder: Path, kustomization: str, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "kustomization.yaml").write_text(kustomization)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


POD = "kind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{image: %s}]}}}\n"


@pytest.mark.parametrize(
    ("kustomization", "complaint"),
    [
        ("namePrefix: x-\nresources: [pod.yaml]", "unknown keys namePrefix"),
        ("resources: [pod.yaml]\nimages: [{name: x, digest: 'sha256:0'}]", "image rule"),
        ("resources: [pod.yaml]\npatches: [{path: x.yaml}]", "patch with the keys"),
        (
            "resources: [pod.yaml]\npatches: [{target: {kind: Service, name: a}, patch: '[]'}]",
            "a patch for Service a that meets 0 objects",
        ),
        (
            "resources: [pod.yaml]\npatches: [{target: {kind: Deployment, name: a}, "
            'patch: \'[{"op": "remove", "path": "/metadata"}]\'}]',
            "patch operation",
        ),
        (
            "resources: [pod.yaml]\npatches: [{target: {kind: Deployment, name: a}, "
            'patch: \'[{"op": "add", "path": "/metadata/name", "value": 1}]\'}]',
            "a patch of /metadata/name, which is there already",
        ),
        (
            "resources: [pod.yaml]\npatches: [{target: {kind: Deployment, name: a}, "
            'patch: \'[{"op": "add", "path": "/spec/template/spec/containers/1/x", "value": 1}]\'}]',
            "a patch of /spec/template/spec/containers/1/x, which is not there",
        ),
        (
            "resources: [pod.yaml]\npatches: [{target: {kind: Deployment, name: a}, "
            'patch: \'[{"op": "replace", "path": "/spec/x/y", "value": 1}]\'}]',
            "a patch of /spec/x/y, which is not there",
        ),
        ("resources: [pod.yaml, pod.yaml]", "two objects Deployment  a"),
    ],
)
def test_what_it_does_not_understand_it_refuses(tmp_path: Path, kustomization: str, complaint: str) -> None:
    folder = write(tmp_path, kustomization, pod=POD % "x")
    with pytest.raises(NotUnderstood, match=complaint):
        render(folder)


def test_an_image_given_by_the_caller_stands_above_the_tag_of_the_kustomization(tmp_path: Path) -> None:
    folder = write(
        tmp_path, "resources: [pod.yaml]\nimages: [{name: r.example/x, newTag: '1'}]", pod=POD % "r.example/x"
    )
    (plain,) = render(folder)
    (other,) = render(folder, images={"r.example/x": "q.example/y:2"})
    assert plain["spec"]["template"]["spec"]["containers"][0]["image"] == "r.example/x:1"
    assert other["spec"]["template"]["spec"]["containers"][0]["image"] == "q.example/y:2"


def test_a_patch_of_what_two_anchors_share_changes_one_of_them(tmp_path: Path) -> None:
    text = "kind: A\nmetadata: {name: a}\none: &shared {x: 1}\ntwo: *shared\n"
    patch = "[{op: replace, path: /one/x, value: 2}]"
    rule = f'resources: [a.yaml]\npatches: [{{target: {{kind: A, name: a}}, patch: "{patch}"}}]'
    (found,) = render(write(tmp_path, rule, a=text))
    assert (found["one"], found["two"]) == ({"x": 2}, {"x": 1})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("a/b", "a/b"),
        ("a/b:1", "a/b"),
        ("r:5000/a/b:1", "r:5000/a/b"),
        ("r:5000/a", "r:5000/a"),
        ("a@sha256:00", "a"),
    ],
)
def test_a_repository_is_the_reference_without_tag_and_digest(image: str, expected: str) -> None:
    assert repository(image) == expected
