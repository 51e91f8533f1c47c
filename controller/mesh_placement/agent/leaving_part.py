"""Leaving, as a part of the agent's session."""

from mesh_placement.agent.leaving import LeavingLoop, Member, Sides
from mesh_placement.agent.session import Session
from mesh_placement.decide.work_plan import user_of
from mesh_runtime.kube import KubeClient, connect_to


async def leaving_part(session: Session) -> None:
    """Follow the registration until the member has left; every refusal is a reason to look.

    It has a way to the hub of its own that shows nothing: by it the tombstones are read when we are refused.
    """

    def worker(user: str) -> KubeClient:
        return session.member.acting_as(user or user_of(None))

    async with connect_to(session.settings.server, ca=session.settings.ca) as anonymous:
        loop = LeavingLoop(
            Sides(hub=session.hub, anonymous=anonymous, member=session.member, workers=worker),
            member=Member(
                cluster=session.cluster,
                uid=session.registration_uid,
                namespace=session.namespace,
                own=session.identity,
            ),
            registrations=session.registrations,
            applying=session.delivery.allow,
            clock=session.clock,
        )
        session.on_refused.append(loop.doubt)
        await loop.run()
