"""An import loop by itself, without the rest of a controller."""

from collections.abc import Callable
from datetime import datetime

from mesh_controller.act import Writer
from mesh_controller.caches import Caches
from mesh_controller.import_loop import ImportLoop
from mesh_controller.look import Look
from mesh_controller.port_book import PortBook
from mesh_runtime.kube import KubeClient


def import_loop(
    kube: KubeClient,
    *,
    caches: Caches,
    cluster: str,
    clock: Callable[[], datetime],
    book_of: type[PortBook] = PortBook,
) -> ImportLoop:
    """The loop of `cluster`, with a book of ports of its own."""
    book = book_of(
        kube, caches=caches, cluster=cluster, clock=clock, contested=lambda key: loop.loop.add(key)
    )
    loop = ImportLoop(
        caches=caches,
        look=Look(caches, cluster=cluster),
        writer=Writer(kube, rest=book.rest),
        book=book,
        clock=clock,
    )
    return loop
