"""What `meshctl precheck` says of what it saw; and that the page explains every check."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_cli.check.findings import ClockSeen, Right
from mesh_cli.check.verdict import Question, Unseen
from mesh_cli.precheck.findings import NOT_TRIED, HubSeen, MemberSeen
from mesh_cli.precheck.verdict import HUB_CHECKS, MEMBER_CHECKS, judged

DOCS = Path(__file__).parents[2] / "docs" / "registration.md"
EXACT = ClockSeen(ahead=0.0, within=0.5)
MAY = Right("create secrets", "meshctl token create", is_allowed=True)
HUB = HubSeen(
    context="hub",
    version="v1.33.1",
    clock=EXACT,
    rights=(MAY,),
    tokens=True,
    signer=True,
    public=True,
    aggregation=True,
)
MEMBER = MemberSeen(
    context="member",
    version="v1.28.0",
    clock=EXACT,
    rights=(MAY,),
    registered="",
    hub="https://hub.example",
    hub_clock=EXACT,
    hub_answers=True,
)


def verdicts(hub: HubSeen = HUB, member: MemberSeen = MEMBER) -> dict[str, str]:
    results = judged(HUB_CHECKS, hub, context="hub") + judged(MEMBER_CHECKS, member, context="member")
    return {result.check.id: result.verdict.value for result in results if result.verdict.value != "ok"}


def test_two_clusters_that_fit_are_fine() -> None:
    assert verdicts() == {}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"version": "v1.29.9"}, ("MESH-HUB-001", "fail")),
        ({"version": "what"}, ("MESH-HUB-001", "unknown")),
        ({"rights": (replace(MAY, is_allowed=False), MAY)}, ("MESH-HUB-002", "fail")),
        ({"tokens": False}, ("MESH-HUB-003", "fail")),
        ({"tokens": NOT_TRIED}, ("MESH-HUB-003", "unknown")),
        ({"signer": False}, ("MESH-HUB-004", "warn")),
        ({"public": False}, ("MESH-HUB-005", "warn")),
        ({"public": None}, None),
        ({"aggregation": False}, ("MESH-HUB-006", "warn")),
        ({"clock": ClockSeen(ahead=31.0, within=0.5)}, ("MESH-HUB-007", "fail")),
        ({"clock": ClockSeen(ahead=-30.4, within=0.5)}, None),
    ],
    ids=str,
)
def test_a_hub_is_judged_by_what_was_seen(change: dict[str, Any], verdict: tuple[str, str] | None) -> None:
    found = verdicts(hub=replace(HUB, **change))
    assert found == (dict([verdict]) if verdict is not None else {})


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"version": "v1.27.3"}, ("MESH-MEMBER-001", "fail")),
        ({"rights": Unseen("no answer")}, ("MESH-MEMBER-002", "unknown")),
        ({"hub_clock": ClockSeen(ahead=-40.0, within=0.5)}, ("MESH-MEMBER-003", "fail")),
        ({"hub_clock": None}, None),
        ({"hub_answers": Unseen("no route")}, ("MESH-MEMBER-004", "unknown")),
        ({"hub_answers": False}, ("MESH-MEMBER-004", "fail")),
        ({"hub_answers": None}, None),
        ({"registered": "https://hub.example"}, None),
        ({"registered": "https://other.example"}, ("MESH-MEMBER-005", "warn")),
    ],
    ids=str,
)
def test_a_member_is_judged_by_what_was_seen(change: dict[str, Any], verdict: tuple[str, str] | None) -> None:
    found = verdicts(member=replace(MEMBER, **change))
    assert found == (dict([verdict]) if verdict is not None else {})


def test_the_page_explains_every_precheck_and_no_other() -> None:
    checks: list[Question] = [*HUB_CHECKS, *MEMBER_CHECKS]
    text = DOCS.read_text()
    listed = re.findall(r"^### (MESH-[A-Z]+-\d{3})$", text, re.MULTILINE)
    assert listed == [check.id for check in checks]
    for check in checks:
        assert f"### {check.id}\n\n**{check.title[0].upper()}{check.title[1:]}.**" in text
