"""`meshctl local` as a person meets it, without clusters: what is refused, said and passed on."""

import json
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_cli.local.render import set_as_json, set_as_text
from mesh_cli.local.verb import command
from mesh_core.errors import MeshError
from mesh_local.errors import NotThere, Occupied
from mesh_local.kubectl import kubectl_command
from mesh_local.layout import files_in
from mesh_local.leftovers import find_leftovers
from mesh_local.names import names_of
from mesh_local.plan import Request
from mesh_local.set_state import Phase, SetState, read_state, write_state
from mesh_local.status import ClusterStatus, NodeStatus, SetStatus

STATE = SetState(
    request=Request(clusters=("east", "west"), nodes=2),
    subnet="172.31.9.0/24",
    phase=Phase.UP,
    binaries="PATH",
    kubectl=("/opt/bin/hyper", "kubectl"),
)


def run(*arguments: str) -> Result:
    """In a thread: a verb starts an event loop of its own, and this one's belongs to pytest's plug-ins."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(CliRunner().invoke, command, arguments).result()


def complaint(result: Result) -> str:
    """The one line that `main` would print."""
    assert isinstance(result.exception, MeshError), result.output
    return str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--clusters", "East"], "'East' cannot name a cluster"),
        (["--clusters", "a,b,a"], "'a' would name two things"),
        (["--clusters", " , "], "no cluster was named"),
        (["--clusters", ",".join(f"c{n}" for n in range(21))], "21 clusters are too many"),
        (["--nodes", "9"], "cannot have 9 nodes"),
        (["--light", "--flat"], "a light cluster"),
    ],
)
def test_up_refuses_what_cannot_be_made_and_makes_nothing(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    folder = tmp_path / "set"
    assert says in complaint(run("up", "--dir", str(folder), *arguments))
    assert not folder.exists()


@pytest.mark.parametrize("arguments", [["up", "--nodes", "many"], ["load"], ["image", "other"], ["sideways"]])
def test_wrong_usage_is_a_matter_between_click_and_the_user(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("verb", [["kubeconfig"], ["kubectl", "--"], ["load", __file__]])
def test_verbs_that_need_a_set_say_where_none_is(tmp_path: Path, verb: list[str]) -> None:
    name, *rest = verb
    said = complaint(run(name, "--dir", str(tmp_path), *rest))
    assert said.startswith(f"there are no local clusters in {tmp_path}")


def test_status_without_a_set_is_an_answer_and_no_error(tmp_path: Path) -> None:
    result = run("status", "--dir", str(tmp_path))
    assert (result.exit_code, result.output) == (0, f"there are no local clusters in {tmp_path}\n")
    assert json.loads(run("status", "--dir", str(tmp_path), "-o", "json").output) == {"clusters": []}


def test_what_was_written_down_of_a_set_is_read_back(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    write_state(STATE, files=files)
    assert read_state(files) == STATE
    assert STATE.plan.subnet == IPv4Network("172.31.9.0/24")
    assert run("kubeconfig", "--dir", str(tmp_path)).output == f"{tmp_path}/kubeconfig\n"


def test_a_state_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    files_in(tmp_path).state.write_text("{")
    with pytest.raises(Occupied, match=f"meshctl local down --dir {tmp_path}"):
        read_state(files_in(tmp_path))


def test_kubectl_gets_all_arguments_and_talks_to_the_first_cluster(tmp_path: Path) -> None:
    write_state(STATE, files=files_in(tmp_path))
    arguments = ["exec", "pod", "-it", "--", "sh", "-c", "ls --all"]
    argv = kubectl_command(arguments, cluster=None, folder=tmp_path)
    where = [f"--kubeconfig={tmp_path}/kubeconfig", "--context=east"]
    assert argv == ["/opt/bin/hyper", "kubectl", *where, *arguments]
    assert "--context=west" in kubectl_command([], cluster="west", folder=tmp_path)


def test_a_cluster_that_the_set_does_not_have_is_named_with_those_it_has(tmp_path: Path) -> None:
    write_state(STATE, files=files_in(tmp_path))
    with pytest.raises(NotThere, match="there is no cluster 'north'; use one of: east, west"):
        kubectl_command([], cluster="north", folder=tmp_path)
    said = complaint(run("load", __file__, "--cluster", "north", "--dir", str(tmp_path)))
    assert said == "there is no cluster 'north'; use one of: east, west"


def test_load_wants_a_file(tmp_path: Path) -> None:
    said = complaint(run("load", str(tmp_path / "no.tar"), "--dir", str(tmp_path)))
    assert said.startswith(f"{tmp_path}/no.tar is no file")


def test_nothing_is_taken_for_a_sets_rest_that_has_not_its_marks(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    (tmp_path / "kubeconfig").write_text("somebody's")
    (tmp_path / "east").mkdir()
    assert not find_leftovers(names_of(tmp_path), files=files)
    (tmp_path / "east" / ".meshctl-local").touch()
    assert find_leftovers(names_of(tmp_path), files=files).files == (tmp_path / "east", files.kubeconfig)


def test_a_clusters_folder_that_could_not_be_marked_in_time_is_the_sets(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    write_state(STATE, files=files)
    (tmp_path / "west").mkdir()
    (tmp_path / "other").mkdir()
    assert find_leftovers(names_of(tmp_path), files=files).files == (tmp_path / "west", files.state)


def node(name: str, *, running: bool = True, **components: bool) -> NodeStatus:
    return NodeStatus(
        name=name,
        address="172.31.0.11",
        namespace=Path("/run/meshctl-abc123/netns") / name,
        running=running,
        components=components,
    )


def status(*nodes: NodeStatus, ready: bool) -> SetStatus:
    cluster = ClusterStatus(name="east", server="https://172.31.0.11:6443", ready=ready, nodes=nodes)
    return SetStatus(
        folder=Path("/srv/set"),
        kubeconfig=Path("/srv/set/kubeconfig"),
        phase=Phase.UP,
        subnet="172.31.0.0/24",
        flat=False,
        light=False,
        binaries="PATH",
        clusters=(cluster,),
    )


def test_a_set_that_is_whole_is_shown_with_the_way_to_it() -> None:
    assert set_as_text(status(node("east", etcd=True), node("east-2", kubelet=True), ready=True)) == (
        "CLUSTER   API SERVER                 API     NODE     ADDRESS       STATE\n"
        "east      https://172.31.0.11:6443   ready   east     172.31.0.11   up\n"
        "east      -                          -       east-2   172.31.0.11   up\n"
        "\n"
        "kubeconfig: /srv/set/kubeconfig\n"
    )


def test_what_does_not_run_is_named_with_the_way_to_mend_it() -> None:
    text = set_as_text(status(node("east", etcd=False), node("east-2", running=False), ready=False))
    assert "without etcd" in text
    assert "down" in text
    assert text.endswith("`meshctl local up` with the same arguments repairs it\n")


def test_the_json_says_of_every_server_whether_it_runs() -> None:
    document = json.loads(set_as_json(status(node("east", etcd=True, kubelet=False), ready=False)))
    assert document["whole"] is False
    (cluster,) = document["clusters"]
    assert cluster["nodes"][0]["components"] == {"etcd": True, "kubelet": False}
    assert cluster["nodes"][0]["networkNamespace"] == "/run/meshctl-abc123/netns/east"
