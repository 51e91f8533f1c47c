"""Keeps the credential of a running session fresh.

A token is changed while the session goes on; a new certificate needs a new connection, so `keep_fresh`
returns then and the session begins anew. What cannot be renewed is kept until it ends, and asking goes on.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from mesh_core.errors import MeshError
from mesh_core.lifetimes import retry_delay
from mesh_placement.agent.asker import Who, renewed
from mesh_placement.agent.credential_book import CredentialBook
from mesh_placement.decide.credential import Credential, retry_seconds
from mesh_runtime.clock import Clock
from mesh_runtime.kube import KubeClient
from mesh_runtime.log import logger

_log = logger(__name__)

# The wall clock may be set while we wait by another one: look again after this many seconds.
_LONGEST_WAIT = 300.0


class Held:
    """The credential that is shown now."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential


async def keep_fresh(
    hub: KubeClient,
    held: Held,
    *,
    who: Who,
    book: CredentialBook,
    clock: Clock,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Renew in time; returns when a new certificate lies in the book."""
    failures = 0
    due = held.credential.renewal(jitter=jitter())
    while True:
        wait = (due - clock()).total_seconds()
        if wait > 0:
            await asyncio.sleep(min(wait, _LONGEST_WAIT))
            continue
        old = held.credential
        try:
            new = await renewed(hub, old=old, who=who, clock=clock)
            new = replace(new, registration_uid=old.registration_uid, namespace=old.namespace)
            await book.store(new)
        except MeshError as error:
            wait = retry_seconds(old, now=clock(), wait=retry_delay(failures, jitter=jitter()))
            failures += 1
            _log.warning("the credential is not renewed", why=str(error), again_in=round(wait, 1))
            await asyncio.sleep(wait)
            continue
        _log.info("credential renewed", until=new.expires.isoformat())
        if new.certificate:
            return
        held.credential, failures = new, 0
        due = new.renewal(jitter=jitter())
