"""The JSON of every verb that shows something has every key that it ever had: `-o json` is a promise.

tests/cli/json_keys.txt has a line for each key of each verb. A new key is a line more; none ever goes.
"""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mesh_cli.explain.verb import explained
from mesh_cli.hub.token_create import Made, made_as_json
from mesh_cli.main import command
from mesh_cli.output import Form, as_json, as_yaml
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.examples import TEXT, call_with_examples, example

KEYS = Path(__file__).parent / "json_keys.txt"
RENDERERS = {
    "bench": "mesh_cli.bench.figures:bench_as_json",
    "check": "mesh_cli.check.render:results_as_json",
    "clusters": "mesh_cli.clusters.render:clusters_as_json",
    "dns query": "mesh_cli.dns.render:way_as_json",
    "events": "mesh_cli.events.render:timeline_as_json",
    "explain": "mesh_cli.placement.decisions_render:replay_as_json",
    "explain hosts": "mesh_cli.placement.explain_hosts:rows_as_json",
    "explain placement": "mesh_cli.placement.placements_render:explained_as_json",
    "gateways": "mesh_cli.gateways.render:gateways_as_json",
    "graph": "mesh_cli.graph.render:picture_as_json",
    "local status": "mesh_cli.local.render:set_as_json",
    "peers": "mesh_cli.peers.render:peers_as_json",
    "place": "mesh_cli.placement.decisions_render:foreseen_as_json",
    "placements": "mesh_cli.placement.placements_render:placements_as_json",
    "precheck": "mesh_cli.check.render:results_as_json",
    "services": "mesh_cli.services.render:services_as_json",
    "status": "mesh_cli.status.render:survey_as_json",
    "token create": f"{__name__}:token_made",
    "token list": "mesh_cli.hub.token_list:tokens_as_json",
    "top clusters": "mesh_cli.placement.top_render:room_as_json",
    "trace": "mesh_cli.trace.render:verdict_as_json",
    "trust status": "mesh_cli.trust.render:trust_as_json",
    "verify": "mesh_cli.verify.render:run_as_json",
}
"""What makes the JSON of each verb."""
FURTHER = {
    "explain ID": f"{__name__}:id_explained",
    "explain placement --what-if": "mesh_cli.placement.decisions_render:what_if_as_json",
}
"""Other answers of those verbs."""


def token_made() -> str:
    made: Made = example(Made)
    info = dataclasses.replace(made.info, ca=FakeClusterset().roots[0].encode())
    return made_as_json(dataclasses.replace(made, info=info))


def id_explained() -> str:
    return as_json(explained("MESH-E-0001"))


OURS = {"token_made": token_made, "id_explained": id_explained}


def with_forms(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every verb that shows something as JSON."""
    for one in group.params:
        if "-o" in one.opts and isinstance(one.type, click.Choice) and Form.JSON.value in one.type.choices:
            yield " ".join(path)
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            assert below is not None
            yield from with_forms(below, (*path, name))


ANSWERS = [*with_forms(command), *FURTHER]


def answer(of: str) -> str:
    """An example of the JSON, in which everything is said that may be said."""
    where = {**RENDERERS, **FURTHER}.get(of)
    assert where is not None, f"add to RENDERERS what makes the JSON of {of}"
    module, _, function = where.partition(":")
    found = OURS.get(function) or getattr(importlib.import_module(module), function)
    text = call_with_examples(found)
    assert isinstance(text, str)
    return text


def keys(value: Any, path: str = "") -> Iterator[str]:  # Any: JSON
    """Every key below, lists as [], keys that are data as *."""
    if isinstance(value, list):
        for each in value:
            yield from keys(each, f"{path}[]")
    elif isinstance(value, dict):
        for key, each in value.items():
            below = f"{path}.{'*' if key == TEXT else key}".removeprefix(".")
            yield below
            yield from keys(each, below)


def keys_of(name: str) -> set[str]:
    return {f"{name}: {key}" for key in keys(json.loads(answer(name)))}


def promised(name: str) -> set[str]:
    return {line for line in KEYS.read_text().splitlines() if line.startswith(f"{name}: ")}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_json_of_a_verb_has_every_key_that_was_promised_and_promises_every_key(name: str) -> None:
    found = keys_of(name)
    assert sorted(promised(name) - found) == [], "keys are only ever added"
    assert sorted(found - promised(name)) == [], f"add these lines to {KEYS.name}"


@pytest.mark.parametrize("name", ANSWERS)
def test_yaml_is_the_same_values(name: str) -> None:
    text = answer(name)
    assert yaml.safe_load(as_yaml(text)) == json.loads(text)
