"""One object of a unit: whether it is as wanted, what it waits for, and the apply with all its refusals."""

import asyncio
from dataclasses import dataclass, replace

from mesh_placement.decide.conflicts import Conflict, conflicts_in, is_about_replicas, sentence
from mesh_placement.decide.gates import Kind, Need, needs_of
from mesh_placement.decide.inventory import Ref
from mesh_placement.decide.overrides import without_replicas
from mesh_placement.decide.ranks import WORKLOADS
from mesh_placement.decide.reasons import Reason
from mesh_placement.decide.work_plan import Settings, Wanted
from mesh_placement.decide.work_status import ObjectState, waiting
from mesh_placement.deliver.book import Applied, Book, Failed
from mesh_placement.deliver.gatekeeper import Gatekeeper
from mesh_placement.deliver.hands import Hands
from mesh_placement.deliver.kinds import Kinds
from mesh_placement.deliver.reading import applied, blank
from mesh_placement.deliver.seen import Seen
from mesh_placement.deliver.watches import Watches
from mesh_placement.objects import Manifest
from mesh_runtime.kube import ApiError, Resource

PATIENCE = 30.0
"""Seconds until something that was refused is tried again, unless it changes before."""
SOON = 3.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one wanted object goes, and exactly what is sent. `is_known`: the inventory has its uid."""

    wanted: Wanted
    resource: Resource[Seen]
    ref: Ref
    manifest: Manifest
    digest: str
    is_known: bool


class _Refused(Exception):
    """Somebody else has what we want; what is said of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Stepper:
    """Takes one object where it should be; a refusal is a state, only silence (Unreachable) is raised."""

    def __init__(self, *, hands: Hands, kinds: Kinds, book: Book, watches: Watches) -> None:
        self._hands = hands
        self._kinds = kinds
        self._book = book
        self._watches = watches
        self._gates = Gatekeeper(hands)

    def known(self, place: Place, *, settings: Settings) -> ObjectState | None:
        """Its state without asking the member; None when there is something to do."""
        memo = self._book.applied.get(place.ref)
        failure = self._book.failed.get(place.ref)
        now = asyncio.get_running_loop().time()
        if failure is not None and failure.digest == place.digest and now < failure.until:
            return replace(failure.state, ordinal=place.wanted.ordinal)
        if memo is None or memo.digest != place.digest or memo.drift:
            return None
        return self._applied(place, memo, settings=settings)

    async def take(self, place: Place, *, settings: Settings) -> tuple[ObjectState, Need | None]:
        """Apply it if its gates are open; its state, and the gate that is shut."""
        state = blank(place.wanted, resource=place.resource, namespace=place.ref.namespace)
        try:
            need = await self._gates.first_unmet(self._needs(place, settings), user=settings.user)
            if need is not None:
                return waiting(state, what=str(need)), need
            memo = await self._apply(place, settings=settings)
        except _Refused as refusal:
            return self._conflict(place, state, refusal.message), None
        except ApiError as error:
            return self._failed(place, state, error, user=settings.user), None
        self._book.note_applied(place.ref, memo)
        self._watches.watch(place.resource)
        return self._applied(place, memo, settings=settings), None

    def uid_of(self, place: Place) -> str:
        """Of the object as it was last applied, "" when nothing is remembered of it."""
        memo = self._book.applied.get(place.ref)
        return memo.seen.metadata.uid if memo is not None else ""

    def _needs(self, place: Place, settings: Settings) -> tuple[Need, ...]:
        assert place.wanted.one is not None, "what has no name has no place"
        needs = needs_of(place.manifest, one=place.wanted.one, namespace=place.ref.namespace)
        assignment = settings.assignment
        if assignment is None or place.wanted.rank != WORKLOADS:
            return needs
        imports = (text.partition("/") for text in assignment.spec.service_imports)
        return (*needs, *(Need(Kind.SERVICE_IMPORT, name, namespace) for namespace, _, name in imports))

    async def _apply(self, place: Place, *, settings: Settings) -> Applied:
        force = settings.take_over == "Always"
        if not force and not place.is_known and place.ref not in self._book.applied:
            made = await self._hands.make(place.resource, place.manifest, user=settings.user)
            if made is not None:
                return Applied(place.digest, made, made.mark)
            force = await self._may_begin(place, settings=settings)
        left = ""
        try:
            seen = await self._send(place, place.manifest, settings=settings, force=force)
        except ApiError as error:
            conflicts = conflicts_in(error.message) if error.is_conflict else ()
            if not conflicts:
                raise
            if is_about_replicas(conflicts):
                left = sentence(conflicts)
                fewer = without_replicas(place.manifest)
                seen = await self._send(place, fewer, settings=settings, force=False)
            else:
                seen = await self._take_over(place, conflicts, settings=settings)
        return Applied(place.digest, seen, seen.mark, left)

    async def _may_begin(self, place: Place, *, settings: Settings) -> bool:
        """Whether to force the first apply; raises _Refused where somebody else's object is in the way."""
        found = await self._hands.find(place.resource, place.ref, user=settings.user)
        if found is None or found.is_ours:
            return False
        owners = ", ".join(found.others) or "somebody else"
        if settings.take_over == "Never":
            raise _Refused(f"it is there already, and {owners} made it")
        if await self._differs(place, settings=settings):
            raise _Refused(f"it is there already, made by {owners}, and differs")
        return True

    async def _take_over(self, place: Place, conflicts: tuple[Conflict, ...], *, settings: Settings) -> Seen:
        if settings.take_over != "IfNoDiff" or await self._differs(place, settings=settings):
            raise _Refused(sentence(conflicts))
        return await self._send(place, place.manifest, settings=settings, force=True)

    async def _differs(self, place: Place, *, settings: Settings) -> bool:
        return await self._hands.differs(place.resource, place.manifest, user=settings.user)

    async def _send(self, place: Place, manifest: Manifest, *, settings: Settings, force: bool) -> Seen:
        return await self._hands.apply(place.resource, manifest, user=settings.user, force=force)

    def _applied(self, place: Place, memo: Applied, *, settings: Settings) -> ObjectState:
        return applied(
            place.wanted,
            resource=place.resource,
            seen=memo.seen,
            drift=memo.drift or memo.left,
            assignment=settings.assignment,
        )

    def _conflict(self, place: Place, state: ObjectState, why: str) -> ObjectState:
        memo = self._book.applied.get(place.ref)
        found = replace(
            state,
            reason=Reason.CONFLICT,
            message=f"{place.wanted.one}: {why}; change it there, or set takeOver",
            # Once it was ours, somebody changed it; before, he was there first.
            drift=why if memo is not None or place.is_known else "",
        )
        self._fail(place, found, seconds=PATIENCE, owners=memo.seen.owners if memo is not None else ())
        return found

    def _failed(self, place: Place, state: ObjectState, error: ApiError, *, user: str) -> ObjectState:
        one = place.wanted.one
        if error.is_not_found:
            self._kinds.forget(place.resource)
            self._watches.forget(place.resource)
            return waiting(state, what=f"CustomResourceDefinition of {place.resource.kind}")
        if error.status == 403 and "being terminated" in error.message:
            return waiting(state, what=f"Namespace/{place.ref.namespace}")
        seconds = PATIENCE
        match error.status:
            case 403:
                reason, hint = Reason.FORBIDDEN, f"give {user} the right, or name another account"
            case 400 | 405 | 409 | 413 | 415 | 422:
                reason, hint = Reason.INVALID, "correct the manifest"
            case _:
                reason, hint = Reason.FAILED, "it is tried again"
                seconds = max(SOON, error.retry_after)
        found = replace(state, reason=reason, message=f"{one}: {error.message}; {hint}")
        self._fail(place, found, seconds=seconds)
        return found

    def _fail(
        self, place: Place, state: ObjectState, *, seconds: float, owners: tuple[str, ...] = ()
    ) -> None:
        until = asyncio.get_running_loop().time() + seconds
        self._book.note_failed(place.ref, Failed(place.digest, state, until, owners))
