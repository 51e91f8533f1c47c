"""Signing for a member that only its hub reaches: the hub shows its request, and hands on what was signed.

1. A hub is believed in nothing: a request could be its own. Which key the member's controller has is said by
   the person (`--key`, from the log of the member's agent), unless the roster has that key for it already.
2. Every member of the set gets the statement by the hub, so that peers know the new one when it comes; each
   judges it as if a peer had passed it on.
3. The root's key is used here and nowhere else.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh_cli.member.admission import check_newcomer
from mesh_cli.member.itself import Facts
from mesh_cli.trust.enrolment import Enrolment
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId
from mesh_core.roster import entry_of
from mesh_placement.decide.trust_relay import offered_by, statement_secret
from mesh_placement.names import AGENT, TRUST_SECRET
from mesh_placement.objects import ClusterRegistration
from mesh_placement.resources import CLUSTER_REGISTRATIONS
from mesh_runtime.approval import check_wish
from mesh_runtime.kube import SECRETS, KubeClient
from mesh_runtime.secret_file import Passphrase
from mesh_runtime.signing_request import ReadRequest, read_request
from mesh_runtime.trust_book import take
from mesh_runtime.trust_dir import PublicTrust, TrustDir, load_trust_dir, record_member
from mesh_runtime.trust_signing import key_id_of

_LOOK: Final = 0.5
_MANAGER: Final = "meshctl-trust"


class NothingAsked(UserError):
    """The hub shows no request of that member."""


class OtherKey(UserError):
    """The key that the hub shows is not the one that the person expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHub:
    """Whose request: that of `cluster` as the hub behind `context` shows it. `key` is its KeyId, "" where the
    roster has it; `limit` how many seconds the member may take to take the answer."""

    hub: KubeClient
    context: str
    cluster: ClusterId
    key: str
    limit: float


@dataclass(frozen=True, slots=True)
class Relayed:
    """The folder as it is then, who was told by the hub, and whether the member has taken it in time."""

    trust: PublicTrust
    told: tuple[str, ...]
    is_taken: bool


async def approve_from_hub(asking: ByHub, *, folder: Path, passphrase: Passphrase) -> Relayed:
    """Sign for the member's controller.

    Raises NothingAsked, OtherKey, WrongCluster, ClusterIdTaken, CannotAdmit, BadRequest, ApiError,
    Unreachable, and what loading the folder raises.
    """
    hub, cluster, context = asking.hub, asking.cluster, asking.context
    registration = await hub.find(CLUSTER_REGISTRATIONS, cluster)
    if registration is None or not registration.status.id.uid:
        raise NothingAsked(f"the hub knows no member {cluster}", next_step="meshctl clusters")
    trust = await _newest(asking, registration, folder=folder, passphrase=passphrase)
    read = _asked(registration, trust=trust, cluster=cluster)
    uid = registration.status.id.uid
    facts = Facts(context=context, uid=uid, cluster_id=None, clusterset=None, bundle=None)
    check_newcomer(facts, cluster=cluster, trust=trust)
    check_key(read, trust=trust, cluster=cluster, key=asking.key)
    record_member(folder, cluster=cluster, uid=uid)
    known = Enrolment(hub, trust, context=context, cluster=cluster, uid=uid).admitted(read.public_key)
    told = await _tell(hub, known, cluster_set=registration.spec.cluster_set)
    return Relayed(known, told, await _is_taken(asking, registration))


async def _newest(
    asking: ByHub, registration: ClusterRegistration, *, folder: Path, passphrase: Passphrase
) -> TrustDir:
    """The folder, after it took what another copy of it has signed and given to this hub."""
    trust = load_trust_dir(folder, passphrase=passphrase)
    namespace = registration.status.namespace
    offered = offered_by(await asking.hub.find(SECRETS, TRUST_SECRET, namespace=namespace))
    known = take(folder, offered=offered, where=f"the hub of context {asking.context}")
    return trust if known.held == trust.held else load_trust_dir(folder, passphrase=passphrase)


def check_key(read: ReadRequest, *, trust: PublicTrust, cluster: ClusterId, key: str) -> None:
    """Law 1; raises OtherKey."""
    shown = key_id_of(read.public_key)
    entry = entry_of(trust.held.statement, cluster=cluster)
    if entry is not None and shown in entry.keys and key in ("", shown):
        return
    look = f"kubectl -n meshctl-system logs deployment/{AGENT}"
    if not key:
        raise OtherKey(
            f"nobody has said which key {cluster} has; a hub could show its own",
            next_step=f"read key= in the log of its agent, in the member ({look}), and give it by --key; the "
            f"hub shows {shown}",
        )
    if key != shown:
        raise OtherKey(
            f"the hub shows the key {shown} for {cluster}, not {key}",
            next_step=f"read it again ({look}); if the log says {key}, do not believe this hub",
        )


def _asked(registration: ClusterRegistration, *, trust: TrustDir, cluster: ClusterId) -> ReadRequest:
    agent = registration.status.agent
    if not agent.trust_request:
        where = f"it is in the mesh {agent.trust_domain}" if agent.trust_domain else "it is in no mesh"
        raise NothingAsked(
            f"{cluster} asks for nothing; as far as its agent says {where}",
            next_step="meshctl clusters says what is missing; with its kubeconfig: meshctl join",
        )
    read = read_request(agent.trust_request.encode())
    check_wish(read, cluster=cluster, domain=trust.domain)
    return read


async def _tell(hub: KubeClient, known: PublicTrust, *, cluster_set: str) -> tuple[str, ...]:
    """Write the statement for every member of the set; their ids in order."""
    signed = known.held.signed_statement
    if signed is None:
        raise UserError(
            "the clusterset has no roster yet: the keys of its first members are not all known",
            next_step="meshctl join each of them again, then run the same again",
        )
    members = [
        one
        for one in (await hub.list(CLUSTER_REGISTRATIONS)).items
        if one.spec.cluster_set == cluster_set and one.status.namespace
    ]
    for one in members:
        body = statement_secret(signed, cluster=one.metadata.name, namespace=one.status.namespace)
        await hub.apply(SECRETS, body, field_manager=_MANAGER)
    return tuple(sorted(one.metadata.name for one in members))


async def _is_taken(asking: ByHub, before: ClusterRegistration) -> bool:
    """Whether the member asks for that key no more, in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + asking.limit
    while True:
        found = await asking.hub.find(CLUSTER_REGISTRATIONS, asking.cluster)
        if found is None or found.status.agent.trust_request != before.status.agent.trust_request:
            return found is not None
        if loop.time() >= until:
            return False
        await asyncio.sleep(_LOOK)
