"""The root of the command line: names and one line of help for each command, nothing of which is imported for help."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from kurt import __version__
from kurt.cli.command import KurtGroup
from kurt.cli.lazy import Lazy
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.cli.plugins import Plugin

COMMANDS: dict[str, Lazy] = {
    "init": Lazy("kurt.cli.init:init_cmd", "Make a folder a Kurt project."),
    "workflows": Lazy("kurt.cli.workflows:workflows_group", "Run workflows, watch and steer their runs."),
    "content": Lazy("kurt.cli.content:content_group", "Find, fetch, list and search documents."),
    "integrations": Lazy("kurt.cli.integrations:integrations_group", "Get what services outside know."),
    "notify": Lazy("kurt.cli.notify:notify_group", "Try out who is told of runs."),
    "worker": Lazy("kurt.cli.worker:worker_group", "Start, list and stop workers."),
    "queues": Lazy("kurt.cli.queues:queues_group", "Create, list, change and delete queues."),
    "schedules": Lazy("kurt.cli.schedules:schedules_group", "Run workflows by themselves at certain times."),
    "db": Lazy("kurt.cli.db:db_group", "Look after the schema of the project's database."),
    "config": Lazy("kurt.cli.config:config_group", "Show the settings of the project."),
    "doctor": Lazy("kurt.cli.doctor:doctor_cmd", "Check the project and say how to mend what is wrong."),
    "gc": Lazy("kurt.cli.gc:gc_cmd", "Remove old finished runs."),
    "completion": Lazy(
        "kurt.cli.completion:completion_cmd", "Print the completion script of a shell, or install it."
    ),
}
"""Kurt's own commands; each help line is the command's own, which a test compares."""


class Root(KurtGroup):
    """`kurt`: its own commands and those of packages and of the project."""

    shows_global_options = True

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, lazy=COMMANDS, **attrs)

    def entries(self, ctx: click.Context) -> dict[str, str]:
        """Names of all commands with their one-line help; Kurt's own win over others of the same name."""
        others = {name: plugins[0].help for name, plugins in self._plugins().items()}
        return {
            **super().entries(ctx),
            **{name: text for name, text in others.items() if name not in COMMANDS},
        }

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name.

        Raises:
            KurtError: it cannot be imported, or several plug-ins bring it.
        """
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        plugins = self._plugins().get(cmd_name)
        if plugins is None:
            return None
        from kurt.cli.plugins import load

        return load(plugins)

    def _plugins(self) -> dict[str, list[Plugin]]:
        from kurt.cli.plugins import find
        from kurt.config.discovery import find_root

        try:
            start = current().project or os.getcwd()  # noqa: PTH109 - pathlib is slow to import
        except FileNotFoundError:  # the working directory was removed
            return find(None)
        return find(find_root(start, environ=os.environ))


@click.group(
    "kurt", cls=Root, epilog="kurt init\nkurt workflows run workflows/quickstart.yaml\nkurt workflows list"
)
@click.version_option(__version__, prog_name="kurt", message="%(prog)s %(version)s")
def cli() -> None:
    """Durable content and AI workflows.

    A workflow is declared in YAML or written in Python; every step is stored the moment it ends, and a run that is
    interrupted goes on where it was.
    """
