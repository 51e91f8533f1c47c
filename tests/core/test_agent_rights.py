"""What a member's agent may do on the hub: written down whole, so that every change of it is seen."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from mesh_core.objects import Meta
from mesh_core.plan import Json
from mesh_placement.decide.rights import objects_of, rights_of, token_rights_of
from mesh_placement.decide.set_rights import profile_namespace_of, set_objects_of
from mesh_placement.names import cluster_namespace
from mesh_placement.objects import (
    ClusterIdentity,
    ClusterRegistration,
    ClusterRegistrationSpec,
    ClusterRegistrationStatus,
    ClusterSet,
    ClusterSetSpec,
    Driver,
)

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


def registration(driver: Driver, name: str = "east") -> ClusterRegistration:
    return ClusterRegistration(
        metadata=Meta(name=name),
        spec=ClusterRegistrationSpec(cluster_set="prod", accepted=True, driver=driver),
        status=ClusterRegistrationStatus(
            id=ClusterIdentity(uid="u", key_fingerprint="sha256:" + "ab" * 32), token="abcdef"
        ),
    )


def made(driver: Driver, name: str = "east") -> list[Json]:
    known = registration(driver, name)
    token = token_rights_of(known, token="abcdef") if driver == "token" else ()
    return [*objects_of(known), *rights_of(known, profile_namespace="clusterset-prod"), *token]


SET = ClusterSet(metadata=Meta(name="prod"))


@pytest.mark.parametrize(
    ("file", "bodies"),
    [
        ("agent_csr.yaml", made("csr")),
        ("agent_token.yaml", made("token")),
        ("cluster_set.yaml", list(set_objects_of(SET))),
    ],
)
def test_what_the_hub_makes_is_what_is_written_down(file: str, bodies: list[Json]) -> None:
    assert list(yaml.safe_load_all((GOLDEN / file).read_text())) == bodies


def rules(bodies: list[Json]) -> list[tuple[Json, Json]]:
    return [(body, rule) for body in bodies for rule in body.get("rules", ())]


@pytest.mark.parametrize("driver", ["csr", "token"])
def test_an_agent_has_no_wildcard_and_nothing_of_another_cluster(driver: Driver) -> None:
    bodies, others = made(driver), made(driver, "west")
    for body, rule in rules(bodies):
        assert "*" not in str(rule)
        if body["kind"] == "ClusterRole" and rule["verbs"] != ["create"]:
            assert rule["resourceNames"], "cluster-wide, so by name"
            assert all("east" in name for name in rule["resourceNames"])
    west = {str(rule) for body, rule in rules(others) if body["kind"] == "ClusterRole"}
    shared = {str(rule) for body, rule in rules(bodies) if body["kind"] == "ClusterRole"} & west
    assert all("create" in rule for rule in shared)


def test_the_namespace_of_a_long_id_is_cut_the_same_everywhere() -> None:
    name = "c" * 63
    bodies = made("csr", name)
    assert bodies[0]["metadata"]["name"] == cluster_namespace(name)
    assert {body["metadata"].get("namespace") for body in bodies} <= {
        None,
        "clusterset-prod",
        cluster_namespace(name),
    }


def test_a_set_may_name_the_namespace_of_its_profiles() -> None:
    named = ClusterSet(metadata=Meta(name="prod"), spec=ClusterSetSpec(profile_namespace="fleet"))
    assert (profile_namespace_of(SET), profile_namespace_of(named)) == ("clusterset-prod", "fleet")


def held() -> list[Json]:
    """The rules of the hub's own account, of manifests."""
    text = (ROOT / "manifests/placement/hub/account.yaml").read_text()
    roles: list[Any] = list(yaml.safe_load_all(text))  # Any: whatever YAML has
    return [rule for role in roles if role["kind"] == "ClusterRole" for rule in role["rules"]]


def covers(own: Json, given: Json, *, group: str, resource: str, verb: str) -> bool:
    names = own.get("resourceNames")
    return (
        group in own["apiGroups"]
        and resource in own["resources"]
        and verb in own["verbs"]
        and (not names or set(given.get("resourceNames", [None])) <= set(names))
    )


def test_the_hub_has_what_it_gives() -> None:
    """Kubernetes lets nobody give rights that he has not."""
    bodies = [*made("csr"), *made("token"), *set_objects_of(SET)]
    lacking = {
        (group, resource, verb)
        for _, rule in rules(bodies)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if not any(covers(own, rule, group=group, resource=resource, verb=verb) for own in held())
    }
    assert not lacking


def test_rights_follow_the_key_that_is_pinned_and_not_the_name() -> None:
    """A certificate cannot be taken back: an earlier key's, or a predecessor's, must give nothing."""
    known = registration("csr")
    other = ClusterIdentity(uid="u", key_fingerprint="sha256:" + "cd" * 32)
    again = replace(known, status=replace(known.status, id=other))
    before, after = ({str(one) for one in subjects(each)} for each in (known, again))
    assert len(before) == len(after) == 1
    assert not before & after
    assert subjects(replace(known, status=replace(known.status, id=ClusterIdentity()))) == []


def subjects(known: ClusterRegistration) -> list[Json]:
    bodies = rights_of(known, profile_namespace="clusterset-prod")
    return [one for body in bodies for one in body.get("subjects", ())]
