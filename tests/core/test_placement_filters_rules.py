"""Filters that read what a cluster is: one line a code, one test a taint effect."""

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from mesh_placement.objects.placing import (
    ClusterChoice,
    PlacementSpec,
    PropertyTerm,
    Require,
    SpreadTerm,
    Toleration,
    WorkloadTerm,
)
from mesh_placement.schedule.filters import BUILT_IN_FILTERS
from mesh_placement.schedule.look import Look
from mesh_placement.schedule.plugins import Filter, Rejection
from mesh_placement.schedule.snapshot import (
    Cluster,
    Demand,
    HeldTaint,
    SetView,
    Share,
    Snapshot,
    Wanted,
)

NOW = 1000.0
REGION = "region.topology.meshctl.dev"
SPEC = PlacementSpec(cluster_sets=("prod",))
SHOP = Wanted("shop/checkout", "u", SPEC)
EAST = Cluster("east", "prod")


def rejections(
    clusters: Sequence[Cluster], wanted: Wanted = SHOP, others: Sequence[Wanted] = (), **fields: object
) -> dict[str, list[Rejection]]:
    """What all built-in filters say, by cluster."""
    sets = (SetView("prod"), SetView("test", namespaces=("shop",)), SetView("law", namespaces=("court",)))
    snapshot = Snapshot(NOW, sets=sets, clusters=tuple(clusters), placements=(wanted, *others))
    look = Look(replace(snapshot, **fields))
    found: dict[str, list[Rejection]] = {}
    for one in BUILT_IN_FILTERS:
        for name, rejection in one.reject(look, wanted, clusters).items():
            found.setdefault(name, []).append(rejection)
    return found


def only(cluster: Cluster, wanted: Wanted = SHOP, others: Sequence[Wanted] = ()) -> Rejection:
    """The one rejection of the one cluster."""
    ((name, (rejection,)),) = rejections([cluster], wanted, others).items()
    assert name == cluster.name
    assert rejection.observed and rejection.required and rejection.hint
    return rejection


def needing(**fields: object) -> Wanted:
    return replace(SHOP, demand=Demand(**fields))  # type: ignore[arg-type]  # given by the test, of Demand's types


def requiring(**fields: object) -> Wanted:
    return replace(SHOP, spec=replace(SPEC, require=Require(**fields)))  # type: ignore[arg-type]  # of Require's types


def term(operator: str, *values: str) -> Wanted:
    return requiring(properties=(PropertyTerm(name=REGION, operator=operator, values=values),))  # type: ignore[arg-type]  # one of the operators


def in_region(value: str) -> Cluster:
    return replace(EAST, properties={REGION: value})


CODES: dict[str, tuple[Cluster, Wanted, str]] = {
    "another set": (replace(EAST, cluster_set="test"), SHOP, "NotInClusterSet"),
    "a set of other tenants": (
        replace(EAST, cluster_set="law"),
        replace(SHOP, spec=PlacementSpec(cluster_sets=("prod", "law"))),
        "NamespaceNotGranted",
    ),
    "a set that is not there": (
        replace(EAST, cluster_set="gone"),
        replace(SHOP, spec=PlacementSpec(cluster_sets=("gone",))),
        "NamespaceNotGranted",
    ),
    "not accepted": (replace(EAST, accepted=False, phase="Pending"), SHOP, "NotAccepted"),
    "a gate": (replace(EAST, phase="Available", unmet_gates=("BackupReady",)), SHOP, "NotReady"),
    "a phase": (replace(EAST, phase="Suspect"), SHOP, "NotReady"),
    "excluded": (
        EAST,
        replace(SHOP, spec=replace(SPEC, clusters=ClusterChoice(exclude=("east",)))),
        "Excluded",
    ),
    "not named": (
        EAST,
        replace(SHOP, spec=replace(SPEC, clusters=ClusterChoice(names=("west",)))),
        "Excluded",
    ),
    "no property": (EAST, term("In", "eu-1"), "PropertyMissing"),
    "another property": (in_region("us-1"), term("In", "eu-1"), "PropertyMismatch"),
    "no property to spread over": (
        EAST,
        requiring(spread=(SpreadTerm(property=REGION),)),
        "PropertyMissing",
    ),
    "no API": (replace(EAST, apis=("v1",)), needing(apis=("example.com/v1",)), "APIMissing"),
    "no namespace": (replace(EAST, namespaces=()), needing(namespaces=("shop",)), "NamespaceMissing"),
    "a namespace of somebody else": (
        replace(EAST, namespaces=("shop",)),
        needing(brings_namespaces=("shop",)),
        "NamespaceConflict",
    ),
    "no storage class": (
        replace(EAST, storage_classes=("slow",)),
        needing(storage_classes=("fast",)),
        "StorageClassMissing",
    ),
    "volumes elsewhere": (EAST, needing(pinned=("west",)), "VolumePinnedElsewhere"),
}


