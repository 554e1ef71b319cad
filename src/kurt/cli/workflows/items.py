"""How `foreach` runs one command line: Kurt's own commands in this process, other programs as processes."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kurt.app.primitives.foreach import Runner
    from kurt.types import Json

_importing = threading.Lock()


def item_runner() -> Runner:
    """What runs the command of one item."""
    import click

    from kurt.app.primitives.foreach import run_program
    from kurt.cli.main import cli
    from kurt.cli.project import project_root

    own = frozenset(cli.list_commands(click.Context(cli)))
    root = str(project_root())

    def run(argv: list[str], item: Json) -> Json:
        words = argv[1:] if argv[0] == "kurt" else argv
        if argv[0] != "kurt" and argv[0] not in own:
            return run_program(argv, item)
        return _run_kurt(words, item, root)

    return run


def _run_kurt(words: list[str], item: Json, root: str) -> Json:
    """The result of a Kurt command; one that starts a run gets a process of its own, as an engine needs."""
    from kurt.app.primitives.codecs.json import dumps
    from kurt.app.primitives.foreach import run_program
    from kurt.cli.command import executes_run
    from kurt.cli.invoke import invoke, resolve

    with _importing:  # a command of the project is imported once, also when several items begin with it
        found = resolve(words, root)
    if executes_run(found.starts_run, found.params):
        return run_program(
            [sys.executable, "-m", "kurt", "--project", root, "--format", "json", *words], item
        )
    return invoke(words, root, stdin=dumps(item) + "\n")


@contextmanager
def item_progress() -> Generator[Callable[[int, int, int], None] | None]:
    """Shows how many items are done, on a terminal; gives what is to be called after each item, else None."""
    from kurt.cli.live import can_draw, live_view

    if not can_draw():
        yield None
        return
    with live_view("foreach") as view:

        def show(done: int, failed: int, total: int) -> None:
            view.on_items("items", done=done, failed=failed, total=total)

        try:
            yield show
        except BaseException:  # also a Ctrl-C - the last picture says that it did not end well
            view.on_step("items", "failed")
            view.on_run({"status": "failed"})
            raise
        view.on_step("items", "succeeded")
        view.on_run({"status": "succeeded"})
