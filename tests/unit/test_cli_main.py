"""The maps of commands agree with the commands themselves, and every command explains itself."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from kurt import __version__
from kurt.cli.command import KurtCommand, KurtGroup
from kurt.cli.lazy import Lazy, load_command
from kurt.cli.main import COMMANDS, cli
from kurt.cli.workflows import VERBS

MAPPED = {f"kurt {name}": lazy for name, lazy in COMMANDS.items()} | {
    f"kurt workflows {name}": lazy for name, lazy in VERBS.items()
}


@pytest.mark.parametrize("path", MAPPED)
def test_the_help_in_the_map_is_the_commands_own(path: str) -> None:
    lazy: Lazy = MAPPED[path]
    command = load_command(lazy.target)
    own = " ".join((command.help or "").split("\n\n")[0].split())
    assert command.name == path.rpartition(" ")[2]
    assert lazy.help.removesuffix(".") == command.get_short_help_str(limit=1000).removesuffix(".")
    assert own.startswith(lazy.help), "the first sentence of its docstring"


def every_command() -> Iterator[tuple[str, click.Command]]:
    """All commands below the root by their full names."""

    def below(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, KurtGroup):
            ctx = click.Context(command)
            for name in command.list_commands(ctx):
                child = command.get_command(ctx, name)
                if child is not None:
                    yield from below(child, f"{path} {name}")

    for name, lazy in COMMANDS.items():
        yield from below(load_command(lazy.target), f"kurt {name}")


def test_every_command_has_an_example_and_every_option_a_help() -> None:
    for path, command in every_command():
        assert isinstance(command, KurtCommand | KurtGroup), path
        assert command.help, path
        examples = (command.epilog or "").split("\n")
        assert any(path in example for example in examples), f"{path} has no example"
        silent = [
            param.name for param in command.params if isinstance(param, click.Option) and not param.help
        ]
        assert not silent, f"{path}: {silent}"


def test_no_two_options_of_a_command_have_one_name() -> None:
    for path, command in every_command():
        names = [name for param in command.params for name in (*param.opts, *param.secondary_opts)]
        assert len(names) == len(set(names)), path


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout == f"kurt {__version__}\n"


def test_h_is_help_everywhere() -> None:
    for argv in (["-h"], ["workflows", "-h"], ["config", "show", "-h"]):
        shown = CliRunner().invoke(cli, argv)
        assert shown.exit_code == 0
        assert shown.stdout.startswith("Usage: kurt")


@pytest.mark.parametrize("argv", [[], ["workflows"], ["config"]])
def test_a_group_alone_shows_its_help_and_is_a_wrong_use(argv: list[str]) -> None:
    shown = CliRunner().invoke(cli, argv)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "Commands:" in shown.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["worfklows"], "Did you mean 'workflows'?"),
        (["workflows", "lsit"], "Did you mean 'list'?"),
        (["config", "shwo"], "Did you mean 'show'?"),
        (["config", "show", "--orgin"], "Did you mean '--origin'?"),
    ],
)
def test_a_typing_error_gets_an_answer(argv: list[str], message: str) -> None:
    shown = CliRunner().invoke(cli, argv)
    assert shown.exit_code == 2
    assert message in shown.stderr