@pytest.mark.parametrize(("cluster", "wanted", "code"), CODES.values(), ids=CODES)
def test_a_cluster_is_rejected_by_one_code_and_nothing_that_runs_is_driven_out(
    cluster: Cluster, wanted: Wanted, code: str
) -> None:
    rejection = only(cluster, wanted)
    assert rejection.code == code
    assert not rejection.evicts
    assert not rejection.is_capacity


TAKEN: dict[str, tuple[Cluster, Wanted]] = {
    "nothing asked": (EAST, SHOP),
    "a set of the tenant": (
        replace(EAST, cluster_set="test"),
        replace(SHOP, spec=PlacementSpec(cluster_sets=("test",))),
    ),
    "named": (EAST, replace(SHOP, spec=replace(SPEC, clusters=ClusterChoice(names=("east",))))),
    "APIs not told": (EAST, needing(apis=("example.com/v1",))),
    "an API of every cluster": (replace(EAST, apis=("v1",)), needing(apis=("apps/v1", "v1"))),
    "namespaces not told": (EAST, needing(namespaces=("shop",), brings_namespaces=("cart",))),
    "the namespace is there": (replace(EAST, namespaces=("shop",)), needing(namespaces=("shop",))),
    "the namespace comes": (replace(EAST, namespaces=()), needing(brings_namespaces=("shop",))),
    "storage classes not told": (EAST, needing(storage_classes=("fast",))),
    "the volumes are there": (EAST, needing(pinned=("east", "west"))),
    "volumes may begin anew": (
        EAST,
        replace(needing(pinned=("west",)), spec=replace(SPEC, data_policy="Recreate")),
    ),
    "spread if it can be": (
        EAST,
        requiring(spread=(SpreadTerm(property=REGION, when_unsatisfiable="ScheduleAnyway"),)),
    ),
}


@pytest.mark.parametrize(("cluster", "wanted"), TAKEN.values(), ids=TAKEN)
def test_a_cluster_that_fits_is_not_rejected(cluster: Cluster, wanted: Wanted) -> None:
    assert rejections([cluster], wanted) == {}


OPERATORS: list[tuple[str, tuple[str, ...], str | None, str]] = [
    ("In", ("eu-1", "eu-2"), "eu-2", ""),
    ("In", ("eu-1",), None, "PropertyMissing"),
    ("In", ("eu-1", "eu-2"), "eu-1,eu-2", ""),
    ("In", ("eu-1",), "eu-1,us-1", "PropertyMismatch"),
    ("NotIn", ("us-1",), "eu-1", ""),
    ("NotIn", ("us-1",), None, ""),
    ("NotIn", ("us-1",), "eu-1,us-1", "PropertyMismatch"),
    ("Exists", (), "", ""),
    ("Exists", (), None, "PropertyMissing"),
    ("DoesNotExist", (), None, ""),
    ("DoesNotExist", (), "eu-1", "PropertyMismatch"),
    ("Gt", ("1",), "1500m", ""),
    ("Gt", ("1",), "1", "PropertyMismatch"),
    ("Ge", ("1Gi",), "1024Mi", ""),
    ("Ge", ("1Gi",), "1000Mi", "PropertyMismatch"),
    ("Lt", ("1k",), "999", ""),
    ("Lt", ("1k",), "1000", "PropertyMismatch"),
    ("Le", ("2",), "2", ""),
    ("Le", ("2",), "3", "PropertyMismatch"),
    ("Le", ("2",), "eu-1", "PropertyMismatch"),
    ("Le", ("2",), None, "PropertyMissing"),
    ("Le", ("2", "3"), "1", "PropertyMismatch"),
    ("Le", ("many",), "1", "PropertyMismatch"),
]


@pytest.mark.parametrize(("operator", "values", "value", "code"), OPERATORS)
def test_each_operator_reads_a_property_as_it_says(
    operator: str, values: tuple[str, ...], value: str | None, code: str
) -> None:
    cluster = EAST if value is None else in_region(value)
    found = rejections([cluster], term(operator, *values))
    assert [one.code for rows in found.values() for one in rows] == ([code] if code else [])


def test_of_several_broken_rules_the_first_is_told() -> None:
    rules = tuple(PropertyTerm(name=name, operator="Exists") for name in ("site", "tier"))
    assert only(EAST, requiring(properties=rules)).observed == "site is not set"


def test_a_person_reads_what_is_and_what_should_be() -> None:
    told = only(in_region("us-1"), term("In", "eu-1", "eu-2"))
    assert (told.observed, told.required) == (f"{REGION} is us-1", f"{REGION} in (eu-1, eu-2)")
    other = replace(EAST, apis=("example.com/v1beta1",))
    assert only(other, needing(apis=("example.com/v1",))).hint == (
        "it serves example.com/v1beta1: write the manifest in that version"
    )


