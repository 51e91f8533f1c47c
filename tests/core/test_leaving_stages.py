"""How a cluster leaves the hub: which stage follows from what is there, and what is written in it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_core.conditions import rfc3339
from mesh_placement.decide.leaving_facts import (
    Bury,
    Finish,
    HubKind,
    HubObject,
    LeaveFacts,
    Release,
    Remove,
    ShowStatus,
    TellPeer,
    Voice,
)
from mesh_placement.decide.leaving_stages import LeavePlan, plan_leave
from mesh_placement.names import FINALIZER, WORK_FINALIZER
from mesh_placement.objects import Assignment, ClusterLink, ClusterRegistration, ClusterRegistrationStatus

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UID = "uid-west"


def registration(
    *, agent: dict[str, Any] | None = None, leave: dict[str, Any] | None = None, **changes: Any
) -> ClusterRegistration:
    """One that leaves since a minute; `changes` are fields of status, or with `meta_` of metadata."""
    meta = {
        "name": "west",
        "uid": UID,
        "finalizers": [FINALIZER],
        "deletionTimestamp": rfc3339(NOW - timedelta(minutes=1)),
        **{name.removeprefix("meta_"): value for name, value in changes.items() if name.startswith("meta_")},
    }
    status = {
        "namespace": "cluster-west",
        "leavingSince": rfc3339(NOW - timedelta(minutes=1)),
        "agent": {"agentVersion": "1", **(agent or {})},
        **{name: value for name, value in changes.items() if not name.startswith("meta_")},
    }
    spec = {"clusterSet": "prod", "accepted": True, "leave": leave or {}}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status}, ClusterRegistration)


def work(name: str, *, priority: int = 0, going: bool = False) -> HubObject:
    return HubObject(
        kind=HubKind.WORK,
        name=name,
        namespace="cluster-west",
        uid=name,
        finalizers=(WORK_FINALIZER,),
        going_since=rfc3339(NOW) if going else None,
        priority=priority,
    )


def namespace(*, finalizers: tuple[str, ...] = (), going_for: int | None = None) -> HubObject:
    since = rfc3339(NOW - timedelta(seconds=going_for)) if going_for is not None else None
    return HubObject(
        kind=HubKind.NAMESPACE, name="cluster-west", uid="ns", finalizers=finalizers, going_since=since
    )


def planned(facts: LeaveFacts) -> LeavePlan:
    plan = plan_leave(facts)
    assert plan is not None
    return plan


PLACED = msgspec.convert({"metadata": {"name": "shop"}, "spec": {"placementRef": {"name": "p"}}}, Assignment)
BY_HAND = msgspec.convert({"metadata": {"name": "shop"}}, Assignment)
DONE = {"withdrawn": UID, "cleared": UID}
LEFT = {**DONE, "left": UID}
OLD = rfc3339(NOW - timedelta(hours=2))

STAGES: dict[str, tuple[LeaveFacts, int, str]] = {
    "at first it says so": (
        LeaveFacts(registration=registration(leavingSince=None), now=NOW),
        0,
        "nothing new is placed",
    ),
    "what was placed is moved first": (
        LeaveFacts(registration=registration(), now=NOW, assignments=(PLACED,)),
        1,
        "waiting until shop moved elsewhere, until 2026-05-01T12:14:00Z at most",
    ),
    "nobody moves what a person assigned": (
        LeaveFacts(registration=registration(), now=NOW, assignments=(BY_HAND,), has_mesh=True),
        2,
        "taken in that it exports nothing",
    ),
    "moving is not waited for without end": (
        LeaveFacts(
            registration=registration(leavingSince=OLD), now=NOW, assignments=(PLACED,), has_mesh=True
        ),
        2,
        "taken in",
    ),
    "nothing is moved where it is to be deleted": (
        LeaveFacts(registration=registration(leave={"workloads": "Delete"}), now=NOW, assignments=(PLACED,)),
        4,
        "inventory",
    ),
    "somebody else's finalizer on the registration is waited for": (
        LeaveFacts(
            registration=registration(meta_finalizers=[FINALIZER, "example.com/backup"]),
            now=NOW,
            objects=(work("a"),),
        ),
        3,
        "example.com/backup (on the registration); the agent works",
    ),
    "and one on its namespace": (
        LeaveFacts(registration=registration(), now=NOW, objects=(namespace(finalizers=("x.io/y",)),)),
        3,
        "x.io/y (on its namespace)",
    ),
    "then Works go": (
        LeaveFacts(registration=registration(), now=NOW, objects=(work("a"), work("b", priority=-1))),
        4,
        "waiting until 2 Works are removed, now b",
    ),
    "what is orphaned is let go by the agent before its Works go": (
        LeaveFacts(registration=registration(leave={"workloads": "Orphan"}), now=NOW, objects=(work("a"),)),
        4,
        "that stays in the member",
    ),
    "then what the inventory has besides": (
        LeaveFacts(
            registration=registration(
                agent={
                    "conditions": [
                        {"type": "Cleared", "status": "False", "message": "configmaps a/b (held by x.io/y)"}
                    ]
                }
            ),
            now=NOW,
        ),
        4,
        "inventory (configmaps a/b (held by x.io/y))",
    ),
    "then the member leaves the mesh": (
        LeaveFacts(registration=registration(agent=DONE), now=NOW, has_mesh=True),
        5,
        "unlinked",
    ),
    "or just parts": (LeaveFacts(registration=registration(agent=DONE), now=NOW), 6, "acknowledged"),
    "then the hub is cleaned": (
        LeaveFacts(registration=registration(agent=LEFT), now=NOW, objects=(namespace(), work("a"))),
        7,
        "removing from the hub: Work a",
    ),
    "its namespace last": (
        LeaveFacts(registration=registration(agent=LEFT), now=NOW, objects=(namespace(),)),
        7,
        "removing Namespace cluster-west",
    ),
    "whose end is waited for": (
        LeaveFacts(registration=registration(agent=LEFT), now=NOW, objects=(namespace(going_for=29),)),
        7,
        "waiting until Namespace cluster-west has ended",
    ),
    "but not without end, for not every API server ends namespaces": (
        LeaveFacts(registration=registration(agent=LEFT), now=NOW, objects=(namespace(going_for=30),)),
        8,
        "the cluster has left; Namespace cluster-west is still being ended",
    ),
    "unless somebody holds it": (
        LeaveFacts(
            registration=registration(agent=LEFT),
            now=NOW,
            objects=(namespace(going_for=900, finalizers=("x.io/y",)),),
        ),
        7,
        "Namespace cluster-west (held by x.io/y)",
    ),
    "who never came has nothing to acknowledge": (
        LeaveFacts(
            registration=registration(agent={"agentVersion": ""}), now=NOW, voice=Voice.NEVER, has_mesh=True
        ),
        8,
        "has left",
    ),
    "who is silent is waited for": (
        LeaveFacts(registration=registration(), now=NOW, voice=Voice.SILENT),
        4,
        "silent since 2026-05-01T12:00:00Z, and is waited for until 2026-05-01T13:00:00Z",
    ),
    "from when it fell silent": (
        LeaveFacts(
            registration=registration(leavingSince=OLD, lostSince=rfc3339(NOW - timedelta(minutes=30))),
            now=NOW,
            voice=Voice.SILENT,
        ),
        4,
        "waited for until 2026-05-01T12:30:00Z",
    ),
    "and without end where that was asked for": (
        LeaveFacts(
            registration=registration(leavingSince=OLD, lostSince=OLD, leave={"forceAfterSeconds": None}),
            now=NOW,
            voice=Voice.SILENT,
        ),
        4,
        "force-leave=true",
    ),
    "then it is let go": (
        LeaveFacts(registration=registration(leavingSince=OLD, lostSince=OLD), now=NOW, voice=Voice.SILENT),
        7,
        "tombstone",
    ),
    "who works is never let go by the clock": (
        LeaveFacts(registration=registration(leavingSince=OLD), now=NOW),
        4,
        "inventory",
    ),
    "forced, nobody is waited for": (
        LeaveFacts(
            registration=registration(
                meta_annotations={"placement.meshctl.dev/force-leave": "true"},
                meta_finalizers=[FINALIZER, "example.com/backup"],
            ),
            now=NOW,
            objects=(work("a"), namespace(finalizers=("x.io/y",))),
        ),
        7,
        "tombstone",
    ),
}


@pytest.mark.parametrize(("facts", "stage", "said"), STAGES.values(), ids=STAGES)
def test_a_stage_says_what_it_waits_for(facts: LeaveFacts, stage: int, said: str) -> None:
    plan = planned(facts)
    assert (plan.stage, said in plan.message) == (stage, True), plan
    first = plan.steps[0]
    assert isinstance(first, ShowStatus)
    assert first.body["status"]["stage"] == stage
    assert first.body["status"]["namespace"] == "cluster-west", "all that the hub had said is said again"
    assert "agent" not in first.body["status"]


def test_works_go_by_their_priority_and_each_once() -> None:
    objects = (work("a"), work("b", priority=-1), work("c", priority=-1, going=True))
    plan = planned(LeaveFacts(registration=registration(), now=NOW, objects=objects))
    assert [one.what.name for one in plan.steps if isinstance(one, Remove)] == ["b"]


def test_a_tombstone_is_written_before_anything_else_goes() -> None:
    forced = registration(meta_annotations={"placement.meshctl.dev/force-leave": "true"})
    facts = LeaveFacts(registration=forced, now=NOW, objects=(work("a"),))
    assert [type(one) for one in planned(facts).steps] == [ShowStatus, Bury]
    again = planned(replace(facts, is_buried=True))
    assert [type(one) for one in again.steps] == [ShowStatus, Remove]


def test_forced_no_finalizer_of_ours_stays_and_none_of_others_is_touched() -> None:
    held = HubObject(
        kind=HubKind.WORK,
        name="a",
        uid="a",
        finalizers=(WORK_FINALIZER, "x.io/y"),
        going_since=rfc3339(NOW),
    )
    facts = LeaveFacts(registration=registration(), now=NOW, objects=(held,), is_buried=True)
    (release,) = [one for one in planned(facts).steps if isinstance(one, Release)]
    assert release.what.foreign == ("x.io/y",)
    freed = HubObject(kind=HubKind.WORK, name="a", uid="a", finalizers=("x.io/y",), going_since=rfc3339(NOW))
    last = registration(meta_finalizers=[FINALIZER, "example.com/backup"])
    facts = LeaveFacts(registration=last, now=NOW, objects=(freed,), is_buried=True)
    shown = planned(facts)
    assert [type(one) for one in shown.steps] == [ShowStatus]
    assert "Work a (held by x.io/y) stays" in shown.message
    assert planned(shown_in(facts)).steps == (Finish(("example.com/backup",)),)


def shown_in(facts: LeaveFacts) -> LeaveFacts:
    """The facts after the planned status was applied: what is not said any more is taken away."""
    (first, *_) = planned(facts).steps
    if not isinstance(first, ShowStatus):
        return facts
    status = {**first.body["status"], "agent": msgspec.to_builtins(facts.registration.status.agent)}
    status = msgspec.convert(status, ClusterRegistrationStatus)
    return replace(facts, registration=msgspec.structs.replace(facts.registration, status=status))


def test_without_our_finalizer_there_is_nothing_to_do() -> None:
    gone = registration(meta_finalizers=["example.com/backup"])
    assert plan_leave(LeaveFacts(registration=gone, now=NOW)) is None


def test_the_last_exporter_is_warned_of() -> None:
    def row(*exports: tuple[str, int]) -> ClusterLink:
        shown = [{"service": name, "ready": ready} for name, ready in exports]
        return msgspec.convert({"metadata": {}, "status": {"exports": shown}}, ClusterLink)

    links = {"west": row(("shop/cart", 2), ("shop/pay", 1), ("shop/off", 0)), "east": row(("shop/pay", 1))}
    (first, *_) = planned(LeaveFacts(registration=registration(), now=NOW, links=links)).steps
    assert isinstance(first, ShowStatus)
    (shown,) = [one for one in first.body["status"]["conditions"] if one["type"] == "LastExporter"]
    assert "exports shop/cart with" in shown["message"]


def named_by(*, told: str = "") -> ClusterLink:
    """east's row about west, and what it has been told."""
    leaving = [{"cluster": "west", "since": told}] if told else []
    body = {
        "metadata": {"name": "links", "namespace": "cluster-east"},
        "spec": {"leaving": [*leaving, {"cluster": "north", "since": OLD}]},
        "status": {"peers": [{"cluster": "west", "state": "Down"}]},
    }
    return msgspec.convert(body, ClusterLink)


