"""`kurt workflows new` and `templates`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.output import hint_line
from kurt.cli.table import Column, Table

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete_template(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of templates that begin so."""
    from click.shell_completion import CompletionItem

    from kurt.app.scaffold.library import LIBRARY

    names = sorted(folder.name for folder in LIBRARY.iterdir() if folder.name.startswith(incomplete))
    return [CompletionItem(name) for name in names]


@command(
    "new",
    view="kurt.cli.init:changes_table",
    epilog="kurt workflows new my_feature\n"
    "kurt workflows new my_feature --dry-run\n"
    "kurt workflows new pages.yaml\n"
    "kurt workflows new monday --template weekly-digest",
)
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--template",
    metavar="TEMPLATE",
    shell_complete=_complete_template,
    help="Copy a shipped workflow; `kurt workflows templates` lists them.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be written.")
def new_cmd(name: str | None, template: str | None, dry_run: bool) -> Outcome:
    """Write a new workflow into the project.

    A Python module, for a NAME that ends in .yaml a workflow file, or a copy of a template, each with its tests. A file
    that is there is never changed.
    """
    from kurt.app.scaffold.names import is_file
    from kurt.app.scaffold.new import new_workflow
    from kurt.cli.project import current_settings
    from kurt.errors import UsageError

    word = template if name is None else name
    if word is None:
        raise UsageError("the workflow needs a name", hint="kurt workflows new NAME, or --template TEMPLATE")
    files = new_workflow(current_settings(), word, template=template, dry_run=dry_run)
    closing = (
        [] if dry_run else [_next(word, files[0].path, template=template is not None, file=is_file(word))]
    )
    return Outcome([file.to_json() for file in files], closing=[hint_line(line) for line in closing])


def _next(word: str, path: str, *, template: bool, file: bool) -> str:
    """What to do with new files."""
    if template:
        return f"kurt workflows test {path}; its first lines say how to run it"
    return f"kurt workflows run {path}" if file else f"kurt db upgrade && pytest workflows/{word}"


def _templates_table(rows: list[dict[str, Any]]) -> Table:
    """What can be copied, and what it needs."""
    columns = [Column("template"), Column("needs"), Column("description", shrink=True)]
    return Table(
        columns, [[row["name"], "; ".join(row["needs"]) or "nothing", row["description"]] for row in rows]
    )


@command(
    "templates",
    view=_templates_table,
    epilog="kurt workflows templates\nkurt workflows new monday --template weekly-digest",
)
def templates_cmd() -> Outcome:
    """List the shipped workflows that can be copied."""
    from kurt.app.scaffold.library import templates

    closing = [hint_line("kurt workflows new NAME --template TEMPLATE")]
    return Outcome([template.to_json() for template in templates()], closing=closing)
