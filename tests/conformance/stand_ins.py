"""Stand-ins for the two images that the suite names: no registry takes part in local clusters.

Both hold what our client image holds (a real `nslookup` and `nc`, `socat`, a POSIX shell), under the
names that the suite gives to its pods. They run as root, as the originals do: the suite's servers
listen on port 42.
"""

from mesh_local.client_image import ENVIRONMENT, client_layer
from mesh_local.oci import Config
from mesh_local.recipe import Image, ImageRecipe, made
from mesh_runtime.progress import Progress

# As containerd spells out `alpine/socat` and `nicolaka/netshoot`.
IMAGES = ("docker.io/alpine/socat:1.7.4.4", "docker.io/nicolaka/netshoot:v0.15")


async def stand_ins(*, progress: Progress) -> list[Image]:
    """The images, from the cache or made now; raises MachineFault when a program is missing here."""
    return [await made(recipe(name), progress=progress) for name in IMAGES]


def recipe(name: str) -> ImageRecipe:
    """The image of this name. Raises MachineFault when a program is missing here."""
    repository, _, tag = name.rpartition(":")
    return ImageRecipe(
        kind=f"conformance-{repository.rpartition('/')[2]}",
        repository=repository,
        tag=tag,
        layers=(client_layer(),),
        config=Config(command=("/bin/sh",), environment=ENVIRONMENT),
    )
