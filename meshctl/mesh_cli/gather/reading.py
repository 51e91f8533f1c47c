"""Gathers from one cluster: every part within its time, none hiding another, nothing written.

No Secret is asked for, only the names of those in our namespace, by a request that brings no content. What
cannot be had is noted with the reason, whatever the reason is: a bundle is wanted when things are broken.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from mesh_cli.check.reading import findings_of, moment_of
from mesh_cli.check.registry import CHECKS, run_checks
from mesh_cli.check.render import results_as_json
from mesh_cli.gather.bundle import MOST_OF_A_FILE, Bundle, safe
from mesh_cli.gather.plan import PART_OF, Wanted, wanted
from mesh_cli.gather.redact import redacted, scrub
from mesh_cli.table import one_line
from mesh_core.errors import MeshError
from mesh_core.names import HEALTH_PORT, SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    SECRETS,
    ApiError,
    BadAnswer,
    KubeClient,
    Resource,
    TooMuch,
    api_resources,
    connect,
)

_PART: Final = 20.0
"""Seconds for one part of a cluster, the connection included."""
_SILENCE: Final = 5.0
_AT_ONCE: Final = 6
_PAGE: Final = 100
_MOST_OBJECTS: Final = 2_000
_MOST_PODS: Final = 60
_LARGEST_ANSWER: Final = 32 << 20
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Container(Struct, frozen=True):
    name: str


class _ContainerStatus(Struct, frozen=True, rename="camel"):
    name: str = ""
    restart_count: int = 0


class _PodSpec(Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _PodStatus(Struct, frozen=True, rename="camel"):
    phase: str = ""
    container_statuses: tuple[_ContainerStatus, ...] | None = ()


class _Pod(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Pod with its containers."""

    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


_PODS: Final = Resource("", "v1", "pods", "Pod", _Pod)


async def gather(
    context: str, *, bundle: Bundle, kubeconfig: Path | None, clock: Clock, since: timedelta, deadline: float
) -> None:
    """Everything of one cluster into the bundle; `deadline` by the event loop's clock. Raises nothing of a
    cluster's."""
    try:
        async with asyncio.timeout_at(deadline):
            async with connect(kubeconfig=kubeconfig, context=context) as client:
                await _Gatherer(client, context=context, bundle=bundle, clock=clock, since=since).run()
    except TimeoutError:
        bundle.lacks(context, "the time for the whole bundle was over; give --timeout more")
    except MeshError as error:
        bundle.lacks(context, one_line(error.what))


