"""The JSON of every verb that shows something has every key that it ever had: `-o json` is a promise.

tests/cli/json_keys.txt has a line for each key of each verb. A new key is a line more; none ever goes.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mesh_cli.check.render import results_as_json
from mesh_cli.clusters.render import clusters_as_json
from mesh_cli.dns.render import way_as_json
from mesh_cli.explain.verb import explained
from mesh_cli.gateways.render import gateways_as_json
from mesh_cli.hub.token_create import Made, made_as_json
from mesh_cli.hub.token_list import tokens_as_json
from mesh_cli.local.render import set_as_json
from mesh_cli.main import command
from mesh_cli.output import Form, as_json, as_yaml
from mesh_cli.placement.decisions_render import foreseen_as_json, replay_as_json, what_if_as_json
from mesh_cli.placement.explain_hosts import as_json as hosts_as_json
from mesh_cli.placement.placements_render import explained_as_json, placements_as_json
from mesh_cli.placement.top_render import room_as_json
from mesh_cli.status.render import survey_as_json
from mesh_cli.trust.render import trust_as_json
from mesh_fakes.clusterset import FakeClusterset
from mesh_fakes.examples import TEXT, call_with_examples, example

KEYS = Path(__file__).parent / "json_keys.txt"


def token_made() -> str:
    made: Made = example(Made)
    return made_as_json(
        dataclasses.replace(made, info=dataclasses.replace(made.info, ca=FakeClusterset().roots[0].encode()))
    )


def id_explained() -> str:
    return as_json(explained("MESH-E-0001"))


RENDERERS: dict[str, Callable[..., str]] = {
    "check": results_as_json,
    "clusters": clusters_as_json,
    "dns query": way_as_json,
    "explain": replay_as_json,
    "explain hosts": hosts_as_json,
    "explain ID": id_explained,
    "explain placement": explained_as_json,
    "explain placement --what-if": what_if_as_json,
    "gateways": gateways_as_json,
    "local status": set_as_json,
    "place": foreseen_as_json,
    "placements": placements_as_json,
    "precheck": results_as_json,
    "status": survey_as_json,
    "token create": token_made,
    "token list": tokens_as_json,
    "top clusters": room_as_json,
    "trust status": trust_as_json,
}


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


def keys_of(verb: str) -> set[str]:
    return {f"{verb}: {key}" for key in keys(json.loads(call_with_examples(RENDERERS[verb])))}


def promised(verb: str) -> set[str]:
    return {line for line in KEYS.read_text().splitlines() if line.startswith(f"{verb}: ")}


@pytest.mark.parametrize("verb", RENDERERS)
def test_the_json_of_a_verb_has_every_key_that_was_promised_and_promises_every_key(verb: str) -> None:
    found = keys_of(verb)
    assert sorted(promised(verb) - found) == [], "keys are only ever added"
    assert sorted(found - promised(verb)) == [], f"add these lines to {KEYS.name}"


def test_every_verb_that_shows_something_promises_its_keys() -> None:
    assert set(_with_forms(command)) - RENDERERS.keys() == set(), "add its renderer to RENDERERS"


def test_yaml_is_the_same_values() -> None:
    for render in RENDERERS.values():
        text = call_with_examples(render)
        assert yaml.safe_load(as_yaml(text)) == json.loads(text)


def _with_forms(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    for one in group.params:
        if "-o" in one.opts and isinstance(one.type, click.Choice) and Form.JSON.value in one.type.choices:
            yield " ".join(path)
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            assert below is not None
            yield from _with_forms(below, (*path, name))
