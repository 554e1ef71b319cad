"""`kurt completion`: the script that makes a shell complete commands, options, run ids and workflow files."""

from __future__ import annotations

from typing import Any

import click

from kurt.cli.command import command

SHELLS = ("bash", "zsh", "fish")
"""Shells that can complete."""


def script_text(result: dict[str, Any]) -> str:
    """The bare script, for the shell."""
    return result["script"]


@command(
    "completion",
    view=script_text,
    epilog="""
    eval "$(kurt completion bash)"        # in ~/.bashrc
    eval "$(kurt completion zsh)"         # in ~/.zshrc
    kurt completion fish > ~/.config/fish/completions/kurt.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion_cmd(shell: str) -> dict[str, Any]:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from kurt.cli.main import cli

    maker = get_completion_class(shell)
    assert maker is not None  # noqa: S101 - click knows all of SHELLS
    script = maker(cli, {}, "kurt", "_KURT_COMPLETE")
    return {"shell": shell, "script": script.source_template % script.source_vars()}
