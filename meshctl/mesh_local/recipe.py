"""How an image is described before it is made, and made from its description.

Laws:
1. A layer's key tells without building whether it would come out the same; keys are cheap.
2. A layer that is in the cache is not built again: a change of our code builds one small layer.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mesh_local.cache import cache_dir, content_key, kept
from mesh_local.oci import Config, Entries, write_image, write_layer
from mesh_runtime.progress import Progress

_HERE = Path(__file__).parent
# The files that decide how the parts of an image come out: a change of them changes every key.
_BUILDERS = (
    "bytecode.py",
    "client_image.py",
    "distributions.py",
    "elf.py",
    "oci.py",
    "plain_images.py",
    "program_image.py",
    "unprivileged.py",
)


@dataclass(frozen=True, slots=True)
class LayerRecipe:
    """One layer: `marks` is all that its content follows from; `entries` gathers the content.

    `entries` blocks; what it yields is valid inside its context.
    """

    kind: str
    marks: tuple[str, ...]
    entries: Callable[[], AbstractContextManager[Entries]]

    @property
    def key(self) -> str:
        builders = [(_HERE / name).read_bytes() for name in _BUILDERS]
        return content_key([*builders, self.kind.encode(), *(mark.encode() for mark in self.marks)])


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """An image from its layers, the lowest first.

    `tag` None asks for one that follows the content; such an image is called by this package's version
    too, which is how the manifests that are shipped name it.
    """

    kind: str
    repository: str
    tag: str | None
    layers: tuple[LayerRecipe, ...]
    config: Config


@dataclass(frozen=True, slots=True)
class Image:
    """A docker-archive tar and the full name, with tag, under which containerd will know it."""

    name: str
    tar: Path


async def made(recipe: ImageRecipe, *, progress: Progress) -> Image:
    """The image, from the cache or built now.

    Raises what gathering the content raises, and OSError when the cache cannot be written.
    """
    keys = [layer.key for layer in recipe.layers]
    released = (f"{recipe.repository}:{version('clusterset-mesh')}",) if recipe.tag is None else ()
    parts = (*keys, repr(recipe.config), recipe.tag or "", *released)
    key = content_key([part.encode() for part in parts])
    name = f"{recipe.repository}:{recipe.tag or f'dev-{key}'}"

    async def make(part: Path) -> None:
        with progress.step(f"Building the image {name}") as step:
            tars = []
            for layer, layer_key in zip(recipe.layers, keys, strict=True):
                step.update(f"layer {layer.kind}")
                tars.append(await _layer(layer, key=layer_key, progress=progress))
            step.update("putting the layers together")
            await asyncio.to_thread(write_image, tars, names=(name, *released), config=recipe.config, to=part)

    store = cache_dir() / "images"
    return Image(name, await kept(store, kind=recipe.kind, key=key, make=make, progress=progress))


async def _layer(layer: LayerRecipe, *, key: str, progress: Progress) -> Path:
    async def make(part: Path) -> None:
        await asyncio.to_thread(_write, layer, to=part)

    return await kept(cache_dir() / "layers", kind=layer.kind, key=key, make=make, progress=progress)


def _write(layer: LayerRecipe, *, to: Path) -> None:
    with layer.entries() as entries:
        write_layer(entries, to=to)
