"""What an author of Python workflows imports; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.app.session import destroy_dbos, init_dbos
    from kurt.core.hooks import CompositeStepHooks, NoopStepHooks, StepHooks
    from kurt.core.llm_step import LLMStep

__all__ = [
    "CompositeStepHooks",
    "LLMStep",
    "NoopStepHooks",
    "StepHooks",
    "destroy_dbos",
    "init_dbos",
]

_HOMES = {
    "CompositeStepHooks": "kurt.core.hooks",
    "LLMStep": "kurt.core.llm_step",
    "NoopStepHooks": "kurt.core.hooks",
    "StepHooks": "kurt.core.hooks",
    "destroy_dbos": "kurt.app.session",
    "init_dbos": "kurt.app.session",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
