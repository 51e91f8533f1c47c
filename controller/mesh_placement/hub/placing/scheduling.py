"""The scheduler that a hub runs: the plug-ins that come with us, and those that are installed beside them."""

from collections.abc import Sequence

from msgspec.structs import replace

from mesh_placement.hub.placing.cycle import Scheduling
from mesh_placement.hub.placing.plugins import installed_interpreters, with_installed
from mesh_placement.objects import Placement
from mesh_placement.schedule.built_in import BUILT_IN
from mesh_placement.schedule.cycle import schedule
from mesh_placement.schedule.demand import demand_of
from mesh_placement.schedule.interpreting import Interpreter
from mesh_placement.schedule.snapshot import Demand


def installed_scheduling() -> Scheduling:
    """Raises PluginRefused."""
    plugins = with_installed(BUILT_IN)
    interpreters = installed_interpreters()
    return Scheduling(
        schedule=lambda snapshot: schedule(snapshot, plugins),
        # What an administrator of this hub says goes before what a package says.
        demand_of=lambda placement, rules=(): _demand(placement, (*rules, *interpreters)),
    )


def _demand(placement: Placement, interpreters: Sequence[Interpreter]) -> Demand:
    """Where an account applies it, of the services that it brings those of its own namespace count: others
    would be called where that account could make no export. What is taken over as it is has its room already.
    """
    found = demand_of(placement.spec.manifests, replicas=placement.spec.replicas, interpreters=interpreters)
    if placement.spec.take_over == "IfNoDiff":
        found = replace(found, request={}, beside=())
    if not placement.spec.service_account:
        return found
    own = f"{placement.metadata.namespace}/"
    return replace(found, exports=tuple(one for one in found.exports if one.startswith(own)))
