"""What warm workers do for the kinds `script`, `python` and `cli`; each function takes one payload."""

from __future__ import annotations

import asyncio
import inspect
import linecache
import sys
import traceback
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from kurt.engine.processes.child import resolve, tail_of_traceback
from kurt.engine.processes.commands import command_line
from kurt.errors import KurtError, StepError

if TYPE_CHECKING:
    from collections.abc import Awaitable


def run_script(payload: dict[str, Any]) -> Any:
    """Run inline code and return its variable `result`, None when it sets none.

    The payload has `code`, `inputs` (variables by name) and `path` (the step's).

    Raises:
        StepError: the code raised; `type` is the exception's class, details tell the line.
    """
    name = f"<step {payload['path']}>"
    code: str = payload["code"]
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    module = ModuleType("__main__")
    vars(module).update(payload["inputs"])
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        exec(_compile(code, name), vars(module))  # noqa: S102 - the code that the file's author wrote
    except SystemExit as error:
        if error.code not in (None, 0):
            raise _script_error(error, name, f"it called exit with {error.code!r}") from error
    except KurtError:
        raise
    except BaseException as error:
        raise _script_error(error, name, str(error)) from error
    finally:
        sys.modules["__main__"] = before
    return vars(module).get("result")


def call_python(payload: dict[str, Any]) -> Any:
    """Call a function of the project; `call` is its name, `args` a mapping or a list. Awaits if need be."""
    function, arguments = resolve(payload["call"]), payload["args"]
    value = function(**arguments) if isinstance(arguments, dict) else function(*arguments)
    return asyncio.run(_await(value)) if inspect.isawaitable(value) else value


def run_command(payload: dict[str, Any]) -> Any:
    """Run a Kurt command and return its result object.

    The payload has `command` (its words), `args` (values of options by name), `argv` (positionals), `root`, and `tenant`
    (`user_id` and `workspace_id` of the run, where it has them).

    Raises:
        KurtError: what the command raised.
    """
    words, handoff = command_line(payload["command"], payload["args"], payload["argv"])
    # The command line is a layer above this one: it is reached by name, like any other plug-in.
    whose = [f"--{name.removesuffix('_id')}={value}" for name, value in payload["tenant"].items() if value]
    return resolve("kurt.cli.invoke:invoke")([*whose, *words], payload["root"], handoff.objects)


async def _await(value: Awaitable[Any]) -> Any:
    return await value


def _compile(code: str, name: str) -> CodeType:
    try:
        return compile(code, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise StepError(
            f"{error.msg} (line {error.lineno} of the script: {(error.text or '').strip()})",
            type=type(error).__name__,
            details={"line": error.lineno},
        ) from error
    except ValueError as error:  # a NUL character
        raise StepError(f"the code cannot be read: {error}", type="SyntaxError") from error


def _script_error(error: BaseException, name: str, message: str) -> StepError:
    """The error of a script, with the line that raised it."""
    kind = type(error).__name__
    message = message or kind
    details: dict[str, Any] = {"traceback": tail_of_traceback(error)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    if frames:
        details["line"] = frames[-1].lineno
        message = f"{message} (line {frames[-1].lineno} of the script: {(frames[-1].line or '').strip()})"
    return StepError(message, type=kind, details=details)
