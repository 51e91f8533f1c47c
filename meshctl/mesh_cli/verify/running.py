"""Runs `meshctl verify`: puts pods and Services into clusters, has the pods call each other, cleans up.

Whatever happens, also when it is cancelled, the namespaces are deleted at the end; a run that is killed
outright leaves them to the next one.
"""

import asyncio
import inspect
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from mesh_cli.table import one_line
from mesh_cli.trace.probing import tried
from mesh_cli.verify import inside
from mesh_cli.verify.at_work import Cluster, Stage, at_work
from mesh_cli.verify.cases import (
    POD,
    Case,
    Member,
    Outcome,
    Run,
    Tried,
    believed,
    cases,
    controls,
    judged,
    pairs,
    refused,
)
from mesh_cli.verify.disruptive import gateway_deleted
from mesh_cli.verify.objects import namespace_of
from mesh_core.errors import MeshError
from mesh_runtime.clock import Clock
from mesh_runtime.kube import Inside, run_in_pod

_CALLS: Final = 32.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which contexts, suites, image ("" for that of the mesh's own programs), and whether all is kept."""

    contexts: tuple[str, ...]
    suites: tuple[str, ...]
    image: str = ""
    keep: bool = False


async def verify(wanted: Wanted, *, run: str, kubeconfig: Path | None, clock: Clock) -> Run:
    """Everything. Raises MeshError where a cluster does not answer, is no member, or starts no pods."""
    began = time.monotonic()
    left: list[str] = []
    stage = Stage(wanted.contexts, run, wanted.image, wanted.keep)
    async with at_work(stage, kubeconfig=kubeconfig, left=left) as clusters:
        found = await _tried(clusters, wanted=wanted, run=run, clock=clock)
    names = tuple(one.member.cluster for one in clusters)
    return Run(namespace_of(run), names, tuple(found), time.monotonic() - began, tuple(left))


async def _tried(clusters: Sequence[Cluster], *, wanted: Wanted, run: str, clock: Clock) -> list[Tried]:
    namespace, members = namespace_of(run), [one.member for one in clusters]
    todo = cases(members, namespace=namespace, suites=wanted.suites)
    is_any_denied = any(not case.answers for case in todo)
    control = controls(members, namespace=namespace) if is_any_denied else {}
    every = tuple(dict.fromkeys((*todo, *control.values())))
    answers: dict[Case, Tried] = {}
    # What must not come is looked for when all else has come: before that nothing would be there either way.
    for is_wanted in (True, False):
        now = [case for case in every if bool(case.answers) == is_wanted]
        called = await asyncio.gather(*(_called(one, now, namespace=namespace) for one in clusters))
        answers |= {case: answer for each in called for case, answer in each.items()}
    found = [
        answers[case]
        if case.answers
        else believed(answers[case], control=answers[control[case.caller, case.exporter]])
        for case in todo
    ]
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
