"""The JSON Schema of workflow files, for editors: made from the models of the file and those of the step kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kurt.engine.kinds import KindInfo
from kurt.engine.language import model_specs
from kurt.engine.language.draft import STEP_KEYS, block_keys
from kurt.engine.language.fields import REFERENCE_SCHEMA
from kurt.engine.language.notify import notify_schema
from kurt.engine.language.schema import BLOCK_KINDS, WorkflowDefinition
from kurt.engine.notifiers.base import NotifierInfo
from kurt.engine.notifiers.registry import notifiers
from kurt.types import JsonObject

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE_NAME = "kurt-workflow.schema.json"

_STEPS = {"type": "array", "items": {"$ref": "#/$defs/WorkflowStep"}}
_EXTENSIONS = {"^x-": {"description": "Free for your own use, such as YAML anchors."}}
_RUN_TIME = ("file", "sha256")
_CONSTRAINTS = frozenset({"enum", "const", "pattern", "format", "minLength", "maxLength"})


def workflow_schema(
    kinds: Mapping[str, KindInfo], known_notifiers: Mapping[str, NotifierInfo] | None = None
) -> JsonObject:
    """The schema of a workflow file.

    Args:
        kinds: the step kinds by type; their fields are in it, steps of other types are not looked into.
        known_notifiers: the notifiers by type; without them those that are installed.
    """
    root = WorkflowDefinition.model_json_schema(ref_template="#/$defs/{model}")
    definitions: JsonObject = root.pop("$defs")
    own_step = definitions.pop("WorkflowStep")
    for name in _RUN_TIME:
        root["properties"].pop(name)
    definitions.pop("WorkflowCall")
    root["properties"].update(_policies(root["properties"]))
    _restate(definitions)
    told = notifiers(None) if known_notifiers is None else known_notifiers
    definitions["NotifySpec"] = notify_schema(told, _referable)
    definitions["WorkflowStep"] = _step(own_step["properties"], kinds, definitions)
    root["properties"]["steps"]["minItems"] = 1
    for name in definitions.keys() - {"WorkflowStep"}:
        definitions[name] = _silent(definitions[name])
    schema = {
        "$schema": DIALECT,
        "title": "Kurt workflow",
        "description": "A workflow that Kurt runs durably.",
        "type": "object",
        "properties": root["properties"],
        "patternProperties": _EXTENSIONS,
        "required": ["steps"],
        "additionalProperties": False,
        "$defs": definitions,
    }
    return _tidy(schema)


def _policies(own: JsonObject) -> JsonObject:
    """`schedule` and `debounce` in all forms that people write."""
    one = {"$ref": "#/$defs/ScheduleSpec"}
    every = {"type": "array", "items": one, "minItems": 1}
    period = {
        "type": ["string", "number"],
        "description": "Start when no further request has come for this time.",
    }
    return {
        "schedule": _in_forms(own["schedule"], one, every),
        "debounce": _in_forms(own["debounce"], {"$ref": "#/$defs/DebounceSpec"}, period),
    }


def _in_forms(own: JsonObject, *forms: JsonObject) -> JsonObject:
    return {"description": own["description"], "examples": own["examples"], "anyOf": list(forms)}


def _silent(model: JsonObject) -> JsonObject:
    """A model without its description, which editors show of every field that takes it, and not what the field means."""
    silent = {key: item for key, item in model.items() if key != "description"}
    if "anyOf" in silent:
        silent["anyOf"] = [
            _silent(branch) if "properties" in branch else branch for branch in silent["anyOf"]
        ]
    return silent


def _restate(definitions: JsonObject) -> None:
    """The forms that people write, where they differ from those that are run."""
    definitions["ErrorHandling"] = {
        "description": "What happens when the step has failed and no attempt is left.",
        "anyOf": [
            {"enum": ["fail", "skip", "retry"]},
            {
                "type": "object",
                "properties": {
                    "fallback": {
                        "description": "Steps to run instead, or the name of one of the same list.",
                        "anyOf": [{"type": "string"}, _STEPS, {"$ref": "#/$defs/WorkflowStep"}],
                    }
                },
                "required": ["fallback"],
                "additionalProperties": False,
            },
        ],
    }
    spec = definitions["InputSpec"]
    spec["properties"]["type"]["enum"] += ["str", "number", "integer", "boolean", "dict", "array"]
    spec["properties"]["items"]["anyOf"].insert(0, {"type": "string"})
    definitions["InputSpec"] = {
        "description": "What an input accepts; a plain value gives its type and its default.",
        "anyOf": [spec, {"type": ["string", "number", "boolean", "null", "array"]}],
    }
    definitions["CacheSpec"] = model_specs.restated(definitions["CacheSpec"])
    foreach = definitions["ForeachSpec"]["properties"]
    foreach["items"] = {**foreach["items"], "anyOf": [{"type": ["array", "object"]}, REFERENCE_SCHEMA]}
    definitions["WaitSpec"]["properties"]["timeout"] = {
        "$comment": "the step's own timeout",
        "description": "How long to wait for a message.",
        "type": ["string", "number"],
    }
    approval = definitions["ApprovalSpec"]
    approval["properties"]["timeout"] = {
        "$comment": "the step's own timeout",
        "description": "How long to wait for an answer; without it for as long as it takes.",
        "type": ["string", "number"],
        "examples": ["2d"],
    }


def _step(own: JsonObject, kinds: Mapping[str, KindInfo], definitions: JsonObject) -> JsonObject:
    """The schema of a step: what all have, and what each kind adds."""
    known = [*sorted(kinds), *BLOCK_KINDS]
    common = {key: own[key] for key in ("name", "description", "when", "needs", "output", "on_error")}
    common["type"] = {**own["type"], "anyOf": [{"enum": known}, {"type": "string"}]}
    plugin = {key: own[key] for key in STEP_KEYS if key not in common}
    branches = [_kind_branch(kind, kinds[kind], plugin, definitions) for kind in sorted(kinds)]
    branches += [_block_branch(kind, own) for kind in BLOCK_KINDS]
    branches.append({"if": _has_type({"not": {"enum": known}}), "then": {"additionalProperties": True}})
    return {
        "description": "One step.",
        "type": "object",
        "properties": common,
        "patternProperties": _EXTENSIONS,
        "anyOf": [{"required": [key]} for key in ("type", *BLOCK_KINDS)],
        "allOf": branches,
        "unevaluatedProperties": False,
    }


def _has_type(schema: JsonObject) -> JsonObject:
    return {"properties": {"type": schema}, "required": ["type"]}


def _kind_branch(kind: str, info: KindInfo, plugin: JsonObject, definitions: JsonObject) -> JsonObject:
    model = info.kind.Model
    fields = model.model_json_schema(ref_template=f"#/$defs/{kind}.{{model}}")
    for name, definition in fields.pop("$defs", {}).items():
        definitions[f"{kind}.{name}"] = _referable(definition)
    properties = {
        name: _explained(schema if name in info.kind.verbatim else _referable(schema), name, kind)
        for name, schema in fields.get("properties", {}).items()
    }
    own = {key: schema for key, schema in plugin.items() if key != "budget" or info.kind.calls_models}
    then: JsonObject = {"properties": {**own, **properties}, "required": fields.get("required", [])}
    if model.model_config.get("extra") == "allow":
        then["additionalProperties"] = True
    return {"if": _has_type({"const": kind}), "then": then}


def _explained(schema: JsonObject, name: str, kind: str) -> JsonObject:
    return (
        schema
        if "description" in schema
        else {**schema, "description": f"Field `{name}` of the kind `{kind}`."}
    )


def _referable(schema: Any) -> Any:
    """The schema with `${...}` allowed wherever a value of another type is wanted."""
    if not isinstance(schema, dict):
        return schema
    inner = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in inner:
            inner[key] = {name: _referable(item) for name, item in inner[key].items()}
    for key in ("items", "additionalProperties"):
        if key in inner:
            inner[key] = _referable(inner[key])
    if _takes_any_text(inner):
        return inner
    about = {key: inner.pop(key) for key in ("title", "description", "default", "examples") if key in inner}
    return {**about, "anyOf": [inner, REFERENCE_SCHEMA]}


def _takes_any_text(schema: JsonObject) -> bool:
    if not {"type", "anyOf", "$ref", "allOf", "oneOf", "enum", "const"} & set(schema):
        return True
    if any(isinstance(branch, dict) and _takes_any_text(branch) for branch in schema.get("anyOf", ())):
        return True
    kinds = schema.get("type", [])
    return "string" in ([kinds] if isinstance(kinds, str) else kinds) and not _CONSTRAINTS & set(schema)


def _block_branch(kind: str, own: JsonObject) -> JsonObject:
    properties = {key: _block_property(kind, key, own) for key in block_keys(kind)}
    short = {"required": [kind], "not": {"required": ["type"]}}
    return {"if": {"anyOf": [_has_type({"const": kind}), short]}, "then": {"properties": properties}}


_BLOCK_PROPERTIES: JsonObject = {
    "parallel": {
        **_STEPS,
        "minItems": 1,
        "description": "Steps to run at the same time; their values by name.",
    },
    "steps": {**_STEPS, "minItems": 1, "description": "The steps inside the block."},
    "inputs": {
        "type": "object",
        "description": "Inputs of the other workflow.",
        "examples": [{"urls": "${urls}"}],
    },
    "workflow": {
        "type": "string",
        "description": "Path of a file of the project, or the name of a registered workflow.",
        "examples": ["workflows/fetch.yaml"],
    },
}
_INLINE = {"switch": "SwitchSpec", "wait": "WaitSpec", "approval": "ApprovalSpec"}


def _block_property(kind: str, key: str, own: JsonObject) -> JsonObject:
    if key in STEP_KEYS:
        return own[key]
    if kind in _INLINE and key != kind:
        return {"$ref": f"#/$defs/{_INLINE[kind]}/properties/{key}"}
    return _BLOCK_PROPERTIES.get(key) or own[key]


def _tidy(value: Any, *, is_properties: bool = False) -> Any:
    """Without Pydantic's titles, and with the first paragraph of a model's docstring as its description."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy: JsonObject = {}
    if "patternProperties" in value and "properties" not in value and not is_properties:
        tidy["additionalProperties"] = False
    for key, item in value.items():
        if key == "title" and not is_properties and item != "Kurt workflow":
            continue
        if key in ("examples", "default", "enum", "const") and not is_properties:
            tidy[key] = item
        elif key == "description" and isinstance(item, str):
            tidy[key] = " ".join(item.split("\n\n")[0].split())
        else:
            tidy[key] = _tidy(item, is_properties=key in ("properties", "$defs", "patternProperties"))
    return tidy
