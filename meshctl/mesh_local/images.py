"""The four container images of a local cluster, as files that containerd can import.

Each is made once for what goes into it and kept in the cache; no registry and no Docker take part.
What goes into an image is the business of the file that describes it.
"""

from mesh_local.binaries import coredns_binary
from mesh_local.client_image import client_recipe
from mesh_local.native import native_packages
from mesh_local.plain_images import coredns_recipe, pause_recipe
from mesh_local.program_image import program_recipe
from mesh_local.recipe import Image, made
from mesh_runtime.progress import Progress

__all__ = ["Image", "client_image", "coredns_image", "pause_image", "program_image"]


async def pause_image(*, progress: Progress) -> Image:
    """The image that holds a pod's namespaces open. Raises MachineFault without busybox."""
    return await made(pause_recipe(), progress=progress)


async def coredns_image(*, progress: Progress) -> Image:
    """CoreDNS; builds the binary when it is not in the cache. Raises what `coredns_binary` raises."""
    return await made(coredns_recipe(await coredns_binary(progress=progress)), progress=progress)


async def program_image(*, progress: Progress) -> Image:
    """This interpreter with controller, gateway and DNS; its tag changes with their code.

    Raises MachineFault when what they need is not properly installed here, and what `native_packages` raises.
    """
    native = await native_packages(progress=progress)
    return await made(program_recipe(native=native), progress=progress)


async def client_image(*, progress: Progress) -> Image:
    """A shell and the usual network clients, from what this machine has.

    Raises MachineFault when one of them is missing here.
    """
    return await made(client_recipe(), progress=progress)
