"""The hub dials in to a member whose kubeconfig is at hand: both are told by one command.

1. The kubeconfig goes to the hub in a Secret that the hub deletes once it was used, whole and without a file
   or a program of this machine.
2. An address that only this machine can reach is refused before anything is written.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from mesh_cli.hub.register_objects import DialIn, kubeconfig_body, registration_body
from mesh_cli.hub.token_create import NoClusterSet
from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import EnvironmentFault, UserError
from mesh_placement.names import JOIN_KUBECONFIG_PREFIX
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS, CLUSTER_SETS
from mesh_runtime.kube import SECRETS, Informer, KubeClient, Login, kubeconfig_of
from mesh_runtime.progress import Progress
from mesh_runtime.sighting import sighting

_IN = {"Joined", "Available", "Ready"}


class NotForTheHub(UserError):
    """A kubeconfig cannot be used by the hub."""


class NotYet(EnvironmentFault):
    """The hub has not brought the member in."""


@dataclass(frozen=True, slots=True)
class Auto:
    """What was asked for; `limit` is seconds to wait, None for not at all."""

    hub_context: str
    dial: DialIn
    limit: float | None


def passed_on(login: Login, *, name: str, server: str) -> str:
    """The kubeconfig that the hub gets; `server` "" is the login's own. Raises NotForTheHub."""
    if login.program:
        raise NotForTheHub(
            f"context {login.context} gets its credential from a program ({login.program}), which the hub "
            "does not have",
            next_step="make a context with a certificate or a token, or register on the member itself "
            "(meshctl register --hub URL --token TOKEN)",
        )
    address = server or login.server
    if _is_here(address):
        raise NotForTheHub(
            f"context {login.context} leads to {address}, which only this machine can reach",
            next_step="give the address that the hub reaches with --server URL",
        )
    return kubeconfig_of(login, name=name, server=address)


async def register(wish: Auto, *, hub: KubeClient, progress: Progress) -> ClusterRegistration | None:
    """Tell the hub, and wait until the member is in; None when it was not waited for.

    Raises token_create.NoClusterSet, NotForTheHub when it is there otherwise, NotYet.
    """
    dial = wish.dial
    with progress.step(f"{wish.hub_context}: check that {dial.cluster} can be registered"):
        await _check(hub, dial)
    with progress.step(f"{wish.hub_context}: register {dial.cluster}"):
        await hub.apply(SECRETS, kubeconfig_body(dial), field_manager=FIELD_MANAGER)
        await hub.apply(CLUSTER_REGISTRATIONS, registration_body(dial), field_manager=FIELD_MANAGER)
    if wish.limit is None:
        return None
    with progress.step(f"{dial.cluster}: wait until it is in") as step:
        informer = Informer(hub, CLUSTER_REGISTRATIONS, fields=f"metadata.name={dial.cluster}")

        def look() -> ClusterRegistration | None:
            found = informer.get(dial.cluster)
            step.update(_standing(found))
            return found if found is not None and found.status.phase in _IN else None

        found = await sighting(informer, look=look, limit=wish.limit)
        if found is None:
            standing = _standing(informer.get(dial.cluster))
            raise NotYet(
                f"{dial.cluster} is not in after {wish.limit:.0f} s ({standing})",
                next_step=f"see meshctl clusters --context {wish.hub_context}; the hub goes on trying while "
                f"the Secret {JOIN_KUBECONFIG_PREFIX}{dial.cluster} is there",
            )
        return found


async def _check(hub: KubeClient, dial: DialIn) -> None:
    if await hub.find(CLUSTER_SETS, dial.cluster_set) is None:
        known = sorted(one.metadata.name for one in (await hub.list(CLUSTER_SETS)).items)
        raise NoClusterSet(dial.cluster_set, known=known)
    before = await hub.find(CLUSTER_REGISTRATIONS, dial.cluster)
    if before is None:
        return
    if before.metadata.deletion_timestamp is not None:
        raise NotForTheHub(
            f"{dial.cluster} is leaving", next_step="wait until it is gone, then register it again"
        )
    if before.spec.cluster_set != dial.cluster_set:
        raise NotForTheHub(
            f"{dial.cluster} is in ClusterSet {before.spec.cluster_set}",
            next_step="have it leave first (meshctl clusters leave), or give that one as --clusterset",
        )


def _standing(found: ClusterRegistration | None) -> str:
    """One line on how far the hub is."""
    if found is None:
        return "no registration"
    bad = [one for one in found.status.conditions if one.status != "True" and one.message]
    return f"{found.status.phase or 'no hub has looked yet'}" + (f": {bad[0].message}" if bad else "")


def _is_here(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
