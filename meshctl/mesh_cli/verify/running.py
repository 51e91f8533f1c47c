"""Runs `meshctl verify`: puts pods and Services into clusters, has the pods call each other, cleans up.

Whatever happens, also when it is cancelled, the namespaces are deleted at the end; a run that is killed
outright leaves them to the next one.
"""

import asyncio
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from mesh_cli.check.verdict import one_line
from mesh_cli.install.rollout import PODS, troubles
from mesh_cli.member.itself import read_facts
from mesh_cli.session import FIELD_MANAGER
from mesh_cli.trace.probing import tried
from mesh_cli.verify import inside
from mesh_cli.verify.cases import POD, Case, Member, Outcome, Run, Tried, cases, judged, pairs, refused
from mesh_cli.verify.cleaning import OLD, clean
from mesh_cli.verify.disruptive import gateway_deleted
from mesh_cli.verify.images import image_of
from mesh_cli.verify.objects import manifests, namespace_of
from mesh_core.errors import EnvironmentFault, MeshError, causes
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Inside, KubeClient, connect, run_in_pod

_START: Final = 30.0
"""Seconds until the pods are ready."""
_CALLS: Final = 32.0
_PAUSE: Final = 0.2


class PodsNotReady(EnvironmentFault):
    """The pods that are to call each other do not start."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which contexts, suites, image ("" for that of the mesh's own programs), and whether all is kept."""

    contexts: tuple[str, ...]
    suites: tuple[str, ...]
    image: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """A member with its API server."""

    member: Member
    client: KubeClient


async def verify(wanted: Wanted, *, run: str, kubeconfig: Path | None, clock: Clock) -> Run:
    """Everything. Raises MeshError where a cluster does not answer, is no member, or starts no pods."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        clusters = []
        for number, context in enumerate(wanted.contexts):
            client = await stack.enter_async_context(connect(kubeconfig=kubeconfig, context=context))
            cluster = (await read_facts(client, context=context)).member().cluster
            image = wanted.image or await image_of(client, context=context)
            clusters.append(Cluster(Member(context, cluster, number, image), client))
        old = await _everywhere(
            clusters, lambda one: clean(one.client, context=one.member.context, older=OLD)
        )
        found: list[Tried] = []
        left: list[str] = [what for each in old for what in each]
        try:
            await _everywhere(clusters, lambda one: _start(one, run=run))
            found = await _tried(clusters, wanted=wanted, run=run, clock=clock)
        finally:
            if not wanted.keep:
                # Shielded: a second signal must not stop what cleans up after the first.
                gone = await asyncio.shield(
                    _everywhere(clusters, lambda one: clean(one.client, context=one.member.context, run=run))
                )
                left += [what for each in gone for what in each]
    names = tuple(one.member.cluster for one in clusters)
    return Run(namespace_of(run), names, tuple(found), time.monotonic() - began, tuple(left))


async def _everywhere(
    clusters: Sequence[Cluster], work: Callable[[Cluster], Awaitable[list[str]]]
) -> list[list[str]]:
    """`work` in all clusters, in their order; the first error ends it everywhere."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(work(one))) for one in clusters]
    except BaseExceptionGroup as failed:
        known = failed.subgroup(MeshError)
        if known is None or failed.split(MeshError)[1] is not None:
            raise
        raise causes(known)[0] from None
    return [task.result() for task in tasks]


async def _awaited(work: Awaitable[list[str]]) -> list[str]:
    return await work


async def _start(cluster: Cluster, *, run: str) -> list[str]:
    client, member = cluster.client, cluster.member
    for manifest in manifests(member, run=run):
        await client.apply_manifest(manifest, field_manager=FIELD_MANAGER)
    namespace = namespace_of(run)
    pod = None
    try:
        async with asyncio.timeout(_START):
            while True:
                pod = await client.get(PODS, POD, namespace=namespace)
                states = pod.status.container_statuses
                if states and all(one.ready for one in states):
                    return []
                await asyncio.sleep(_PAUSE)
    except TimeoutError as error:
        why = "; ".join(map(one_line, troubles([pod]))) if pod is not None else ""
        raise PodsNotReady(
            f"context {member.context}: pod {namespace}/{POD} is not ready after {_START:.0f} s"
            f" ({why or 'it does not say why'}); its image is {member.image}",
            next_step="see that the cluster can pull that image, or give --image",
        ) from error


