"""What an account may do, asked of a real API server: every verb on every resource, one by one.

A SubjectAccessReview is answered by the same authorizer as a request, so what is said here is what holds,
whatever rules and groups it comes from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from mesh_core.names import SYSTEM_NAMESPACE
from mesh_runtime.kube import ApiError, KubeClient

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
FURTHER = {
    "certificates.k8s.io/signers": ("approve", "sign", "attest"),
    "/users": ("impersonate",),
    "/groups": ("impersonate",),
    "/serviceaccounts": ("impersonate",),
    "authentication.k8s.io/uids": ("impersonate",),
    "placement.meshctl.dev/clusterregistrations/accept": ("accept",),
    "rbac.authorization.k8s.io/roles": ("bind", "escalate"),
    "rbac.authorization.k8s.io/clusterroles": ("bind", "escalate"),
}
"""Verbs that only some resources know; the first three, uids and accept are not in discovery."""
ELSEWHERE = "demo"
"""A namespace of users."""
_AT_ONCE = 32


class _Group(msgspec.Struct):
    versions: list[dict[str, str]]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Resource(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    resources: list[_Resource]


class _Answer(msgspec.Struct):
    allowed: bool


class _Review(msgspec.Struct):
    status: _Answer


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """May an account do this; `resource` may have a subresource, "" is any name and every namespace."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

    @property
    def what(self) -> str:
        """The resource as the golden file spells it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


async def resources(kube: KubeClient) -> list[tuple[str, str]]:
    """All (group, resource) that the API server serves, subresources too, and those that only rules know."""
    found = {("", entry.name) for entry in await _listed(kube, "/api/v1")}
    groups = msgspec.json.decode(await kube.request("GET", "/apis"), type=_Groups)
    # Every version: some kinds of a group are served in one alone.
    for version in [each["groupVersion"] for one in groups.groups for each in one.versions]:
        group = version.partition("/")[0]
        found |= {(group, entry.name) for entry in await _listed(kube, f"/apis/{version}")}
    for key in FURTHER:
        group, _, resource = key.partition("/")
        found.add((group, resource))
    return sorted(found)


def questions(known: Iterable[tuple[str, str]], *, names: Iterable[tuple[str, str, str]]) -> list[Question]:
    """Every verb on every resource, everywhere, in our namespace and in another one; and on single objects.

    `names` are (group, resource, name): objects that rules name, and one that they do not.
    """
    places = ("", SYSTEM_NAMESPACE, ELSEWHERE)
    asked = [
        Question(group, resource, verb, namespace)
        for group, resource in known
        for verb in verbs_of(group, resource)
        for namespace in places
    ]
    asked += [
        Question(group, resource, verb, namespace, name)
        for group, resource, name in names
        for verb in verbs_of(group, resource)
        for namespace in places
    ]
    return sorted(set(asked))


async def allowed(kube: KubeClient, account: str, *, asked: Iterable[Question]) -> list[Question]:
    """Those of `asked` that the ServiceAccount of our namespace may."""
    accounts = "system:serviceaccounts"
    who = {
        "user": f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}",
        "groups": [accounts, f"{accounts}:{SYSTEM_NAMESPACE}", "system:authenticated"],
    }
    return await _answered(lambda question: _may(kube, question, who=who), asked)


async def allowed_to(kube: KubeClient, *, asked: Iterable[Question]) -> list[Question]:
    """Those of `asked` that whoever `kube` is may himself (SelfSubjectAccessReview)."""
    return await _answered(lambda question: _may(kube, question, who=None), asked)


async def _answered(may: Callable[[Question], Awaitable[bool]], asked: Iterable[Question]) -> list[Question]:
    places = asyncio.Semaphore(_AT_ONCE)
    listed = list(asked)

    async def ask(question: Question) -> bool:
        async with places:
            return await may(question)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(question)) for question in listed]
    return [question for question, task in zip(listed, tasks, strict=True) if task.result()]


def matrix(granted: Iterable[Question]) -> dict[str, dict[str, list[str]]]:
    """Where, then what, then the verbs: what is allowed everywhere is not said again of a namespace, and
    what is allowed by any name not again of a single one."""
    held = set(granted)
    table: dict[str, dict[str, list[str]]] = {}
    for one in sorted(held):
        wider = {
            Question(one.group, one.resource, one.verb, namespace, name)
            for namespace in {"", one.namespace}
            for name in {"", one.name}
        } - {one}
        if wider & held:
            continue
        what = f"{one.what} {one.name}" if one.name else one.what
        table.setdefault(one.namespace or "everywhere", {}).setdefault(what, []).append(one.verb)
    return table


def verbs_of(group: str, resource: str) -> tuple[str, ...]:
    """Those that mean something there."""
    further = FURTHER.get(f"{group}/{resource}", ())
    only = resource in ("signers", "users", "groups", "uids", "clusterregistrations/accept")
    return further if only else VERBS + further


async def _listed(kube: KubeClient, path: str) -> list[_Resource]:
    try:
        return msgspec.json.decode(await kube.request("GET", path), type=_Resources).resources
    except ApiError as error:
        # An aggregated group whose server does not run: on a light cluster nothing of ours does.
        if error.status == 503:
            return []
        raise


async def _may(kube: KubeClient, question: Question, *, who: Mapping[str, object] | None) -> bool:
    resource, _, subresource = question.resource.partition("/")
    attributes = {
        "group": question.group,
        "resource": resource,
        "subresource": subresource,
        "verb": question.verb,
        "namespace": question.namespace,
        "name": question.name,
    }
    kind = "SelfSubjectAccessReview" if who is None else "SubjectAccessReview"
    spec = {**(who or {}), "resourceAttributes": {key: text for key, text in attributes.items() if text}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    raw = await kube.request("POST", f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body=body)
    return msgspec.json.decode(raw, type=_Review).status.allowed
