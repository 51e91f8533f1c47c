"""The table of a hub's clusters, and taints as a person writes them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mesh_cli.clusters.refused_claims import refused_claims
from mesh_cli.clusters.render import clusters_as_json, clusters_as_text, taint_text
from mesh_cli.clusters.survey import ClusterSeen, clusters_seen
from mesh_cli.clusters.taints import (
    EFFECTS,
    BadTaint,
    parse_removal,
    parse_taint,
    taints_patch,
    with_taints,
    without_taints,
)
from mesh_cli.output import as_yaml
from mesh_core.objects import (
    CertificateSigningRequest,
    Condition,
    Lease,
    LeaseSpec,
    Meta,
)
from mesh_core.objects.platform import RequestSpec, RequestStatus
from mesh_placement.names import ANNOTATION_CLUSTER_UID, LABEL_CLUSTER, claim_name
from mesh_placement.objects import (
    AgentReport,
    ClusterCapacity,
    ClusterCapacityStatus,
    ClusterIdentity,
    ClusterLink,
    ClusterLinkStatus,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    LinkToPeer,
    Taint,
)

AT = "2026-05-01T12:00:00Z"
READY = ClusterRegistration(
    metadata=Meta(name="east-1"),
    spec=ClusterRegistrationSpec(
        cluster_set="prod", accepted=True, taints=(Taint(key="slow", effect="NoSchedule"),)
    ),
    status=ClusterRegistrationStatus(
        phase="Ready",
        namespace="cluster-east-1",
        agent=AgentReport(agent_version="0.1.0", kubernetes="v1.33.1", access=True),
        taints=(Taint(key="slow", effect="NoSchedule"), Taint(key="drain", effect="NoExecute")),
        conditions=(Condition(type="Ready", status="True"), Condition(type="Leaving", status="False")),
    ),
)
NEW = ClusterRegistration(
    metadata=Meta(name="west-1"),
    spec=ClusterRegistrationSpec(cluster_set="prod"),
    status=ClusterRegistrationStatus(
        id=ClusterIdentity(uid="u", key_fingerprint="sha256:ab"),
        conditions=(
            Condition(type="HubAccepted", status="False", message="nobody has accepted it"),
            Condition(type="Ready", status="False", reason="NotAccepted", message="not\naccepted"),
        ),
    ),
)
CAPACITY = ClusterCapacity(
    metadata=Meta(name="capacity", namespace="cluster-east-1"),
    status=ClusterCapacityStatus(
        total={"cpu": "20", "memory": "100Gi"},
        available={"cpu": "3500m", "memory": "60Gi"},
        nodes=5,
        warnings=("pod shop/cart asks for 1200m of memory, which is 2 bytes",),
    ),
)
EMPTY_CAPACITY = ClusterCapacity(metadata=Meta(name="capacity", namespace="cluster-west-1"))
LINK = ClusterLink(
    metadata=Meta(name="links", namespace="cluster-east-1"),
    status=ClusterLinkStatus(
        peers=(LinkToPeer(cluster="west-1", state="Up"), LinkToPeer(cluster="south-1", state="Down"))
    ),
)
LEASE = Lease(
    metadata=Meta(name="agent", namespace="cluster-east-1"),
    spec=LeaseSpec(renew_time="2026-05-01T11:59:50.000000Z"),
)

TABLE = """\
CLUSTER   SET    PHASE     SEEN   NODES   CPU        MEMORY       LINKS   TAINTS
east-1    prod   Ready     10s    5       3500m/20   60Gi/100Gi   1/2     slow:NoSchedule,drain:NoExecute
west-1    prod   Pending   -      -       -          -            -       -

