"""A member registers with a hub that it alone dials: nobody dials in to it, and no kubeconfig leaves it.

1. The hub has shown whose CA it has before the token goes to it, and has said that the token is good before
   anything is written into the member.
2. Done again, it repairs and goes on; a cluster that is registered elsewhere is left alone.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import msgspec

from mesh_cli.hub.address import known_hub
from mesh_cli.hub.objects import HubInfo
from mesh_cli.hub.placement_manifests import agent_manifests
from mesh_cli.hub.register_objects import Settings, settings_body
from mesh_cli.install.manifests import apply_definitions, apply_objects
from mesh_cli.install.rollout import wait_until_running
from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import Fault, MeshError, UserError
from mesh_core.names import PROPERTY_CLUSTER_ID, SYSTEM_NAMESPACE
from mesh_core.objects import Secret
from mesh_placement.decide.bootstrap_token import BootstrapToken
from mesh_placement.heirs import disown
from mesh_placement.names import (
    AGENT,
    AGENT_CREDENTIAL,
    AGENT_SETTINGS,
    ANNOTATION_REFUSED,
    TOKEN_GROUP_PREFIX,
)
from mesh_runtime.ca_pins import believing, pinned
from mesh_runtime.kube import CLUSTER_PROPERTIES, SECRETS, ApiError, Informer, KubeClient, connect_at
from mesh_runtime.progress import Progress
from mesh_runtime.sighting import sighting

_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class TokenRefused(UserError):
    """The hub does not take the token."""

    def __init__(self, token_id: str) -> None:
        super().__init__(
            f"the hub does not know the token {token_id}, or its time is over",
            next_step="ask for a new one: meshctl token create, on the hub",
        )


class OtherSet(UserError):
    """The token leads elsewhere."""

    def __init__(self, *, wanted: str, found: str) -> None:
        super().__init__(
            f"the token leads into ClusterSet {found or 'none'}, not {wanted}",
            next_step="ask for a token of that set, or leave --clusterset away",
        )


class Registered(UserError):
    """The cluster is somebody else already."""


class Refused(MeshError):
    """The hub has refused the member."""

    fault = Fault.PEER


@dataclass(frozen=True, slots=True)
class Manual:
    """What was asked for. `ca` are certificates in PEM that were given, b"" for what the hub shows.

    `settings` know of the hub no more than its address. `limit` is seconds to wait, None for not at all.
    """

    context: str
    settings: Settings
    pins: Collection[str]
    ca: bytes
    image: str | None
    limit: float | None
    answer_limit: float


async def recognised(hub: str, *, pins: Collection[str], ca: bytes) -> HubInfo:
    """The hub, by what was given of it; raises ca_pins.WrongCa and what hub_address.known_hub does."""
    if ca:
        pinned(ca, pins=pins, what="the file of --ca-file")
        return HubInfo(server=hub, ca=ca)
    return await known_hub(hub, pins=pins)


async def register(wish: Manual, *, client: KubeClient, progress: Progress) -> tuple[Settings, bool | None]:
    """Check, install, and wait for a first answer: whether the hub has let the member in by then; None where
    nobody waited for that.

    `client` leads to the member. Raises ca_pins.WrongCa, TokenRefused, OtherSet, Registered, Refused,
    rollout.NotRunning.
    """
    address = wish.settings.info.server
    with progress.step(f"recognise the hub at {address}"):
        info = await recognised(address, pins=wish.pins, ca=wish.ca)
        cluster_set = await _set_of(info, token=wish.settings.token, wanted=wish.settings.cluster_set)
    settings = replace(wish.settings, info=info, cluster_set=cluster_set)
    with progress.step(f"{wish.context}: check that it can be {settings.cluster}"):
        await _check_standing(client, settings=settings, context=wish.context)
    manifests = agent_manifests(image=wish.image, access=settings.allow_access)
    with progress.step(f"{wish.context}: install the kinds"):
        await apply_definitions(client, manifests)
    with progress.step(f"{wish.context}: install the agent"):
        await disown(client)
        await apply_objects(client, manifests)
        await _place(client, settings)
    if wish.limit is None:
        return settings, None
    with progress.step(f"{wish.context}: wait for the agent") as step:
        await wait_until_running(client, context=wish.context, limit=wish.limit, step=step, programs=(AGENT,))
    with progress.step(f"{settings.cluster}: wait for the hub's answer"):
        return settings, await _answer(client, limit=wish.answer_limit)


async def _set_of(info: HubInfo, *, token: BootstrapToken, wanted: str) -> str:
    """The ClusterSet that the token leads into, by the hub's own word; raises TokenRefused, OtherSet."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    async with connect_at(info.server, tls=believing(info.ca), token=lambda: token.text) as hub:
        try:
            raw = await hub.request("POST", _REVIEWS, body=body)
        except ApiError as error:
            if error.status == 401:
                raise TokenRefused(token.id) from error
            if error.status in (403, 404):
                return wanted  # an older hub, or one that tells nobody who he is: the agent will see
            raise
    groups = msgspec.json.decode(raw, type=_Review).status.user_info.groups
    led = [one.removeprefix(TOKEN_GROUP_PREFIX) for one in groups if one.startswith(TOKEN_GROUP_PREFIX)]
    found = led[0] if led else ""
    if not found or wanted not in ("", found):
        raise OtherSet(wanted=wanted or "any", found=found)
    return found


