"""Who we are, read from two objects."""

import pytest

from mesh_core.identity import Component
from mesh_core.membership import Membership, NotAMember, membership_of
from mesh_core.objects import ClusterProperty, Meta, TrustBundle, TrustBundleSpec
from mesh_core.objects.mesh import ClusterPropertySpec


def name(value: str = "west") -> ClusterProperty:
    meta = Meta(name="cluster.clusterset.k8s.io")
    return ClusterProperty(metadata=meta, spec=ClusterPropertySpec(value=value))


def bundle(*roots: str, domain: str = "clusterset.internal") -> TrustBundle:
    spec = TrustBundleSpec(domain=domain, generation=1, roots=roots)
    return TrustBundle(metadata=Meta(name="clusterset"), spec=spec)


def test_both_objects_make_a_member() -> None:
    found = membership_of(name(), bundle("PEM"))
    assert isinstance(found, Membership)
    assert found.roots == ("PEM",)
    assert found.identity(Component.DNS).uri == "spiffe://west.clusterset.internal/dns"


@pytest.mark.parametrize(
    ("cluster", "trust", "why"),
    [
        (None, bundle("PEM"), "no ClusterProperty"),
        (name(), None, "no TrustBundle"),
        (name(), bundle(), "no root"),
        (name("West.1"), bundle("PEM"), "cannot be a cluster id"),
        (name(), bundle("PEM", domain="10.0.0.1"), "cannot be a clusterset's domain"),
    ],
)
def test_what_is_missing_is_said(
    cluster: ClusterProperty | None, trust: TrustBundle | None, why: str
) -> None:
    found = membership_of(cluster, trust)
    assert isinstance(found, NotAMember)
    assert why in found.why
