"""`--dry-run`: what a run would do, with the values known now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kurt.app.placement import placement_from
from kurt.app.targets import prepare
from kurt.runtime.names import RUN_WORKFLOW

if TYPE_CHECKING:
    from kurt.app.targets import Prepared
    from kurt.config import Settings
    from kurt.types import JsonObject


def plan_run(
    settings: Settings,
    target: str,
    *,
    texts: tuple[str, ...],
    given: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The plan of a run as `{dry_run, name, inputs, queue, priority, timeout, debounce, plan}`; nothing is started or written.

    Args:
        settings: the project's settings.
        target: a file, or a name.
        texts: inputs as `name=value` texts.
        given: inputs as JSON; texts win.
        options: what `kurt.app.placement.placement_from` takes.

    Raises:
        NotFoundError: there is no such workflow.
        DefinitionError: the file has faults.
        InputError: the inputs do not fit.
    """
    prepared = prepare(settings, target, texts=texts, given=given)
    placement = placement_from(settings, prepared, options)
    plan = (
        _plan_of_file(settings, prepared) if prepared.workflow == RUN_WORKFLOW else _plan_of_python(prepared)
    )
    return {
        "dry_run": True,
        "name": prepared.name,
        "inputs": plan["inputs"],
        "queue": placement.queue,
        "priority": placement.priority,
        "timeout": placement.timeout,
        "debounce": placement.debounce and asdict(placement.debounce),
        "plan": plan,
    }


def _plan_of_file(settings: Settings, prepared: Prepared) -> JsonObject:
    from kurt.engine.language.schema import WorkflowDefinition  # noqa: PLC0415 - as above
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above
    from kurt.engine.views.plan import make_plan  # noqa: PLC0415 - only for files

    payload = prepared.arguments[0]
    definition = WorkflowDefinition.from_frozen(payload["frozen"])
    subworkflows = payload["frozen"]["subworkflows"]
    known = kinds(settings.root)
    return make_plan(definition, payload["inputs"], kinds=known, subworkflows=subworkflows).to_json()


def _plan_of_python(prepared: Prepared) -> JsonObject:
    """Of a Python workflow only the inputs are known before it runs."""
    inputs = dict(prepared.keywords) or (prepared.arguments[0] if prepared.arguments else {})
    return {"workflow": prepared.name, "file": None, "inputs": inputs, "steps": []}


def plan_lines(dry_run: JsonObject) -> list[str]:
    """What `plan_run` gives, for people."""
    from kurt.engine.durations import format_duration  # noqa: PLC0415 - only when a plan is shown
    from kurt.engine.views.plan import plan_lines as lines_of  # noqa: PLC0415 - as above

    place = [f"queue {dry_run['queue']}"]
    if dry_run["priority"] is not None:
        place.append(f"priority {dry_run['priority']}")
    if dry_run["timeout"] is not None:
        place.append(f"at most {format_duration(dry_run['timeout'])}")
    if dry_run["debounce"] is not None:
        period = format_duration(dry_run["debounce"]["period"])
        place.append(f"in the background after {period} without a request")
    if (limit := dry_run["plan"].get("concurrency")) is not None:
        place.append(f"at most {limit} run{'' if limit == 1 else 's'} of it at once")
    return [*lines_of(dry_run["plan"]), ", ".join(place)]
