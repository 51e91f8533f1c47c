"""Which image the pods of `meshctl verify` and `bench` have: that of the mesh's own programs, which has
Python."""

from msgspec import Struct

from mesh_core.errors import UserError
from mesh_core.names import DNS, SYSTEM_NAMESPACE
from mesh_core.objects import KubernetesObject
from mesh_runtime.kube import KubeClient, Resource


class NoImage(UserError):
    """No program of ours is there whose image could be used."""


class _Container(Struct, frozen=True):
    image: str = ""


class _PodSpec(Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Template(Struct, frozen=True):
    spec: _PodSpec = _PodSpec()


class _Spec(Struct, frozen=True):
    template: _Template = _Template()


class _Deployment(KubernetesObject, frozen=True, rename="camel", kw_only=True):
    """apps/v1 Deployment, as far as its image goes."""

    spec: _Spec = _Spec()


_DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", _Deployment)


async def image_of(client: KubeClient, *, context: str) -> str:
    """The image of mesh-dns; raises NoImage."""
    found = await client.find(_DEPLOYMENTS, DNS, namespace=SYSTEM_NAMESPACE)
    images = [one.image for one in found.spec.template.spec.containers if one.image] if found else []
    if not images:
        raise NoImage(
            f"context {context} has no Deployment {SYSTEM_NAMESPACE}/{DNS} whose image could be used",
            next_step="give --image, an image that has python, or run meshctl join",
        )
    return images[0]
