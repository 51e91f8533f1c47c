"""The real Prometheus beside our running programs: it finds all numbers, and tells when one is gone."""

import json
import re
from pathlib import Path

import pytest
import yaml

from mesh_controller.metrics_page import metrics_page
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.dns_program import ADDRESS, dns_program
from mesh_fakes.gateway_program import call, gateway_program
from mesh_fakes.members import Member, new_member
from mesh_fakes.prometheus import prometheus
from mesh_fakes.waiting import until, until_found
from mesh_runtime.health import health_server

pytestmark = pytest.mark.asyncio

FOLDER = Path(__file__).parents[2] / "manifests" / "monitoring"
NOT_HERE = ("meshctl_hub_", "peer_certificate_not_after", "refusals_total")
"""No hub runs here, no gateway of this cluster tells of certificates, and nothing is refused."""


def expressions() -> list[str]:
    """Of the dashboard, for all clusters."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [target["expr"].replace("$cluster", ".*") for panel in panels for target in panel["targets"]]


def without_patience(file: Path) -> Path:
    """The alerts, each of which fires as soon as it is true."""
    rules = yaml.safe_load((FOLDER / "rules.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "0s"
    file.write_text(yaml.safe_dump(rules))
    return file


def _is_connected(member: Member) -> bool:
    condition = member.connected("east")
    return condition is not None and condition.status == "True"


async def test_prometheus_finds_every_number_of_the_dashboard_and_says_when_a_gateway_is_gone(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / name for name in ("gateway", "dns", "prometheus")]
    for folder in folders:
        folder.mkdir()
    clusterset = FakeClusterset()
    member, peer = (new_member(name, clusterset=clusterset) for name in ("west", "east"))
    async with member.running() as controller, peer.running():

        async def page() -> bytes:
            return metrics_page(controller.readings())

        async with (
            health_server(0, ready=lambda: True, metrics=page) as health,
            gateway_program(folders[0]) as gateway,
            dns_program(folders[1]) as dns,
        ):
            member.knows(peer)
            peer.export()
            await until(lambda: _is_connected(member))
            await gateway.until_ready()
            await dns.until_ready(workers=1)
            ports = {"gateway": gateway.health, "dns": dns.health, "controller": health.port}
            rules = without_patience(tmp_path / "rules.yaml")
            async with prometheus(
                folders[2], rules=rules, targets=ports, labels={"cluster": "west"}
            ) as server:

                async def all_up() -> bool:
                    return await server.health() == dict.fromkeys(ports, "up")

                await until_found(all_up)
                wanted = [one for one in expressions() if not re.search("|".join(NOT_HERE), one)]
                assert len(wanted) > 15
                missing = list(wanted)

                async def all_there() -> bool:
                    # Calls and questions go on, so that each kind has a number that grows.
                    assert await call() == "east"
                    assert await dns.ask() == ADDRESS
                    missing[:] = [one for one in missing if not await server.series(one)]
                    return not missing

                try:
                    await until_found(all_there, limit=90)
                except TimeoutError:
                    pytest.fail(f"no numbers for {missing}")
                assert ("MeshTargetDown", "gateway") not in await server.firing()
                gateway.process.kill()
                await gateway.process.wait()

                async def told() -> bool:
                    return ("MeshTargetDown", "gateway") in await server.firing()

                await until_found(told, limit=90)
                assert {name for name, _ in await server.firing()} == {"MeshTargetDown"}