east-1: pod shop/cart asks for 1200m of memory, which is 2 bytes
west-1: waits for acceptance (key sha256:ab); meshctl clusters accept west-1
"""


def seen() -> list[ClusterSeen]:
    return clusters_seen([NEW, READY], capacities=[CAPACITY, EMPTY_CAPACITY], links=[LINK], leases=[LEASE])


def test_the_table_has_a_line_for_each_cluster_and_below_it_what_is_not_fine() -> None:
    assert clusters_as_text(seen(), at=AT, wide=False) == TABLE
    assert clusters_as_text([], at=AT, wide=False) == "no clusters\n"


def test_of_what_hangs_together_the_first_is_told_and_a_third_partys_word_is_told_too() -> None:
    """A cluster that has not joined cannot be Ready, which nobody needs to read."""
    conditions = (
        Condition(type="HubAccepted", status="True"),
        Condition(type="Joined", status="False", message="no agent has come\nyet"),
        Condition(type="Ready", status="False", message="not joined"),
        Condition(type="Leaving", status="True", message="waits for its peers"),
        Condition(type="GatewayReachable", status="Unknown", reason="NoPeerTells", message="nobody to ask"),
        Condition(type="TrustPending", status="True", message="meshctl trust approve"),
        Condition(type="example.com/BackupReady", status="Unknown", reason="NotAsked"),
    )
    status = structs.replace(READY.status, conditions=conditions)
    text = clusters_as_text(
        clusters_seen([structs.replace(READY, status=status)], capacities=[], links=[], leases=[]),
        at=AT,
        wide=False,
    )
    assert text.splitlines()[3:] == [
        "east-1: Joined=False: no agent has come yet",
        "east-1: Leaving=True: waits for its peers",
        "east-1: TrustPending=True: meshctl trust approve",
        "east-1: example.com/BackupReady=Unknown: NotAsked",
    ]


def claim(cluster: str, *, uid: str, asked: str, said: Condition | None) -> CertificateSigningRequest:
    return CertificateSigningRequest(
        metadata=Meta(
            name=f"claim-{uid}-{asked}",
            labels={LABEL_CLUSTER: cluster},
            annotations={ANNOTATION_CLUSTER_UID: uid},
            creation_timestamp=asked,
        ),
        spec=RequestSpec(request="", signer_name=""),
        status=RequestStatus(conditions=(said,) if said is not None else ()),
    )


def test_who_was_refused_last_is_told_also_where_the_name_is_somebody_elses_or_nobodys() -> None:
    denied = Condition(type="Denied", status="True", reason="ClockSkew", message="90 s\nahead; set NTP")
    approved = Condition(type="Approved", status="True", reason="ApprovedByMeshctl")
    refused = refused_claims(
        [
            claim("west-1", uid="w", asked="2026-05-01T11:58:00Z", said=denied),
            claim("east-1", uid="e", asked="2026-05-01T11:50:00Z", said=denied),
            claim("east-1", uid="e", asked="2026-05-01T11:51:00Z", said=approved),
            claim("east-1", uid="twin", asked="2026-05-01T11:59:00Z", said=denied),
            claim("east-1", uid="twin", asked="2026-05-01T11:57:00Z", said=denied),
            claim("south-1", uid="s", asked="2026-05-01T11:59:00Z", said=None),
        ],
        clusters=[],
    )
    told = [
        "east-1: somebody was refused 60s ago: ClockSkew: 90 s ahead; set NTP",
        "west-1: somebody was refused 2m ago: ClockSkew: 90 s ahead; set NTP",
    ]
    text = clusters_as_text(seen(), refused=refused, at=AT, wide=False)
    assert text == TABLE + "".join(f"{line}\n" for line in told)
    assert clusters_as_text([], refused=refused, at=AT, wide=False).splitlines() == ["no clusters", "", *told]
    told_json = json.loads(clusters_as_json([], refused=refused, at=AT))["refusedClaims"]
    assert [(one["cluster"], one["reason"]) for one in told_json] == [
        ("east-1", "ClockSkew"),
        ("west-1", "ClockSkew"),
    ]


@pytest.mark.parametrize(("renewed", "is_told"), [("11:59:50.000000Z", False), ("11:58:00.000000Z", True)])
def test_a_refusal_is_over_once_that_very_key_has_renewed_its_lease(renewed: str, is_told: bool) -> None:
    key = "sha256:" + "ab" * 32
    denied = Condition(type="Denied", status="True", reason="ClockSkew", message="90 s ahead")
    (east,) = clusters_seen([READY], capacities=[], links=[], leases=[LEASE])
    east = replace(east, fingerprint=key, renewed=f"2026-05-01T{renewed}")
    asked = claim("east-1", uid="e", asked="2026-05-01T11:59:00Z", said=denied)
    named = structs.replace(
        asked, metadata=structs.replace(asked.metadata, name=claim_name("east-1", fingerprint=key) + "-3")
    )
    assert bool(refused_claims([named], clusters=[east])) is is_told
    assert refused_claims([asked], clusters=[east]), "another key"


def test_the_wide_table_says_how_a_cluster_is_worked_on() -> None:
    line = clusters_as_text(seen(), at=AT, wide=True).splitlines()[1]
    assert line.split()[-7:] == ["Manual", "agent", "csr", "v1.33.1", "0.1.0", "yes", "cluster-east-1"]


def test_json_and_yaml_say_the_same() -> None:
    found = json.loads(clusters_as_json(seen(), at=AT))
    assert yaml.safe_load(as_yaml(clusters_as_json(seen(), at=AT))) == found
    east, west = found["clusters"]
    assert east["capacity"]["continuous"] == {} and east["capacity"]["nodes"] == 5
    assert [link["state"] for link in east["links"]] == ["Up", "Down"]
    assert (west["capacity"], west["links"], west["phase"]) == (None, [], None)


@pytest.mark.parametrize(
    "text", ["maintenance=now:NoSchedule", "example.com/gpu:NoExecute", "a:PreferNoSchedule"]
)
def test_a_taint_is_written_as_it_was_read(text: str) -> None:
    assert taint_text(parse_taint(text)) == text


@pytest.mark.parametrize(
    "text", ["", "a", "a:Sometimes", ":NoSchedule", "a b:NoSchedule", "a=b=c:NoSchedule"]
)
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(BadTaint, match="is no taint"):
        parse_taint(text)


@pytest.mark.parametrize(
    ("text", "removal"),
    [
        ("a", ("a", None)),
        ("a-", ("a", None)),
        ("a:NoExecute", ("a", "NoExecute")),
        ("a=b:NoExecute-", ("a", "NoExecute")),
        ("a:Now", None),
    ],
)
def test_a_removal_names_a_key_and_perhaps_an_effect(
    text: str, removal: tuple[str, str | None] | None
) -> None:
    if removal is None:
        with pytest.raises(BadTaint):
            parse_removal(text)
    else:
        assert parse_removal(text) == removal


def test_a_taint_that_drives_out_is_there_since_it_came() -> None:
    """Else a toleration of some seconds would be over at once."""
    added = [parse_taint("a:NoExecute"), parse_taint("a:NoSchedule")]
    found = with_taints((), added=added, now=NOW)
    assert [one.time_added for one in found] == ["2026-10-01T12:00:00Z", ""]


NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
TAINTS = st.builds(
    Taint, key=st.sampled_from("abc"), effect=st.sampled_from(EFFECTS), value=st.sampled_from("xy")
)


@given(before=st.lists(TAINTS, unique_by=lambda one: (one.key, one.effect)), added=st.lists(TAINTS))
def test_what_is_put_on_twice_is_there_once_and_taken_off_is_gone(
    before: list[Taint], added: list[Taint]
) -> None:
    once = with_taints(before, added=added, now=NOW)
    if len({(one.key, one.effect) for one in added}) == len(added):
        assert with_taints(once, added=added, now=NOW + timedelta(hours=1)) == once
    assert taints_patch(once, once) == {}
    assert len({(one.key, one.effect) for one in once}) == len(once)
    keys = {one.key for one in added}
    rest = without_taints(once, removed=[(key, None) for key in keys])
    assert rest == tuple(one for one in before if one.key not in keys)
