"""What the scheduler is asked at the command line: what would be if, what would be placed, what was seen."""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mesh_cli.main import command
from mesh_core.conditions import rfc3339
from mesh_fakes.commands import Meshctl, complaint, done
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_placement.names import CAPACITY, LINKS
from mesh_placement.schedule.plugins import FILTER_GROUP
from mesh_runtime.clock import utc_now

GROUP = "placement.meshctl.dev/v1alpha1"
LONG_AGO = "2026-01-01T00:00:00Z"
CONFIDENTIAL = "hunter2"

# Any: JSON.
Json = dict[str, Any]


def shown(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def placement(name: str, *, replicas: int = 2, **status: Any) -> Json:
    pod = {
        "containers": [
            {
                "name": "app",
                "env": [{"name": "PASSWORD", "value": CONFIDENTIAL}],
                "resources": {"requests": {"cpu": "1"}},
            }
        ]
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "template": {"spec": pod}},
    }
    return {
        "apiVersion": GROUP,
        "kind": "Placement",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "clusterSets": ["prod"],
            "manifests": [deployment],
            "clusters": {"count": 1},
            "replicas": {"policy": "Divide"},
            "require": {"services": [{"name": "pay", "maxRTT": "40ms"}]},
        },
        "status": status,
    }


def add_cluster(server: ObjectServer, name: str, *, rtt: float, exports: int = 0) -> None:
    space = f"cluster-{name}"
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": LONG_AGO}
    server.put(
        GROUP,
        "clusterregistrations",
        {
            "metadata": {"name": name},
            "spec": {"clusterSet": "prod", "accepted": True},
            "status": {
                "phase": "Ready",
                "namespace": space,
                "conditions": [ready],
                "agent": {"apis": ["v1", "apps/v1"]},
            },
        },
    )
    room = {"cpu": "8", "memory": "8Gi", "pods": "100"}
    capacity = {
        "total": room,
        "available": room,
        "continuous": room,
        "shapes": [{"count": 1, "free": room, "nodeLabelsHash": ""}],
        "nodes": 1,
        "namespaces": ["shop"],
    }
    server.put(
        GROUP,
        "clustercapacities",
        {"metadata": {"name": CAPACITY, "namespace": space}, "status": capacity},
    )
    peers = [
        {"cluster": other, "state": "Up", "rttMs": {"ewma": rtt, "p50": rtt, "p99": rtt}}
        for other in ("east", "pay", "west")
        if other != name
    ]
    told = {"peers": peers, "exports": [{"service": "shop/pay", "ready": exports}] if exports else []}
    server.put(GROUP, "clusterlinks", {"metadata": {"name": LINKS, "namespace": space}, "status": told})


@pytest.fixture
def hub() -> ObjectServer:
    """Two clusters from which `pay` can be called, and the one that has it."""
    server = ObjectServer()
    server.put(GROUP, "clustersets", {"metadata": {"name": "prod"}, "spec": {}})
    server.put("scheduling.k8s.io/v1", "priorityclasses", {"metadata": {"name": "critical"}, "value": 1000})
    for name, rtt, exports in (("east", 10.0, 0), ("west", 20.0, 0), ("pay", 15.0, 1)):
        add_cluster(server, name, rtt=rtt, exports=exports)
    where = {"cluster": "east", "replicas": 2, "ready": 2, "since": LONG_AGO}
    body = placement("checkout", revision=1, observedGeneration=1, wanted=2, clusters=[where])
    server.put(GROUP, "placements", body)
    return server


@pytest.fixture
def meshctl(hub: ObjectServer, tmp_path: Path) -> Iterator[Meshctl]:
    with served(hub):
        config = write_kubeconfig(tmp_path / "config", servers={"hub": hub.url}, current="hub")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(config), *words], standalone_mode=False)

        yield run


def write(path: Path, *manifests: Json) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def test_what_if_shows_the_clusters_of_which_the_scheduler_would_say_something_else(meshctl: Meshctl) -> None:
    changes = ("--what-if", "link east->pay down")
    output = done(meshctl("explain", "placement", "shop/checkout", *changes))
    head, _, rows = output.partition("\n\n")
    assert head == shown(
        """
        shop/checkout: east=2; if link east->pay down: east=2, pay=2
        held: east stays until what comes instead serves
        because: east: PathDown (pay: east -> pay)"""
    )
    why = ("ServiceReach: PathDown", "pay: east -> pay", "1 reachable exporter")
    assert [re.split(" {3,}", row) for row in rows.splitlines()] == [
        ["CLUSTER", "REPLICAS", "THEN", "VERDICT", "THEN", "WHY", "FOUND", "ASKED FOR"],
        ["east", "2", "2", "Selected", "Held", *why],
        ["pay", "-", "2", "Outranked", "Selected", "-", "-", "-"],
    ]
    one = done(meshctl("explain", "placement", "shop/checkout", *changes, "--cluster", "pay"))
    assert one.splitlines()[-1].startswith("pay ")
    assert "\neast " not in one