SINCE = rfc3339(NOW - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({"agent": DONE, "has_mesh": True}, True),
        ({"agent": LEFT, "has_mesh": True}, True),
        ({"agent": DONE, "has_mesh": False}, False),
        ({"agent": {}, "has_mesh": True}, False),
        ({"agent": DONE, "has_mesh": True, "told": SINCE}, False),
        ({"agent": {}, "has_mesh": True, "is_buried": True}, True),
    ],
    ids=["stage 5", "it has left", "it keeps its mesh", "before", "told already", "by force"],
)
def test_peers_that_know_it_are_told_once_that_it_leaves_the_mesh(
    changes: dict[str, Any], is_told: bool
) -> None:
    told, agent = changes.pop("told", ""), changes.pop("agent")
    links = {"west": named_by(), "east": named_by(told=told)}
    seen = registration(agent=agent)
    facts = LeaveFacts(registration=seen, now=NOW, links=links, objects=(namespace(),), **changes)
    steps = [one for one in planned(facts).steps if isinstance(one, TellPeer)]
    assert [one.namespace for one in steps] == (["cluster-east"] if is_told else [])
    # What is said of somebody whom the peer does not know any more goes with it.
    assert [[one.cluster for one in step.leaving] for step in steps] == ([["west"]] if is_told else [])


