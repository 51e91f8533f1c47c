"""What foreign tools read of a member."""

import base64
from datetime import UTC, datetime, timedelta

import msgspec

from mesh_core.objects import Condition, Meta
from mesh_placement.decide.profile import HubAddress, profile_labels, profile_spec, profile_status
from mesh_placement.objects import (
    AgentReport,
    ClusterProfile,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    NamedValue,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HUB = HubAddress(server="https://hub.example:6443/", ca="PEM")
CONDITIONS = (
    Condition(type="Available", status="True", reason="LeaseFresh"),
    Condition(type="Joined", status="True", reason="LeaseRenewed"),
    Condition(type="Ready", status="False", reason="GateNotMet", message="not met: a"),
)


def registration(*properties: NamedValue) -> ClusterRegistration:
    report = AgentReport(kubernetes="v1.37.0", properties=properties)
    return ClusterRegistration(
        metadata=Meta(name="east"),
        spec=ClusterRegistrationSpec(cluster_set="prod"),
        status=ClusterRegistrationStatus(agent=report, conditions=CONDITIONS),
    )


REGION = NamedValue(name="region.topology.meshctl.dev", value="eu-1")


def test_a_profile_shows_version_properties_health_and_the_way_over_the_hub() -> None:
    status = profile_status(registration(REGION), before=None, hub=HUB, now=NOW)
    assert status.version.kubernetes == "v1.37.0"
    assert [(one.name, one.value) for one in status.properties] == [(REGION.name, "eu-1")]
    assert {one.type: one.status for one in status.conditions} == {
        "ControlPlaneHealthy": "True",
        "Joined": "True",
        "Ready": "False",
        "PropertiesComplete": "True",
    }
    (way,) = status.access_providers
    path = "/apis/access.meshctl.dev/v1alpha1/clusters/east/proxy"
    assert way.cluster.server == f"https://hub.example:6443{path}"
    assert base64.b64decode(way.cluster.certificate_authority_data) == b"PEM"
    assert profile_labels(registration())["x-k8s.io/cluster-manager"] == "clusterset-mesh"
    assert profile_spec(registration()).cluster_manager.name == "clusterset-mesh"


def test_a_hub_that_nobody_has_given_an_address_shows_no_way() -> None:
    assert profile_status(registration(), before=None, hub=None, now=NOW).access_providers == ()


def test_looking_again_later_changes_nothing() -> None:
    first = profile_status(registration(REGION), before=None, hub=HUB, now=NOW)
    known = ClusterProfile(metadata=Meta(name="east"), spec=profile_spec(registration()), status=first)
    later = NOW + timedelta(days=1)
    assert profile_status(registration(REGION), before=known, hub=HUB, now=later) == first
    moved = msgspec.structs.replace(REGION, value="eu-2")
    (seen,) = profile_status(registration(moved), before=known, hub=HUB, now=later).properties
    assert (seen.value, seen.last_observed_time) == ("eu-2", "2026-01-02T12:00:00Z")


def test_what_no_profile_can_hold_is_left_out_and_named() -> None:
    long = NamedValue(name="long.example.com", value="x" * 1025)
    empty = NamedValue(name="empty.example.com", value="")
    status = profile_status(registration(REGION, long, empty), before=None, hub=HUB, now=NOW)
    assert [one.name for one in status.properties] == [REGION.name]
    (told,) = [one for one in status.conditions if one.type == "PropertiesComplete"]
    assert (told.status, told.reason) == ("False", "PropertyTooLarge")
    assert "empty.example.com, long.example.com" in told.message
