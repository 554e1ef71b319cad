"""Bringing the schema of a project's database to what this build needs.

The light half: it decides by one query whether there is anything to do, and only then loads Alembic, SQLAlchemy
and DBOS (`kurt.db.upgrades`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.db.locks import migration_lock
from kurt.db.state import SchemaState, is_current, read_state

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.config import Settings

__all__ = ["SchemaState", "current", "downgrade", "ensure_schema", "revision", "upgrade"]


def ensure_schema(settings: Settings) -> bool:
    """Make sure that the database exists and has the schema of this build; True if something was changed.

    Any number of processes may call it at once; one of them does the work, the others wait for it.

    Raises:
        StorageError: the database is damaged, cannot be reached or written, or a newer Kurt wrote it.
    """
    if is_current(settings):
        return False
    with migration_lock(settings):
        if is_current(settings):  # another process did it while this one waited
            return False
        from kurt.db import upgrades  # noqa: PLC0415 - loads Alembic and DBOS only when there is something to do

        upgrades.upgrade(settings, "head")
    return True


def upgrade(settings: Settings, to: str = "head") -> SchemaState:
    """Upgrade Kurt's tables and DBOS's, then those of the project's own modules.

    Args:
        settings: the project's settings.
        to: revision of Kurt's tables to stop at; the project's own follow only at `head`.

    Raises:
        NotFoundError: there is no such revision.
        StorageError: see `ensure_schema`.
    """
    from kurt.db import upgrades  # noqa: PLC0415 - see ensure_schema

    with migration_lock(settings):
        if to != "head" or not is_current(settings):
            upgrades.upgrade(settings, to)
        if to == "head":
            upgrades.upgrade_project(settings)
    return read_state(settings)


def downgrade(settings: Settings, to: str) -> SchemaState:
    """Take Kurt's own tables back to a revision, or to `base`; DBOS's tables stay as they are.

    Raises:
        NotFoundError: there is no such revision.
        StorageError: see `ensure_schema`.
    """
    from kurt.db import upgrades  # noqa: PLC0415 - see ensure_schema

    with migration_lock(settings):
        upgrades.downgrade(settings, to)
    return read_state(settings)


def current(settings: Settings) -> SchemaState:
    """The schema that the database has beside the one that this build needs; changes nothing.

    Raises:
        StorageError: the database is damaged or cannot be reached.
    """
    return read_state(settings)


def revision(settings: Settings, module: str, message: str, package: str | None = None) -> Path:
    """Write a new revision for the tables of one of the project's workflow modules; its file.

    Args:
        settings: the project's settings.
        module: name of a folder in `workflows/`.
        message: what the revision will do, in a few words.
        package: import path of the module, whose models have been imported: the revision is drafted from what they have
            and the database lacks. Without it the revision is empty.

    Raises:
        NotFoundError: there is no such module.
        ConflictError: there is nothing to draft.
        StorageError: the database cannot be reached, or lacks revisions that are there already.
    """
    from kurt.db import upgrades  # noqa: PLC0415 - see ensure_schema

    return upgrades.new_revision(settings, module, message, package)
