"""Zone hints: all ready endpoints of a shadow Service have one, or none has (ruling 21)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from mesh_core.names import LABEL_KUBERNETES_SERVICE
from mesh_core.objects import Endpoint, EndpointSlice
from mesh_core.record import ExportRecord, ShardEndpoint, ShardPort
from mesh_core.topology import ELSEWHERE
from mesh_fakes.exports import endpoint, record, shard
from mesh_fakes.import_scene import ImportScene
from mesh_runtime.kube import ENDPOINT_SLICES

HTTP = (ShardPort(port=8080, name="http"),)


def near(cluster: str, *, distribution: str | None = "PreferClose", scope: str = "cloud/eu") -> ExportRecord:
    return structs.replace(record(cluster), traffic_distribution=distribution, zone_scope=scope)


def scene_of(
    *pods: Endpoint, distribution: str | None = "PreferClose", scope: str = "cloud/eu"
) -> ImportScene:
    """East with pods, its neighbour north with one in zone b, and west behind the gateways."""
    scene = ImportScene(neighbours=frozenset({"north"}))
    scene.records = {
        "east": near("east", distribution=distribution),
        "north": near("north", distribution=distribution, scope=scope),
        "west": near("west", distribution=distribution),
    }
    scene.shards = [shard("north", ShardEndpoint(address="10.3.0.1", zone="b"), ports=HTTP)]
    scene.has_pods(*pods)
    scene.settle()
    return scene


def listed(scene: ImportScene) -> list[Endpoint]:
    """What kube-proxy sees."""
    pieces: list[EndpointSlice] = [s for s in scene.slices if LABEL_KUBERNETES_SERVICE in s.metadata.labels]
    return [one for piece in pieces for one in piece.endpoints or ()]


def zones(scene: ImportScene) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for one in listed(scene):
        hints = one.hints.for_zones if one.hints is not None else None
        found[one.addresses[0]] = hints[0].name if hints else None
    return found


def test_ours_keep_their_zone_a_neighbour_of_the_same_region_too_and_gateways_are_elsewhere() -> None:
    scene = scene_of(endpoint("10.2.0.1", zone="a"), endpoint("10.2.0.2", zone="b"))
    assert zones(scene) == {
        "10.2.0.1": "a",
        "10.2.0.2": "b",
        "10.3.0.1": "b",
        "10.1.0.8": ELSEWHERE,
        "10.1.0.9": ELSEWHERE,
    }


def test_our_own_zones_need_no_name_of_a_region_to_be_ours() -> None:
    scene = ImportScene(records={"east": near("east", scope="")})
    scene.has_pods(endpoint("10.2.0.1", zone="a"))
    scene.settle()
    assert zones(scene) == {"10.2.0.1": "a"}


@pytest.mark.parametrize("scope", ["", "cloud/us"])
def test_a_zone_of_another_region_or_of_none_is_elsewhere_whatever_its_name(scope: str) -> None:
    scene = scene_of(endpoint("10.2.0.1", zone="b"), scope=scope)
    assert zones(scene)["10.3.0.1"] == ELSEWHERE


@pytest.mark.parametrize("distribution", ["PreferClose", "PreferSameZone", "PreferSameNode"])
def test_each_wish_to_stay_near_gives_hints(distribution: str) -> None:
    scene = scene_of(endpoint("10.2.0.1", zone="a"), distribution=distribution)
    assert None not in zones(scene).values()


@pytest.mark.parametrize(
    ("pods", "distribution"),
    [
        ([endpoint("10.2.0.1", zone="a")], None),
        ([endpoint("10.2.0.1", zone="a"), endpoint("10.2.0.2")], "PreferClose"),
        ([endpoint("10.2.0.1", zone="a", ready=False)], "PreferClose"),
        ([], "PreferClose"),
    ],
    ids=["nobody asks", "one has no zone", "none is ready", "no pods"],
)
def test_otherwise_nobody_has_a_hint(pods: list[Endpoint], distribution: str | None) -> None:
    assert set(zones(scene_of(*pods, distribution=distribution)).values()) == {None}


def test_hints_of_the_source_slices_are_not_taken_over() -> None:
    """The EndpointSlice controller wrote them for another Service, whose endpoints are others."""
    scene = scene_of(endpoint("10.2.0.1", zone="a"), distribution=None)
    scene.api.put(
        ENDPOINT_SLICES,
        {
            "metadata": {"namespace": "demo", "name": "hello-abcde"},
            "endpoints": [{"addresses": ["10.2.0.1"], "hints": {"forZones": [{"name": "a"}]}}],
        },
    )
    scene.settle()
    assert zones(scene)["10.2.0.1"] is None


pods = st.lists(
    st.builds(
        endpoint,
        st.integers(1, 200).map("10.2.0.{}".format),
        ready=st.booleans(),
        zone=st.sampled_from([None, "a", "b"]),
    ),
    max_size=4,
    unique_by=lambda one: one.addresses[0],
)


@settings(max_examples=40, deadline=None)
@given(before=pods, after=pods, distribution=st.sampled_from([None, "PreferClose"]))
def test_all_ready_endpoints_have_a_hint_or_none_has(
    before: list[Endpoint], after: list[Endpoint], distribution: str | None
) -> None:
    """kube-proxy heeds none as soon as one is missing."""
    scene = scene_of(*before, distribution=distribution)
    for found in (before, after):
        scene.has_pods(*found)
        scene.settle()
        assert len({one.hints is None for one in listed(scene) if one.is_ready}) <= 1
