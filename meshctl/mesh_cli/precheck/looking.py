"""Looks at the two clusters of `precheck`, all parts side by side, none hiding another.

Two things are only known when they are tried: a bootstrap token of no group, and a request for a client
certificate of a user without rights. Both are made for a moment and deleted; with `tries` False, neither is.
"""

import asyncio
import base64
import os
import secrets
import ssl
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mesh_cli.check.asking import Wanted, own_rights
from mesh_cli.check.look import seen_or_why, server_version, skew
from mesh_cli.check.verdict import Unseen
from mesh_cli.hub.address import read_info
from mesh_cli.hub.objects import PUBLIC_NAMESPACE, HubInfo, NoHub
from mesh_cli.precheck.findings import NOT_TRIED, HubSeen, MemberSeen
from mesh_core.conditions import rfc3339
from mesh_core.names import SYSTEM_NAMESPACE
from mesh_placement.decide.bootstrap_token import (
    NAMESPACE,
    SECRET_TYPE,
    BootstrapToken,
    new_token,
    secret_name,
)
from mesh_placement.names import ACCESS_GROUP, AGENT_SETTINGS, GROUP, HUB_INFO, SIGNER_CLIENT
from mesh_runtime.ca_pins import believing
from mesh_runtime.clock import Clock
from mesh_runtime.kube import (
    CONFIG_MAPS,
    CSRS,
    SECRETS,
    ApiError,
    Informer,
    KubeClient,
    Login,
    Unreachable,
    connect_at,
)
from mesh_runtime.pki import new_key
from mesh_runtime.request_answer import approve
from mesh_runtime.sighting import sighting

_TRY_LIMIT: Final = 10.0
_SIGN_LIMIT: Final = 5.0
"""Seconds for the controller that signs; it does so at once, or never."""
_REVIEWS: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_AUTHENTICATION: Final = "extension-apiserver-authentication"
_RBAC: Final = "rbac.authorization.k8s.io"

_HUB_RIGHTS: Final[Wanted] = (
    (
        "meshctl hub init",
        {"verb": "patch", "group": "apiextensions.k8s.io", "resource": "customresourcedefinitions"},
    ),
    ("meshctl hub init", {"verb": "patch", "group": _RBAC, "resource": "clusterroles"}),
    ("meshctl hub init", {"verb": "escalate", "group": _RBAC, "resource": "clusterroles"}),
    (
        "meshctl hub init",
        {
            "verb": "patch",
            "group": "admissionregistration.k8s.io",
            "resource": "validatingadmissionpolicies",
        },
    ),
    ("meshctl hub init", {"verb": "patch", "resource": "configmaps", "namespace": PUBLIC_NAMESPACE}),
    ("meshctl token create", {"verb": "create", "resource": "secrets", "namespace": NAMESPACE}),
    (
        "meshctl register --hub-context",
        {"verb": "create", "resource": "secrets", "namespace": SYSTEM_NAMESPACE},
    ),
    (
        "meshctl clusters accept",
        {"verb": "accept", "group": GROUP, "resource": "clusterregistrations", "subresource": "accept"},
    ),
    (
        "meshctl clusters proxy",
        {"verb": "get", "group": ACCESS_GROUP, "resource": "clusters", "subresource": "proxy"},
    ),
)
_MEMBER_RIGHTS: Final[Wanted] = (
    (
        "meshctl register",
        {"verb": "patch", "group": "apiextensions.k8s.io", "resource": "customresourcedefinitions"},
    ),
    ("meshctl register", {"verb": "patch", "group": _RBAC, "resource": "clusterroles"}),
    ("meshctl register", {"verb": "escalate", "group": _RBAC, "resource": "clusterroles"}),
    ("meshctl register", {"verb": "patch", "resource": "namespaces", "name": SYSTEM_NAMESPACE}),
    ("meshctl register", {"verb": "patch", "resource": "secrets", "namespace": SYSTEM_NAMESPACE}),
    (
        "meshctl register",
        {"verb": "patch", "group": "apps", "resource": "deployments", "namespace": SYSTEM_NAMESPACE},
    ),
)


async def look_at_hub(client: KubeClient, *, login: Login, clock: Clock, tries: bool) -> HubSeen:
    """Everything of the hub behind `client`, which `login` leads to."""
    async with asyncio.TaskGroup() as group:
        version = group.create_task(seen_or_why(server_version(client)))
        ahead = group.create_task(seen_or_why(skew(client, clock=clock)))
        rights = group.create_task(seen_or_why(own_rights(client, wanted=_HUB_RIGHTS)))
        public = group.create_task(seen_or_why(_public(client, login=login)))
        aggregation = group.create_task(seen_or_why(_aggregation(client)))
        work = (_takes_tokens(client, login=login, clock=clock), _signs(client))
        if tries:
            tokens, signer = (group.create_task(seen_or_why(one, limit=_TRY_LIMIT)) for one in work)
        else:
            for one in work:
                one.close()
    return HubSeen(
        context=login.context,
        version=version.result(),
        clock=ahead.result(),
        rights=rights.result(),
        tokens=tokens.result() if tries else NOT_TRIED,
        signer=signer.result() if tries else NOT_TRIED,
        public=public.result(),
        aggregation=aggregation.result(),
    )