class _Gatherer:
    def __init__(
        self, client: KubeClient, *, context: str, bundle: Bundle, clock: Clock, since: timedelta
    ) -> None:
        self._client, self._context, self._bundle, self._clock = client, context, bundle, clock
        self._since = int(since.total_seconds())
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Raises MeshError where the API server does not answer at all."""
        await self._version()
        async with asyncio.TaskGroup() as group:
            for what, work in (
                ("checks.json", self._checks),
                ("objects", self._objects),
                ("secrets.json", self._secret_names),
                ("pods", self._pods),
            ):
                group.create_task(self._part(what, work, limit=2 * _PART))

    async def _part(self, what: str, work: Callable[[], Awaitable[None]], *, limit: float = _PART) -> None:
        """`work`, whose failing is noted and is nobody else's."""
        try:
            async with asyncio.timeout(limit):
                await work()
        except TimeoutError:
            self._lacks(what, f"no answer within {limit:.0f} s")
        except MeshError as error:
            self._lacks(what, error.what)
        except (ValueError, LookupError, TypeError, RecursionError, ExceptionGroup) as error:
            # What answers may be anything, and half a bundle is worth more than none.
            self._lacks(what, f"its answer cannot be read: {type(error).__name__}")

    def _lacks(self, what: str, why: str) -> None:
        self._bundle.lacks(f"{self._context}/{what}", one_line(scrub(why)))

    def _put(self, *path: str, text: str) -> None:
        self._bundle.put(safe(self._context, *path), text)

    async def _version(self) -> None:
        self._put("version.json", text=scrub((await self._read("/version")).decode(errors="replace")))

    async def _checks(self) -> None:
        found = await findings_of(self._client, context=self._context, clock=self._clock)
        clocks = {self._context: found.clock}
        results = run_checks(CHECKS, all_findings=[replace(found, clocks=clocks)])
        self._put("checks.json", text=scrub(results_as_json(results, at=moment_of(self._clock))))

    async def _secret_names(self) -> None:
        """Names and ages: a list of metadata alone, which sends no content."""
        page = await self._client.lists_metadata().list(SECRETS, namespace=SYSTEM_NAMESPACE)
        names = [{"name": one.metadata.name, "since": one.metadata.creation_timestamp} for one in page.items]
        self._put(
            "secrets.json", text=json.dumps(sorted(names, key=lambda one: one["name"]), indent=2) + "\n"
        )

    async def _objects(self) -> None:
        lists = wanted(await api_resources(self._client))
        async with asyncio.TaskGroup() as group:
            for one in lists:
                group.create_task(self._within_places(f"objects/{one.name}.yaml", partial(self._list, one)))

    async def _list(self, one: Wanted) -> None:
        params = {"limit": str(_PAGE), **({"labelSelector": one.labels} if one.labels else {})}
        params |= {"fieldSelector": f"metadata.name={one.only}"} if one.only else {}
        items: list[dict[str, Any]] = []  # Any: JSON of any kind
        size = 0
        while len(items) < _MOST_OBJECTS and size < _LARGEST_ANSWER:
            try:
                answer = await self._read(one.path, params=params)
                size += len(answer)
                page = json.loads(answer)
            except ApiError as error:
                if error.is_not_found:
                    return  # the kind is not served here
                raise
            for item in page.get("items") or ():
                if not one.only or item["metadata"]["name"] == one.only:
                    items.append(redacted({"kind": one.kind, **item}))
            if not (follow := page["metadata"].get("continue")):
                break
            params["continue"] = str(follow)
        else:
            self._lacks(f"objects/{one.name}.yaml", f"only the first {len(items)} objects are in it")
        if items:
            text = yaml.dump_all(items, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=10_000)
            self._put("objects", f"{one.name}.yaml", text=text)

    async def _pods(self) -> None:
        found = (await self._client.list(_PODS, namespace=SYSTEM_NAMESPACE, labels=PART_OF)).items
        pods = sorted(found, key=lambda pod: pod.metadata.name)
        if len(pods) > _MOST_PODS:
            self._lacks("pods", f"logs and metrics of the first {_MOST_PODS} of {len(pods)} pods only")
        async with asyncio.TaskGroup() as group:
            for pod in pods[:_MOST_PODS]:
                group.create_task(self._of_pod(pod))

    async def _of_pod(self, pod: _Pod) -> None:
        name = pod.metadata.name
        restarted = {one.name for one in pod.status.container_statuses or () if one.restart_count}
        for container in pod.spec.containers:
            for previous in (False, True) if container.name in restarted else (False,):
                file = f"{name}.{container.name}{'.previous' if previous else ''}.log"
                await self._within_places(
                    f"logs/{file}",
                    partial(self._log, name, container=container.name, previous=previous, file=file),
                )
        if pod.status.phase == "Running":
            await self._within_places(f"metrics/{name}.txt", partial(self._metrics, name))

    async def _log(self, pod: str, *, container: str, previous: bool, file: str) -> None:
        params = {"container": container, "timestamps": "true", "limitBytes": str(MOST_OF_A_FILE)}
        # Of a container that ended all counts: the reason may be older than what is asked for.
        params |= {"previous": "true"} if previous else {"sinceSeconds": str(self._since)}
        path = _PODS.path(pod, namespace=SYSTEM_NAMESPACE, subresource="log")
        self._put("logs", file, text=scrub((await self._read(path, params=params)).decode(errors="replace")))

    async def _metrics(self, pod: str) -> None:
        path = _PODS.path(f"{pod}:{HEALTH_PORT}", namespace=SYSTEM_NAMESPACE, subresource="proxy/metrics")
        try:
            page = await self._read(path)
        except ApiError as error:
            if error.is_not_found:
                return  # not every program has such a page
            raise
        self._put("metrics", f"{pod}.txt", text=scrub(page.decode(errors="replace")))

    async def _within_places(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        async with self._places:
            await self._part(what, work)

    async def _read(self, path: str, *, params: dict[str, str] | None = None) -> bytes:
        """An answer, which has a bound."""
        found = bytearray()
        async with self._client.stream(path, params=params or {}, silence_limit=_SILENCE) as content:
            async for part in content.iter_any():
                found += part
                if len(found) > _LARGEST_ANSWER:
                    raise TooMuch(path=path, most=_LARGEST_ANSWER)
        if not found and path == "/version":
            raise BadAnswer(path=path, why="it is empty")
        return bytes(found)
