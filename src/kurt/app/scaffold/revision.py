"""The place of a new migration in the history of the project's own tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from kurt.db.upgrades import project_config, project_folders
from kurt.errors import ConflictError

if TYPE_CHECKING:
    from kurt.config import Settings


def next_revision(settings: Settings) -> tuple[str, str | None]:
    """Id of the next revision, `YYYYMMDD_NNN`, and of the one before it; None for the first.

    Raises:
        ConflictError: the revisions that are there are not one line.
    """
    today = datetime.now(UTC).strftime("%Y%m%d")
    folders = project_folders(settings)
    if not folders:
        return f"{today}_001", None
    try:
        scripts = ScriptDirectory.from_config(project_config(folders))
        taken = {item.revision for item in scripts.walk_revisions()}
        head = scripts.get_current_head()
    except CommandError as error:
        raise ConflictError(
            f"the project's revisions are not one line: {error}",
            hint=f"let each revision below {settings.workflows_dir} name the one before it",
        ) from error
    number = next(n for n in range(1, len(taken) + 2) if f"{today}_{n:03d}" not in taken)
    return f"{today}_{number:03d}", head
