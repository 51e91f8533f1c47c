"""A client of an application's own TLS gets to it by its business name, wherever the hub has placed it.

Gateways, TLS and the client are real; the hub keeps objects, and the routes are those that a gateway's table
would have. What `meshctl explain hosts` says is compared with what the client finds.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from click.testing import CliRunner

from mesh_cli.main import command
from mesh_cli.placement.hosts_trying import Target, handshakes
from mesh_cli.placement.hosts_verdict import Found, Verdict
from mesh_core.objects import PeerGateway
from mesh_fakes.applications import HOUR, ApplicationCa
from mesh_fakes.backends import backend, echo, saying
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.gateways import Ingress, egress, free_port, ingress, on_both_loops
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_gateway.route import Address
from mesh_gateway.route import Ingress as Way
from mesh_placement.decide.assigning import Target as Member
from mesh_placement.decide.assigning import assignment_body, assignment_spec, planned_works, work_body
from mesh_placement.objects import Placement

SHOP, EU = "shop.example.com", "eu.example.com"
GROUP = "placement.meshctl.dev/v1alpha1"
WORK_GROUP = "multicluster.x-k8s.io/v1alpha1"
LATER = 20.0

# Any: JSON.
Json = dict[str, Any]


def export(public: str) -> Json:
    return {
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceExport",
        "metadata": {
            "name": "checkout",
            "namespace": "shop",
            "annotations": {"meshctl.dev/public": public},
        },
    }


@dataclass
class Fleet:
    """A hub, the gateways of its members, and whoever asks."""

    hub: ObjectServer
    folder: Path
    ca: ApplicationCa
    members: dict[str, Ingress]

    def placed(self, *clusters: str, public: str = f"https={SHOP}", override: Json | None = None) -> None:
        """The Placement is in these, and the hub has written for each what it writes."""
        body = {
            "metadata": {"name": "checkout", "namespace": "shop"},
            "spec": {
                "clusterSets": ["prod"],
                "manifests": [export(public)],
                "overrides": [override] if override is not None else [],
            },
            "status": {"clusters": [{"cluster": one} for one in clusters]},
        }
        self.hub.put(GROUP, "placements", body)
        placement = msgspec.convert(body, Placement)
        works = planned_works(placement)
        for cluster in clusters:
            target = Member(cluster, f"cluster-{cluster}", {})
            spec = assignment_spec(placement, target=target, works=works, replicas=None, revision=1)
            given = assignment_body(spec, placement=placement, target=target)
            self.hub.put(GROUP, "assignments", given)
            for work in works:
                given = work_body(work, placement=placement, target=target, revision=1)
                self.hub.put(WORK_GROUP, "works", given)

    def leads(self, cluster: str, *endpoints: Address) -> None:
        """What that member's gateway makes of the name."""
        gateway = self.members[cluster]
        gateway.table = replace(gateway.table, public={SHOP: Way(endpoints)} if endpoints else {})

    async def says(self, *words: str, trusting: bool = True) -> tuple[int, list[list[str]], list[str]]:
        """Status of the command, its rows (cluster, verdict, why), and what it says of the manifests."""
        config, ca = self.folder / "config", self.folder / "ca"
        write_kubeconfig(config, servers={"hub": self.hub.url}, current="hub")
        ca.write_text(self.ca.pem)
        more = ("--ca-file", str(ca)) if trusting else ()
        line = ["--kubeconfig", str(config), "explain", "hosts", "shop/checkout", "-o", "json", *more, *words]
        # A command brings its own loop, so it has a thread of its own.
        result = await asyncio.to_thread(CliRunner().invoke, command, line, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        told = json.loads(result.stdout)
        rows = [[one["cluster"] or "", one["verdict"], one["why"]] for one in told["hosts"]]
        return int(result.return_value), rows, told["faults"]


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    hub, clusterset = ObjectServer(), FakeClusterset()
    async with AsyncExitStack() as stack:
        members = {
            name: await stack.enter_async_context(ingress(clusterset, name)) for name in ("east", "west")
        }
        stack.enter_context(served(hub))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for name, gateway in members.items():
            network = {"gateways": [{"host": gateway.address.host, "port": gateway.address.port}]}
            status = {"namespace": f"cluster-{name}", "agent": {"network": network}}
            body = {"metadata": {"name": name}, "spec": {"clusterSet": "prod"}, "status": status}
            hub.put(GROUP, "clusterregistrations", body)
        yield Fleet(hub, folder, ApplicationCa(), members)


async def spoken(address: Address, *, tls: ssl.SSLContext, name: str = SHOP) -> bytes:
    """What comes back through `address` to a client that checks names."""
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls, server_hostname=name)
    writer.write(b"hello")
    answer = await reader.readexactly(5)
    writer.transport.abort()
    return answer