def test_what_is_placed_by_selectors_is_not_guessed_at(meshctl: Meshctl, hub: ObjectServer) -> None:
    body = placement("web", revision=1, observedGeneration=1, clusters=[{"cluster": "east", "replicas": 2}])
    selector = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    body["spec"] |= {"manifests": [], "resourceSelectors": [selector]}
    hub.put(GROUP, "placements", body)
    output = done(meshctl("explain", "placement", "shop/checkout", "--what-if", "link east->pay down"))
    assert "shop/web" not in output
    asked = meshctl("explain", "placement", "shop/web", "--what-if", "link east->pay down")
    assert "does not decide about shop/web" in str(asked.exception)


def test_what_if_takes_several_changes_and_speaks_json(meshctl: Meshctl) -> None:
    changes = ("--what-if", "cluster east down", "--what-if", "replicas shop/checkout 3")
    body = json.loads(done(meshctl("explain", "placement", "shop/checkout", *changes, "-o", "json")))
    assert body["whatIf"] == ["cluster east down", "replicas shop/checkout 3"]
    assert [one["cluster"] for one in body["now"]["placed"]] == ["east"]
    assert body["then"]["placed"] == [{"cluster": "pay", "replicas": 3}]
    assert {one["cluster"]: one["code"] for one in body["then"]["clusters"]}["east"]


def test_a_change_of_nothing_changes_nothing(meshctl: Meshctl) -> None:
    output = done(meshctl("explain", "placement", "shop/checkout", "--what-if", "link west->pay up"))
    assert "nothing would change\n" in output


def test_a_cluster_that_is_not_there_is_told_as_that(meshctl: Meshctl) -> None:
    words = ("--what-if", "link east->pay down", "--cluster", "moon")
    assert "the hub has no cluster moon\n" in done(meshctl("explain", "placement", "shop/checkout", *words))


def test_a_plug_in_that_fails_here_is_one_line(
    meshctl: Meshctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "stormy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stormy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{FILTER_GROUP}]\nstorm = stormy:Storm\n")
    rule = "class Storm:\n    name = 'Storm'\n    def reject(self, *asked):\n        return 1 / 0\n"
    (tmp_path / "stormy.py").write_text(rule)
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write(tmp_path / "app.yaml", placement("cart"))
    for words in (
        ("place", "-f", file),
        ("explain", "placement", "shop/checkout", "--what-if", "untaint east x"),
    ):
        assert "the scheduler failed: ZeroDivisionError" in complaint(meshctl(*words))


def test_a_change_that_is_none_says_what_would_be_one(meshctl: Meshctl) -> None:
    assert "'explode east' is no change" in complaint(
        meshctl("explain", "placement", "shop/checkout", "--what-if", "explode east")
    )


def test_a_placement_that_is_not_applied_yet_is_decided_and_nothing_is_written(
    meshctl: Meshctl, hub: ObjectServer, tmp_path: Path
) -> None:
    before = hub.versions()
    file = write(tmp_path / "app.yaml", placement("cart"), {"apiVersion": "v1", "kind": "Namespace"})
    output = done(meshctl("place", "-f", file))
    assert hub.versions() == before
    assert output == shown(
        """
        shop/cart: pay=2
        because: first decision

        CLUSTER   VERDICT     WHY   FOUND   ASKED FOR   SCORE   REPLICAS
        pay       Selected    -     -       -           800     2
        east      Outranked   -     -       -           725     -
        west      Outranked   -     -       -           650     -
        """
    )


def test_a_placement_that_is_there_is_decided_as_if_its_spec_were_the_new_one(
    meshctl: Meshctl, tmp_path: Path
) -> None:
    file = write(tmp_path / "app.yaml", placement("checkout", replicas=5))
    body = json.loads(done(meshctl("place", "-f", file, "-o", "json")))
    (one,) = body["decisions"]
    assert (one["placement"], one["placed"]) == ("shop/checkout", [{"cluster": "east", "replicas": 5}])
    assert body["others"] == []


