"""`kurt workflows approve` and `reject`: answering what a run asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kurt.cli.command import command
from kurt.cli.options import complete_run_id
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.types import Json

F = TypeVar("F", bound=Callable[..., Any])


def _answer_lines(answer: dict[str, Any]) -> list[str]:
    verb = "approved" if answer["approved"] else "rejected"
    fields = "".join(f"\n  {name}: {_shown(value)}" for name, value in answer["fields"].items())
    return [
        f"{verb} by {answer['by']}: step {answer['step']} of the run {answer['run_id']}"
        + (fields if answer["approved"] else ""),
        f"Follow: kurt workflows follow {answer['run_id']}",
    ]


def _shown(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _answer_options(function: F) -> F:
    """What both commands take."""
    for decorate in (
        click.option(
            "--by", metavar="NAME", help="Who answers.  [default: the user of the project or the machine]"
        ),
        click.option("--comment", metavar="TEXT", help="What is to be said to it; it goes with the answer."),
        click.option(
            "--step", metavar="PATH", help="The step that asks; needed only if the run asks for several."
        ),
    ):
        function = decorate(function)
    return click.argument("run_id", metavar="RUN_ID", shell_complete=complete_run_id)(function)


@command(
    "approve",
    view=_answer_lines,
    epilog="kurt workflows approve 01k\n"
    "kurt workflows approve 01k --step review --input channel=blog --input urgent=true\n"
    "kurt workflows approve 01k --comment 'looks good' --by ana",
)
@_answer_options
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value of a field of the approval; repeatable.",
)
def approve_cmd(
    run_id: str, step: str | None, inputs: tuple[str, ...], comment: str | None, by: str | None
) -> Json:
    """Approve what a run waits for.

    `kurt workflows list --status waiting` and `status` show what is asked. If no worker is alive, one is started.
    """
    from kurt.app.approvals import Answer, give

    answer = Answer(approved=True, step=step, texts=inputs, comment=comment, by=by)
    return give(current().settings(), run_id, answer)


@command("reject", view=_answer_lines, epilog="kurt workflows reject 01k --comment 'the title is too long'")
@_answer_options
def reject_cmd(run_id: str, step: str | None, comment: str | None, by: str | None) -> Json:
    """Reject what a run waits for.

    The step fails, or goes on with `approved: false`, as its file says. If no worker is alive, one is started.
    """
    from kurt.app.approvals import Answer, give

    return give(current().settings(), run_id, Answer(approved=False, step=step, comment=comment, by=by))
