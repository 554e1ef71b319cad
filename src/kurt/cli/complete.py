"""Names for the shell's completion: they only read, and take little time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.config import Settings

MOST = 50
"""How many names are offered."""


def workflow_files(settings: Settings, incomplete: str) -> list[tuple[str, str]]:
    """Workflow files of the project as paths from the working directory, with nothing to say about them."""
    from kurt.config.files import shown

    if not settings.workflows_dir.is_dir():
        return []
    files = sorted(
        file
        for file in settings.workflows_dir.rglob("*")
        if file.suffix in {".yaml", ".yml"} and not file.stem.endswith(".test")
    )
    names = [shown(str(file)) for file in files]
    return [(name, "") for name in names if name.startswith(incomplete)][:MOST]


def recent_runs(settings: Settings, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the newest runs, with what they are."""
    from kurt.runtime.runs import RunQuery, open_reader

    with open_reader(settings) as reader:
        return [
            (run.id, f"{run.name} {run.status}")
            for run in reader.list(RunQuery(prefix=incomplete, limit=MOST))
        ]


def schedules(settings: Settings, incomplete: str) -> list[tuple[str, str]]:
    """Names of schedules, with when they are due."""
    from kurt.app.schedules.listing import stored

    found = [(one.name, f"{one.cron} {one.timezone}") for one in stored(settings)]
    return [(name, about) for name, about in found if name.startswith(incomplete)][:MOST]
