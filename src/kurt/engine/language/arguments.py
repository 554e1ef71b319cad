"""Inputs of a Python workflow as arguments of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kurt.errors import InputError

_WHOLE = frozenset({"config", "config_dict", "cfg", "settings", "params", "payload", "inputs"})
"""Names of a single parameter that takes the whole mapping of inputs."""


def bind_arguments(
    function: Callable[..., Any], given: Mapping[str, Any], where: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs as arguments: the whole mapping for a single parameter such as `config`, else by name.

    Raises:
        InputError: they do not fit the parameters.
    """
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if len(parameters) == 1 and parameters[0].name in _WHOLE:
        return (dict(given),), {}
    try:
        signature.bind(**given)
    except TypeError as error:
        accepted = ", ".join(parameter.name for parameter in parameters) or "none"
        raise InputError(f"the inputs do not fit {where}: {error}", hint=f"it takes: {accepted}") from None
    return (), dict(given)
