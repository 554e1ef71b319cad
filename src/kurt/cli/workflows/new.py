"""`kurt workflows new`."""

from __future__ import annotations

from typing import Any

import click

from kurt.cli.command import command
from kurt.cli.output import hint


@command(
    "new",
    view="kurt.cli.init:changes_table",
    epilog="kurt workflows new my_feature\nkurt workflows new my_feature --dry-run\nkurt workflows new pages.yaml",
)
@click.argument("name", metavar="NAME")
@click.option("--dry-run", is_flag=True, help="Only list what would be written.")
def new_cmd(name: str, dry_run: bool) -> list[dict[str, Any]]:
    """Write a new workflow into the project.

    A Python module with its tests, or for a NAME that ends in .yaml a workflow file. A file that is there is never
    changed.
    """
    from kurt.app.scaffold.names import is_file
    from kurt.app.scaffold.new import new_workflow
    from kurt.cli.project import current_settings

    files = new_workflow(current_settings(), name, dry_run=dry_run)
    if not dry_run:
        ready = f"kurt workflows run {files[0].path}"
        hint(ready if is_file(name) else f"kurt db upgrade && pytest workflows/{name}")
    return [file.to_json() for file in files]
