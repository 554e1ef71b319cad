"""The config of a workflow, read from what it was given; faults are told in words of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from kurt.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Config = TypeVar("Config", bound=BaseModel)


def read_config(model: type[Config], given: Mapping[str, Any], name: str) -> Config:
    """The config, after all of its checks.

    Args:
        model: its class.
        given: its fields by name.
        name: of the workflow, for the message.

    Raises:
        InputError: naming every fault.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(
            f"the inputs do not fit {name}: {'; '.join(faults_of(error))}",
            hint=f"it takes: {', '.join(model.model_fields)}",
        ) from None


def faults_of(error: ValidationError) -> list[str]:
    """Each fault in one line: where it is, unless it concerns the whole, and what it is."""
    found: list[str] = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(map(str, fault["loc"]))
        text = fault["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {text}" if place else text)
    return found
