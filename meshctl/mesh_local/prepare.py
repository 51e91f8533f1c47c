"""Getting the machine ready, so that the first `up` has only clusters to start."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mesh_local.binaries import FULL, LIGHT, find_binaries
from mesh_local.images import Image, client_image, coredns_image, pause_image, program_image
from mesh_local.machine import install_packages, missing_packages
from mesh_runtime.progress import Progress

_FULL_IMAGES: Sequence[Callable[..., Awaitable[Image]]] = (
    pause_image,
    coredns_image,
    program_image,
    client_image,
)


async def prepare(*, light: bool, progress: Progress) -> None:
    """Installs the packages that are missing, and builds programs and images that are not cached.

    Raises what those raise; what was done before stays done.
    """
    missing = await asyncio.to_thread(missing_packages, light=light)
    if missing:
        await install_packages(missing, progress=progress)
    await find_binaries(components=LIGHT if light else FULL, progress=progress)
    for image in () if light else _FULL_IMAGES:
        await image(progress=progress)
