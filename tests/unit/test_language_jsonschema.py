"""The JSON Schema of workflow files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kurt.engine.kinds import Fields, KindInfo, StepKind
from kurt.engine.language.jsonschema import workflow_schema
from kurt.engine.language.source import read_source
from tests.support.definitions import BUILT_IN, faults_in
from tests.unit.test_language_definition import RICH

SCHEMA = workflow_schema(BUILT_IN)
VALIDATOR = Draft202012Validator(SCHEMA)


def refusals(text: str) -> list[str]:
    """What the schema refuses in a file."""
    return [error.message for error in VALIDATOR.iter_errors(read_source(text).value)]


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property that the schema describes."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from properties(item, f"{path}/{index}")
    if not isinstance(schema, dict):
        return
    for name, item in schema.get("properties", {}).items():
        yield f"{path}/{name}", item
    for key, item in schema.items():
        if key not in ("examples", "default", "enum", "const", "if"):
            yield from properties(item, f"{path}/{key}")


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"].endswith("2020-12/schema")


def test_every_property_is_explained() -> None:
    found = dict(properties(SCHEMA))
    assert len(found) > 100
    assert not [path for path, item in found.items() if not ("description" in item or "$ref" in item)]
    assert not [path for path, item in found.items() if "title" in item]


def test_every_reference_leads_somewhere() -> None:
    def targets(schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for item in schema:
                yield from targets(item)
        elif isinstance(schema, dict):
            if isinstance(schema.get("$ref"), str):
                yield schema["$ref"]
            for item in schema.values():
                yield from targets(item)

    for target in set(targets(SCHEMA)):
        found: Any = SCHEMA
        for part in target.removeprefix("#/").split("/"):
            found = found[part]
        assert isinstance(found, dict)


@pytest.mark.parametrize(
    "text",
    [
        RICH,
        "steps: [{type: cli, command: x}]\n",
        "steps: [{type: of-a-plug-in, anything: 1}]\n",
        "steps: [{type: run, command: [a], parse: '${p}', x-note: 1}]\nx-anchors: {a: 1}\n",
        "steps: [{type: http, url: '${u}', expect: '${n}', redirects: '${r}', allow_private: '${p}'}]\n",
        "steps: [{parallel: [{wait: {for: 1s}}]}, {type: wait, until: '2026-11-21', timeout: 5m}]\n",
        "steps: [{foreach: {items: '${x}'}, steps: [{type: emit, event: e, value: 1}], needs: a}]\n",
        "inputs: {a: 1, b: text, c: {type: list, items: string}, d: null}\nsteps: [{wait: {for: 1s}}]\n",
        "steps: [{wait: {for: 1s}, on_error: {fallback: x}}, {wait: {for: 1s}, on_error: {fallback: [{type: a}]}}]\n",
        "steps: [{switch: {on: a, cases: {x: []}, default: []}}, {type: switch, on: a, cases: {x: []}}]\n",
    ],
)
def test_what_is_valid(text: str) -> None:
    assert refusals(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "steps: []\n",
        "steps: [{name: a}]\n",
        "stepss: []\nsteps: [{type: cli, command: x}]\n",
        "steps: [{type: cli}]\n",
        "steps: [{type: cli, command: x, comand: y}]\n",
        "steps: [{type: cli, command: [x]}]\n",
        "steps: [{type: run, command: [a], parse: jsn}]\n",
        "steps: [{type: cli, command: x, name: 1x}]\n",
        "steps: [{type: cli, command: x, retry: {max_attempts: 0}}]\n",
        "steps: [{type: cli, command: x, retry: {maxattempts: 2}}]\n",
        "steps: [{type: cli, command: x, on_error: explode}]\n",
        "steps: [{type: cli, command: x, cache: [7d]}]\n",
        "steps: [{wait: {for: 1s}, limits: {cpu: 2s}}]\n",
        "steps: [{foreach: {itms: 1}, steps: [{wait: {for: 1s}}]}]\n",
        "steps: [{foreach: {items: text}, steps: [{wait: {for: 1s}}]}]\n",
        "steps: [{parallel: []}]\n",
        "steps: [{parallel: [{type: cli}]}]\n",
        "priority: 0\nsteps: [{type: cli, command: x}]\n",
        "inputs: {a: {typ: int}}\nsteps: [{type: cli, command: x}]\n",
        "inputs: {1a: 1}\nsteps: [{type: cli, command: x}]\n",
        "outputs: [a]\nsteps: [{type: cli, command: x}]\n",
    ],
)
def test_what_is_not_valid(text: str) -> None:
    assert refusals(text)


def test_it_agrees_with_the_checks(tmp_path: Path) -> None:
    assert not [fault for fault in faults_in(tmp_path, RICH) if fault.severity == "error"]


class _ShoutFields(Fields):
    words: list[str]
    code: str
    loud: bool = True


class _Shout(StepKind):
    type = "shout"
    Model = _ShoutFields
    verbatim = frozenset({"code"})


def test_kinds_of_plug_ins_are_in_it() -> None:
    schema = workflow_schema({"shout": KindInfo("shout", _Shout, "here")})
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)

    def fits(fields: dict[str, Any]) -> bool:
        return validator.is_valid({"steps": [{"type": "shout", **fields}]})

    assert fits({"words": ["a"], "code": "x"})
    assert fits({"words": "${w}", "code": "x", "loud": "${l}"})
    assert fits({"words": ["${w}"], "code": "x"})
    assert not fits({"words": ["a"]})
    assert not fits({"words": "a", "code": "x"})
    assert not fits({"words": ["a"], "code": "x", "lod": True})
    assert dict(properties(schema))["/$defs/WorkflowStep/allOf/0/then/loud"]["description"]