def test_place_names_whom_it_would_drive_out(meshctl: Meshctl, hub: ObjectServer, tmp_path: Path) -> None:
    left = {"cpu": "0", "memory": "8Gi", "pods": "98"}
    free = {"available": left, "continuous": left, "shapes": [{"count": 1, "free": left}]}
    where = {"name": CAPACITY, "namespace": "cluster-east"}
    hub.put(GROUP, "clustercapacities", {"metadata": where, "status": free})
    big = placement("big")
    big["spec"] |= {
        "clusters": {"names": ["east"]},
        "priority": {"className": "critical", "preemption": "LowerPriority"},
    }
    output = done(meshctl("place", "-f", write(tmp_path / "big.yaml", big)))
    assert "shop/checkout gives up 2 in east\n" in output
    assert output.endswith("\nshop/checkout would change too\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Deployment\napiVersion: apps/v1\n", "there is none"),
        ("", "there is none"),
        ("{", "while parsing"),
        (f"apiVersion: {GROUP}\nkind: Placement\nmetadata: {{}}\nspec: {{clusterSets: [a]}}\n", "no name"),
        (f"apiVersion: {GROUP}\nkind: Placement\nspec: {{clusterSets: 7}}\n", "Expected"),
    ],
)
def test_a_file_without_a_placement_is_refused(
    meshctl: Meshctl, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(text)
    assert words in complaint(meshctl("place", "-f", str(file)))


def test_a_placement_with_a_secret_is_refused_as_the_hub_would(meshctl: Meshctl, tmp_path: Path) -> None:
    body = placement("cart")
    body["spec"]["manifests"] = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}}]
    said = complaint(meshctl("place", "-f", write(tmp_path / "app.yaml", body)))
    assert "shop/cart would be refused" in said
    assert "whoever reads Placements" in said


def test_a_captured_cycle_replays_without_a_hub_and_has_no_manifest_in_it(
    meshctl: Meshctl, hub: ObjectServer, tmp_path: Path
) -> None:
    file = tmp_path / "cycle.json"
    done(meshctl("explain", "placement", "shop/checkout", "--capture", str(file)))
    assert file.stat().st_mode & 0o777 == 0o600
    assert CONFIDENTIAL not in file.read_text()
    output = done(CliRunner().invoke(command, ["explain", "--replay", str(file)], standalone_mode=False))
    assert output == shown(
        """
        shop/checkout: east=2

        CLUSTER   VERDICT     WHY   FOUND   ASKED FOR   SCORE   REPLICAS
        east      Selected    -     -       -           925     2
        pay       Outranked   -     -       -           800     -
        west      Outranked   -     -       -           650     -

        the same as it was decided then
        """
    )


def test_a_file_that_cannot_be_written_is_said_so(meshctl: Meshctl, tmp_path: Path) -> None:
    words = ("--capture", str(tmp_path / "no" / "folder"))
    assert "cannot be written" in complaint(meshctl("explain", "placement", "shop/checkout", *words))


def test_a_replay_says_who_was_decided_otherwise_then(meshctl: Meshctl, tmp_path: Path) -> None:
    file = tmp_path / "cycle.json"
    done(meshctl("explain", "placement", "shop/checkout", "--capture", str(file)))
    body = json.loads(file.read_text())
    body["plan"]["decisions"][0]["cause"] = "another scheduler"
    file.write_text(json.dumps(body))
    assert "was decided otherwise then: shop/checkout" in done(meshctl("explain", "--replay", str(file)))
    again = json.loads(done(meshctl("explain", "--replay", str(file), "-o", "json")))
    assert again["otherwiseThen"] == ["shop/checkout"]


@pytest.mark.parametrize("text", ["", "{}", '{"snapshot": {"now": 1e300}, "plan": {"decisions": []}}'])
def test_a_file_that_is_no_cycle_is_refused(meshctl: Meshctl, tmp_path: Path, text: str) -> None:
    file = tmp_path / "cycle.json"
    file.write_text(text)
    assert "is no stored cycle" in complaint(meshctl("explain", "--replay", str(file)))
    assert "is no stored cycle" in complaint(meshctl("explain", "--replay", str(tmp_path / "none")))


def test_top_shows_the_room_that_decisions_have_taken_and_numbers_do_not_show(
    meshctl: Meshctl, hub: ObjectServer
) -> None:
    fresh = {"cluster": "east", "replicas": 2, "ready": 0, "since": rfc3339(utc_now())}
    where = {"name": "checkout", "namespace": "shop"}
    hub.put(GROUP, "placements", {"metadata": where, "status": {"clusters": [fresh]}})
    hub.remove("clustercapacities", CAPACITY)
    add_cluster(hub, "east", rtt=10.0)
    assert done(meshctl("top", "clusters")) == shown(
        """
        CLUSTER   RESOURCE   TOTAL   AVAILABLE   ON ONE NODE   RESERVED
        east      cpu        8       8           8             2
        east      memory     8Gi     8Gi         8Gi           -
        east      pods       100     100         100           2

        pay: its agent has not told its room yet
        west: its agent has not told its room yet
        """
    )
    east, pay, _ = json.loads(done(meshctl("top", "clusters", "-o", "json")))["clusters"]
    assert east["room"]["reserved"]["cpu"] == "2"
    assert pay["room"] is None
