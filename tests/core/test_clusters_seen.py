"""A registered cluster as the scheduler sees it, out of what its agent wrote."""

import pytest

from mesh_core.objects import Meta
from mesh_placement.objects import (
    ClusterCapacity,
    ClusterCapacityStatus,
    ClusterLink,
    ClusterLinkStatus,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ExportState,
    LinkToPeer,
)
from mesh_placement.schedule.seen_clusters import ClusterRows, export_rows, link_rows, seen_cluster

META = Meta(name="east")


def rows(
    *, capacity: ClusterCapacityStatus | None = None, link: ClusterLinkStatus | None = None
) -> ClusterRows:
    return ClusterRows(
        ClusterRegistration(
            metadata=META,
            spec=ClusterRegistrationSpec(cluster_set="prod"),
            status=ClusterRegistrationStatus(phase="Ready"),
        ),
        ClusterCapacity(metadata=META, status=capacity) if capacity is not None else None,
        ClusterLink(metadata=META, status=link) if link is not None else None,
    )


@pytest.mark.parametrize("names", [None, (), ("kube-system", "shop")])
def test_what_the_agent_does_not_tell_is_not_known_and_what_it_tells_is_all_there_is(
    names: tuple[str, ...] | None,
) -> None:
    found = seen_cluster(rows(capacity=ClusterCapacityStatus(namespaces=names, storage_classes=names)))
    assert (found.namespaces, found.storage_classes) == (names, names)
    assert seen_cluster(rows()).namespaces is None


def test_the_revisions_and_pools_of_its_room_are_those_that_were_written() -> None:
    pool = "addresses.pool.meshctl.dev"
    status = ClusterCapacityStatus(
        total={"cpu": "8", pool: "127"}, available={pool: "12"}, observed_assignments={"shop/cart": 7}
    )
    room = seen_cluster(rows(capacity=status)).room
    assert room is not None
    assert (room.available, room.observed) == ({pool: 12_000}, {"shop/cart": 7})


def test_ways_and_exports_say_what_is_measured_and_who_is_allowed() -> None:
    link = ClusterLinkStatus(
        peers=(
            LinkToPeer(cluster="north"),
            LinkToPeer(cluster="west", state="Up", headroom=0.4, cert_not_after="1970-01-02T00:00:00Z"),
        ),
        exports=(ExportState(service="shop/cart"), ExportState(service="shop/till", allowed=("west",))),
    )
    north, west = link_rows(rows(link=link))
    assert (north.headroom, north.cert_not_after, north.loss) == (None, None, None)
    assert (west.headroom, west.cert_not_after, west.is_fresh) == (0.4, 86400.0, True)
    assert [one.allowed for one in export_rows(rows(link=link))] == [None, ("west",)]
