"""NetworkPolicies that we ship name the ports that our programs have; their page shows what is shipped."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_cli.install.kustomize import Manifest, render
from mesh_cli.install.shipped import Component, Overlay, component_folder, overlay_folder, sample_folder
from mesh_core.names import EGRESS_PORTS, INNER_PORT

ROOT = Path(__file__).parents[2]
WITH = render(overlay_folder(Overlay.LOAD_BALANCER), components=[component_folder(Component.NETWORK_POLICY)])


def of(kind: str, name: str) -> Manifest:
    (found,) = [one for one in WITH if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def opened(policy: Manifest) -> set[tuple[str, int, int]]:
    """Protocol, first port and last port of each."""
    ports = [port for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    return {(one["protocol"], one["port"], one.get("endPort", one["port"])) for one in ports}


@pytest.mark.parametrize("name", ["meshctl-controller", "meshctl-gateway", "meshctl-dns"])
def test_each_program_takes_in_what_it_listens_for_and_nothing_else(name: str) -> None:
    template = of("Deployment", name)["spec"]["template"]
    (container,) = template["spec"]["containers"]
    expected = {(one["protocol"], one["containerPort"], one["containerPort"]) for one in container["ports"]}
    if name == "meshctl-gateway":
        egress = {(protocol, EGRESS_PORTS[0], EGRESS_PORTS[-1]) for protocol in ("TCP", "UDP")}
        # The inner door is named by a Service, egress ports by slices: no container port declares them.
        expected |= {("TCP", INNER_PORT, INNER_PORT), *egress}
        assert of("Service", "meshctl-gateway-inner")["spec"]["ports"][0]["targetPort"] == INNER_PORT
    policy = of("NetworkPolicy", name)
    assert opened(policy) == expected
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= template["metadata"]["labels"].items()


def test_who_may_come_to_the_inner_door_is_named_by_labels_that_our_pods_have() -> None:
    rendered = [*WITH, *render(ROOT / "manifests" / "overlays" / "hub")]
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in rendered if one["kind"] == "Deployment"]
    named = [
        peer["podSelector"]["matchLabels"]
        for name in ("meshctl-controller", "meshctl-gateway")
        for rule in of("NetworkPolicy", name)["spec"]["ingress"]
        for peer in rule.get("from", ())
        if "podSelector" in peer
    ]
    assert named
    assert all(any(labels.items() <= pod.items() for pod in pods) for labels in named)


def test_the_page_shows_the_samples_as_they_are() -> None:
    text = (ROOT / "docs" / "network-policy.md").read_text()
    shown: list[Any] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.S)]
    samples = render(sample_folder("network-policy"))
    for sample in samples:
        del sample["metadata"]["namespace"]
    assert [one for one in shown if one.get("kind") == "NetworkPolicy"] == samples
    (caller, _endpoint) = samples
    (rule,) = caller["spec"]["egress"]
    assert {(one["port"], one["endPort"]) for one in rule["ports"]} == {(EGRESS_PORTS[0], EGRESS_PORTS[-1])}