async def look_at_member(
    client: KubeClient, *, context: str, clock: Clock, hub: HubSeen | None, info: HubInfo | Unseen | None
) -> MemberSeen:
    """Everything of the member behind `client`, and whether the hub's address answers from here."""
    async with asyncio.TaskGroup() as group:
        version = group.create_task(seen_or_why(server_version(client)))
        ahead = group.create_task(seen_or_why(skew(client, clock=clock)))
        rights = group.create_task(seen_or_why(own_rights(client, wanted=_MEMBER_RIGHTS)))
        registered = group.create_task(seen_or_why(_registered(client)))
        answers = group.create_task(seen_or_why(_answers(info))) if isinstance(info, HubInfo) else None
    return MemberSeen(
        context=context,
        version=version.result(),
        clock=ahead.result(),
        rights=rights.result(),
        registered=registered.result(),
        hub=info.server if isinstance(info, HubInfo) else "",
        hub_clock=hub.clock if hub is not None else None,
        hub_answers=answers.result() if answers is not None else _none(info),
    )


async def find_info(client: KubeClient, *, context: str) -> HubInfo | Unseen | None:
    """What the hub tells its members, or why that could not be read; None of one that is no hub yet."""
    try:
        return await read_info(client, where=f"context {context}")
    except NoHub:
        return None
    except (ApiError, Unreachable) as error:
        return Unseen(error.what)


def _none(info: HubInfo | Unseen | None) -> Unseen | None:
    return info if isinstance(info, Unseen) else None


def _tls(login: Login) -> ssl.SSLContext:
    return believing(login.ca) if login.ca else ssl.create_default_context()


async def _public(client: KubeClient, *, login: Login) -> bool | None:
    if await client.find(CONFIG_MAPS, HUB_INFO, namespace=PUBLIC_NAMESPACE) is None:
        return None
    try:
        async with connect_at(login.server, tls=_tls(login)) as nobody:
            await read_info(nobody, where=login.server)
    except ApiError:
        return False
    return True


async def _aggregation(client: KubeClient) -> bool:
    found = await client.find(CONFIG_MAPS, _AUTHENTICATION, namespace=NAMESPACE)
    return found is not None and bool(found.data.get("requestheader-client-ca-file"))


async def _registered(client: KubeClient) -> str:
    found = await client.find(SECRETS, AGENT_SETTINGS, namespace=SYSTEM_NAMESPACE)
    return base64.b64decode(found.data.get("server", "")).decode() if found is not None else ""


async def _answers(info: HubInfo) -> bool:
    try:
        async with connect_at(info.server, tls=believing(info.ca)) as client:
            await client.request("GET", "/version")
    except ApiError:
        return True  # whoever refuses us has shown its certificate
    except Unreachable as error:
        if isinstance(error.__cause__, ssl.SSLError) or "certificate" in error.what.lower():
            return False
        raise
    return True


async def _takes_tokens(client: KubeClient, *, login: Login, clock: Clock) -> bool:
    """Whether a token that is good for a minute, and gives no rights, makes its holder a user."""
    token = new_token(secrets.choice)
    await client.create(SECRETS, _probe(token, expires=rfc3339(clock() + timedelta(minutes=1))))
    try:
        async with connect_at(login.server, tls=_tls(login), token=lambda: token.text) as holder:
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            raw = await holder.request("POST", _REVIEWS, body=body)
            return token.user.encode() in raw
    except ApiError as error:
        if error.status == 401:
            return False
        if error.status == 403:
            return True
        raise
    finally:
        await client.delete(SECRETS, secret_name(token.id), namespace=NAMESPACE)


def _probe(token: BootstrapToken, *, expires: str) -> dict[str, object]:
    values = {
        "token-id": token.id,
        "token-secret": token.secret,
        "expiration": expires,
        "usage-bootstrap-authentication": "true",
        "description": "meshctl precheck looks whether tokens are taken.",
    }
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    meta = {"name": secret_name(token.id), "namespace": NAMESPACE}
    return {"metadata": meta, "type": SECRET_TYPE, "data": data}


async def _signs(client: KubeClient) -> bool:
    """Whether a request for a client certificate of a user without rights is signed; its key is forgotten."""
    name = f"meshctl-precheck-{os.urandom(5).hex()}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meshctl:precheck")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(new_key(), hashes.SHA256())
    spec = {
        "request": base64.b64encode(request.public_bytes(Encoding.PEM)).decode(),
        "signerName": SIGNER_CLIENT,
        "expirationSeconds": 600,
        "usages": ["client auth", "digital signature"],
    }
    made = await client.create(CSRS, {"metadata": {"name": name}, "spec": spec})
    try:
        await approve(client, made, message="meshctl precheck looks whether client certificates are signed")
        informer = Informer(client, CSRS, fields=f"metadata.name={name}")

        def look() -> bool | None:
            found = informer.get(name)
            return True if found is not None and found.status.certificate else None

        return await sighting(informer, look=look, limit=_SIGN_LIMIT) is True
    finally:
        await client.delete(CSRS, name)
