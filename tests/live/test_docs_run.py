"""What the documentation tells a newcomer to type and to apply, done as it stands on two real clusters."""

import asyncio
import json
import shlex

import pytest
import yaml

from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.doc_blocks import Block, all_blocks, commands

pytestmark = pytest.mark.asyncio

OF_KUBERNETES = ("v1", "apps/v1", "networking.k8s.io/v1", "discovery.k8s.io/v1")


def marked(name: str) -> list[Block]:
    found = [one for one in all_blocks() if (one.mark, one.said) == ("run", name)]
    assert found, name
    return found


def image_of(bed: Bed) -> str:
    return bed.kubectl(
        *("east", "-n", SYSTEM_NAMESPACE, "get", f"deploy/{GATEWAY}"),
        *("-o", "jsonpath={.spec.template.spec.containers[0].image}"),
    )


def typed(bed: Bed, block: Block, *, image: str) -> list[str]:
    """What each line of the block says, typed one after another; each must succeed."""
    said = []
    for line in block.text.replace("IMAGE", image).splitlines():
        words = shlex.split(line)
        if words[0] == "meshctl":
            said.append(bed.done("--kubeconfig", str(bed.kubeconfig), *words[1:]))
        else:
            assert words[:2] == ["kubectl", "--context"], line
            said.append(bed.kubectl(words[2], *words[3:]))
    return said


async def test_the_first_call_of_getting_started_is_answered_as_the_page_says(clusterset: Bed) -> None:
    image = image_of(clusterset)
    (call,), (away,) = marked("hello"), marked("hello-away")
    try:
        *_rest, answer, _services = await asyncio.to_thread(typed, clusterset, call, image=image)
        assert answer.strip() == "200"
        assert len(list(commands(call))) == 2
    finally:
        await asyncio.to_thread(typed, clusterset, away, image=image)


async def test_an_api_server_takes_each_manifest_of_the_pages(clusterset: Bed) -> None:
    """In a namespace that is there, as a try; kinds of placement are not served here."""
    tried = 0
    for block in all_blocks():
        if block.language != "yaml" or block.mark == "not ours":
            continue
        for number, manifest in enumerate(yaml.safe_load_all(block.text)):
            ours = manifest.get("apiVersion", "").startswith(("meshctl.dev/", "multicluster.x-k8s.io/"))
            if not ours and manifest.get("apiVersion") not in OF_KUBERNETES:
                continue
            if manifest["kind"] == "Work":
                continue
            manifest["metadata"].pop("namespace", None)
            file = clusterset.folder / f"try-{block.line}-{number}.json"
            file.write_text(json.dumps(manifest))
            clusterset.kubectl("east", "create", "--dry-run=server", "--validate=strict", "-f", str(file))
            tried += 1
    assert tried > 5