@pytest.mark.parametrize("phase", ["Leaving", "Left"])
def test_what_runs_in_a_cluster_that_leaves_goes_elsewhere(phase: str) -> None:
    rejection = only(replace(EAST, phase=phase))
    assert (rejection.code, rejection.evicts) == ("NotReady", True)


def tainted(effect: str, *, since: float = NOW - 30, key: str = "maintenance") -> Cluster:
    return replace(EAST, taints=(HeldTaint(key, effect, since=since),))  # type: ignore[arg-type]  # one of the effects


def tolerating(*tolerations: Toleration) -> Wanted:
    return requiring(tolerations=tolerations)


def test_no_schedule_keeps_new_ones_away_and_leaves_what_runs() -> None:
    rejection = only(tainted("NoSchedule"))
    assert (rejection.code, rejection.evicts, rejection.until) == ("UntoleratedTaint", False, None)
    assert rejection.observed == "taint maintenance:NoSchedule"


def test_prefer_no_schedule_rejects_nobody() -> None:
    assert rejections([tainted("PreferNoSchedule")]) == {}


def test_no_execute_drives_out_at_once_what_does_not_tolerate_it() -> None:
    rejection = only(tainted("NoExecute"))
    assert (rejection.code, rejection.evicts, rejection.until) == ("UntoleratedTaint", True, None)


def test_no_execute_is_borne_for_the_seconds_of_the_toleration_and_then_drives_out() -> None:
    wanted = tolerating(Toleration(key="maintenance", effect="NoExecute", seconds=120))
    rejection = only(tainted("NoExecute"), wanted)
    assert (rejection.evicts, rejection.until) == (False, NOW + 90)
    assert rejection.observed == "taint maintenance:NoExecute since 30 s, borne for 90 s more"
    late = only(tainted("NoExecute", since=NOW - 120), wanted)
    assert (late.evicts, late.until) == (True, None)


TOLERATIONS: dict[str, tuple[Toleration, bool]] = {
    "everything": (Toleration(), True),
    "the key": (Toleration(key="maintenance"), True),
    "another key": (Toleration(key="other"), False),
    "the value": (Toleration(key="maintenance", value=""), True),
    "another value": (Toleration(key="maintenance", value="x"), False),
    "the effect": (Toleration(effect="NoSchedule"), True),
    "another effect": (Toleration(effect="NoExecute"), False),
}


@pytest.mark.parametrize(("toleration", "fits"), TOLERATIONS.values(), ids=TOLERATIONS)
def test_a_toleration_fits_by_key_value_and_effect(toleration: Toleration, fits: bool) -> None:
    assert (rejections([tainted("NoSchedule")], tolerating(toleration)) == {}) is fits


def test_a_taint_of_ours_may_be_named_without_our_suffix() -> None:
    cluster = tainted("NoExecute", key="meshctl.dev/unreachable")
    assert rejections([cluster], tolerating(Toleration(key="unreachable"))) == {}
    assert rejections([cluster], tolerating(Toleration(key="meshctl.dev/unreachable"))) == {}


def test_the_shortest_of_several_tolerations_counts() -> None:
    tolerations = Toleration(), Toleration(key="maintenance", seconds=60), Toleration(seconds=90)
    assert only(tainted("NoExecute"), tolerating(*tolerations)).until == NOW + 30
    assert only(tainted("NoExecute"), tolerating(Toleration(seconds=0))).evicts


def test_of_several_taints_the_one_that_drives_out_is_told_and_then_the_first_that_will() -> None:
    away, out = HeldTaint("a", "NoSchedule", since=NOW), HeldTaint("b", "NoExecute", since=NOW - 30)
    cluster = replace(EAST, taints=(away, out))
    assert only(cluster).evicts
    late = only(cluster, tolerating(Toleration(key="b", seconds=40)))
    assert (late.evicts, late.until) == (False, NOW + 10)


WEST = Cluster("west", "prod")


def near(placement: str, affinity: str = "With", **fields: object) -> Wanted:
    one = requiring(workloads=(WorkloadTerm(placement=placement, affinity=affinity),))  # type: ignore[arg-type]  # With or Away
    return replace(one, **fields)


def cart(*clusters: str, count: int | None = 2) -> Wanted:
    return Wanted("shop/cart", "v", SPEC, current=tuple(Share(name, count) for name in clusters))


def codes(found: Mapping[str, list[Rejection]]) -> dict[str, list[str]]:
    return {name: [one.code for one in rows] for name, rows in found.items()}


