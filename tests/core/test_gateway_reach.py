"""GatewayReachable: the others' word about a cluster's gateway."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.objects import Meta
from mesh_placement.decide.gateway_reach import Witness, gateway_finding, witnesses_of
from mesh_placement.objects import (
    ClusterLink,
    ClusterLinkStatus,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    LinkState,
    LinkToPeer,
    Phase,
)


def row(
    by: str, state: LinkState, *, phase: Phase = "Ready", going: str | None = None
) -> tuple[ClusterRegistration, ClusterLink]:
    teller = ClusterRegistration(
        metadata=Meta(name=by, deletion_timestamp=going),
        spec=ClusterRegistrationSpec(cluster_set="prod"),
        status=ClusterRegistrationStatus(phase=phase, namespace=f"cluster-{by}"),
    )
    peers = (LinkToPeer(cluster="east", state=state), LinkToPeer(cluster="south", state="Down"))
    return teller, ClusterLink(metadata=Meta(name="links"), status=ClusterLinkStatus(peers=peers))


@pytest.mark.parametrize(
    ("rows", "status", "reason"),
    [
        ([], "Unknown", "NoPeerTells"),
        ([row("a", "Unknown")], "Unknown", "NoPeerTells"),
        ([row("a", "Up")], "True", "PeersReachIt"),
        ([row("a", "Degraded")], "True", "PeersReachIt"),
        ([row("a", "Down")], "False", "PeersDoNotReachIt"),
        ([row("a", "Up"), row("b", "Down")], "Unknown", "PeersDisagree"),
        ([row("a", "Up"), row("b", "Down"), row("c", "Down")], "False", "PeersDoNotReachIt"),
        (
            [row("a", "Up"), row("b", "Down"), row("c", "Down", phase="Unreachable")],
            "Unknown",
            "PeersDisagree",
        ),
        ([row("a", "Up"), row("b", "Down", going="2026-01-01T12:00:00Z")], "True", "PeersReachIt"),
        ([row("a", "Down", phase="Suspect")], "False", "PeersDoNotReachIt"),
        ([row("east", "Down")], "Unknown", "NoPeerTells"),
    ],
)
def test_the_majority_of_those_who_are_heard_decides(rows: list[Any], status: str, reason: str) -> None:
    # Any: pairs, which the table's types do not say.
    found = gateway_finding(witnesses_of("east", rows=rows))
    assert (found.status, found.reason.value) == (status, reason)


def test_the_sentence_names_who_says_what_and_the_next_step() -> None:
    rows = [row(name, "Down") for name in "gfedcba"] + [row("z", "Up")]
    found = gateway_finding(witnesses_of("east", rows=rows))
    assert found.message == (
        "z reaches it, a, b, c, d, e and 2 more do not; see whether its gateway runs and is reached: "
        "meshctl check in the member"
    )


@given(st.lists(st.sampled_from(["Up", "Degraded", "Down"]), max_size=9), st.randoms())
def test_neither_order_nor_one_voice_more_on_the_winning_side_changes_it(
    states: list[Any], shuffle: Any
) -> None:
    # Any: Literals, and hypothesis' own random numbers.
    witnesses = [Witness(by=f"c{number}", state=state) for number, state in enumerate(states)]
    before = gateway_finding(sorted(witnesses)).status
    shuffle.shuffle(witnesses)
    assert gateway_finding(witnesses).status == before
    if before != "Unknown":
        more = Witness(by="more", state="Up" if before == "True" else "Down")
        assert gateway_finding([*witnesses, more]).status == before
