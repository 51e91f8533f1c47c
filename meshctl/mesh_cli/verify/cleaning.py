"""Removes what `meshctl verify` put into clusters: of one run, or what killed runs left behind."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from mesh_cli.table import one_line
from mesh_cli.verify.objects import LABEL, PREFIX
from mesh_core.errors import MeshError
from mesh_runtime.kube import NAMESPACES, KubeClient

OLD: Final = timedelta(minutes=10)
"""A namespace of that age belongs to a run that was killed: no run takes so long."""
_LIMIT: Final = 25.0
"""Seconds until namespaces are gone; after that they are said to be left."""
_PAUSE: Final = 0.2


async def clean(
    client: KubeClient, *, context: str, run: str = "", older: timedelta | None = None
) -> list[str]:
    """Delete the namespaces of `run`, of all runs without one, if they are older. Gives what is left, as
    sentences; raises nothing of the API server's.
    """
    try:
        async with asyncio.timeout(_LIMIT):
            names = await _delete(client, run=run, older=older)
            while names:
                left = {one.metadata.name for one in (await client.list(NAMESPACES, labels=LABEL)).items}
                names = [name for name in names if name in left]
                await asyncio.sleep(_PAUSE if names else 0)
            return []
    except TimeoutError:
        return [f"context {context}: namespaces {PREFIX}* are not gone after {_LIMIT:.0f} s"]
    except MeshError as error:
        return [f"context {context}: {one_line(error.what)}; run meshctl verify --clean --context {context}"]


async def _delete(client: KubeClient, *, run: str, older: timedelta | None) -> Sequence[str]:
    labels = f"{LABEL}={run}" if run else LABEL
    found = (await client.list(NAMESPACES, labels=labels)).items
    before = await client.time() - older if older is not None else None
    names = [
        one.metadata.name
        for one in found
        # By the name as well: a label alone, which others may write, deletes nobody's namespace.
        if one.metadata.name.startswith(PREFIX)
        and (before is None or datetime.fromisoformat(one.metadata.creation_timestamp) < before)
    ]
    for name in names:
        await client.delete(NAMESPACES, name)
    return names
