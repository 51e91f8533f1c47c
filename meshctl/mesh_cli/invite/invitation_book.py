"""The invitations of a cluster, as a person's command reads and writes them.

A write holds only for what was looked at: controllers take uses from the same Secret at any time.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from mesh_cli.session import FIELD_MANAGER
from mesh_core.errors import EnvironmentFault, UserError
from mesh_core.invitations import (
    LONGEST_LIFE,
    MOST_INVITATIONS,
    Invitation,
    has_ended,
    invitations_in,
    is_forgotten,
    write_invitation,
)
from mesh_core.names import INVITATIONS_SECRET, SYSTEM_NAMESPACE
from mesh_runtime.kube import SECRETS, ApiError, KubeClient

SECRET_TYPE = "meshctl.dev/invitations"
_TRIES = 8
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class NoInvitation(UserError):
    """There is no invitation with that id."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no invitation {name[:40]!r}",
            next_step="see which there are with meshctl invite --list",
        )


class TooManyInvitations(UserError):
    """There is no room for one more."""

    def __init__(self) -> None:
        super().__init__(
            f"{MOST_INVITATIONS} invitations are open already",
            next_step="end some with meshctl invite --revoke ID, or invite with --uses",
        )


class Contended(EnvironmentFault):
    """The Secret changes faster than we write."""

    def __init__(self) -> None:
        super().__init__(f"the Secret {INVITATIONS_SECRET} changes all the time", next_step="try it again")


class BadSpan(UserError):
    """Somebody typed what is no length of time, or too long a one."""


def parse_span(text: str, *, of: str = "an invitation") -> timedelta:
    """A length of time like 90s, 15m, 2h or 7d, for what `of` says; raises BadSpan."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise BadSpan(f"{text!r} is no length of time", next_step="write it like 90s, 15m, 2h or 7d")
    span = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if span > LONGEST_LIFE:
        raise BadSpan(f"{text} is too long for {of}", next_step=f"give at most {LONGEST_LIFE.days}d")
    return span


async def read_book(client: KubeClient) -> dict[str, Invitation]:
    """The invitations of the cluster by id."""
    return invitations_in(await client.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE))


async def add(client: KubeClient, *, name: str, invitation: Invitation, now: datetime) -> None:
    """Keep one more, and forget those that are long over; raises TooManyInvitations."""

    def change(book: Mapping[str, Invitation]) -> dict[str, Invitation | None]:
        gone = [old for old, one in book.items() if is_forgotten(one, now=now)]
        left = len(book) - len(gone)
        if left >= MOST_INVITATIONS:
            over = [old for old, one in book.items() if has_ended(one, now=now) and old not in gone]
            # Those that let somebody in say whose an id is, so they go last.
            over.sort(key=lambda old: (bool(book[old].taken), book[old].expires))
            gone += over[: left + 1 - MOST_INVITATIONS]
            if len(book) - len(gone) >= MOST_INVITATIONS:
                raise TooManyInvitations
        return {**dict.fromkeys(gone), name: invitation}

    await _changed(client, change)


async def revoke(client: KubeClient, *, name: str) -> None:
    """End an invitation; whom it has let in stays. Raises NoInvitation."""

    def change(book: Mapping[str, Invitation]) -> dict[str, Invitation | None]:
        if name not in book:
            raise NoInvitation(name)
        return {name: msgspec.structs.replace(book[name], revoked=True)}

    await _changed(client, change)


async def remove(client: KubeClient, *, name: str) -> None:
    """Forget an invitation whose token nobody has seen."""
    await _changed(client, lambda book: {name: None} if name in book else {})


async def _changed(
    client: KubeClient, change: Callable[[Mapping[str, Invitation]], Mapping[str, Invitation | None]]
) -> None:
    """Write what `change` says of those there are; None forgets one."""
    for _ in range(_TRIES):
        secret = await client.find(SECRETS, INVITATIONS_SECRET, namespace=SYSTEM_NAMESPACE)
        changed = change(invitations_in(secret))
        if not changed:
            return
        data = {name: _encoded(one) for name, one in changed.items()}
        meta = {"name": INVITATIONS_SECRET, "namespace": SYSTEM_NAMESPACE}
        try:
            if secret is None:
                kept = {name: text for name, text in data.items() if text is not None}
                body = {"metadata": meta, "type": SECRET_TYPE, "data": kept}
                await client.create(SECRETS, body, field_manager=FIELD_MANAGER)
            else:
                version = {"resourceVersion": secret.metadata.resource_version}
                await client.merge_patch(
                    SECRETS,
                    INVITATIONS_SECRET,
                    {"metadata": version, "data": data},
                    namespace=SYSTEM_NAMESPACE,
                )
        except ApiError as error:
            if error.is_conflict:
                continue
            raise
        return
    raise Contended


def _encoded(invitation: Invitation | None) -> str | None:
    return None if invitation is None else base64.b64encode(write_invitation(invitation)).decode()
