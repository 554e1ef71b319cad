"""Which names steps use, without running them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.expressions.references import Path, TemplateSyntaxError, references
from kurt.engine.expressions.until import until_paths
from kurt.errors import ExpressionError
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep


def paths_used(
    steps: Sequence[WorkflowStep], *, extra: Json = None, siblings: Sequence[WorkflowStep] = ()
) -> set[Path]:
    """The paths that the references and expressions of steps, and of all steps in them, look up.

    Args:
        steps: the steps.
        extra: one more value whose references count.
        siblings: the list in which fallbacks are looked for by name; the steps themselves if not given.
    """
    found = set(template_paths(extra))
    todo = list(steps)
    seen: set[str] = set()
    by_name = {step.name: step for step in (*siblings, *steps)}
    while todo:
        step = todo.pop()
        found.update(_own_paths(step))
        for _, inner in step.bodies():
            todo.extend(inner)
            by_name.update({item.name: item for item in inner})
        substitute = step.fallback
        if isinstance(substitute, str) and substitute in by_name and substitute not in seen:
            seen.add(substitute)
            todo.append(by_name[substitute])
    return found


def default_paths(definition: WorkflowDefinition) -> set[Path]:
    """The paths that a file's `defaults` look up in each of its steps; their `env` is read with that of the file."""
    retry = definition.defaults.retry
    return set(expression_paths(retry.when)) if retry is not None else set()


def names_used(
    steps: Sequence[WorkflowStep], *, extra: Json = None, siblings: Sequence[WorkflowStep] = ()
) -> set[str]:
    """The names that the references and expressions of steps start from; see `paths_used`."""
    return {str(path[0]) for path in paths_used(steps, extra=extra, siblings=siblings)}


def steps_used(paths: Iterable[Path]) -> set[str] | None:
    """The names that stand after `steps.` in some paths; None if the whole of `steps` is used."""
    names: set[str] = set()
    for path in paths:
        if path[0] == "steps":
            if len(path) == 1:
                return None
            names.add(str(path[1]))
    return names


def template_paths(value: Json) -> Iterator[Path]:
    """The paths of the references in a value; a text that is not well formed counts as without any."""
    try:
        for reference in references(value):
            yield from reference.paths
    except TemplateSyntaxError:
        return  # code that holds `${` for another reader


def expression_paths(text: Json) -> Iterator[Path]:
    """The paths that an expression looks up; none if it is not well formed, which is reported elsewhere."""
    if not isinstance(text, str):
        return
    try:
        yield from compile_expression(text).paths
    except ExpressionError:
        return


def _own_paths(step: WorkflowStep) -> Iterator[Path]:
    for value in step.spec.values():
        yield from template_paths(value)
    yield from template_paths(step.env)
    yield from expression_paths(step.when)
    if step.retry is not None:
        yield from expression_paths(step.retry.when)
    if step.cache is not None:
        yield from template_paths(step.cache.key)
    yield from _block_paths(step)


def _block_paths(step: WorkflowStep) -> Iterator[Path]:
    yield from template_paths(step.collect)
    if step.foreach is not None:
        yield from template_paths([step.foreach.items, step.foreach.key])
    if step.switch is not None:
        yield from expression_paths(step.switch.on)
    if step.workflow is not None:
        yield from template_paths(step.workflow.inputs)
    if step.wait is not None:
        yield from template_paths([step.wait.for_, step.wait.message])
        yield from until_paths(step.wait.until)
    if step.approval is not None:
        defaults = [spec.default for spec in step.approval.fields.values()]
        yield from template_paths([step.approval.message, defaults])
