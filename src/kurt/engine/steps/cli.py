"""The kind `cli`: a Kurt command, without starting Python again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from pydantic import Field

from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.engine.steps.calls import call
from kurt.runtime.tenancy import tenant_here
from kurt.types import Json


class CliFields(Fields):
    """Fields of a `cli` step."""

    command: str = Field(
        pattern=r"^\s*[A-Za-z0-9][\w.-]*(\s+[A-Za-z0-9][\w.-]*)*\s*$",
        description="The command, without `kurt` and without options.",
        examples=["workflows write", "content fetch"],
    )
    args: dict[str, Any] = Field(
        default_factory=dict,
        description="Options by name, with `_` for `-`. True is a flag, false and null are left out, a list repeats "
        "the option. Options that take data receive the value itself, whatever it is and of any size.",
        examples=[{"data": "${titles}", "output": "report.json"}],
    )
    argv: list[Any] = Field(
        default_factory=list,
        description="Positional arguments.",
        examples=[["https://example.com"]],
    )


class CliKind(StepKind):
    """Runs a Kurt command in a warm worker, for the run's user and workspace; its value is what `--format json` prints."""

    type = "cli"
    Model = CliFields

    async def execute(self, fields: CliFields, context: StepContext) -> Json:
        """Run the command.

        Raises:
            StepError: the command failed; `type` is the error's code, such as `usage` or `not_found`.
        """
        whose = await asyncio.to_thread(tenant_here)
        payload = {
            "command": fields.command.split(),
            "args": fields.args,
            "argv": fields.argv,
            "root": str(context.project_root),
            "tenant": asdict(whose) if whose is not None else {},
        }
        return await call(context, "kurt.engine.processes.tasks:run_command", payload)
