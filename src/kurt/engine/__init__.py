"""Declared workflows: schema, expressions, parser, interpreter and kinds of steps.

The public names are loaded when they are first used: `import kurt.engine` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.app.library import run_yaml_workflow
    from kurt.engine.interpreter.context import WorkflowContext
    from kurt.engine.language.parser import load_workflow
    from kurt.engine.language.schema import ErrorHandling, WorkflowDefinition, WorkflowStep

__all__ = [
    "ErrorHandling",
    "WorkflowContext",
    "WorkflowDefinition",
    "WorkflowStep",
    "load_workflow",
    "run_yaml_workflow",
]

_HOMES = {
    "ErrorHandling": "kurt.engine.language.schema",
    "WorkflowContext": "kurt.engine.interpreter.context",
    "WorkflowDefinition": "kurt.engine.language.schema",
    "WorkflowStep": "kurt.engine.language.schema",
    "load_workflow": "kurt.engine.language.parser",
    "run_yaml_workflow": "kurt.app.library",  # a use case of a layer above, offered here because people look here
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
