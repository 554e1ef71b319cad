"""Schedules that somebody wants: those of a file, or one that a command describes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kurt.app.schedules.declared import declared
from kurt.app.targets import workflow_file
from kurt.engine.expressions.references import has_references, resolve
from kurt.errors import InputError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.config import Settings
    from kurt.engine.language.schema import WorkflowDefinition
    from kurt.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A schedule that somebody wants.

    Attributes:
        name: its name.
        workflow: a file, or the name of a workflow.
        cron: when it is due.
        timezone: the zone whose clock `cron` means.
        catch_up: start also what was due while no worker lived.
        overlap: `skip`, `queue` or `cancel`.
        inputs: inputs of its runs; may refer to `tick`.
        queue: queue of its runs, None for the file's.
        priority: priority of its runs, None for the file's.
        declared: it stands in the file itself.
    """

    name: str
    workflow: str
    cron: str
    timezone: str = "UTC"
    catch_up: bool = False
    overlap: str = "skip"
    inputs: JsonObject = field(default_factory=dict[str, Any])
    queue: str | None = None
    priority: int | None = None
    declared: bool = False


def _definition(settings: Settings, target: str) -> WorkflowDefinition | None:
    """What is in a file, None for what is none.

    Raises:
        NotFoundError: it can only be a file, and there is none.
        DefinitionError: it has faults.
    """
    from kurt.app.known_workflows import KnownWorkflows  # noqa: PLC0415 - only for files
    from kurt.engine.language.parser import load_workflow  # noqa: PLC0415 - as above
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above

    file = workflow_file(settings, target)
    if file is None:
        return None
    known = KnownWorkflows(settings)
    return load_workflow(file, root=settings.root, kinds=kinds(settings.root), workflows=known).definition


def from_file(settings: Settings, target: str) -> list[Wanted]:
    """The schedules that a file declares.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it has faults.
        UsageError: it declares none.
    """
    definition = _definition(settings, target)
    if definition is None:
        raise NotFoundError(
            f"there is no workflow file {target!r}",
            hint="for a schedule that stands in no file: kurt schedules create NAME --workflow X --cron ...",
        )
    found = [Wanted(workflow=target, declared=True, **one) for one in declared(definition)]
    if not found:
        raise UsageError(
            f"{definition.file} declares no schedule",
            hint="add, for example, `schedule: {cron: 0 7 * * 1, timezone: Europe/Paris}` to it, or"
            f" kurt schedules create NAME --workflow {definition.file} --cron '0 7 * * 1'",
        )
    return found


def inputs_from(settings: Settings, target: str, texts: Sequence[str], scope: JsonObject) -> JsonObject:
    """The inputs of a schedule from `name=value` texts: values by their declared types, references to `tick` as they are.

    Args:
        settings: the project's settings.
        target: the workflow.
        texts: the texts.
        scope: an example of `tick`.

    Raises:
        InputError: one has no name, or does not fit.
        ExpressionError: a reference leads nowhere.
    """
    if not texts:
        return {}
    from kurt.engine.language.inputs import bind_inputs, parse_text  # noqa: PLC0415 - few schedules have inputs here

    named = [text.partition("=") for text in texts]
    for name, equals, _ in named:
        if not name or not equals:
            raise InputError(f"the input {name!r} has no value", hint="write --input NAME=VALUE")
    templates = {name: value for name, _, value in named if has_references(value)}
    plain = [f"{name}={resolve(value, {'tick': scope})}" for name, _, value in named]
    definition = _definition(settings, target)
    if definition is None:
        return {name: templates.get(name, parse_text(value)) for name, _, value in named}
    bound = bind_inputs(definition, texts=plain)
    return {name: templates.get(name, bound.get(name)) for name, _, _ in named}
