"""`meshctl trust rotate --intermediate ID`: a new key for one member's intermediate, refused by nobody.

The key is made in the member's own cluster: its Secret is deleted, the controller makes another key and asks
for a certificate, and goes on with what it has until the new key is known to all. The steps are
`mesh_core.key_rotation`. The old key is believed for a day more, as long as a leaf may live; the same
command, run then, drops it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mesh_cli.trust.change import Made, change_trust
from mesh_cli.trust.following import LOOK_EVERY, NotSettled, Wish, heard, told
from mesh_cli.trust.members import MemberAtHand, members_at_hand
from mesh_cli.trust.passphrase import asking
from mesh_core.errors import UserError
from mesh_core.identity import ClusterId, cluster_id
from mesh_core.key_rotation import (
    Certify,
    Done,
    Drop,
    KeyStep,
    WaitForKey,
    announced,
    dropped,
    named,
    next_key_step,
)
from mesh_core.lifetimes import BACKDATE
from mesh_core.names import INTERMEDIATE_SECRET, SYSTEM_NAMESPACE
from mesh_core.objects.trust import RosterEntry
from mesh_core.roster import NobodyOfThatName, entry_of
from mesh_runtime.approval import Asked, NoRequest, answer, asked_intermediate
from mesh_runtime.clock import utc_now
from mesh_runtime.kube import SECRETS, ApiError
from mesh_runtime.pem import certificates_to_pem
from mesh_runtime.pki import make_intermediate
from mesh_runtime.progress import Progress
from mesh_runtime.renewal import newest_of
from mesh_runtime.trust_book import timestamp
from mesh_runtime.trust_dir import load_trust_dir, read_trust_dir
from mesh_runtime.trust_signing import key_id_of, keys_of

_GLANCE = 1.0
"""Seconds for a request that is open already to be seen."""
_ANSWER_LIMIT = 60.0


class NotAtHand(UserError):
    """The cluster whose key is changed is none of the contexts."""

    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"none of the contexts is that of {cluster}, and its new key is made there",
            next_step=f"give --context of {cluster}",
        )


async def rotate_key(wish: Wish, *, cluster: str, kubeconfig: Path | None, progress: Progress) -> list[str]:
    """Do what can be done now; what was done and what is left, line by line.

    Raises NotAtHand, NotSettled, NobodyOfThatName, NoRequest, and what `change_trust` raises.
    """
    async with members_at_hand(wish.contexts, kubeconfig=kubeconfig) as members:
        own = next((one for one in members if one.membership.cluster == cluster), None)
        if own is None:
            raise NotAtHand(cluster)
        change = _ChangeOfKey(wish, members, own, cluster_id(cluster))
        with progress.step(f"{cluster}: announce a new key"):
            await change.begin()
        while True:
            step = await change.step()
            match step:
                case Done():
                    return [f"{cluster} has one key, and an intermediate for it"]
                case WaitForKey(behind=(), until=datetime() as until):
                    return [
                        f"{cluster} signs with its new key; leaves of the old one may live until "
                        f"{timestamp(until)}",
                        "run the same command after that: it drops the old key",
                    ]
                case WaitForKey():
                    with progress.step(f"{cluster}: wait until all know of it") as shown:
                        await change.until_settled(step, update=shown.update)
                case Certify():
                    with progress.step(f"{cluster}: sign for its new key"):
                        await change.certify()
                case Drop(keep=key):
                    with progress.step(f"{cluster}: drop the old key"):
                        await change.drop(key)


@dataclass(slots=True)
class _ChangeOfKey:
    """One member's change of key; everything it goes by is in the folder and in the clusters."""

    wish: Wish
    members: tuple[MemberAtHand, ...]
    own: MemberAtHand
    cluster: ClusterId
    asked: Asked | None = None

    async def begin(self) -> None:
        """Have the cluster make a key, unless a change is under way, and announce it."""
        await self._sign(lambda same, _trust: same)
        entry = self._entry()
        self.asked = await self._request(limit=_GLANCE)
        if self.asked is None and len(entry.keys) == 1:
            await self.own.client.delete(SECRETS, INTERMEDIATE_SECRET, namespace=SYSTEM_NAMESPACE)
            self.asked = await self._request(limit=_ANSWER_LIMIT)
            if self.asked is None:
                raise NoRequest(seconds=_ANSWER_LIMIT)
        if self.asked is not None:
            key = key_id_of(self.asked.public_key)
            await self._sign(lambda one, _trust: announced(one, cluster=self.cluster, key=key))

    async def step(self) -> KeyStep:
        """The one thing to do now."""
        trust = load_trust_dir(self.wish.folder, passphrase=asking())
        statement, entry = trust.held.statement, self._entry()
        assert statement is not None, "it has an entry"
        newest = newest_of(entry)
        return next_key_step(
            statement,
            cluster=self.cluster,
            certified=next(iter(keys_of(entry.certificates[-1:])), ""),
            certified_at=newest.not_valid_before_utc + BACKDATE if newest is not None else utc_now(),
            reports=await heard(self.members, statement=statement),
            now=utc_now(),
            proceed_without=self.wish.without,
        )

    async def until_settled(self, step: WaitForKey, *, update: Callable[[str], None]) -> None:
        """Look until nobody is waited for; raises NotSettled after the limit."""
        seen: KeyStep = step
        try:
            async with asyncio.timeout(self.wish.limit):
                while isinstance(seen, WaitForKey) and seen.behind:
                    update(", ".join(told(one) for one in seen.behind))
                    await asyncio.sleep(LOOK_EVERY)
                    seen = await self.step()
        except TimeoutError:
            behind = seen.behind if isinstance(seen, WaitForKey) else ()
            generation = read_trust_dir(self.wish.folder).held.generation
            raise NotSettled(behind, phase="of the new key", generation=generation) from None

    async def certify(self) -> None:
        """Name an intermediate for the new key, and answer the request for it."""
        asked = self.asked or await self._request(limit=_ANSWER_LIMIT)
        if asked is None:
            raise NoRequest(seconds=_ANSWER_LIMIT)
        trust = load_trust_dir(self.wish.folder, passphrase=asking())
        certificate = make_intermediate(
            trust.issuing,
            cluster=self.cluster,
            domain=trust.domain,
            public_key=asked.public_key,
            now=utc_now(),
        )
        pem = certificates_to_pem((certificate,)).decode()
        await self._sign(lambda one, _trust: named(one, cluster=self.cluster, certificate=pem))
        try:
            message = f"{self.cluster} has a new key"
            await answer(self.own.client, asked, certificate=certificate, message=message)
        except ApiError as error:
            # The controller has taken its certificate from the bundle and withdrawn the request.
            if not (error.is_not_found or error.is_conflict):
                raise

    async def drop(self, key: str) -> None:
        """Have nothing but `key` believed for the member."""
        since = timestamp(utc_now())
        await self._sign(lambda one, _trust: dropped(one, cluster=self.cluster, keep=key, since=since))

    def _entry(self) -> RosterEntry:
        entry = entry_of(read_trust_dir(self.wish.folder).held.statement, cluster=self.cluster)
        if entry is None:
            raise NobodyOfThatName(self.cluster)
        return entry

    async def _request(self, *, limit: float) -> Asked | None:
        trust = read_trust_dir(self.wish.folder)
        try:
            return await asked_intermediate(
                self.own.client, cluster=self.cluster, domain=trust.domain, limit=limit
            )
        except NoRequest:
            return None

    async def _sign(self, made: Made) -> None:
        """Sign what `made` says, and tell the clusters as they are now."""
        self.members = tuple([await one.again() for one in self.members])
        await change_trust(self.wish.folder, members=self.members, made=made, now=utc_now())