def test_who_sits_with_another_follows_it_when_it_moves() -> None:
    found = rejections([EAST, WEST], near("cart"), [cart("west")])
    assert codes(found) == {"east": ["AnchorElsewhere"]}
    assert found["east"][0].evicts
    assert found["east"][0].required == "with shop/cart, in west"
    assert rejections([EAST, WEST], near("cart"), [cart("east", "west")]) == {}


def test_the_first_of_two_that_sit_together_is_free() -> None:
    assert rejections([EAST, WEST], near("cart"), [cart()]) == {}
    assert rejections([EAST, WEST], near("cart"), [cart("west", count=0)]) == {}
    assert rejections([EAST, WEST], near("cart")) == {}


def test_who_is_not_counted_is_there_all_the_same() -> None:
    assert codes(rejections([EAST, WEST], near("cart"), [cart("west", count=None)])) == {
        "east": ["AnchorElsewhere"]
    }


def test_who_wants_to_be_away_is_not_joined_either() -> None:
    away = near("cart", "Away")
    found = rejections([EAST, WEST], away, [cart("west")])
    assert codes(found) == {"west": ["AntiAffinityConflict"]}
    assert not found["west"][0].evicts
    lonely = replace(away, current=(Share("east", 1),))
    assert codes(rejections([EAST, WEST], cart(), [lonely])) == {"east": ["AntiAffinityConflict"]}


def test_who_wants_to_be_away_keeps_nobody_of_another_namespace_out() -> None:
    term = WorkloadTerm(placement="cart", namespace="shop", affinity="Away")
    theirs = replace(
        requiring(workloads=(term,)), name="rogue/block", current=(Share("east", 1), Share("west", 1))
    )
    assert rejections([EAST, WEST], cart(), [theirs]) == {}
    newcomer = replace(theirs, current=())
    assert codes(rejections([EAST, WEST], newcomer, [cart("west")])) == {"west": ["AntiAffinityConflict"]}


def test_nobody_avoids_or_follows_itself() -> None:
    current = (Share("west", 1),)
    assert rejections([EAST, WEST], near("checkout", "Away", current=current)) == {}
    assert rejections([EAST, WEST], near("checkout", current=current)) == {}


def test_a_placement_of_another_namespace_is_named_with_it() -> None:
    wanted = requiring(workloads=(WorkloadTerm(placement="cart", namespace="court"),))
    assert rejections([EAST, WEST], wanted, [cart("west")]) == {}
    theirs = replace(cart("west"), name="court/cart")
    assert codes(rejections([EAST, WEST], wanted, [theirs])) == {"east": ["AnchorElsewhere"]}


def test_what_this_cycle_has_decided_counts_at_once() -> None:
    wanted, anchor = near("cart"), cart("east")
    snapshot = Snapshot(NOW, sets=(SetView("prod"),), clusters=(EAST, WEST), placements=(anchor, wanted))
    look = Look(snapshot)
    look.decided("shop/cart", {"west": 2}, taken=())
    one = next(one for one in BUILT_IN_FILTERS if one.name == "WorkloadAffinity")
    assert list(one.reject(look, wanted, (EAST, WEST))) == ["east"]


def test_a_namespace_is_shared_by_placements_that_bring_it() -> None:
    bringing = Demand(brings_namespaces=("shop",))
    there = replace(EAST, namespaces=("shop",))
    mine = replace(needing(brings_namespaces=("shop",)), current=(Share("east"),))
    assert rejections([there], mine) == {}
    theirs = replace(cart("east"), demand=bringing)
    assert rejections([there], needing(brings_namespaces=("shop",)), [theirs]) == {}
    elsewhere = replace(cart("west"), demand=bringing)
    found = rejections([there], needing(brings_namespaces=("shop",)), [elsewhere])
    assert codes(found) == {"east": ["NamespaceConflict"]}


def test_filters_are_plug_ins_with_names_of_their_own() -> None:
    assert all(isinstance(one, Filter) for one in BUILT_IN_FILTERS)
    names = [one.name for one in BUILT_IN_FILTERS]
    assert len(set(names)) == len(names)


def test_what_is_said_of_a_cluster_does_not_depend_on_those_beside_it() -> None:
    wanted = requiring(
        properties=(PropertyTerm(name=REGION, operator="In", values=("eu-1",)),),
        tolerations=(Toleration(key="a", seconds=9),),
    )
    rows = [in_region("eu-1"), in_region("us-1"), EAST, tainted("NoSchedule"), replace(EAST, phase="Left")]
    clusters = [replace(one, name=f"c{number}") for number, one in enumerate(rows)]
    alone = [rejections([one], wanted) for one in clusters]
    together = rejections(clusters, wanted)
    assert together == {name: found for rows_of_one in alone for name, found in rows_of_one.items()}
    assert "c0" not in together
