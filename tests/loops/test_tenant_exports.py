"""What a hub believes of the services that a Placement says it brings."""

from mesh_core.objects import Meta
from mesh_placement.hub.placing.scheduling import installed_scheduling
from mesh_placement.objects import Placement, PlacementSpec


def exporting(*namespaces: str, service_account: str) -> Placement:
    manifests = tuple(
        {
            "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "kind": "ServiceExport",
            "metadata": {"name": "payments", "namespace": namespace},
        }
        for namespace in namespaces
    )
    return Placement(
        metadata=Meta(name="app", namespace="rogue"),
        spec=PlacementSpec(cluster_sets=("prod",), manifests=manifests, service_account=service_account),
    )


def test_a_tenant_brings_no_service_of_another_namespace() -> None:
    demand_of = installed_scheduling().demand_of
    assert demand_of(exporting("shop", "rogue", service_account="deployer")).exports == ("rogue/payments",)
    trusted = demand_of(exporting("shop", "rogue", service_account=""))
    assert trusted.exports == ("rogue/payments", "shop/payments")
