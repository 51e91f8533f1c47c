"""The score of `make test-faults` can be bad: what is not named is missed, what is green is shown green."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from faults.ground import Ground
from faults.scoring import Fault, Row, as_json, table, tried
from mesh_fakes.bed import Bed
from mesh_fakes.clusters import bare_cluster, make_member
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig

PLACE = ("east", "MESH-API-005")
Made = Callable[[Ground], AbstractContextManager[object]]


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[ObjectServer, Ground]]:
    """A member whose namespace holds pods to the restricted profile."""
    server = bare_cluster("east")
    make_member(server, cluster="east", root=FakeClusterset().roots[0])
    _labelled(server, "restricted")
    with served(server) as running:
        write_kubeconfig(folder / "kubeconfig", servers={"east": running.url}, current="east")
        yield server, Ground(Bed(folder))


def _labelled(server: ObjectServer, profile: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": profile}
    server.put("v1", "namespaces", {"metadata": {"name": "meshctl-system", "labels": labels}})


def fault(made: Made, *, words: tuple[str, ...] = ("",)) -> Fault:
    return Fault("a profile", (PLACE,), made, words, contexts=("east",))


@pytest.mark.parametrize(("word", "found"), [("'privileged'", "east MESH-API-005"), ("'baseline'", "")])
def test_a_fault_counts_as_named_by_its_own_check_and_its_own_words_alone(
    tmp_path: Path, word: str, found: str
) -> None:
    with cluster(tmp_path) as (server, ground):

        @contextmanager
        def made(_ground: Ground) -> Iterator[None]:
            _labelled(server, "privileged")
            yield
            _labelled(server, "restricted")

        row = tried(ground, fault(made, words=(word,)), limit=0.5, mended=0.0)
    assert (row.found, row.status) == (found, 1)


def test_a_fault_of_which_nothing_is_said_is_missed(tmp_path: Path) -> None:
    with cluster(tmp_path) as (_server, ground):
        row = tried(ground, fault(lambda _ground: nullcontext()), limit=0.5, mended=0.0)
    assert row.found == ""
    assert "MISSED" in table([row])
    assert "0 of 1 faults named" in table([row])


def test_what_is_broken_and_said_to_be_well_is_green_in_the_table_whatever_is_named() -> None:
    row = Row("x", "east MESH-API-005", "a warning", 0, 1.0, (), breaks=True, mended=True)
    assert row.is_green
    assert "GREEN" in table([row])
    assert "1 of 1 faults named by the right check (100 %), 1 green" in table([row])
    assert json.loads(as_json([row]))["named"] == 1
