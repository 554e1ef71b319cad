"""DSPy's modules for a step: made from a signature, filled with a saved program, called, and read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic_core import to_jsonable_python

from kurt.engine.suggestions import listing
from kurt.errors import StepError

if TYPE_CHECKING:
    from kurt.engine.signatures.shapes import Shape, ShapeField
    from kurt.types import Json, JsonObject

Module = Literal["predict", "chain_of_thought", "react"]
"""DSPy's modules that a step may use."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "predict": (),
    "chain_of_thought": ("predict",),
    "react": ("react", "extract.predict"),
}
"""The parts of each module under which a saved program keeps what was learned; a `predict` keeps it at the top."""

ADDED: Mapping[str, tuple[str, ...]] = {
    "predict": (),
    "chain_of_thought": ("reasoning",),
    "react": ("reasoning", "trajectory"),
}
"""Outputs that each module adds to those of the signature."""

ENDS = "finish"
"""The tool by which a model ends its turns."""

_LEARNED = ("demos", "signature")


def signature_of(library: Any, shape: Shape) -> Any:
    """The class of a signature that stands in a file.

    Args:
        library: DSPy.
        shape: the signature.
    """
    fields: dict[str, Any] = {}
    for make, group in ((library.InputField, shape.inputs), (library.OutputField, shape.outputs)):
        for name, field in group.items():
            fields[name] = (field.type, _field(make, field))
    with _quiet(fields):
        return library.Signature(fields, shape.prompt)


@contextmanager
def _quiet(names: Iterable[str]) -> Generator[None]:
    """Have pydantic say nothing of fields such as `json`, which hide methods that nobody calls here."""
    if not any(hasattr(BaseModel, name) for name in names):
        yield  # the filters of warnings belong to the whole process
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _field(make: Callable[..., Any], field: ShapeField) -> Any:
    return make() if field.description is None else make(desc=field.description)


def make_module(
    library: Any, module: str, signature: Any, *, tools: Sequence[Any] = (), max_iterations: int = 20
) -> Any:
    """The module of a step.

    Args:
        library: DSPy.
        module: which one; see `Module`.
        signature: the class of the signature.
        tools: `dspy.Tool` objects, for `react`.
        max_iterations: how often `react` may use a tool.
    """
    with _quiet(signature.fields):
        if module == "react":
            made = library.ReAct(signature, tools=list(tools), max_iters=max_iterations)
            made.tools[ENDS] = _end(library)
            return made
        return (
            library.ChainOfThought(signature) if module == "chain_of_thought" else library.Predict(signature)
        )


@cache
def _tool_class(library: Any) -> Any:
    """DSPy's tool without its look at the arguments: what it finds it tells the model with a traceback of this machine."""

    class ProjectTool(library.Tool):
        async def acall(self, **kwargs: Any) -> Any:
            return await self.func(**kwargs)

    return ProjectTool


def tool_of(library: Any, told: JsonObject, use: Callable[..., Awaitable[Json]]) -> Any:
    """A function of the project as DSPy's tool.

    Args:
        library: DSPy.
        told: what a model is told of it: `name`, `description` and `args`.
        use: calls it with the arguments that the model has chosen, whatever they are; must not raise.
    """
    return _tool_class(library)(
        use, name=told["name"], desc=told["description"], args=told["args"], arg_types={}
    )


def _end(library: Any) -> Any:
    """What ends the turns, whatever arguments a model gives it: DSPy's own would tell a traceback."""

    async def end(**_: Any) -> str:
        return "Completed."

    return tool_of(library, {"name": ENDS, "description": "", "args": {}}, end)


def load_program(made: Any, module: str, file: Path, shown: str) -> str | None:
    """Fill a module with a program that was saved as JSON; the model for which it was made, where the file tells it.

    Only what was learned is taken: examples and instructions. The file's model is not, as it would bring an address of its
    own; nothing in the file is run.

    Args:
        made: the module.
        module: which one it is.
        file: the saved program.
        shown: its name for messages.

    Raises:
        StepError: the file is not there, is no saved program, or belongs to another module or signature.
    """
    states = read_program(file, module, shown)
    named = dict(made.named_parameters())
    predictors = [named["self"]] if module == "predict" else [named[part] for part in PARTS[module]]
    models: list[str] = []
    for predictor, state in zip(predictors, states, strict=True):
        _fill(predictor, state, shown)
        if isinstance(state.get("lm"), dict):
            models.append(str(state["lm"].get("model")))
    return models[0] if models else None


def _fill(predictor: Any, state: JsonObject, shown: str) -> None:
    """Fill one part of a module.

    Raises:
        StepError: it belongs to another signature, or is damaged.
    """
    saved, names = state["signature"].get("fields"), list(predictor.signature.fields)
    if not isinstance(saved, list) or not _are_mappings(state["demos"]):
        raise _no_program(shown)
    if len(saved) != len(names):
        raise StepError(
            f"the program {shown} was saved for another signature: it has {len(saved)} fields, this one has "
            f"{len(names)} ({', '.join(names)})",
            type="ProgramMismatch",
            hint="give the signature with which the program was made, or save the program again",
        )
    kept = {key: state[key] for key in _LEARNED}
    try:
        with _quiet(names):
            predictor.load_state({**kept, "lm": None})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_program(shown) from error


