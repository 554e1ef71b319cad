"""`kurt completion`: the script that makes a shell complete commands, options, run ids and workflow files."""

from __future__ import annotations

import os
from typing import Any

import click

from kurt.cli.command import command
from kurt.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
"""Shells that can complete."""


def script_text(result: dict[str, Any]) -> str | list[str]:
    """The bare script for the shell, or what was installed."""
    if "script" in result:
        return result["script"]
    would = "would be " if result["dry_run"] else ""
    kept = "is up to date"
    done = [
        f"{change['path']} {kept if change['action'] == 'kept' else would + change['action']}"
        for change in result["changes"]
    ]
    new = any(change["action"] != "kept" for change in result["changes"])
    again = [f"start a new {result['shell']} to use it"] if new and not would else []
    return [*done, *again, f"to undo: {result['undo']}"]


@command(
    "completion",
    view=script_text,
    epilog="""
    kurt completion bash --install        # for new shells of this user
    eval "$(kurt completion bash)"        # in ~/.bashrc
    eval "$(kurt completion zsh)"         # in ~/.zshrc
    kurt completion fish > ~/.config/fish/completions/kurt.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--install", "installs", is_flag=True, help="Write it to where the shell loads it.")
@click.option("--dry-run", is_flag=True, help="With --install: only tell what would be written.")
def completion_cmd(shell: str, installs: bool, dry_run: bool) -> dict[str, Any]:
    """Print the completion script of a shell, or install it.

    --install writes the script for this user, and for bash and zsh a line into ~/.bashrc or ~/.zshrc; a repeat changes
    nothing. It says what it wrote and how to undo it.
    """
    if dry_run and not installs:
        raise UsageError(
            "--dry-run is about what --install writes", hint=f"kurt completion {shell} --install --dry-run"
        )
    text = _script(shell)
    if not installs:
        return {"shell": shell, "script": text}
    from kurt.app.completion import install

    return install(shell, text, environ=os.environ, dry_run=dry_run).to_json()


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    from kurt.cli.main import cli

    maker = get_completion_class(shell)
    assert maker is not None  # noqa: S101 - click knows all of SHELLS
    script = maker(cli, {}, "kurt", "_KURT_COMPLETE")
    return script.source_template % script.source_vars()
