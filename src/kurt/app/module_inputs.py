"""The inputs of a Python workflow against the config class of its module, before a run is started."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.app.registry import WorkflowModule


def check_inputs(module: WorkflowModule, arguments: tuple[Any, ...]) -> None:
    """Refuse inputs that the workflow's config would refuse; a module without `<Name>Config` checks its own.

    Args:
        module: the workflow's module.
        arguments: what the workflow is called with; only a single mapping is looked at.

    Raises:
        InputError: naming every fault.
    """
    if len(arguments) != 1 or (config := config_class(module)) is None:
        return
    from kurt.core.configs import read_config  # noqa: PLC0415 - pydantic is loaded by the config itself

    read_config(config, arguments[0], module.name)


def config_class(module: WorkflowModule) -> type[BaseModel] | None:
    """The Pydantic model `<Name>Config` in the module's `config.py`, None where there is none."""
    wanted = "".join(part.capitalize() for part in module.name.split("_")) + "Config"
    try:
        found = getattr(importlib.import_module(f"{module.module}.config"), wanted, None)
    except ModuleNotFoundError as error:
        if error.name != f"{module.module}.config":
            raise
        return None
    return found if hasattr(found, "model_validate") else None