def test_what_stays_in_the_mesh_is_named_with_its_command_at_the_end_and_on_the_tombstone() -> None:
    stays = {"type": "Residue", "status": "True", "reason": "MeshInstalled", "message": "meshctl uninstall"}
    agent = {**LEFT, "trustDomain": "prod.example", "conditions": [stays]}
    facts = LeaveFacts(
        registration=registration(agent=agent), now=NOW, links={"east": named_by(told=SINCE)}, has_mesh=True
    )
    message = planned(facts).message
    for part in (
        "meshctl peer remove west: its MeshPeer is still in east",
        "meshctl trust evict west: its key is on the roster of prod.example",
        "meshctl uninstall",
    ):
        assert part in message
    assert planned(replace(facts, has_mesh=False)).message == "the cluster has left"
    forced = registration(agent=agent, meta_annotations={"placement.meshctl.dev/force-leave": "true"})
    (bury,) = [one for one in planned(replace(facts, registration=forced)).steps if isinstance(one, Bury)]
    assert "meshctl trust evict west" in bury.text


FACTS = st.builds(
    lambda acks, voice, mesh, objects, buried, forced, silent, others: LeaveFacts(
        registration=registration(
            agent=acks,
            meta_annotations={"placement.meshctl.dev/force-leave": "true"} if forced else {},
            meta_finalizers=[FINALIZER, *others],
            lostSince=OLD if silent else None,
        ),
        now=NOW,
        voice=voice,
        has_mesh=mesh,
        objects=objects,
        is_buried=buried,
    ),
    st.sampled_from([{}, {"withdrawn": UID}, DONE, LEFT]),
    st.sampled_from(Voice),
    st.booleans(),
    st.lists(
        st.sampled_from([work("a"), work("b", going=True), namespace(), namespace(going_for=40)]),
        max_size=3,
    ).map(tuple),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([[], ["example.com/backup"]]),
)


@given(FACTS)
def test_a_shown_status_is_not_written_twice(facts: LeaveFacts) -> None:
    again = planned(shown_in(facts))
    assert not [one for one in again.steps if isinstance(one, ShowStatus)]


@given(FACTS)
def test_no_right_goes_before_the_agent_has_left_or_is_buried(facts: LeaveFacts) -> None:
    plan = planned(facts)
    was_in = facts.voice is not Voice.NEVER or facts.registration.status.agent.agent_version
    if any(isinstance(one, Finish) for one in plan.steps) or plan.stage >= 7:
        said_so = facts.registration.status.agent.left == UID
        assert said_so or facts.is_buried or not was_in or any(isinstance(one, Bury) for one in plan.steps)
