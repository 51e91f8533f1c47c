"""Whether the programs that were installed run, and if not, why: by their Deployments and pods."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from mesh_core.errors import EnvironmentFault
from mesh_core.names import CONTROLLER, DNS, GATEWAY, SYSTEM_NAMESPACE
from mesh_core.objects import Deployment, KubernetesObject
from mesh_runtime.kube import DEPLOYMENTS, Informer, KubeClient, Resource
from mesh_runtime.progress import Step
from mesh_runtime.sighting import sighting

PROGRAMS = (CONTROLLER, GATEWAY, DNS)


class Waiting(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ContainerStateWaiting."""

    reason: str = ""
    message: str = ""


class ContainerState(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ContainerState; what we ask is only why something does not run."""

    waiting: Waiting | None = None


class ContainerStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 ContainerStatus."""

    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()


class PodStatus(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodStatus."""

    phase: str = "Pending"
    container_statuses: tuple[ContainerStatus, ...] = ()


class Container(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 Container: what it was to run. The status may name another tag of the same image."""

    image: str = ""


class PodSpec(Struct, frozen=True, rename="camel", kw_only=True):
    """core/v1 PodSpec."""

    containers: tuple[Container, ...] = ()


class Pod(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """core/v1 Pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


PODS = Resource("", "v1", "pods", "Pod", Pod)


class NotRunning(EnvironmentFault):
    """The programs do not get ready."""

    def __init__(self, *, context: str, missing: str, why: Sequence[str]) -> None:
        reasons = "; ".join(why) or "no pod says why"
        super().__init__(
            f"context {context}: not ready in time: {missing} ({reasons})",
            next_step=f"look with kubectl --context {context} -n {SYSTEM_NAMESPACE} describe pods",
        )


def readiness(deployment: Deployment | None) -> tuple[int, int]:
    """(ready, wanted) pods of the newest template."""
    if deployment is None:
        return 0, 0
    status = deployment.status
    if status.observed_generation < deployment.metadata.generation:
        return 0, deployment.spec.replicas
    return min(status.available_replicas, status.updated_replicas), deployment.spec.replicas


def has_rolled_out(deployment: Deployment | None) -> bool:
    """Whether all pods of the newest template are available, and no older one is left."""
    if deployment is None:
        return False
    ready, wanted = readiness(deployment)
    return ready >= wanted and deployment.status.replicas <= wanted and wanted > 0


def troubles(pods: Iterable[Pod]) -> list[str]:
    """Why pods do not run, one sentence for each kind of trouble, by pod name."""
    found: dict[str, str] = {}
    for pod in sorted(pods, key=lambda pod: pod.metadata.name):
        for sentence in _troubles_of(pod):
            found.setdefault(sentence, pod.metadata.name)
    return [f"{name}: {sentence}" for sentence, name in found.items()]


async def wait_until_running(
    client: KubeClient, *, context: str, limit: float, step: Step, programs: Sequence[str] = PROGRAMS
) -> None:
    """Until all `programs` have rolled out, at most `limit` seconds; raises NotRunning."""
    informer = Informer(client, DEPLOYMENTS, namespace=SYSTEM_NAMESPACE)

    def found() -> list[Deployment | None]:
        return [informer.get(name, namespace=SYSTEM_NAMESPACE) for name in programs]

    def counts() -> str:
        return summary(found(), programs=programs)

    def look() -> bool | None:
        step.update(counts())
        return True if all(map(has_rolled_out, found())) else None

    if await sighting(informer, look=look, limit=limit) is None:
        raise NotRunning(context=context, missing=counts(), why=await why_not(client))


async def why_not(client: KubeClient) -> list[str]:
    """The troubles of the pods in our namespace."""
    return troubles((await client.list(PODS, namespace=SYSTEM_NAMESPACE)).items)


def summary(deployments: Sequence[Deployment | None], *, programs: Sequence[str] = PROGRAMS) -> str:
    """One line: ready and wanted pods of each of `programs`, which `deployments` follow in order."""
    counts = (readiness(deployment) for deployment in deployments)
    return ", ".join(
        f"{name} {ready}/{wanted}" for name, (ready, wanted) in zip(programs, counts, strict=True)
    )


def _troubles_of(pod: Pod) -> Iterable[str]:
    if not pod.status.container_statuses and pod.status.phase == "Pending":
        yield "not scheduled yet"
    for container in pod.status.container_statuses:
        waiting = container.state.waiting
        if waiting is not None and waiting.reason != "ContainerCreating":
            yield " ".join(f"{waiting.reason} {waiting.message}".split())[:200]
        elif not container.ready and container.restart_count:
            yield f"restarted {container.restart_count} times"
        elif not container.ready:
            yield "runs but is not ready"
