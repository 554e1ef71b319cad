"""The kind `script`: inline Python in a child process."""

from __future__ import annotations

import ast
import keyword
import warnings
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.engine.steps.calls import call
from kurt.types import Json

if TYPE_CHECKING:
    from collections.abc import Mapping


class ScriptFields(Fields):
    """Fields of a `script` step."""

    code: str = Field(
        description="Python code. It takes no references: values enter it by `inputs`. What it leaves in the "
        "variable `result` is the step's value.",
        examples=["result = sorted(words, key=len)"],
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="Variables of the code, by name.",
        examples=[{"words": "${words}"}],
    )

    @field_validator("inputs")
    @classmethod
    def _names(cls, inputs: dict[str, Any]) -> dict[str, Any]:
        for name in inputs:
            if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
                raise ValueError(f"{name!r} cannot be the name of a variable")
        return inputs


class ScriptKind(StepKind):
    """Runs Python code in a warm worker; its value is the variable `result`."""

    type = "script"
    Model = ScriptFields
    verbatim = frozenset({"code"})

    @classmethod
    def check(cls, spec: Mapping[str, Any]) -> list[str]:
        """Say where the code is not Python."""
        code = spec.get("code")
        if not isinstance(code, str):
            return []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is legal, though odd, is no fault of the file
                ast.parse(code)
        except SyntaxError as error:
            what = error.msg.replace(". ", ": ")  # a full stop ends the message and begins the remedy
            return [f"`code` is not Python: {what}, in its line {error.lineno}. Correct that line"]
        except (ValueError, RecursionError) as error:  # a NUL character; nested too deeply
            return [f"`code` cannot be read as Python: {error}. Correct it"]
        return []

    async def execute(self, fields: ScriptFields, context: StepContext) -> Json:
        """Run the code.

        Raises:
            StepError: it raised (`type` is the exception's class, `line` its line), or `result` is not JSON.
        """
        payload = {"code": fields.code, "inputs": fields.inputs, "path": context.path}
        return await call(context, "kurt.engine.processes.tasks:run_script", payload)
