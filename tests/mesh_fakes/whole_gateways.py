"""Whole gateways beside API servers, in memory or not: sockets, TLS, tunnels and watches are real."""

from mesh_fakes.gateways import PATIENT, Everybody, Leaf
from mesh_fakes.membership import FakeMembership
from mesh_gateway.access_log import AccessLog
from mesh_gateway.contexts import ContextKeeper
from mesh_gateway.gateway import Gateway, Surroundings
from mesh_gateway.greeting import Greeting
from mesh_gateway.leaving import is_listed
from mesh_gateway.limits import Limits
from mesh_gateway.metrics import GatewayMetrics
from mesh_gateway.probe_knock import knock
from mesh_gateway.prober import Prober
from mesh_gateway.route import Address
from mesh_gateway.watch import Bounds, Watches
from mesh_runtime.kube import KubeClient

_NOTHING_BESIDE = Bounds()


def whole_gateway(
    kube: KubeClient,
    *,
    door: Address,
    leaf: Leaf,
    membership: FakeMembership,
    limits: Limits = PATIENT,
    bounds: Bounds = _NOTHING_BESIDE,
) -> tuple[Gateway, Watches]:
    """A gateway that follows the objects that `kube` sees, when both are run."""
    standing = ContextKeeper(leaf)
    watches = Watches(kube, membership=membership, bounds=bounds)
    prober = Prober(
        door.host,
        surroundings=watches,
        greet=Greeting(lambda: standing.current, limits=limits),
        knock=knock,
        found=lambda _cluster, _finding: None,
    )
    place = Surroundings(
        leaf=leaf,
        look=watches.objects,
        sources=Everybody(),
        replica=door.host,
        siblings=lambda: (door.host,),
        prober=prober,
        problem=lambda _cluster, _text: None,
        metrics=GatewayMetrics(),
        access=AccessLog(),
        listed=lambda: is_listed(watches.slices(), address=door.host),
    )
    return Gateway(door, place=place, limits=limits), watches
