"""Schedules as files declare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.engine.language.schema import WorkflowDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping


def schedules_of(frozen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The schedules of a file by the names of the columns in which they are stored.

    Args:
        frozen: the file, as `kurt.engine.language.parser.freeze` gives it.
    """
    return declared(WorkflowDefinition.from_frozen(frozen))


def declared(definition: WorkflowDefinition) -> list[dict[str, Any]]:
    """The same for a definition."""
    return [
        {
            "name": spec.name or definition.name,
            "cron": spec.cron,
            "timezone": spec.timezone,
            "catch_up": spec.catch_up,
            "overlap": spec.overlap,
            "inputs": spec.inputs,
        }
        for spec in definition.schedule
    ]
