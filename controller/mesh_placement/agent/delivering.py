"""Applies what the hub distributes to this member: the engine of `mesh_placement.deliver` (Pull)."""

from mesh_placement.agent.session import Session
from mesh_placement.deliver import Deliverer
from mesh_placement.objects import Budgets


async def deliver_part(session: Session) -> None:
    """Apply, until cancelled; budgets are those of the registration when it begins."""
    registration = session.registration
    engine = Deliverer(
        session.hub,
        session.member,
        namespace=session.namespace,
        cluster=session.cluster,
        budgets=registration.spec.budgets if registration is not None else Budgets(),
        clock=session.clock,
    )
    await engine.run()
