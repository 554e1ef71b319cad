"""`kurt config`: the settings of the project."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import KurtGroup
from kurt.cli.output import Column, Table
from kurt.cli.project import current_settings
from kurt.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def settings_table(rows: list[dict[str, Any]]) -> Table:
    """Settings as a table; with origins where they were asked for."""
    columns = [Column("setting"), Column("value")]
    if any("origin" in row for row in rows):
        columns.append(Column("origin"))
    names = ["key", "value", "origin"][: len(columns)]
    return Table(columns, [[row[name] for name in names] for row in rows])


def value_line(setting: dict[str, Any]) -> str:
    """The bare value, for scripts."""
    return "" if setting["value"] is None else str(setting["value"])


class ConfigGroup(KurtGroup):
    """Tells who wants to change a setting where that is done."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names.

        Raises:
            UsageError: the words set something, as in `set KEY VALUE` or `KEY=VALUE`.
        """
        words = args[:1]
        if args[0] == "set":
            words = list(takewhile(lambda word: not word.startswith("-"), args[1:]))
        if args[0] == "set" or "=" in args[0]:
            key, _, value = "=".join(words).partition("=")
            bare = value.strip("\"'")
            line = f'{key or "KEY"}="{bare or "..."}"'
            raise UsageError(
                "`kurt config` shows settings, it changes none",
                hint=f"write the line {line} into kurt.config; secrets into .env",
            )
        return super().resolve_command(ctx, args)


@click.group(
    "config", cls=ConfigGroup, epilog="kurt config show --origin\nkurt config get PATH_DB\nkurt config path"
)
def config_group() -> None:
    """Show the settings of the project."""


@config_group.command(
    "show", view=settings_table, epilog="kurt config show\nkurt config show --origin --format json"
)
@click.option("--origin", is_flag=True, help="Show where each value comes from.")
def show_cmd(origin: bool) -> list[dict[str, Any]]:
    """Show all settings; secrets are hidden."""
    from kurt.config.describe import show_settings

    return show_settings(current_settings(), origin=origin)


def _complete_key(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from kurt.config import KEYS

    return [
        CompletionItem(key.name, help=key.help) for key in KEYS if key.name.startswith(incomplete.upper())
    ]


@config_group.command(
    "get",
    view=value_line,
    epilog="kurt config get WORKER.CONCURRENCY\nkurt config get LLM_MODEL --module extract",
)
@click.argument("key", shell_complete=_complete_key)
@click.option("--module", help="Look it up for a workflow module first.")
@click.option("--step", help="Look it up for a step of that module first.")
def get_cmd(key: str, module: str | None, step: str | None) -> dict[str, Any]:
    """Print the value of one setting; a secret is hidden."""
    from kurt.config.describe import show_setting

    if step and not module:
        raise UsageError("--step needs --module", hint=f"kurt config get {key} --module MODULE --step {step}")
    return show_setting(current_settings(), key, module=module, step=step)


@config_group.command("path", epilog="kurt config path")
def path_cmd() -> list[dict[str, Any]]:
    """Show which files settings are read from."""
    from kurt.config.describe import setting_files

    return setting_files(current_settings())
