"""`kurt db`: the schema of the project's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import group
from kurt.cli.project import current_settings
from kurt.cli.table import Column, Table

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.db.migrate import SchemaState


def state_table(state: dict[str, Any]) -> Table:
    """The schema's state, one fact a line."""
    rows = [
        ["database", state["database"]],
        ["revision", _against(state["revision"], state["head"])],
        ["dbos", _against(state["dbos"], state["dbos_needed"])],
        ["state", "ok" if state["current"] else "needs `kurt db upgrade`"],
    ]
    if state["project"] is not None:
        rows.insert(2, ["project", state["project"]])
    return Table([Column("fact"), Column("value")], rows, header=False)


def _against(found: str | None, needed: str) -> str:
    if found == needed:
        return needed
    return f"{found or 'none'} (this release needs {needed})"


def upgraded_lines(state: dict[str, Any]) -> list[str]:
    """What an upgrade did, in a line."""
    done = "upgraded to" if state["changed"] else "is current at"
    project = f", project {state['project']}" if state["project"] else ""
    return [f"{state['database']} {done} {state['revision']}{project}"]


def _shown(settings: Settings, state: SchemaState) -> dict[str, Any]:
    from kurt.config.address import redacted

    database = str(settings.sqlite_path) if settings.is_sqlite else redacted(settings.database_url)
    return {"database": database, **state.to_json()}


@group("db", epilog="kurt db upgrade\nkurt db current --format json")
def db_group() -> None:
    """Look after the schema of the project's database."""


@db_group.command("upgrade", view=upgraded_lines, epilog="kurt db upgrade")
@click.argument("revision", default="head")
def upgrade_cmd(revision: str) -> dict[str, Any]:
    """Make the database, or bring its schema to REVISION (by default the newest).

    The newest includes DBOS's own tables and the revisions of the project's workflow modules.
    """
    from kurt.db.migrate import current, upgrade

    settings = current_settings()
    before = current(settings)
    after = upgrade(settings, revision)
    return {**_shown(settings, after), "changed": before != after}


@db_group.command("current", view=state_table, epilog="kurt db current")
def current_cmd() -> dict[str, Any]:
    """Show which schema the database has and which one this release needs; changes nothing."""
    from kurt.db.migrate import current

    settings = current_settings()
    return _shown(settings, current(settings))


@db_group.command(
    "revision",
    view="kurt.cli.db:revision_line",
    epilog='kurt db revision leads -m "add the table of leads"\nkurt db revision leads -m "add scores" --autogenerate',
)
@click.argument("module")
@click.option("-m", "--message", required=True, help="What the revision will do, in a few words.")
@click.option("--autogenerate", is_flag=True, help="Draft it: what the models have that the database lacks.")
def revision_cmd(module: str, message: str, autogenerate: bool) -> dict[str, Any]:
    """Write a revision for the tables of the workflow module MODULE of this project.

    It is empty, or a draft to be read before `kurt db upgrade` applies it.
    """
    if autogenerate:
        from kurt.app.tables import draft_revision as write
    else:
        from kurt.db.migrate import revision as write
    file = write(current_settings(), module, message)
    return {"revision": "_".join(file.name.split("_")[:2]), "file": str(file)}


def revision_line(written: dict[str, Any]) -> str:
    """Where the revision was written."""
    return written["file"]