def _are_mappings(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def read_program(file: Path, module: str, shown: str) -> list[JsonObject]:
    """What a saved program holds for each part of a module.

    Raises:
        StepError: as `load_program`.
    """
    try:
        value: Json = json.loads(file.read_bytes())
    except OSError as error:
        raise StepError(
            f"the program {shown} cannot be read: {error.strerror or error}",
            type="ProgramNotFound",
            hint="paths start at the project's root",
        ) from None
    except ValueError:
        raise StepError(
            f"the program {shown} is not JSON",
            type="ProgramMismatch",
            hint=f'write it by `save("{file.name}")`',
        ) from None
    if not isinstance(value, dict):
        raise _no_program(shown)
    states = [value] if module == "predict" else [value.get(part) for part in PARTS[module]]
    if not all(isinstance(state, dict) and all(key in state for key in _LEARNED) for state in states):
        other = module_of(value)
        if other is not None and other != module:
            raise StepError(
                f"the program {shown} was saved from a module of the kind `{other}`, and the step's is `{module}`",
                type="ProgramMismatch",
                hint=f"write `module: {other}`",
            )
        raise _no_program(shown)
    if not all(isinstance(state["signature"], dict) for state in states if isinstance(state, dict)):
        raise _no_program(shown)
    return [state for state in states if isinstance(state, dict)]


def module_of(program: JsonObject) -> str | None:
    """The module from which a program was saved, None for one that a step cannot use."""
    if all(key in program for key in _LEARNED):
        return "predict"
    return next(
        (name for name, parts in PARTS.items() if parts and all(part in program for part in parts)), None
    )


def _no_program(shown: str) -> StepError:
    return StepError(
        f"{shown} is no program that a step can use",
        type="ProgramMismatch",
        hint='save a Predict, ChainOfThought or ReAct: `program.save("program.json")`',
    )


def check_inputs(signature: Any, given: JsonObject) -> dict[str, Any]:
    """The values of a signature's inputs as their types want them.

    Raises:
        StepError: one is missing, unknown, or of another type (`FieldError`).
    """
    fields: Mapping[str, Any] = signature.input_fields
    unknown = [name for name in given if name not in fields]
    missing = [name for name, field in fields.items() if name not in given and _is_required(field)]
    if unknown or missing:
        what = f"has no input {unknown[0]!r}" if unknown else f"needs the input {missing[0]!r}"
        raise StepError(
            f"the signature {what}",
            type="FieldError",
            hint=f"its inputs are {listing(fields)}: correct `inputs`",
        )
    return {name: _fitting(name, fields[name].annotation, value) for name, value in given.items()}


def _is_required(field: Any) -> bool:
    if not field.is_required():
        return False
    try:
        TypeAdapter(field.annotation).validate_python(None, strict=True)
    except ValidationError:
        return True
    return False


def _fitting(name: str, annotation: Any, value: Any) -> Any:
    if annotation is str:
        return value  # DSPy shows the model whatever it is as text
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("inputs", name, *first["loc"]))
        raise StepError(
            f"`{place}` does not fit the signature: {first['msg']}",
            type="FieldError",
            hint="correct the value, or the field's type",
        ) from None


async def call_module(made: Any, inputs: dict[str, Any]) -> Any:
    """Call a module.

    Raises:
        Exception: whatever DSPy raises.
    """
    call: Callable[..., Awaitable[Any]] = made.acall
    return await call(**inputs)


def value_of(prediction: Any, signature: Any, module: str) -> JsonObject:
    """The outputs of a call as JSON: those of the signature, and those that the module adds."""
    stored: Mapping[str, Any] = prediction._store  # noqa: SLF001 - its attributes are hidden by outputs of their names
    value: JsonObject = {}
    if module != "predict" and "reasoning" in stored:
        value["reasoning"] = to_jsonable_python(stored["reasoning"])
    for name in signature.output_fields:
        value[name] = to_jsonable_python(stored.get(name))
    if module == "react":
        value["trajectory"] = steps_of(stored.get("trajectory") or {})
    return value


def outputs_model(signature: Any, module: str) -> type[BaseModel]:
    """The outputs of a module as a pydantic model: those of the signature, after what the module adds."""
    added: dict[str, Any] = {} if module == "predict" else {"reasoning": (str, ...)}
    fields = {name: (item.annotation, ...) for name, item in signature.output_fields.items()}
    with _quiet(fields):
        make: Any = create_model
        return make("Outputs", **added, **fields)


def steps_of(trajectory: Mapping[str, Any]) -> list[JsonObject]:
    """What an agent has thought and done, one object for each use of a tool."""
    numbers = [key.removeprefix("thought_") for key in trajectory if key.startswith("thought_")]
    return [
        {
            key: to_jsonable_python(trajectory.get(f"{part}_{number}"))
            for key, part in (
                ("thought", "thought"),
                ("tool", "tool_name"),
                ("args", "tool_args"),
                ("observation", "observation"),
            )
        }
        for number in numbers
    ]
