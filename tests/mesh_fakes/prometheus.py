"""The real Prometheus on loopback, asked over its HTTP API."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml

from mesh_fakes.gateways import LOOPBACK, free_port
from mesh_fakes.waiting import until_found

INTERVAL = "500ms"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    port: int
    session: aiohttp.ClientSession

    async def _ask(self, path: str, **parameters: str) -> dict[str, list[dict[str, object]]]:
        url = f"http://{LOOPBACK}:{self.port}/api/v1/{path}"
        async with self.session.get(url, params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", told
        found: dict[str, list[dict[str, object]]] = told["data"]
        return found

    async def is_ready(self) -> bool:
        try:
            async with self.session.get(f"http://{LOOPBACK}:{self.port}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def health(self) -> dict[str, str]:
        """`up`, `down` or `unknown` of each target, by its instance."""
        targets = (await self._ask("targets"))["activeTargets"]
        labels = [(json.loads(json.dumps(one["labels"])), str(one["health"])) for one in targets]
        return {label["instance"]: health for label, health in labels}

    async def series(self, expression: str) -> int:
        """How many series an expression gives now."""
        return len((await self._ask("query", query=expression))["result"])

    async def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire, each with the instance that it is about, if it is about one."""
        alerts = (await self._ask("alerts"))["alerts"]
        labels = [json.loads(json.dumps(one["labels"])) for one in alerts if one["state"] == "firing"]
        return {(label["alertname"], label.get("instance", "")) for label in labels}


@asynccontextmanager
async def prometheus(
    folder: Path, *, rules: Path, targets: Mapping[str, int], labels: Mapping[str, str]
) -> AsyncIterator[Prometheus]:
    """It scrapes `targets`, ports of loopback by instance, and judges by `rules`, while the block runs."""
    port = free_port()
    scraped = [
        {"targets": [f"{LOOPBACK}:{at}"], "labels": {"instance": instance, **labels}}
        for instance, at in targets.items()
    ]
    config = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "clusterset-mesh", "static_configs": scraped}],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        *("prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={LOOPBACK}:{port}",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            running = Prometheus(port, session)
            await until_found(running.is_ready)
            yield running
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            await process.wait()
