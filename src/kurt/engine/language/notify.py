"""The part `notify` of a workflow file: its model, its normal form, its checks, its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from kurt.engine.language.faults import Origin, Report
from kurt.engine.language.fields import Model
from kurt.engine.notifiers.base import EVENTS, Event, NotifierInfo
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import ConflictError, DefinitionError
from kurt.types import Json, JsonObject

NAMES = ("notice", "outputs")
"""What the fields of a notification may refer to, beside inputs, `env`, `run` and `error`."""

_COMMON = ("type", "on")
_NONE = "?"  # stands for what is no notification, so that those after it keep their places


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Events: TypeAlias = Annotated[
    list[Event],
    BeforeValidator(_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"enum": list(EVENTS)}, "minItems": 1},
                {"enum": list(EVENTS)},
            ]
        }
    ),
]
"""Events of a run; one may stand without brackets."""


class NotifySpec(Model):
    """Who is told of a run.

    Attributes:
        type: the notifier.
        on: of what it tells.
        spec: the notifier's own fields, as written.
    """

    type: str = Field(description="How to tell: the notifier.", examples=["slack"])
    on: Events = Field(
        default=["failure"],
        min_length=1,
        description="Of what to tell: that the run has failed or succeeded, or that it waits for somebody's answer.",
        examples=[["failure", "waiting"], "success"],
    )
    spec: dict[str, Any] = Field(default_factory=dict)


def normal_form(report: Report, raw: Json) -> list[JsonObject]:
    """The notifications of a file with the notifier's own fields apart from those that all have."""
    if not isinstance(raw, list):
        hint = "start each with `- type:`, for example `- type: slack`"
        report.add(("notify",), "`notify` must be a list", hint)
        return []
    found: list[JsonObject] = []
    for index, item in enumerate(raw):
        if not isinstance(item, dict):
            report.add(("notify", index), "a notification must be a mapping", "write `- type: slack`")
        found.append(_one(item if isinstance(item, dict) else {"type": _NONE}))
    return found


def _one(item: JsonObject) -> JsonObject:
    own = {key: value for key, value in item.items() if key not in _COMMON and not key.startswith("x-")}
    return {**{key: item[key] for key in _COMMON if key in item}, "spec": own}


def check_notify(report: Report, notify: list[JsonObject], known: Mapping[str, NotifierInfo]) -> None:
    """Note what is wrong with types and own fields of the notifications.

    Args:
        report: of the file.
        notify: their normal form.
        known: the notifiers of the project by type.
    """
    for index, item in enumerate(notify):
        name, spec = item.get("type"), item["spec"]
        if not isinstance(name, str) or name == _NONE:
            continue  # reported already
        info = _find(report, ("notify", index, "type"), name, known)
        if info is None:
            continue
        where = f"a `{name}` notification"
        origin = Origin(("notify", index), where, also=_COMMON)
        report.check_model(info.notifier.Model, spec, origin, deferred=True)
        for message in info.notifier.check(spec):
            what, _, remedy = message.partition(". ")
            report.add(("notify", index), what, f"{remedy[:1].lower()}{remedy[1:]}" or "change the field")


def _find(
    report: Report, place: tuple[str | int, ...], name: str, known: Mapping[str, NotifierInfo]
) -> NotifierInfo | None:
    try:
        if name in known:
            return known[name]
        near = did_you_mean(
            name, known, f"use one of {listing(known)}, or add a `Notifier` class to notifiers/"
        )
        report.add(place, f"unknown notifier {name!r}", near)
    except ConflictError as error:
        report.add(place, error.message, error.hint)
    except DefinitionError as error:
        report.faults.extend(error.faults)
    return None


def notify_schema(known: Mapping[str, NotifierInfo], referable: Callable[[Any], Any]) -> JsonObject:
    """The JSON Schema of one notification.

    Args:
        known: the notifiers by type.
        referable: allows references where a schema wants a value of another type.
    """
    common = NotifySpec.model_json_schema()["properties"]
    common.pop("spec")
    common["type"] = {**common["type"], "anyOf": [{"enum": sorted(known)}, {"type": "string"}]}
    branches = [_branch(name, known[name], referable) for name in sorted(known)]
    others = {"properties": {"type": {"not": {"enum": sorted(known)}}}}
    return {
        "description": "Who is told of a run.",
        "type": "object",
        "properties": common,
        "required": ["type"],
        "patternProperties": {"^x-": {"description": "Free for your own use, such as YAML anchors."}},
        "allOf": [*branches, {"if": others, "then": {"additionalProperties": True}}],
        "unevaluatedProperties": False,
    }


def _branch(name: str, info: NotifierInfo, referable: Callable[[Any], Any]) -> JsonObject:
    fields = info.notifier.Model.model_json_schema()
    properties = {
        key: {"description": f"Field `{key}`.", **referable(field)}
        for key, field in fields["properties"].items()
    }
    return {
        "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
        "then": {"properties": properties, "required": fields.get("required", [])},
    }
