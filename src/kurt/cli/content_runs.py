"""Commands that execute a content workflow: in this process with a live view, or in the background."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kurt.cli.command import Outcome
from kurt.cli.session import current
from kurt.errors import InputError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.types import JsonObject


def checked(model: type[BaseModel], given: Mapping[str, Any]) -> JsonObject:
    """The fields of a workflow's config, after its own checks.

    Args:
        model: the config's class.
        given: its fields by name.

    Raises:
        InputError: naming every fault.
    """
    from pydantic import ValidationError

    from kurt.core.configs import faults_of

    try:
        return model.model_validate(given).model_dump()
    except ValidationError as error:
        raise InputError("; ".join(faults_of(error)), hint="see --help") from None


def run_content(
    name: str,
    run: Callable[..., JsonObject],
    inputs: JsonObject,
    *,
    background: bool,
    priority: int | None,
    then: Callable[[JsonObject], list[str]] = lambda _: [],
    secrets: tuple[str, ...] = (),
) -> Any:
    """Execute a content workflow and give its result, or submit it and give its id.

    Args:
        name: the workflow's short name.
        run: what runs it from Python, `run_<name>`; used where DBOS is launched in this process already.
        inputs: the fields of its config.
        background: put it on a queue and return at once.
        priority: place in the queue, 1 comes first.
        then: lines about what can be done next with a result, for people.
        secrets: names of secrets that it needs, which in the background a worker must be able to see.

    Returns:
        the workflow's result, in the background `{workflow_id, status: "queued", ...}`.
    """
    if _is_launched():
        return run(inputs, background=background, priority=priority)
    from kurt.app.placement import placement_from
    from kurt.app.runs import run_here, submit
    from kurt.app.targets import prepare
    from kurt.cli.watching import outcome, watched

    settings = current().settings()
    prepared = replace(prepare(settings, name, given=inputs), secrets=secrets)
    placement = placement_from(settings, prepared, {"priority": priority})
    if background:
        return submit(settings, prepared, placement).to_json()
    with watched(prepared.name) as watching:
        ended = watching.ended(run_here(settings, prepared, placement, watch=watching.watch))
    shown = outcome(ended)
    if shown.error is not None:
        return shown
    result: JsonObject = ended.outputs
    return Outcome(result, closing=[*shown.closing, *then(result)])


def _is_launched() -> bool:
    """Whether DBOS is launched in this process: by a test, a notebook, an application."""
    if "dbos" not in sys.modules:
        return False
    from kurt.runtime.recovery import is_launched

    return is_launched()


def one_of(given: Mapping[str, Any], remedy: str) -> None:
    """Refuse a command line that names no source, or several.

    Args:
        given: the sources by how they are given, None for those that are not.
        remedy: what to write.

    Raises:
        UsageError: there is not exactly one.
    """
    named = [name for name, value in given.items() if value is not None]
    if not named:
        raise UsageError(f"nothing to search was given: {', '.join(given)}", hint=remedy)
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} exclude each other", hint="keep one of them")
