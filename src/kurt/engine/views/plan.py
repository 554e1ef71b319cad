"""What a run would do, without doing anything: order, conditions, fan-out, and the values that are known beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kurt.engine.durations import format_duration
from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.expressions.references import Path, as_text, find, is_missing, parse_template
from kurt.engine.kinds import KindInfo
from kurt.engine.language.order import direct_needs, fallback_names
from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep
from kurt.errors import ExpressionError
from kurt.types import Json, JsonObject

MASK = "***"
_MAX_KEYS = 20
_ROWS_AT_ONCE = 3
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known before the run.

    Attributes:
        names: values by name, as in a scope; what only the run will know is not in it.
        kinds: the step kinds.
        subworkflows: frozen definitions of the files that are run.
        definition: the workflow.
    """

    names: JsonObject
    kinds: Mapping[str, KindInfo]
    subworkflows: Mapping[str, JsonObject]
    definition: WorkflowDefinition


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Attributes:
        data: the plan as JSON.
    """

    data: JsonObject

    def to_json(self) -> JsonObject:
        """The plan for programs."""
        return self.data

    def lines(self) -> list[str]:
        """The plan for people."""
        return plan_lines(self.data)


def make_plan(
    definition: WorkflowDefinition,
    inputs: JsonObject,
    *,
    kinds: Mapping[str, KindInfo],
    subworkflows: Mapping[str, JsonObject] | None = None,
) -> Plan:
    """The plan of a run.

    Args:
        definition: the workflow.
        inputs: the bound inputs.
        kinds: the step kinds.
        subworkflows: the frozen definitions of the files that it runs.
    """
    env = {**definition.defaults.env, **definition.env}
    names: JsonObject = {**inputs, "inputs": inputs, "run": {"name": definition.name}, "steps": {}}
    names["env"] = {
        **{name: as_text(value) for name, value in _known_value(env, names).items()},
        **dict.fromkeys(definition.secrets, MASK),
    }
    known = _Known(names, kinds, subworkflows or {}, definition)
    plan: JsonObject = {
        "workflow": definition.name,
        "file": definition.file,
        "description": definition.description,
        "inputs": inputs,
        "queue": definition.queue,
        "priority": definition.priority,
        "concurrency": definition.concurrency,
        "timeout": definition.timeout,
        "budget": definition.budget and definition.budget.model_dump(exclude_none=True),
        "steps": _plan_list(known, definition.steps, ""),
        "on_error": _plan_list(known, definition.on_error, "on_error."),
        "finally": _plan_list(known, definition.finally_, "finally."),
        "outputs": _known_value(definition.outputs, known.names),
    }
    kept = ("inputs", "steps")
    return Plan({key: value for key, value in plan.items() if value not in (None, [], {}) or key in kept})


def _plan_list(
    known: _Known, steps: Sequence[WorkflowStep], prefix: str, *, independent: bool = False
) -> list[JsonObject]:
    """The plans of a list of steps, in the order of the file; what they set is forgotten or, if skipped, null."""
    after = direct_needs(steps, independent=independent)
    substitutes = fallback_names(steps)
    plans: list[JsonObject] = []
    for step in steps:
        plan = _plan_step(known, step, prefix)
        plan["after"] = after.get(step.name, [])
        if step.name in substitutes:
            plan["only_as_fallback"] = True
        plans.append(plan)
        _forget(known, step, is_skipped=plan.get("skipped", False))
    return plans


def _forget(known: _Known, step: WorkflowStep, *, is_skipped: bool) -> None:
    known.names["steps"].pop(step.name, None)
    if step.output:
        known.names.pop(step.output, None)
    if is_skipped:
        known.names["steps"][step.name] = None
        if step.output:
            known.names[step.output] = None


def _plan_step(known: _Known, step: WorkflowStep, prefix: str) -> JsonObject:
    path = prefix + step.name
    plan: JsonObject = {"path": path, "name": step.name, "type": step.type}
    if step.description:
        plan["description"] = step.description
    if step.when is not None:
        value = _known_expression(known, step.when)
        plan["when"] = {"expression": step.when, "value": None if value is None else bool(value[0])}
        plan["skipped"] = plan["when"]["value"] is False
    plan.update(_policies(known, step))
    if step.output:
        plan["output"] = step.output
    if not plan.get("skipped"):
        plan.update(_work(known, step, path))
    return plan


def _policies(known: _Known, step: WorkflowStep) -> Iterator[tuple[str, Json]]:
    """What happens when it takes long or fails."""
    timeout = step.timeout_seconds(known.definition)
    if timeout is not None:
        yield "timeout", timeout
    retry = step.retry_of(known.definition)
    if retry is not None:
        yield "max_attempts", retry.max_attempts
    if step.cache is not None and step.cache.enabled:
        yield "cache", {"ttl": step.cache.ttl_seconds}
    if step.budget is not None:
        yield "budget", step.budget.model_dump(exclude_none=True)
    if step.skips_errors:
        yield "on_error", "skip"
    elif isinstance(step.fallback, str):
        yield "on_error", {"fallback": step.fallback}
    elif step.fallback is not None:
        inner = _inside(known)
        yield "on_error", {"fallback": _plan_list(inner, step.fallback, f"{step.name}.")}


def _work(known: _Known, step: WorkflowStep, path: str) -> JsonObject:
    """What the step itself does."""
    if step.foreach is not None:
        return _foreach(known, step, path)
    if step.switch is not None:
        return _switch(known, step, path)
    if step.workflow is not None:
        return _workflow(known, step)
    waits = step.wait or step.approval
    if waits is not None:
        return {step.type: _known_value(waits.model_dump(by_alias=True, exclude_unset=True), known.names)}
    if step.type == "parallel":
        return {"steps": _plan_list(_inside(known), step.steps, f"{path}.", independent=True)}
    return _kind(known, step)


def _kind(known: _Known, step: WorkflowStep) -> JsonObject:
    """What a plug-in kind does."""
    info = known.kinds.get(step.type)
    verbatim = info.kind.verbatim if info else frozenset[str]()
    of_row = info.kind.row_fields if info and step.is_flow else frozenset[str]()
    row = _inside(known, "item", "index", str(step.spec.get("as", "item"))).names
    fields = {
        key: value if key in verbatim else _known_value(value, row if key in of_row else known.names)
        for key, value in step.spec.items()
    }
    env = _known_value(step.env, known.names)
    plan: JsonObject = {"fields": fields, **({"env": env} if env else {})}
    if step.is_flow:
        items = fields["items"]
        plan["rows"] = {
            "items": len(items) if isinstance(items, list) else None,
            "concurrency": fields.get("concurrency", _ROWS_AT_ONCE),
        }
    return plan


def _inside(known: _Known, *hidden: str) -> _Known:
    """The same for the steps inside a block, without some names."""
    names = {name: value for name, value in known.names.items() if name not in hidden}
    names["steps"] = dict(known.names["steps"])
    return _Known(names, known.kinds, known.subworkflows, known.definition)


def _foreach(known: _Known, step: WorkflowStep, path: str) -> JsonObject:
    spec = step.foreach
    if spec is None:
        return {}
    items = _known_value(spec.items, known.names)
    fan_out: JsonObject = {
        "items": None,
        "max_concurrent": spec.max_concurrent,
        "on_item_error": spec.on_item_error,
    }
    if isinstance(items, list | dict):
        values = items if isinstance(items, list) else [{"key": key, "value": items[key]} for key in items]
        fan_out["items"] = len(values)
        fan_out["keys"] = [
            _item_key(known, step, index, item) for index, item in enumerate(values[:_MAX_KEYS])
        ]
    inner = _inside(known, "item", "index", "key", spec.variable)
    return {"fan_out": fan_out, "steps": _plan_list(inner, step.steps, f"{path}[{spec.key or '*'}].")}


def _item_key(known: _Known, step: WorkflowStep, index: int, item: Json) -> str:
    if step.foreach is None or step.foreach.key is None:
        return str(index)
    names = {**known.names, "item": item, "index": index, step.foreach.variable: item}
    return as_text(_known_value(step.foreach.key, names))


def _switch(known: _Known, step: WorkflowStep, path: str) -> JsonObject:
    value = _known_expression(known, step.on)
    cases = {
        part.removeprefix("cases/"): _plan_list(_inside(known), steps, f"{path}.")
        for part, steps in step.bodies()
        if part != "fallback"
    }
    plan: JsonObject = {"on": step.on, "cases": cases}
    if value is not None:
        plan["takes"] = step.matching_case(value[0]) or "default"
    return plan


def _workflow(known: _Known, step: WorkflowStep) -> JsonObject:
    call = step.workflow
    if call is None:
        return {}
    given = _known_value(call.inputs, known.names)
    plan: JsonObject = {"workflow": call.target, "inputs": given}
    frozen = known.subworkflows.get(call.target)
    if frozen is not None:
        other = WorkflowDefinition.from_frozen(frozen)
        inputs = {name: spec.default for name, spec in other.inputs.items() if name not in given}
        inputs |= {name: value for name, value in given.items() if _is_known(call.inputs[name], known.names)}
        inner = make_plan(other, inputs, kinds=known.kinds, subworkflows=known.subworkflows)
        plan["steps"] = inner.data["steps"]
    return plan


def _known_value(value: Json, names: JsonObject) -> Json:
    """The value with those references replaced whose values are known."""
    if isinstance(value, str):
        return parse_template(value).resolve(names) if _is_known(value, names) else value
    if isinstance(value, dict):
        return {key: _known_value(item, names) for key, item in value.items()}
    return [_known_value(item, names) for item in value] if isinstance(value, list) else value


def _is_known(value: Json, names: JsonObject) -> bool:
    """Whether every reference in the value leads somewhere; one that does not may have a default all the same."""
    if isinstance(value, str):
        paths = (path for reference in parse_template(value).references for path in reference.paths)
        return not any(is_missing(find(path, names)) for path in paths)
    if isinstance(value, dict):
        return all(_is_known(item, names) for item in value.values())
    return not isinstance(value, list) or all(_is_known(item, names) for item in value)


def _known_expression(known: _Known, text: str) -> tuple[Json] | None:
    """The value of an expression, None if it is not known yet or depends on a secret."""
    expression = compile_expression(text)
    if any(is_missing(find(path, known.names)) or _is_secret(known, path) for path in expression.paths):
        return None
    try:
        return (expression.evaluate(known.names),)
    except ExpressionError:
        return None  # the run reports it, with its values


def _is_secret(known: _Known, path: Path) -> bool:
    return path[0] == "env" and (len(path) == 1 or path[1] in known.definition.secrets)


def plan_lines(plan: JsonObject) -> list[str]:
    """A plan as lines for people."""
    lines = [f"{plan['workflow']}" + (f" ({plan['file']})" if plan.get("file") else "")]
    if "budget" in plan:
        lines.append(f"  calls of models {_budget_line(plan['budget'])}")
    lines += [f"  input {name} = {_shown(value)}" for name, value in plan["inputs"].items()]
    for part in ("steps", "on_error", "finally"):
        steps = plan.get(part, [])
        if part != "steps" and steps:
            lines.append(f"{'if the run fails' if part == 'on_error' else 'in the end, in any case'}:")
        lines += _step_lines(steps, "")
    lines += [f"output {name} = {_shown(value)}" for name, value in plan.get("outputs", {}).items()]
    return lines


def _step_lines(steps: Sequence[JsonObject], indent: str) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(steps, start=1):
        lines.append(f"{indent}{number}. {step['name']}: {_headline(step)}")
        inner = f"{indent}   "
        lines += [f"{inner}{key}: {_shown(value)}" for key, value in step.get("fields", {}).items()]
        lines += _step_lines(step.get("steps", []), inner)
        for case, branch in step.get("cases", {}).items():
            taken = " (taken)" if step.get("takes") == case else ""
            lines += [f"{inner}case {case}{taken}:", *_step_lines(branch, inner + "  ")]
    return lines


def _headline(step: JsonObject) -> str:
    """One line on a step: its kind, what it waits for, whether it runs."""
    facts = [_kind_line(step)]
    if "when" in step:
        value = {True: "true", False: "false, skipped", None: "not known yet"}[step["when"]["value"]]
        facts.append(f"when {step['when']['expression']} ({value})")
    if step.get("only_as_fallback"):
        facts.append("only as a fallback")
    if step.get("max_attempts", 1) > 1:
        facts.append(f"up to {step['max_attempts']} attempts")
    if "timeout" in step:
        facts.append(f"at most {format_duration(step['timeout'])}")
    if "cache" in step:
        ttl = step["cache"]["ttl"]
        facts.append("its value is kept" + (f" for {format_duration(ttl)}" if ttl is not None else ""))
    if "budget" in step:
        facts.append(_budget_line(step["budget"]))
    if "output" in step:
        facts.append(f"sets {step['output']}")
    return ", ".join(facts)


def _budget_line(budget: JsonObject) -> str:
    limits = [f"${budget['usd']:g}"] if "usd" in budget else []
    limits += [f"{budget['tokens']:,} tokens"] if "tokens" in budget else []
    return f"for at most {' and '.join(limits)}"


def _kind_line(step: JsonObject) -> str:
    fan_out = step.get("fan_out")
    if fan_out:
        count = "items not known yet" if fan_out["items"] is None else f"{fan_out['items']} items"
        return f"foreach over {count}, at most {fan_out['max_concurrent']} at once"
    if "on" in step:
        return f"switch on {step['on']}"
    if "wait" in step:
        return "wait " + ", ".join(f"{key} {value}" for key, value in step["wait"].items())
    if "approval" in step:
        return "approval: " + _approval_line(step["approval"])
    if "workflow" in step:
        return f"workflow {step['workflow']} with {_shown(step['inputs'])}"
    return _rows_line(step) if "rows" in step else str(step["type"])


def _rows_line(step: JsonObject) -> str:
    rows = step["rows"]
    count = "rows not known yet" if rows["items"] is None else f"{rows['items']} rows"
    return f"{step['type']} over {count}, at most {rows['concurrency']} calls at once"


def _approval_line(spec: JsonObject) -> str:
    """What a person is asked, and what is to be given with the answer."""
    fields = ", ".join(spec.get("fields", {}))
    return _shown(spec["message"]) + (f", asks for {fields}" if fields else "")


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 3] + "..."
