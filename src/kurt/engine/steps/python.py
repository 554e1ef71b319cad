"""The kind `python`: a function of the project or of an installed package."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

from pydantic import Field

from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.engine.processes.child import describe, resolve
from kurt.engine.processes.values import encode
from kurt.engine.steps.calls import call
from kurt.errors import StepError
from kurt.project_code import make_importable
from kurt.types import Json


class PythonFields(Fields):
    """Fields of a `python` step."""

    call: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$",
        description="The function, as `package.module:function`; modules are found from the project's root on.",
        examples=["reports.build:summary"],
    )
    args: dict[str, Any] | list[Any] = Field(
        default_factory=dict,
        description="Its arguments: a mapping by name, or a list by position.",
        examples=[{"pages": "${pages}", "limit": 10}],
    )
    isolate: bool = Field(
        default=True,
        description="True runs it in a child process, with limits and a time-out that ends it. False runs it inside "
        "the executor: cheaper and with access to its state, but nothing can stop it.",
        examples=[False],
    )


class PythonKind(StepKind):
    """Calls a function; its value is what the function returns, which must be JSON."""

    type = "python"
    Model = PythonFields

    async def execute(self, fields: PythonFields, context: StepContext) -> Json:
        """Call the function.

        Raises:
            StepError: it does not exist (`TargetNotFound`), it raised (`type` is the exception's class), or what it
                returned is not JSON (`NotJson`).
        """
        if fields.isolate:
            payload = {"call": fields.call, "args": fields.args}
            return await call(context, "kurt.engine.processes.tasks:call_python", payload)
        make_importable(str(context.project_root))
        try:
            value = await _called_here(fields)
        except StepError:
            raise
        except Exception as error:
            found = describe(error)
            raise StepError(
                found["message"], type=found["type"], hint=found["hint"], details=found["details"]
            ) from error
        return json.loads(encode(value))


async def _called_here(fields: PythonFields) -> Any:
    """Call it: an `async` function here, any other in a thread."""
    function = await asyncio.to_thread(resolve, fields.call)
    arguments = fields.args
    args, kwargs = (arguments, {}) if isinstance(arguments, list) else ([], arguments)
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    value = await asyncio.to_thread(function, *args, **kwargs)
    return await value if inspect.isawaitable(value) else value
