"""About workflow files: their graph and their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.app.targets import no_workflow, workflow_file
from kurt.errors import UsageError
from kurt.types import JsonObject

if TYPE_CHECKING:
    from kurt.config import Settings


def draw(settings: Settings, target: str, notation: str) -> str:
    """The graph of a workflow file as `mermaid`, `dot` or `svg`.

    Raises:
        NotFoundError: there is no such workflow.
        UsageError: it is a folder, or a Python workflow.
        DefinitionError: it has faults.
    """
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - only when something is drawn
    from kurt.engine.language.parser import load_workflow  # noqa: PLC0415 - as above
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above
    from kurt.engine.views.graph import draw as draw_graph  # noqa: PLC0415 - only when something is drawn

    file = workflow_file(settings, target)
    if file is None:
        known = WorkflowRegistry(settings).find(target)
        if known is None:
            raise no_workflow(settings, target)
        raise UsageError(
            f"{target!r} is a Python workflow; only files have a graph", hint="kurt workflows list --files"
        )
    loaded = load_workflow(file, root=settings.root, kinds=kinds(settings.root))
    return draw_graph(loaded.definition, notation)


def schema(settings: Settings) -> JsonObject:
    """The JSON Schema of workflow files, with the project's own step kinds and notifiers."""
    from kurt.engine.language.jsonschema import workflow_schema  # noqa: PLC0415 - only when it is asked for
    from kurt.engine.notifiers.registry import notifiers  # noqa: PLC0415 - as above
    from kurt.engine.registry import kinds  # noqa: PLC0415 - as above

    return workflow_schema(kinds(settings.root), notifiers(settings.root))
