"""A client whose requests leave by no session: what fakes that answer in the process have in common."""

from typing import cast

import aiohttp

from mesh_runtime.kube import KubeClient


class SessionlessClient(KubeClient):
    """`request` and `stream`, all that would use the session, are for whoever inherits it to write."""

    def __init__(self, server: str) -> None:
        async def nobody() -> dict[str, str]:
            return {}

        super().__init__(cast(aiohttp.ClientSession, None), server=server, authorization=nobody)
