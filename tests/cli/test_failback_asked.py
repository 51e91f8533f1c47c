"""`meshctl failback`: who may be asked, and what stands on the Placement then."""

from pathlib import Path

from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_placement.names import ANNOTATION_FAILBACK

GROUP = "placement.meshctl.dev/v1alpha1"


def hub() -> ObjectServer:
    server = ObjectServer()
    for name, mode in (("checkout", "Manual"), ("cart", "Auto")):
        spec = {"clusterSets": ["prod"], "failover": {"failback": {"mode": mode}}}
        server.put(GROUP, "placements", {"metadata": {"name": name, "namespace": "shop"}, "spec": spec})
    meta = {"name": "east"}
    server.put(GROUP, "clusterregistrations", {"metadata": meta, "spec": {"clusterSet": "prod"}})
    return server


def asked(server: ObjectServer, tmp_path: Path, *words: str) -> Result:
    with served(server):
        config = write_kubeconfig(tmp_path / "config", servers={"hub": server.url}, current="hub")
        return CliRunner().invoke(command, ["--kubeconfig", str(config), "failback", *words])


def wish(server: ObjectServer, name: str) -> str:
    found = server.get("placements", name)
    return str(found["metadata"].get("annotations", {}).get(ANNOTATION_FAILBACK, ""))


def test_a_wish_stands_on_the_placement_with_its_time_and_its_cluster(tmp_path: Path) -> None:
    server = hub()
    found = asked(server, tmp_path, "shop/checkout", "--to", "east")
    assert (found.exit_code, wish(server, "checkout").split()[1:]) == (0, ["east"])
    assert "asked for" in found.output
    assert asked(server, tmp_path, "shop/checkout").exit_code == 0
    assert len(wish(server, "checkout").split()) == 1


def test_who_cannot_be_asked_says_why_and_nothing_is_written(tmp_path: Path) -> None:
    server = hub()
    for words, why in (
        (("shop/cart",), "failback.mode Auto"),
        (("shop/other",), "no Placement shop/other"),
        (("shop/checkout", "--to", "moon"), "no cluster moon"),
    ):
        found = asked(server, tmp_path, *words)
        assert found.exit_code != 0
        assert why in str(found.exception)
    assert (wish(server, "cart"), wish(server, "checkout")) == ("", "")
