"""What the documentation tells a newcomer to type and to apply, done as it stands on two real clusters."""

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import yaml

from live.nodes import nodes_of
from mesh_core.names import GATEWAY, SYSTEM_NAMESPACE
from mesh_fakes.bed import Bed
from mesh_fakes.doc_blocks import Block, all_blocks, commands
from mesh_local.names import names_of

pytestmark = pytest.mark.asyncio

OF_KUBERNETES = ("v1", "apps/v1", "networking.k8s.io/v1", "discovery.k8s.io/v1")
BANNER = "this is the database"
_SERVER = """
import socketserver, sys
class Said(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(sys.argv[2].encode())
socketserver.ThreadingTCPServer((sys.argv[1], 5432), Said).serve_forever()
"""
_ASK = "import socket; print(socket.create_connection(('{}', 5432), 5).recv(99).decode())"


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


@contextmanager
def database(bed: Bed, cluster: str, address: str) -> Iterator[None]:
    """Something that speaks at an address which each node of the cluster reaches, and no pod or node has."""
    with ExitStack() as stack:
        for node in nodes_of(bed, cluster):
            inside = ("nsenter", f"--net={names_of(bed.folder.resolve()).namespace(node.name)}", "--")
            change = (*inside, "ip", "address", "{}", f"{address}/32", "dev", "lo")
            subprocess.run([word.format("add") for word in change], check=True)
            stack.callback(subprocess.run, [word.format("del") for word in change], check=True)
            server = subprocess.Popen((*inside, sys.executable, "-c", _SERVER, address, BANNER))
            stack.callback(server.wait)
            stack.callback(server.terminate)
        yield


def gateway_pods(bed: Bed) -> list[str]:
    component = "app.kubernetes.io/component=gateway"
    return bed.kubectl("east", "-n", SYSTEM_NAMESPACE, "get", "pod", "-l", component, "-o", "name").split()


def back_as_it_was(bed: Bed) -> None:
    """Step 1 taken back, with no pod of before: who reads the logs of all pods later must find each."""
    system, deployment = ("-n", SYSTEM_NAMESPACE), f"deployment/{GATEWAY}"
    pods = gateway_pods(bed)
    bed.kubectl("east", *system, "set", "env", deployment, "MESHCTL_GATEWAY_ALLOW_EXTERNAL-")
    bed.kubectl("east", *system, "rollout", "status", deployment, "--timeout=240s")
    bed.kubectl("east", *system, "wait", "--for=delete", *pods, "--timeout=240s")


def ask_and_read(bed: Bed) -> str:
    """What a pod of the other cluster is told behind the name, once it is told something."""
    ask = _ASK.format("orders-db.shop.svc.clusterset.local")
    bed.kubectl(
        *("west", "-n", "shop", "run", "ask", f"--image={image_of(bed)}", "--restart=OnFailure"),
        *("--command", "--", "python", "-c", ask),
    )
    done = "--for=jsonpath={.status.phase}=Succeeded"
    bed.kubectl("west", "-n", "shop", "wait", done, "pod/ask", "--timeout=240s")
    return bed.kubectl("west", "-n", "shop", "logs", "ask")


async def test_a_database_outside_is_called_from_the_other_cluster_as_the_page_says(
    clusterset: Bed,
) -> None:
    bed, (allow, where, export) = clusterset, marked("database")
    [address] = list(yaml.safe_load_all(where.text))[1]["endpoints"][0]["addresses"]
    with database(bed, "east", address):
        try:
            for cluster in ("east", "west"):
                bed.kubectl(cluster, "create", "namespace", "shop")
            before = gateway_pods(bed)
            await asyncio.to_thread(typed, bed, allow, image="")
            for block in (where, export):
                file = bed.folder / f"database-{block.line}.yaml"
                file.write_text(block.text)
                bed.kubectl("east", "apply", "-f", str(file))
            assert (await asyncio.to_thread(ask_and_read, bed)).strip() == BANNER
            gone = ("wait", "--for=delete", *before, "--timeout=240s")
            await asyncio.to_thread(bed.kubectl, "east", "-n", SYSTEM_NAMESPACE, *gone)
        finally:
            for cluster in ("east", "west"):
                bed.kubectl(cluster, "delete", "namespace", "shop", "--ignore-not-found", "--wait=false")
            await asyncio.to_thread(back_as_it_was, bed)


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