async def _check_standing(client: KubeClient, *, settings: Settings, context: str) -> None:
    """Raises Registered for a cluster that has another name, or a credential of another hub."""
    named = await client.find(CLUSTER_PROPERTIES, PROPERTY_CLUSTER_ID)
    if named is not None and named.spec.value != settings.cluster:
        raise Registered(
            f"context {context} has the cluster id {named.spec.value} already",
            next_step=f"register it with --cluster-id {named.spec.value}",
        )
    meta = await client.find_metadata(SECRETS, AGENT_CREDENTIAL, namespace=SYSTEM_NAMESPACE)
    before = await client.find(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
    if meta is None or before is None:
        return
    told = msgspec.convert(settings_body(settings), Secret).data
    for key, what in (("cluster-id", "under another id"), ("server", "with another hub")):
        if before.data.get(key, told[key]) != told[key]:
            raise Registered(
                f"context {context} is registered {what} already",
                next_step="have it leave first: meshctl clusters leave ID, on its hub",
            )


async def _place(client: KubeClient, settings: Settings) -> None:
    """Tell the agent, and forget what a hub said of an earlier try."""
    placed = await client.apply(SECRETS, settings_body(settings), field_manager=FIELD_MANAGER)
    if ANNOTATION_REFUSED in placed.metadata.annotations:
        forgotten = {"metadata": {"annotations": {ANNOTATION_REFUSED: None}}}
        await client.merge_patch(SECRETS, AGENT_SETTINGS, forgotten, namespace=SYSTEM_NAMESPACE)


async def _answer(client: KubeClient, *, limit: float) -> bool:
    """Whether the agent has got a credential within `limit` seconds; raises Refused."""
    informer = Informer(client, SECRETS, namespace=SYSTEM_NAMESPACE)

    def look() -> str | bool | None:
        settings = informer.get(AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
        if settings is not None and (why := settings.metadata.annotations.get(ANNOTATION_REFUSED)):
            return why
        return True if is_in(informer.get(AGENT_CREDENTIAL, namespace=SYSTEM_NAMESPACE)) else None

    found = await sighting(informer, look=look, limit=limit)
    if isinstance(found, str):
        what, _, step = found.partition("; ")
        raise Refused(f"the hub refuses it: {what}", next_step=step or "correct that and register again")
    return found is True


def is_in(credential: Secret | None) -> bool:
    """Whether the agent has what it shows to the hub."""
    return credential is not None and any(credential.data.get(key) for key in ("tls.crt", "token"))


class _UserInfo(msgspec.Struct, rename="camel"):
    groups: tuple[str, ...] = ()


class _ReviewStatus(msgspec.Struct, rename="camel"):
    user_info: _UserInfo = msgspec.field(default_factory=_UserInfo)


class _Review(msgspec.Struct, rename="camel"):
    """authentication/v1 SelfSubjectReview."""

    status: _ReviewStatus = msgspec.field(default_factory=_ReviewStatus)