async def _tried(clusters: Sequence[Cluster], *, wanted: Wanted, run: str, clock: Clock) -> list[Tried]:
    namespace, members = namespace_of(run), [one.member for one in clusters]
    todo = cases(members, namespace=namespace, suites=wanted.suites)
    answers: dict[Case, Tried] = {}
    # What must not come is looked for when all else has come: before that nothing would be there either way.
    for is_wanted in (True, False):
        now = [case for case in todo if bool(case.answers) == is_wanted]
        called = await asyncio.gather(*(_called(one, now, namespace=namespace) for one in clusters))
        answers |= {case: answer for each in called for case, answer in each.items()}
    found = [answers[case] for case in todo]
    if "policy" in wanted.suites:
        found += await _refused(clusters, namespace=namespace, clock=clock)
    if "disruptive" in wanted.suites:
        by_member = {one.member: one for one in clusters}
        for caller, exporter in pairs(members):
            calls = partial(_called, by_member[caller], namespace=namespace)
            client = by_member[exporter].client
            found.append(await gateway_deleted(client, caller, exporter, namespace=namespace, calls=calls))
    return found


async def _called(cluster: Cluster, todo: Sequence[Case], *, namespace: str) -> dict[Case, Tried]:
    """The cases whose caller is this cluster, all of them by one command in its pod."""
    own = [case for case in todo if case.caller == cluster.member]
    if not own:
        return {}
    limit = max(_CALLS, *(case.wish.patience + 30.0 for case in own))
    wishes = json.dumps([case.wish.as_json() for case in own])
    try:
        async with asyncio.timeout(limit):
            command = ("python", "-c", inspect.getsource(inside), "call", wishes)
            ran = await run_in_pod(cluster.client, command, inside=Inside(namespace, POD))
        answers = _answers(ran.output, expected=len(own)) if not ran.failure else ran.failure
    except TimeoutError:
        answers = f"the calls did not end within {limit:.0f} s"
    except MeshError as error:
        answers = error.what
    if isinstance(answers, str):
        why = f"the pod in {cluster.member.cluster} did not say: {one_line(answers)}"
        return {case: Tried(case.suite, case.name, Outcome.FAILED, why=why) for case in own}
    return {case: judged(case, answer) for case, answer in zip(own, answers, strict=True)}


def _answers(output: bytes, *, expected: int) -> list[Mapping[str, Any]] | str:  # Any: JSON, judged at once
    try:
        found = json.loads(output)
    except (ValueError, RecursionError) as error:
        return f"what it says is no JSON: {error}"
    if (
        not isinstance(found, list)
        or len(found) != expected
        or not all(isinstance(one, dict) for one in found)
    ):
        return "what it says is no list of answers"
    return found


async def _refused(clusters: Sequence[Cluster], *, namespace: str, clock: Clock) -> list[Tried]:
    """What the gateways of each caller say of what they must not reach."""
    by_member = {one.member: one for one in clusters}

    async def ask(caller: Member, exporter: Member, kind: str, wanted: str) -> Tried:
        service = f"{namespace}/{exporter.service(kind)}"
        client = by_member[caller].client
        try:
            said = await tried(client, service, exporters=[exporter.cluster], gateways=1, clock=clock)
        except MeshError as error:
            asked = refused(caller, exporter, words=(), service=kind, wanted=wanted)
            return replace(asked, why=one_line(error.what))
        words = [one.result for one in said.get(exporter.cluster, ())]
        return refused(caller, exporter, words=words, service=kind, wanted=wanted)

    asked = [
        ask(caller, exporter, kind, wanted)
        for caller, exporter in pairs([one.member for one in clusters])
        for kind, wanted in (("hidden", "NotExported"), ("closed", "NotAllowed"))
    ]
    return list(await asyncio.gather(*asked))
