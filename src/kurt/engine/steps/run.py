"""The kind `run`: any program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from kurt.engine.expressions.references import as_text, has_references
from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.engine.processes.output import masker
from kurt.engine.processes.programs import ProgramResult, run_program
from kurt.engine.steps.calls import surroundings
from kurt.errors import StepError
from kurt.types import Json

STDERR_IN_MESSAGE = 300
"""Characters of the last line of standard error that an error message shows."""


class RunFields(Fields):
    """Fields of a `run` step."""

    command: str | list[Any] = Field(
        min_length=1,
        description="The program and its arguments as a list, or a text for `sh -c`. A text takes no references: "
        "values enter it by `env` or `stdin`.",
        examples=[["git", "log", "--since", "${since}"], "sort | uniq -c | sort -rn"],
    )
    stdin: Json = Field(
        default=None,
        description="What the program reads from standard input: text as it is, anything else as JSON. Of any size.",
        examples=["${pages}"],
    )
    parse: Literal["text", "json", "lines"] = Field(
        default="text",
        description="What standard output is: text (without the last line's end), one JSON value, or a list of lines.",
        examples=["json"],
    )
    cwd: str | None = Field(
        default=None,
        description="The folder in which the program starts; relative paths start at the project's root.",
        examples=["sources"],
    )


class RunKind(StepKind):
    """Runs a program; its value is `{stdout, exit_code, stderr}`."""

    type = "run"
    Model = RunFields

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:
        """Refuse references in shell text: what a value contains must never be run."""
        command = spec.get("command")
        if isinstance(command, str) and has_references(command.replace("$${", "")):
            fault = (
                "`command` is shell text, which takes no `${...}`: a value in it could be run as code. "
                'Give the value by `env` (then "$NAME" in the text), by `stdin`, or write `command` as a list; '
                "the shell's own `${NAME}` is written `$${NAME}`"
            )
            return [fault]
        return []

    async def execute(self, fields: RunFields, context: StepContext) -> Json:
        """Run the program to its end.

        Raises:
            StepError: it cannot be started, its exit code is not 0 (type `ExitCode`), or its output is not what
                `parse` says (type `ParseError`).
        """
        command = fields.command
        result = await run_program(
            command if isinstance(command, str) else [as_text(word) for word in command],
            surroundings(context, context.project_root / (fields.cwd or ".")),
            stdin=None if fields.stdin is None else as_text(fields.stdin).encode("utf-8", "surrogateescape"),
        )
        if result.exit_code != 0:
            raise _failure(result)
        return {
            "stdout": _parsed(result.stdout, fields.parse, context),
            "exit_code": result.exit_code,
            "stderr": result.stderr,
        }


def _failure(result: ProgramResult) -> StepError:
    how = f"exit code {result.exit_code}"
    if result.exit_code < 0:
        how = f"signal {-result.exit_code}"
    last_line = result.stderr.rstrip().rpartition("\n")[2][-STDERR_IN_MESSAGE:]
    return StepError(
        f"the program ended with {how}" + (f": {last_line}" if last_line else ""),
        type="ExitCode",
        details={"exit_code": result.exit_code, "stderr": result.stderr},
    )


def _parsed(data: bytes, parse: str, context: StepContext) -> Json:
    text = data.decode("utf-8", "replace")
    if parse == "lines":
        return text.splitlines()
    if parse == "text":
        return text.removesuffix("\n")
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise StepError(
            f"standard output is not JSON: {error}",
            type="ParseError",
            hint="use `parse: text`, or have the program print one JSON value and nothing else",
            details={"stdout": masker(context.secrets).mask(text[:STDERR_IN_MESSAGE])},
        ) from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
