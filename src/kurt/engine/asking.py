"""Asking a model as a workflow file says it: prompts out of values, and answers in the form that the file declares."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kurt.engine.expressions.references import as_text
from kurt.engine.kinds import Finding
from kurt.engine.signatures.sources import SourceError, file_of_module, read_module
from kurt.engine.suggestions import did_you_mean
from kurt.errors import ConfigError, StepError, UsageError
from kurt.project_code import make_importable
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from kurt.core.completion import Calls
    from kurt.llm.calls import Answer
    from kurt.llm.errors import ModelError

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How a class of the project is named: `module:Class`."""

_WRAPPED = "value"


@dataclass(frozen=True, slots=True)
class Form:
    """The form that answers must have.

    Attributes:
        schema: JSON Schema of an object, None for text.
        model: pydantic model that answers are checked by, None for a plain schema.
        is_wrapped: the wanted value is a field of that object: providers promise objects only.
    """

    schema: JsonObject | None = None
    model: type[BaseModel] | None = None
    is_wrapped: bool = False

    @property
    def fields(self) -> list[str] | None:
        """Names of the fields of an answer; None where it is no mapping."""
        if self.schema is None or self.is_wrapped:
            return None
        return list(self.schema.get("properties", {}))

    def value(self, answer: Answer) -> Json:
        """What the model said, as a value."""
        if self.model is not None:
            return answer.value.model_dump(mode="json")
        return answer.value[_WRAPPED] if self.is_wrapped else answer.value


async def form_of(declared: Json, root: Path) -> Form:
    """The form that a file declares, in a thread: the project's code may take its time; see `form_here`."""
    return await asyncio.to_thread(form_here, declared, root)


def form_here(declared: Json, root: Path) -> Form:
    """The form that a file declares: nothing for text, a JSON Schema, or `module:Class` of the project.

    Raises:
        StepError: the class does not exist (`TargetNotFound`) or is no pydantic model, or the schema is none.
    """
    if declared is None:
        return Form()
    if isinstance(declared, str):
        make_importable(str(root))
        model = _class(declared)
        from kurt.llm.schemas import schema_of  # noqa: PLC0415 - beside its use

        return Form(schema_of(model), model)
    if not isinstance(declared, dict):
        raise StepError(
            f"`schema` is {type(declared).__name__}, not a JSON Schema",
            type="FieldError",
            hint="write a mapping, or module:Class of the project",
        )
    if (fault := schema_fault(declared)) is not None:
        raise StepError(fault, type="FieldError", hint="look at `schema`")
    if "object" in (declared.get("type"), "object" if "properties" in declared else None):
        return Form({"type": "object", **declared})
    wrapped = {
        "type": "object",
        "properties": {_WRAPPED: _without_definitions(declared)},
        "required": [_WRAPPED],
    }
    return Form({**wrapped, **{key: declared[key] for key in _SHARED if key in declared}}, is_wrapped=True)


_SHARED = ("$defs", "definitions")


def _without_definitions(schema: JsonObject) -> JsonObject:
    return {key: value for key, value in schema.items() if key not in _SHARED}


def _class(target: str) -> type[BaseModel]:
    from pydantic import BaseModel  # noqa: PLC0415 - loaded by all who read files

    from kurt.engine.processes.child import resolve  # noqa: PLC0415 - beside its use

    found: Any = resolve(target)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise StepError(
            f"{target!r} is no pydantic model",
            type="TargetNotFound",
            hint="write class Answer(BaseModel): ..., or a JSON Schema in place of the name",
        )
    return found


def schema_fault(schema: JsonObject) -> str | None:
    """What is wrong with a JSON Schema, None if nothing is."""
    if not set(schema) & _KEYWORDS:
        return (
            f"`schema` has none of the keys of a JSON Schema but {', '.join(map(repr, schema)) or 'nothing'}"
        )
    from jsonschema_rs import validator_for  # noqa: PLC0415 - only files with a schema need it

    try:
        validator_for(schema, offline=True)
    except ValueError as error:
        return f"`schema` is not a JSON Schema: {str(error).partition(chr(10))[0]}"
    return None


_KEYWORDS = frozenset(
    {
        "type",
        "properties",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "items",
        "additionalProperties",
    }
)


def class_fault(target: str) -> str | None:
    """What is wrong with `module:Class`, as it stands in a file; whether it exists is seen by the run."""
    return (
        None
        if TARGET.fullmatch(target)
        else f"`schema` is neither a JSON Schema nor module:Class: {target!r}"
    )


def class_findings(target: str, root: Path) -> Iterator[Finding]:
    """What is wrong with `module:Class`, as far as the project's files tell without being run."""
    module, _, name = target.partition(":")
    file = file_of_module(root, module)
    if file is None:
        if not _is_installed(module):
            hint = f"write a file {module.replace('.', '/')}.py into the project, or install its package"
            yield Finding(f"there is no module {module!r}", hint, ("schema",))
        return
    try:
        known = read_module(file)
    except SourceError as error:
        yield Finding(str(error), error.hint, ("schema",))
        return
    if not known.knows(name):
        near = did_you_mean(name, known.classes, f"write class {name}(BaseModel): ... into {file.name}")
        yield Finding(f"{file.name} has no class {name!r}", near or "", ("schema",))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a model is asked.

    Attributes:
        prompt: the user's words.
        system: what is said before.
        params: more of the request.
        seconds: time limit of the call.
    """

    prompt: Json
    system: Json = None
    params: JsonObject
    seconds: float | None = None


async def ask(calls: Calls, question: Question, form: Form, *, row: int | None = None) -> Answer:
    """Have a model answer.

    Raises:
        ModelError: it did not.
        ConfigError: no model is set, or nobody knows its provider.
        CredentialsError: the model's key is missing.
        StepError: the schema cannot be used.
    """
    limit = {} if question.seconds is None else {"timeout": question.seconds}
    request = calls.request(
        as_text(question.prompt),
        system=None if question.system is None else as_text(question.system),
        schema=form.schema,
        params={**limit, **question.params},
    )
    try:
        return await calls.ask(request, form.model, row=row)
    except ConfigError:
        raise
    except UsageError as error:
        raise StepError(error.message, type="FieldError", hint="look at `schema`") from error


def failure_of(error: ModelError) -> Exception:
    """How a step fails because of what a model came to; a spent budget may have it skipped, so that stays as it is."""
    if getattr(error, "partial", False):
        return error
    details = {
        name: value for name in ("status", "retry_after") if (value := getattr(error, name)) is not None
    }
    return StepError(error.message, type=error.type, hint=error.hint, details=details)


def said_of(answer: Answer) -> str:
    """One line on what an answer consumed."""
    attempts = answer.attempts
    last = attempts[-1]
    if last.cache_hit or last.response is None:
        return f"{last.request.model}: answered from the cache"
    tokens = sum(one.response.usage.total for one in attempts if one.response is not None)
    known = [one.cost.amount for one in attempts if one.cost.amount is not None]
    cost = f", ${sum(known):.3g}" if known else ""
    more = f", {len(attempts)} calls" if len(attempts) > 1 else ""
    return f"{last.request.model}: {tokens} tokens{cost}{more}"


def rounded(vector: Sequence[float]) -> list[float]:
    """A vector with the digits that float32 has, so that the same text has the same one wherever it is kept."""
    return [float(f"{number:.7g}") for number in vector]
