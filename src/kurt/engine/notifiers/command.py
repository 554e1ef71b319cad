"""The notifier `command`: a program that is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field

from kurt.engine.expressions.references import as_text, has_references
from kurt.engine.kinds import Fields, StepContext
from kurt.engine.notifiers.base import Notice, Notifier
from kurt.engine.processes.programs import run_program
from kurt.engine.steps.calls import surroundings
from kurt.errors import StepError

_IN_ENVIRONMENT = ("event", "title", "text", "command", "run_id", "workflow", "status", "step")


class CommandFields(Fields):
    """Fields of a `command` notification."""

    command: str | list[Any] = Field(
        min_length=1,
        description="The program and its arguments as a list, or a text for `sh -c`. It gets the notice as JSON on "
        "standard input, and `NOTICE_TITLE`, `NOTICE_TEXT`, `NOTICE_EVENT`, `NOTICE_COMMAND`, `NOTICE_RUN_ID`, "
        "`NOTICE_WORKFLOW`, `NOTICE_STATUS` and `NOTICE_STEP` as variables.",
        examples=[["notify-send", "${notice.title}"], 'echo "$NOTICE_TITLE" >> runs.txt'],
    )


class CommandNotifier(Notifier):
    """Runs a program in the project's folder."""

    type = "command"
    Model = CommandFields
    short = "command"

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:
        """Refuse references in shell text, as a `run` step does."""
        command = spec.get("command")
        if isinstance(command, str) and has_references(command.replace("$${", "")):
            fault = (
                "`command` is shell text, which takes no `${...}`: a value in it could be run as code. "
                'Write "$NOTICE_TITLE" and the like, or `command` as a list'
            )
            return [fault]
        return []

    async def send(self, fields: CommandFields, notice: Notice, context: StepContext) -> str:
        """Run it; its name.

        Raises:
            StepError: it cannot be started or its exit code is not 0.
        """
        facts = notice.to_json()
        told = {f"NOTICE_{name.upper()}": str(facts[name] or "") for name in _IN_ENVIRONMENT}
        command = fields.command
        words = command if isinstance(command, str) else [as_text(word) for word in command]
        result = await run_program(
            words,
            surroundings(replace(context, env={**context.env, **told})),
            stdin=json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogateescape"),
        )
        name = "sh" if isinstance(words, str) else words[0]
        if result.exit_code != 0:
            raise StepError(
                f"the program {name!r} ended with exit code {result.exit_code}",
                type="ExitCode",
                details={"exit_code": result.exit_code, "stderr": result.stderr},
            )
        return name
