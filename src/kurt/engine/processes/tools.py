"""A project's functions as tools of a model: described and called in warm workers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from kurt.engine.processes.child import resolve
from kurt.errors import StepError


def describe_tools(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """What a model is told of functions: `{call, name, description, args}`, with a JSON Schema for each argument.

    The payload has `calls`, their names as `package.module:function`.

    Raises:
        StepError: one does not exist, or takes what JSON cannot tell.
    """
    return [_described(call) for call in payload["calls"]]


def call_tool(payload: dict[str, Any]) -> Any:
    """Call a function with what a model has chosen; `call` is its name, `args` a mapping.

    Raises:
        StepError: the arguments do not fit (`ToolArguments`).
    """
    function, given = resolve(payload["call"]), payload["args"]
    arguments = _fitting(payload["call"], function, given)
    value = function(**arguments)
    return asyncio.run(_await(value)) if inspect.isawaitable(value) else value


async def _await(value: Any) -> Any:
    return await value


def _described(call: str) -> dict[str, Any]:
    function = resolve(call)
    args: dict[str, Any] = {}
    for name, (hint, default) in _arguments(call, function).items():
        schema = TypeAdapter(hint).json_schema()
        if default is not inspect.Parameter.empty:
            schema["default"] = (
                default if isinstance(default, str | int | float | bool | None) else repr(default)
            )
        args[name] = schema
    description = inspect.getdoc(function) or ""
    return {"call": call, "name": function.__name__, "description": description, "args": args}


def _arguments(call: str, function: Callable[..., Any]) -> Mapping[str, tuple[Any, Any]]:
    """Type and default of each argument, by name."""
    hints = get_type_hints(function)
    found: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise StepError(
                f"the tool {call!r} takes its argument {name!r} by position only",
                type="ToolArguments",
                hint="a model names the arguments of tools: take the `/` out of the function's parameters",
            )
        found[name] = (hints.get(name, Any), parameter.default)
    return found


def _fitting(call: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    known = _arguments(call, function)
    unknown = [name for name in given if name not in known]
    missing = [
        name
        for name, (_, default) in known.items()
        if default is inspect.Parameter.empty and name not in given
    ]
    if unknown or missing:
        what = f"has no argument {unknown[0]!r}" if unknown else f"needs the argument {missing[0]!r}"
        raise StepError(
            f"{function.__name__} {what}; it takes {', '.join(known) or 'none'}", type="ToolArguments"
        )
    fitting: dict[str, Any] = {}
    for name, value in given.items():
        try:
            fitting[name] = TypeAdapter(known[name][0]).validate_python(value)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise StepError(f"the argument {name!r} does not fit: {message}", type="ToolArguments") from None
    return fitting
