"""Making drafts: block kinds in their short forms, inputs in shorthand, steps without a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from kurt.engine.language.check_policies import draft_schedules
from kurt.engine.language.draft import STEP_KEYS, Draft, DraftStep, block_keys
from kurt.engine.language.faults import Origin, Report, keys_of
from kurt.engine.language.notify import normal_form
from kurt.engine.language.schema import BLOCK_KINDS, InputSpec, WorkflowDefinition, WorkflowStep
from kurt.engine.language.source import DataPath
from kurt.engine.suggestions import listing
from kurt.types import Json, JsonObject

_TYPES = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "float",
    list: "list",
    dict: "object",
    type(None): "any",
}
_TYPE_WORDS = frozenset(
    {"string", "str", "int", "float", "number", "bool", "list", "object", "dict", "date", "path"}
)
_LISTS = ("steps", "on_error", "finally")


def make_draft(report: Report) -> Draft | None:
    """The draft of a file; its faults go into the report. None if there is nothing to go on with."""
    source = report.source
    report.faults.extend(source.faults)
    for path, fault in source.odd_keys:
        if path[-2:-1] != ("cases",):  # the values of a `switch` may be numbers and booleans
            report.faults.append(fault)
    if not isinstance(source.value, dict):
        report.add((), "a workflow file is a mapping", "start with `name:` and `steps:`")
        return None
    return _Drafter(report).file(source.value)


class _Drafter:
    """Brings one file into its normal form."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._default_handling: str | None = None

    def file(self, raw: JsonObject) -> Draft:
        """The whole file."""
        known = [key for key in keys_of(WorkflowDefinition) if key not in ("file", "sha256")]
        value: JsonObject = {}
        for key, item in raw.items():
            if key in known:
                value[key] = item
            elif not key.startswith("x-"):
                self._report.unknown_key((key,), known, "the file")
        value.setdefault("name", PurePath(self._report.source.file).stem or "workflow")
        if "steps" not in raw:
            self._report.missing(("steps",), "the file", "add `steps:` with at least one step")
        value["inputs"] = self._inputs(value.get("inputs"))
        if "notify" in value:
            value["notify"] = normal_form(self._report, value["notify"])
        if "schedule" in value:
            value["schedule"] = draft_schedules(self._report, value["schedule"])
        lists = {key: value.pop(key, None) for key in _LISTS}
        empty = {key: [] for key in (*_LISTS, "schedule")}
        self._report.check_model(WorkflowDefinition, {**value, **empty}, Origin((), "the file"))
        self._default_handling = _handling(value.get("defaults"))
        return Draft(value, {key: self._steps(items, (key,)) for key, items in lists.items()})

    def _inputs(self, raw: Json) -> Json:
        if not isinstance(raw, dict):
            return {} if raw is None else raw
        return {name: self._input(name, item, ("inputs", name), "input") for name, item in raw.items()}

    def _input(self, name: str, raw: Json, place: DataPath, what: str) -> Json:
        """The declaration of an input, or of a field of an approval, which may be a plain default."""
        if not isinstance(raw, dict):
            if isinstance(raw, str) and raw in _TYPE_WORDS:
                message = f"the {what} `{name}` has the text {raw!r} as its default"
                self._report.warn(place, message, f"if the type is meant, write `{{type: {raw}}}`")
            return {"type": _TYPES[type(raw)], "default": raw}
        if raw and not set(raw) & set(keys_of(InputSpec)):
            hint = f"for a default that is a mapping write `{name}: {{type: object, default: {{...}}}}`"
            self._report.add(place, f"the {what} `{name}` has none of the keys of an input", hint)
            return {"type": "object", "default": raw}
        return raw

    def _steps(self, raw: Json, path: DataPath) -> list[DraftStep]:
        if raw is None and path != ("steps",):
            return []
        if not isinstance(raw, list):
            if raw is not None or path in self._present():
                self._report.add(
                    path, f"`{path[-1]}` must be a list of steps", "start each step with `- name:`"
                )
            return []
        if not raw and path == ("steps",):
            self._report.add(path, "`steps` is empty", "add at least one step")
        steps: list[DraftStep] = []
        for index, item in enumerate(raw):
            if isinstance(item, dict):
                steps.append(self._step(item, (*path, index), index))
            else:
                self._report.add(
                    (*path, index), "a step must be a mapping", "write `- name: ...` and `type: ...`"
                )
        return steps

    def _present(self) -> list[DataPath]:
        return [(key,) for key in self._report.source.value]

    def _step(self, raw: JsonObject, path: DataPath, index: int) -> DraftStep:
        kind = self._kind(raw, path)
        name = raw.get("name")
        step = DraftStep(path, {"name": f"step{index + 1}" if name is None else name, "type": kind})
        if kind in BLOCK_KINDS:
            self._block(step, raw, kind)
        else:
            self._plugin(step, raw)
        self._handle_errors(step, raw)
        self._check(step)
        return step

    def _kind(self, raw: JsonObject, path: DataPath) -> str:
        """The step's type, from `type` or from the key of a block."""
        given = raw.get("type")
        if isinstance(given, str):
            return given
        if given is not None:
            self._report.add((*path, "type"), "`type` must be text", "write, for example, `type: cli`")
            return ""
        blocks = [key for key in BLOCK_KINDS if key in raw]
        if len(blocks) > 1:
            message = f"a step is one block, not {' and '.join(f'`{key}`' for key in blocks)}"
            self._report.add(path, message, "make a step of each")
        if not blocks:
            self._report.missing((*path, "type"), "a step", _type_hint(raw))
        return blocks[0] if blocks else ""

    def _plugin(self, step: DraftStep, raw: JsonObject) -> None:
        spec: JsonObject = {}
        for key, item in raw.items():
            if key in STEP_KEYS:
                step.value.setdefault(key, item)
            elif not key.startswith("x-"):
                spec[key] = item
        step.value["spec"] = spec

    def _block(self, step: DraftStep, raw: JsonObject, kind: str) -> None:
        known = block_keys(kind)
        for key, item in raw.items():
            if key.startswith("x-") or (key in BLOCK_KINDS and "type" not in raw):
                continue  # that it is several blocks at once was reported
            if key in known:
                if key in STEP_KEYS:
                    step.value.setdefault(key, item)
            elif key in STEP_KEYS:
                article = "an" if kind == "approval" else "a"
                message = f"`{key}` has no meaning for {article} `{kind}` block"
                self._report.add((*step.path, key), message, _misplaced(key, kind), key=True)
            else:
                self._report.unknown_key((*step.path, key), known, f"a `{kind}` block")
        getattr(self, f"_{kind}")(step, raw)

    def _parallel(self, step: DraftStep, raw: JsonObject) -> None:
        key = "parallel" if "parallel" in raw else "steps"
        if "parallel" in raw and "steps" in raw:
            self._report.add(
                (*step.path, "steps"), "`steps` stands beside `parallel`", "keep one of them", key=True
            )
        self._body(step, "steps", raw.get(key), (*step.path, key))

    def _foreach(self, step: DraftStep, raw: JsonObject) -> None:
        step.value["foreach"] = self._inner(step, raw, "foreach", "foreach: {items: ...}")
        if "collect" in raw:
            step.value["collect"] = raw["collect"]
        self._body(step, "steps", raw.get("steps"), (*step.path, "steps"))

    def _switch(self, step: DraftStep, raw: JsonObject) -> None:
        base = (*step.path, "switch") if "switch" in raw else step.path
        given = self._inner(step, raw, "switch", "switch: {on: ...}") if "switch" in raw else raw
        for key in given:
            if base != step.path and key not in ("on", "cases", "default"):
                self._report.unknown_key((*base, key), ("on", "cases", "default"), "`switch`")
        step.value["switch"] = {"on": given["on"]} if "on" in given else {}
        step.places["switch"] = base
        step.has_cases = "cases" in given
        cases = given.get("cases")
        if isinstance(cases, dict):
            for key, items in cases.items():
                self._body(step, f"cases/{key}", items, (*base, "cases", key))
        if "cases" in given and not (cases and isinstance(cases, dict)):
            self._report.add((*base, "cases"), "`cases` must be a mapping of values to steps", "add `cases:`")
        if "default" in given:
            self._body(step, "default", given["default"], (*base, "default"), may_be_empty=True)

    def _workflow(self, step: DraftStep, raw: JsonObject) -> None:
        inputs = raw.get("inputs")
        step.value["workflow"] = {"target": raw.get("workflow"), "inputs": {} if inputs is None else inputs}
        step.places["workflow"] = (*step.path, "workflow")
        if "workflow" not in raw:
            hint = "add `workflow:` with the path of a file, or the name of a registered workflow"
            self._report.missing((*step.path, "workflow"), "a `workflow` block", hint)
            step.value["workflow"]["target"] = ""

    def _wait(self, step: DraftStep, raw: JsonObject) -> None:
        keys = ("for", "until", "message")
        given = self._inner(step, raw, "wait", "wait: {for: 10m}") if "wait" in raw else raw
        base = (*step.path, "wait") if "wait" in raw else step.path
        step.value["wait"] = {key: given[key] for key in keys if key in given}
        step.places["wait"] = base
        if "timeout" in given:
            step.value["timeout"] = given["timeout"]
            step.places["timeout"] = (*base, "timeout")
        unknown = [key for key in given if base != step.path and key not in (*keys, "timeout")]
        for key in unknown:
            self._report.unknown_key((*base, key), (*keys, "timeout"), "`wait`")
        if unknown and not step.value["wait"]:
            step.value["wait"] = {
                "for": 0
            }  # likely the misspelt key; that one is missing too is no second fault

    def _approval(self, step: DraftStep, raw: JsonObject) -> None:
        keys = ("message", "fields", "on_timeout", "on_reject")
        base, given = (*step.path, "approval"), raw.get("approval")
        if isinstance(given, str):
            given, base = {**raw, "message": given}, step.path
            step.places["approval/message"] = (*step.path, "approval")
        elif "approval" in raw:
            given = self._inner(step, raw, "approval", "approval: {message: ...}")
            if not isinstance(raw["approval"], dict):
                given = {"message": ""}  # that it is missing too is no second fault
            for key in keys:
                if key in raw:
                    hint = f"write `{key}` below `approval`, beside its `message`"
                    self._report.add((*step.path, key), f"`{key}` stands beside `approval`", hint, key=True)
        else:
            given, base = raw, step.path
        spec: JsonObject = {key: given[key] for key in keys if key in given}
        if isinstance(spec.get("fields"), dict):
            spec["fields"] = {
                name: self._input(name, item, (*base, "fields", name), "field")
                for name, item in spec["fields"].items()
            }
        step.value["approval"] = spec
        step.places["approval"] = base
        if "timeout" in given:
            step.value["timeout"] = given["timeout"]
            step.places["timeout"] = (*base, "timeout")
        for key in given:
            if base != step.path and key not in (*keys, "timeout"):
                self._report.unknown_key((*base, key), (*keys, "timeout"), "`approval`")

    def _inner(self, step: DraftStep, raw: JsonObject, key: str, example: str) -> JsonObject:
        """The mapping below a block's key."""
        inner = raw.get(key)
        if isinstance(inner, dict):
            return inner
        self._report.add((*step.path, key), f"`{key}` must be a mapping", f"write `{example}`")
        return {"items": []} if key == "foreach" else {}

    def _body(
        self, step: DraftStep, label: str, raw: Json, path: DataPath, *, may_be_empty: bool = False
    ) -> None:
        if raw is None and not label.startswith("cases/") and label != "default":
            self._report.missing((*step.path, label), f"a `{step.type}` block", f"add `{label}:`")
        elif raw == [] and label == "steps":
            self._report.add(path, f"`{label}` is empty", "add at least one step")
        elif raw is None and may_be_empty:
            raw = []
        step.bodies[label] = self._steps([] if raw is None else raw, path)

    def _handle_errors(self, step: DraftStep, raw: JsonObject) -> None:
        """`on_error` in its one form, and `retry` where it is short for that."""
        handling = raw.get("on_error", self._default_handling)
        if handling is None:
            return
        path = (*step.path, "on_error")
        step.value["on_error"] = {"strategy": handling} if isinstance(handling, str) else handling
        if handling == "retry":
            self._short_retry(step, raw)
        elif handling == "fallback":
            self._report.add(path, "`fallback` says not what to run", "write `on_error: {fallback: STEP}`")
            step.value["on_error"] = {"strategy": "fail"}
        elif isinstance(handling, dict) and "fallback" in handling:
            self._fallback(step, handling, path)
        elif not isinstance(handling, str):
            hint = "write `fail`, `skip`, `retry` or `{fallback: STEP}`"
            self._report.add(path, "`on_error` must be a word or `{fallback: STEP}`", hint)
            step.value["on_error"] = {"strategy": "fail"}

    def _short_retry(self, step: DraftStep, raw: JsonObject) -> None:
        if step.type not in BLOCK_KINDS or "on_error" in raw:  # what `defaults` say is for other steps
            step.value.setdefault("retry", {"max_attempts": 3})

    def _fallback(self, step: DraftStep, handling: JsonObject, path: DataPath) -> None:
        for key in handling:
            if key != "fallback":
                self._report.unknown_key((*path, key), ("fallback",), "`on_error`")
        fallback = handling["fallback"]
        step.value["on_error"] = {"strategy": "fallback", "fallback": fallback}
        if isinstance(fallback, dict):
            fallback = [fallback]
        if isinstance(fallback, list):
            step.value["on_error"]["fallback"] = []
            step.bodies["fallback"] = self._steps(fallback, (*path, "fallback"))
        elif not isinstance(fallback, str):
            hint = "write the name of a step, or a list of steps"
            self._report.add((*path, "fallback"), "`fallback` must be a step's name or a list of steps", hint)
            step.value["on_error"] = {"strategy": "fail"}

    def _check(self, step: DraftStep) -> None:
        """What the models refuse in the step's own fields."""
        value: JsonObject = {**step.value, "type": step.type or "?"}
        if "switch" in value:
            cases = {"cases": {}} if step.has_cases else {}
            value["switch"] = {**step.value["switch"], **cases}
        self._report.check_model(WorkflowStep, value, Origin(step.path, "a step", step.places))


def _misplaced(key: str, kind: str) -> str:
    """What to do with a key that a block cannot have."""
    if key in ("cache", "budget"):
        return f"write `{key}` on the steps that it is meant for"
    return f"remove it: {'an approval' if kind == 'approval' else 'a wait'} starts no process"


def _handling(defaults: Json) -> str | None:
    handling = defaults.get("on_error") if isinstance(defaults, Mapping) else None
    return handling if handling in ("fail", "skip", "retry") else None


def _type_hint(raw: Mapping[str, Any]) -> str:
    """The type that a step without one seems to be."""
    signs = {
        "code": "script",
        "prompt": "llm",
        "call": "python",
        "url": "http",
        "signature": "dspy",
        "event": "emit",
        "args": "cli",
    }
    found = next((kind for key, kind in signs.items() if key in raw), None)
    if found is None and "command" in raw:
        found = "run" if isinstance(raw["command"], list) else "cli"
    if found:
        return f"add `type: {found}`"
    return f"add `type:`, for example `type: cli`, or a block: {listing(BLOCK_KINDS)}"
