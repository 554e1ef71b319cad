"""`kurt init`: make a folder a project."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.output import Column, Table, hint_line, warn
from kurt.cli.session import current


def changes_table(changes: list[dict[str, Any]]) -> Table:
    """What was done to each file."""
    rows = [[change["action"], change["path"]] for change in changes]
    return Table([Column("action"), Column("path")], rows, header=False)


@command("init", view=changes_table, epilog="kurt init\nkurt init my-project\nkurt init --dry-run")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only list what would be written.")
def init_cmd(folder: Path | None, dry_run: bool) -> Outcome:
    """Make a folder a Kurt project.

    Writes what is missing: settings, an example of a workflow that needs no key, a JSON Schema for editors and the
    database. A file that is there is never changed; .gitignore gets the lines that keep secrets out of git.
    """
    from kurt.app.init import initialise

    target = (folder or Path(current().project or ".")).absolute()
    _warn_of_outer_project(target)
    changes = initialise(target, dry_run=dry_run)
    closing: list[str] = []
    if not dry_run and any(change.action == "create" for change in changes):
        there = f"cd {shlex.quote(str(folder))} && " if folder else ""
        closing = [hint_line(f"{there}kurt workflows run workflows/quickstart.yaml")]
    return Outcome([change.to_json() for change in changes], closing=closing)


def _warn_of_outer_project(target: Path) -> None:
    """A project inside another is legal, but seldom meant."""
    import os

    from kurt.config.discovery import find_root

    outer = find_root(str(target.parent), environ=os.environ)
    if outer is not None:
        warn(
            f"{target} lies inside the project {outer}; it becomes a project with its own settings and database"
        )
