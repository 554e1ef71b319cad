"""The tables of all workflow modules, the project's own included."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kurt.app.registry import PACKAGE, WorkflowRegistry
from kurt.config.current import current_settings
from kurt.db import migrate
from kurt.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from kurt.config import Settings


def register_all_models(settings: Settings | None = None) -> list[str]:
    """Import the models of Kurt, of all workflow modules and of the project; the names of the modules.

    Afterwards `SQLModel.metadata` knows every table, so that `ensure_tables()` can make them and an automatic revision
    can compare them with the database.

    Args:
        settings: the project's; those of the executor, or of the working directory, by default.
    """
    chosen = settings or current_settings()
    packages = [module.module for module in WorkflowRegistry(chosen).modules()]
    packages += [f"{PACKAGE}.{path.parent.name}" for path in sorted(chosen.workflows_dir.glob("*/models.py"))]
    names = ["kurt.db.models", *(f"{package}.models" for package in dict.fromkeys(packages))]
    return [name for name in names if _imported(name) is not None]


def draft_revision(settings: Settings, module: str, message: str) -> Path:
    """Write a revision from the difference between a module's models and the database; its file.

    Args:
        settings: the project's settings.
        module: name of a folder in `workflows/`.
        message: what the revision will do, in a few words.

    Raises:
        NotFoundError: there is no such module, or it has no models.
        ConflictError: there is no difference.
        StorageError: the database cannot be reached, or lacks revisions that are there already.
    """
    package = f"{PACKAGE}.{module}"
    if f"{package}.models" not in register_all_models(settings):
        raise NotFoundError(
            f"there are no models in {settings.workflows_dir / module}",
            hint=f"write {settings.workflows_dir / module / 'models.py'}, or leave --autogenerate out",
        )
    migrate.ensure_schema(settings)
    return migrate.revision(settings, module, message, package)


def _imported(name: str) -> ModuleType | None:
    """The module, None where there is none of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        return None