async def is_closed(address: Address, *, tls: ssl.SSLContext) -> bool:
    try:
        await spoken(address, tls=tls)
    except (ConnectionError, ssl.SSLEOFError):
        return True
    return False


@on_both_loops
async def test_the_name_leads_to_where_it_is_placed_and_follows_a_move() -> None:
    async with fleet() as here, backend(echo, tls=here.ca.server(SHOP)) as there:
        client = here.ca.client()
        for cluster, other in (("east", "west"), ("west", "east")):
            here.placed(cluster)
            here.leads(cluster, there)
            here.leads(other)
            assert await spoken(here.members[cluster].address, tls=client) == b"hello"
            assert await is_closed(here.members[other].address, tls=client)
            status, rows, faults = await here.says()
            assert (status, faults) == (0, [])
            assert [row[:2] for row in rows] == [[cluster, "Good"]]
        status, _, _ = await here.says("--cluster", "west")
        assert status == 0


@on_both_loops
async def test_a_wrong_name_in_the_certificate_is_found_where_it_is_and_said_in_one_line() -> None:
    async with (
        fleet() as here,
        backend(echo, tls=here.ca.server(SHOP)) as right,
        backend(echo, tls=here.ca.server("www.example.com", "*.shop.example.com")) as wrong,
    ):
        here.placed("east", "west")
        here.leads("east", right)
        here.leads("west", wrong)
        try:
            await spoken(here.members["west"].address, tls=here.ca.client())
        except ssl.SSLCertVerificationError as error:
            assert "shop.example.com" in error.verify_message
        else:
            raise AssertionError("a client takes a certificate for another name")
        for trusting in (True, False):  # a CA that is not known here hides no wrong name
            status, rows, _ = await here.says(trusting=trusting)
            assert status == 1
            assert rows[1] == [
                "west",
                "WrongName",
                "its certificate is for www.example.com, *.shop.example.com, not for shop.example.com; "
                "have one made that names it",
            ]
            assert rows[0][:2] == ["east", "Good" if trusting else "NotBelieved"]


@on_both_loops
async def test_a_common_name_does_not_do_for_the_command_either() -> None:
    async with fleet() as here, backend(echo, tls=here.ca.server(common_name=SHOP)) as there:
        here.placed("east")
        here.leads("east", there)
        status, rows, _ = await here.says()
        assert (status, rows[0][:2]) == (1, ["east", "WrongName"])


@on_both_loops
async def test_an_override_gives_a_cluster_a_name_of_its_own() -> None:
    patch = {"op": "replace", "path": "/metadata/annotations/meshctl.dev~1public", "value": f"https={EU}"}
    async with fleet() as here, backend(echo, tls=here.ca.server(SHOP)) as there:
        here.placed("east", "west", override={"clusters": ["west"], "patch": [patch]})
        here.leads("east", there)
        west = here.members["west"]
        west.table = replace(west.table, public={EU: Way((there,))})
        status, rows, _ = await here.says()
        assert (status, [row[:2] for row in rows]) == (1, [["west", "WrongName"], ["east", "Good"]])
        assert f"not for {EU};" in rows[0][2]


