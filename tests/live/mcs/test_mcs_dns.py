"""DNS (specification.md of KEP-1645): what exists, what does not, and how it is denied."""

import pytest

from live.mcs.scene import ONLY_IN_EAST
from live.mcs.world import CLUSTERS, World, host, seen

pytestmark = pytest.mark.asyncio

ZONE = "clusterset.local."

# What the checklist calls e.2: (name, type, what comes). The same in both clusters.
TABLE = [
    (f"dns-version.{ZONE}", "TXT", "NOERROR 1"),
    (ZONE, "SOA", "NOERROR 1"),
    (ZONE, "A", "NODATA"),
    (f"svc.{ZONE}", "A", "NODATA"),
    (f"mcs.svc.{ZONE}", "A", "NODATA"),
    (f"no-such-namespace.svc.{ZONE}", "A", "NXDOMAIN"),
    (host("hello", namespace="no-such-namespace"), "A", "NXDOMAIN"),
    (host("no-such-service"), "A", "NXDOMAIN"),
    (host("hello"), "A", "NOERROR 1"),
    (host("hello").upper(), "A", "NOERROR 1"),
    (host("hello"), "AAAA", "NODATA"),
    (host("hello"), "TXT", "NODATA"),
    (host("no-such-service"), "TXT", "NXDOMAIN"),
    (host("empty"), "A", "NOERROR 1"),
    (host("headless-empty"), "A", "NXDOMAIN"),
    (host("headless-empty"), "SRV", "NXDOMAIN"),
    (host("headless"), "A", "NOERROR 2"),
    (host("headless"), "AAAA", "NODATA"),
    (f"_tcp._tcp.{host('hello')}", "SRV", "NOERROR 1"),
    (f"_udp._udp.{host('hello')}", "SRV", "NOERROR 1"),
    (f"_udp._tcp.{host('hello')}", "SRV", "NXDOMAIN"),
    (f"_web._tcp.{host('hello')}", "SRV", "NXDOMAIN"),
    (f"db-0.east.{host('db')}", "A", "NOERROR 1"),
    (f"db-0.west.{host('db')}", "A", "NXDOMAIN"),
    (f"db-7.east.{host('db')}", "A", "NXDOMAIN"),
    (f"more.db-0.east.{host('db')}", "A", "NXDOMAIN"),
    # Reserved for a cluster's own name of a Service: must not exist, for either type.
    (f"east.{host('hello')}", "A", "NXDOMAIN"),
    (f"east.{host('db')}", "A", "NXDOMAIN"),
    (f"pod.east.{host('hello')}", "A", "NXDOMAIN"),
]


async def test_e1_e2_each_name_is_answered_or_denied_as_the_specification_says(world: World) -> None:
    for cluster in CLUSTERS:

        async def wrong(cluster: str = cluster) -> list[tuple[tuple[str, str, str], str]]:
            answers = world.dig(cluster, *((name, kind) for name, kind, _wanted in TABLE))
            assert all(answer.is_authoritative for answer in answers)
            found = zip(TABLE, (answer.summary for answer in answers), strict=True)
            return [(row, summary) for row, summary in found if summary != row[2]]

        # Each server of a cluster may be the one that is asked, and each follows by itself.
        await seen(wrong, lambda found: not found)


async def test_e1_the_zone_states_the_version_of_the_specification(world: World) -> None:
    [answer] = world.dig("west", (f"dns-version.{ZONE}", "TXT"))
    assert answer.records == (("TXT", '"1.0.0"'),)


async def test_e2_d2_a_name_in_a_missing_namespace_does_not_exist(world: World) -> None:
    """The export is there, and so is its record; in the cluster that has the namespace it is a name."""
    for cluster, wanted in (("east", "NOERROR 1"), ("west", "NXDOMAIN")):
        [answer] = world.dig(cluster, (host("hello", namespace=ONLY_IN_EAST), "A"))
        assert answer.summary == wanted
    assert await world.imported("west", "hello", namespace=ONLY_IN_EAST) is None
