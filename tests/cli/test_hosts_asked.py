"""`meshctl explain hosts`: whom it asks for what, what it shows, and what it needs of the hub."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh_cli.main import command
from mesh_cli.member.addresses import BadAddress
from mesh_cli.placement.explain_hosts import Member, NoHostNames, Row, as_text, targets
from mesh_cli.placement.hosts_trying import Target
from mesh_cli.placement.hosts_verdict import Found, Verdict
from mesh_core.errors import MeshError, UserError
from mesh_core.objects import PeerGateway
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_placement.decide.host_names import HostName, HostNames
from mesh_placement.names import placed_name

GROUP = "placement.meshctl.dev/v1alpha1"
NAME = placed_name("shop", name="checkout")


def gateway(number: int) -> PeerGateway:
    return PeerGateway(host=f"192.0.2.{number}", port=15443)


def test_two_gateways_of_each_cluster_are_asked_and_what_is_in_front_for_every_name() -> None:
    def names(*hosts: str) -> HostNames:
        return HostNames(tuple(HostName(host, "shop", "web", 443) for host in hosts), ())

    members = [
        Member("east", tuple(map(gateway, (1, 2, 3))), names("a.example", "b.example")),
        Member("west", (gateway(4),), names("b.example")),
        Member("moon", (), names("c.example")),
    ]
    assert targets(members, fronts=(gateway(9),)) == [
        Target("a.example", "east", gateway(1)),
        Target("a.example", "east", gateway(2)),
        Target("b.example", "east", gateway(1)),
        Target("b.example", "east", gateway(2)),
        Target("b.example", "west", gateway(4)),
        Target("a.example", "", gateway(9)),
        Target("b.example", "", gateway(9)),
        Target("c.example", "", gateway(9)),
    ]


def test_each_answer_is_a_line_and_below_them_stands_what_is_wrong_with_the_manifests() -> None:
    rows = [Row("a.example", "east", "192.0.2.1:15443", Found(Verdict.GOOD, "until 2027-01-01T00:00:00Z"))]
    assert as_text(rows, ["west: nothing was given to it yet"]).splitlines() == [
        "HOST        CLUSTER   AT                VERDICT   WHY",
        "a.example   east      192.0.2.1:15443   Good      until 2027-01-01T00:00:00Z",
        "",
        "west: nothing was given to it yet",
    ]
    assert as_text([], ["west: x"]) == "west: x\n"


def hub(*, placed: bool = True, public: str = "", gateways: tuple[str, ...] = ()) -> ObjectServer:
    server = ObjectServer()
    clusters = [{"cluster": "east"}] if placed else []
    body = {
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"clusterSets": ["prod"]},
        "status": {"clusters": clusters},
    }
    server.put(GROUP, "placements", body)
    network = {"gateways": [{"host": host, "port": 15443} for host in gateways]}
    status = {"namespace": "cluster-east", "agent": {"network": network}}
    meta = {"name": "east"}
    spec = {"clusterSet": "prod"}
    server.put(GROUP, "clusterregistrations", {"metadata": meta, "spec": spec, "status": status})
    if not public:
        return server
    there = {"name": NAME, "namespace": "cluster-east"}
    server.put(GROUP, "assignments", {"metadata": there, "spec": {"works": [NAME]}})
    export = {
        "apiVersion": "multicluster.x-k8s.io/v1beta1",
        "kind": "ServiceExport",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {"meshctl.dev/public": public}},
    }
    work = {"metadata": there, "spec": {"workload": {"manifests": [export]}}}
    server.put("multicluster.x-k8s.io/v1alpha1", "works", work)
    return server


def asked(server: ObjectServer, tmp_path: Path, *words: str) -> tuple[int, str]:
    with served(server):
        config = write_kubeconfig(tmp_path / "config", servers={"hub": server.url}, current="hub")
        line = ["--kubeconfig", str(config), "explain", "hosts", "shop/checkout", *words]
        result = CliRunner().invoke(command, line, standalone_mode=False)
    if isinstance(result.exception, MeshError):
        raise result.exception
    assert result.exception is None, result.exception
    return int(result.return_value), result.stdout


def test_what_cannot_be_asked_says_why_in_one_line(tmp_path: Path) -> None:
    for server, words, error, why in (
        (ObjectServer(), (), UserError, "no Placement shop/checkout"),
        (hub(placed=False), (), UserError, "is not in any cluster"),
        (hub(), ("--cluster", "moon"), UserError, "is not in moon"),
        (hub(public="443=a.example"), ("--through", "nowhere"), BadAddress, "'nowhere'"),
        (hub(), ("--ca-file", str(tmp_path / "none")), UserError, "holds no CA certificates"),
    ):
        with pytest.raises(error, match=why) as found:
            asked(server, tmp_path, *words)
        assert "\n" not in str(found.value)


def test_a_placement_that_brings_no_name_says_how_to_bring_one(tmp_path: Path) -> None:
    server = hub(public="443=a.example")
    server.remove("works", NAME)
    with pytest.raises(NoHostNames, match=r"annotate a ServiceExport in it with meshctl\.dev/public"):
        asked(server, tmp_path)


def test_a_cluster_that_tells_of_no_gateway_or_was_given_nothing_yet_is_not_good(tmp_path: Path) -> None:
    status, output = asked(hub(public="443=a.example"), tmp_path)
    assert (status, output.splitlines()[1].split()[:4]) == (1, ["a.example", "east", "-", "NoGateway"])
    status, output = asked(hub(), tmp_path)
    assert (status, output) == (1, "east: nothing was given to it yet; ask again in a moment\n")


@pytest.mark.parametrize("address", ["\x1b[2J.example", "a b", "-", "192.0.2.1:1", ""])
def test_what_a_member_tells_that_is_no_address_is_neither_dialled_nor_shown(
    address: str, tmp_path: Path
) -> None:
    status, output = asked(hub(public="443=a.example", gateways=(address,)), tmp_path)
    assert (status, output.splitlines()[1].split()[:4]) == (1, ["a.example", "east", "-", "NoGateway"])
    assert "\x1b" not in output
