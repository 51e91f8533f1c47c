"""`meshctl adopt`: a workload that runs in a cluster is placed by its hub from now on, and nothing restarts.

1. Nothing is written before the member's API server said in a dry run that an apply would change nothing.
2. It is taken over with `IfNoDiff`, so what changes in between is left alone; what differs then is said.
3. When it is taken over, later changes of the Placement win (`Always`): who applied it before still owns its
   fields too.
4. Done again, it goes on where it was interrupted.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import yaml

from mesh_cli.contexts import complete_context, context_option
from mesh_cli.placement.adopt_objects import (
    NotAdopted,
    Workload,
    check_free,
    check_granted,
    check_same,
    is_distributed,
    is_of,
    manifest_of,
    membership,
    parse_workload,
    placement_body,
)
from mesh_cli.session import FIELD_MANAGER, command_line, run
from mesh_cli.timeout_option import timeout_option
from mesh_placement.decide.manifests import cleaned
from mesh_placement.decide.placement_refusal import refusal_of_placement
from mesh_placement.deliver.hands import bare
from mesh_placement.names import WORK_MANAGER
from mesh_placement.objects import ClusterRegistration, Manifest, PlacementSpec, TakeOver
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS, PLACEMENTS
from mesh_runtime.kube import NAMESPACES, ApiError, KubeClient, connect, current_context
from mesh_runtime.progress import Progress, progress_for

_APPLY: Final = "application/apply-patch+yaml"
_LOOK: Final = 0.5
"""Seconds between two looks at what became of it."""

# A JSON object, hence Any.
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `limit` is seconds."""

    workload: Workload
    context: str
    hub_context: str
    placement: str
    account: str
    limit: float


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is to be written: the template, and for which cluster."""

    found: Json
    manifest: Manifest
    registration: ClusterRegistration
    placement: str
    account: str

    def body(self, take_over: TakeOver) -> Json:
        """The Placement."""
        return placement_body(
            self.placement,
            self.manifest,
            registration=self.registration,
            account=self.account,
            take_over=take_over,
        )


@click.command("adopt")
@click.argument("workload", metavar="KIND/NAME")
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Of the workload, and on the hub."
)
@context_option("the cluster where it runs")
@click.option(
    "--hub-context",
    metavar="NAME",
    required=True,
    shell_complete=complete_context,
    help="Kubeconfig context of the hub.",
)
@click.option(
    "--placement", default="", metavar="NAME", help="Name of the Placement; by default the workload's."
)
@click.option(
    "--service-account",
    default="",
    metavar="NAME",
    help="Who applies it there, of the same namespace; by default the account of Works.",
)
@click.option("--show", is_flag=True, help="Print the Placement and write nothing.")
@timeout_option("How long to wait until it is taken over.", default=60.0)
@click.pass_obj
def command(
    kubeconfig: Path | None,
    workload: str,
    namespace: str,
    context: str | None,
    hub_context: str,
    placement: str,
    service_account: str,
    show: bool,
    timeout: float,
) -> None:
    """Have the workload KIND/NAME, which runs in a cluster, placed by its hub, without a restart.

    A deployment, statefulset or daemonset. The object stays the same one; that is tried before.
    From then on the Placement says what it is: whoever deletes the Placement deletes it.
    """
    asked = parse_workload(workload, namespace=namespace)
    wish = Wish(
        workload=asked,
        context=context or current_context(kubeconfig=kubeconfig),
        hub_context=hub_context,
        placement=placement or asked.name,
        account=service_account,
        limit=timeout,
    )
    if show:
        body = {"apiVersion": PLACEMENTS.api_version, "kind": PLACEMENTS.kind}
        found = run(_shown(wish, kubeconfig=kubeconfig))
        click.echo(yaml.safe_dump({**body, **found.body("IfNoDiff")}, sort_keys=False), nl=False)
        return
    done = run(adopt(wish, kubeconfig=kubeconfig, progress=progress_for(sys.stderr)))
    cluster = done.registration.metadata.name
    click.echo(
        f"{asked} in {cluster} is placed by Placement {namespace}/{done.placement}, and has not changed"
    )
    click.echo("  who deletes the Placement deletes it; spec.clusters says where else it may go")
    click.echo(f"next: {command_line(kubeconfig, 'placements', '--context', hub_context)}")


async def adopt(wish: Wish, *, kubeconfig: Path | None, progress: Progress) -> Adoption:
    """All of it; raises NotAdopted."""
    async with (
        connect(kubeconfig=kubeconfig, context=wish.context) as member,
        connect(kubeconfig=kubeconfig, context=wish.hub_context) as hub,
    ):
        with progress.step(f"{wish.context}: try what an apply would change"):
            plan = await _plan(wish, member=member, hub=hub)
        with progress.step(f"{wish.hub_context}: place it"):
            await hub.apply(PLACEMENTS, plan.body("IfNoDiff"), field_manager=FIELD_MANAGER)
        with progress.step(f"{wish.context}: wait until it is taken over"):
            await _until_taken_over(wish, plan, member=member, hub=hub)
        with progress.step(f"{wish.hub_context}: let the Placement have the last word"):
            await hub.apply(PLACEMENTS, plan.body("Always"), field_manager=FIELD_MANAGER)
        return plan


async def _shown(wish: Wish, *, kubeconfig: Path | None) -> Adoption:
    async with (
        connect(kubeconfig=kubeconfig, context=wish.context) as member,
        connect(kubeconfig=kubeconfig, context=wish.hub_context) as hub,
    ):
        return await _plan(wish, member=member, hub=hub)


async def _plan(wish: Wish, *, member: KubeClient, hub: KubeClient) -> Adoption:
    """What would be written, after all checks."""
    workload = wish.workload
    found = await _found(member, workload)
    check_free(found, workload=workload)
    uid = (await member.get(NAMESPACES, "kube-system")).metadata.uid
    registrations = (await hub.list(CLUSTER_REGISTRATIONS)).items
    registration = membership(registrations, uid=uid, context=wish.context)
    space = await hub.find(NAMESPACES, workload.namespace)
    check_granted(
        await hub.find(CLUSTER_SETS, registration.spec.cluster_set),
        space.metadata.labels if space is not None else None,
        namespace=workload.namespace,
    )
    plan = Adoption(found, manifest_of(found), registration, wish.placement, wish.account)
    await _check_name(wish, plan, hub=hub)
    spec = msgspec.convert(plan.body("IfNoDiff")["spec"], PlacementSpec)
    refusal = refusal_of_placement(spec)
    if refusal is not None:
        raise NotAdopted(f"{workload} cannot be placed", next_step=refusal.message)
    check_same(bare(msgspec.json.encode(found)), bare(await _tried(member, plan)), workload=workload)
    return plan


async def _check_name(wish: Wish, plan: Adoption, *, hub: KubeClient) -> None:
    """Whether that Placement is this one's, or nobody's and the workload too."""
    space = wish.workload.namespace
    there = await hub.find(PLACEMENTS, wish.placement, namespace=space)
    if there is not None and not is_of(there, plan.manifest, cluster=plan.registration.metadata.name):
        raise NotAdopted(
            f"Placement {space}/{wish.placement} is there already, for something else",
            next_step="give another name with --placement",
        )
    if there is not None and there.spec.take_over == "Always" and is_distributed(plan.found):
        raise NotAdopted(
            f"{wish.workload} is placed by Placement {space}/{wish.placement} already",
            next_step="change that one",
        )
    if there is None and is_distributed(plan.found):
        raise NotAdopted(
            f"{wish.workload} was brought by a Work",
            next_step="see which with kubectl get appliedworks -o yaml there, and take it out of it",
        )


async def _found(member: KubeClient, workload: Workload) -> Json:
    try:
        found: Json = msgspec.json.decode(await member.request("GET", workload.path))
    except ApiError as error:
        if error.is_not_found:
            raise NotAdopted(
                f"there is no {workload}",
                next_step="see what there is with kubectl get; -n names the namespace",
            ) from error
        raise
    return found


async def _tried(member: KubeClient, plan: Adoption) -> bytes:
    """What the object would be after the apply by which it is taken over."""
    meta = plan.manifest["metadata"]
    return await member.request(
        "PATCH",
        Workload(plan.manifest["kind"], meta["name"], meta["namespace"]).path,
        params={"fieldManager": WORK_MANAGER, "force": "true", "dryRun": "All"},
        body=cleaned(plan.manifest, namespace=meta["namespace"]),
        content_type=_APPLY,
    )


async def _until_taken_over(wish: Wish, plan: Adoption, *, member: KubeClient, hub: KubeClient) -> None:
    said = "the hub has not decided yet"
    try:
        async with asyncio.timeout(wish.limit):
            while not is_distributed(now := await _found(member, wish.workload)):
                found = await hub.get(PLACEMENTS, plan.placement, namespace=wish.workload.namespace)
                wrong = [one for one in found.status.conditions if one.status == "False"]
                said = "; ".join(f"{one.reason}: {one.message}" for one in wrong) or said
                await asyncio.sleep(_LOOK)
    except TimeoutError as error:
        raise NotAdopted(
            f"{wish.workload} was not taken over within {wish.limit:g} s ({said}), and is as it was",
            next_step="correct that and do it again, or delete the Placement on the hub",
        ) from error
    was = plan.found["metadata"]
    if (now["metadata"]["uid"], now["metadata"].get("generation")) != (was["uid"], was.get("generation")):
        raise NotAdopted(
            f"{wish.workload} was changed by somebody else meanwhile",
            next_step="look at it, and do it again",
        )