@on_both_loops
async def test_a_gateway_in_front_passes_the_name_on_to_the_members_gateway() -> None:
    async with (
        fleet() as here,
        ingress(FakeClusterset(), "north") as front,
        backend(echo, tls=here.ca.server(SHOP)) as there,
    ):
        here.placed("east")
        here.leads("east", there)
        front.table = replace(front.table, public={SHOP: Way((here.members["east"].address,))})
        assert await spoken(front.address, tls=here.ca.client()) == b"hello"
        status, rows, _ = await here.says("--through", f"{front.address.host}:{front.address.port}")
        assert (status, [row[:2] for row in rows]) == (0, [["", "Good"], ["east", "Good"]])
        here.leads("east")
        status, rows, _ = await here.says("--through", f"{front.address.host}:{front.address.port}")
        assert (status, [row[:2] for row in rows]) == (1, [["", "Closed"], ["east", "Closed"]])


@on_both_loops
async def test_in_a_member_a_stream_to_the_service_carries_the_same_tls_by_the_same_name() -> None:
    clusterset = FakeClusterset()
    async with (
        fleet() as here,
        backend(echo, tls=here.ca.server(SHOP)) as there,
        ingress(clusterset, "east", endpoints=(there,)) as far,
        egress(clusterset, {"east": (far.address,)}, cluster="west") as near,
    ):
        here.placed("east")
        here.leads("east", there)
        assert await spoken(Address("127.0.0.1", near.port), tls=here.ca.client()) == b"hello"
        status, rows, _ = await here.says("--through", f"127.0.0.1:{near.port}")
        assert (status, rows[0][:2]) == (0, ["", "Good"])


@on_both_loops
async def test_each_way_in_which_a_name_is_not_had_has_its_word() -> None:
    ca = ApplicationCa()
    ended = ca.server(SHOP, ends=datetime.now(UTC) - HOUR)
    async with (
        backend(echo, tls=ended) as old,
        backend(echo, tls=ca.server(common_name=SHOP)) as nameless,
        backend(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as plain,
        backend(echo, tls=ApplicationCa().server(SHOP)) as strange,
        ingress(FakeClusterset()) as closed,
    ):
        nobody = Address("127.0.0.1", free_port())
        asked = (old, nameless, plain, strange, closed.address, nobody)
        targets = [Target(SHOP, "east", PeerGateway(host=one.host, port=one.port)) for one in asked]
        targets.append(Target(SHOP, "east", PeerGateway(host=f"{'a' * 64}.example", port=1)))
        found = await handshakes(targets, context=ca.client(), limit=LATER)
        assert [(one.verdict, one.why.partition(";")[0].partition(":")[0]) for one in found[1:]] == [
            (Verdict.WRONG_NAME, f"its certificate is for no DNS name at all, not for {SHOP}"),
            (Verdict.CLOSED, "no handshake"),
            (Verdict.NOT_BELIEVED, "its certificate is not believed"),
            (Verdict.CLOSED, "it closed without a certificate"),
            (Verdict.SILENT, "nobody listens there"),
            (Verdict.SILENT, "no way there"),
        ]
        assert found[0].verdict is Verdict.NOT_IN_TIME
        assert "has ended" in found[0].why
        assert all(one.why.isprintable() and len(one.why) < 300 for one in found)


@on_both_loops
async def test_who_says_nothing_is_waited_for_no_longer_than_the_limit() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.read(1 << 20)
        await reader.read()

    async with backend(silent) as there:
        target = Target(SHOP, "east", PeerGateway(host=there.host, port=there.port))
        (found,) = await handshakes([target], context=ApplicationCa().client(), limit=0.2)
        assert found == Found(
            Verdict.SILENT, "no answer within 0.2 s; see that it is up and can be reached from here"
        )


@on_both_loops
async def test_manifests_that_no_gateway_can_follow_are_told_with_the_cluster() -> None:
    async with fleet() as here:
        here.placed("east", public="https=*.example.com")
        status, rows, faults = await here.says()
        assert (status, rows) == (1, [])
        assert faults[0].startswith("east: the export shop/checkout is withheld: the annotation")
