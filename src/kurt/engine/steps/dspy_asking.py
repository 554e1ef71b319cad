"""One execution of a `dspy` step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kurt.engine.signatures import modules
from kurt.engine.signatures.project import load_class, own_types
from kurt.engine.signatures.shapes import ARROW, ShapeError, shape_of_mapping, shape_of_text
from kurt.engine.signatures.sources import SIGNATURES
from kurt.engine.steps.calls import call
from kurt.errors import StepError
from kurt.llm.adapters.dspy import DspyEngine, load_dspy, settings_for
from kurt.llm.errors import AnswerError

if TYPE_CHECKING:
    from kurt.engine.kinds import StepContext
    from kurt.engine.steps.dspy import DspyFields
    from kurt.types import Json, JsonObject

_SHOWN = 300
"""Characters of a faulty answer that an error shows."""

_OBSERVED = 500
"""Characters of a tool's result that the log shows."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A step's fields, and what it knows while it runs.

    Attributes:
        fields: its fields, values put in.
        context: what it knows.
    """

    fields: DspyFields
    context: StepContext

    async def value(self) -> Json:
        """The outputs.

        Raises:
            StepError: something is not there or does not fit.
            ModelError: a call failed.
        """
        fields = self.fields
        library = await asyncio.to_thread(load_dspy)
        signature = await asyncio.to_thread(self._signature, library)
        tools = [self._tool(library, told) for told in await self._tools_told()]
        made = modules.make_module(
            library, fields.module, signature, tools=tools, max_iterations=fields.max_iterations
        )
        if fields.program is not None:
            await asyncio.to_thread(self._fill, made, fields.program)
        inputs = modules.check_inputs(signature, fields.inputs)
        calls = await self.context.models(model=fields.model)
        engine = DspyEngine(calls, params=fields.request_params())
        with library.context(**settings_for(library, engine, adapter=fields.adapter)):
            prediction = await self._asked(library, engine, partial(modules.call_module, made, inputs))
        self._tell(engine)
        return modules.value_of(prediction, signature, fields.module)

    def _signature(self, library: Any) -> Any:
        """The class of the signature.

        Raises:
            StepError: there is none.
        """
        given, root = self.fields.signature, self.context.project_root
        if isinstance(given, str) and ARROW not in given:
            module, colon, name = given.strip().rpartition(":")
            found = load_class(root, module if colon else SIGNATURES, name)
            if not (isinstance(found, type) and issubclass(found, library.Signature)):
                raise StepError(
                    f"{given!r} is no signature",
                    type="NotASignature",
                    hint=f"write `class {name}(dspy.Signature):`",
                )
            return found
        own = _Classes(own_types(root))
        try:
            if isinstance(given, str):
                shape = shape_of_text(given, own, own.names)
            else:
                sides = {"inputs": given.inputs, "outputs": given.outputs}
                plain = {
                    side: {name: item or "str" for name, item in fields.items()}
                    for side, fields in sides.items()
                }
                shape = shape_of_mapping(plain["inputs"], plain["outputs"], given.prompt, own, own.names)
        except ShapeError as error:
            raise StepError(str(error), type="FieldError", hint=error.hint) from None
        return modules.signature_of(library, shape)

    def _fill(self, made: Any, program: str) -> None:
        file = self.context.project_root / program
        if file.suffix != ".json":
            raise StepError(
                f"a program is a JSON file, and {program!r} is none",
                type="ProgramMismatch",
                hint='save it by `program.save("program.json")`',
            )
        model = modules.load_program(made, self.fields.module, file, program)
        if model is not None and self.fields.model not in (None, model):
            self.context.log("INFO", f"the program was made with {model}; the step asks {self.fields.model}")

    async def _tools_told(self) -> list[JsonObject]:
        if not self.fields.tools:
            return []
        payload = {"calls": self.fields.tools}
        told: Any = await call(self.context, "kurt.engine.processes.tools:describe_tools", payload)
        return told

    def _tool(self, library: Any, told: JsonObject) -> Any:
        """A function of the project as DSPy's tool: it runs in a child process, under the step's limits."""

        async def use(**args: Any) -> Any:
            self.context.log("INFO", f"{told['name']}: {_short(args)}")
            payload = {"call": told["call"], "args": args}
            try:
                return await call(self.context, "kurt.engine.processes.tools:call_tool", payload)
            except StepError as error:
                self.context.log("WARNING", f"{told['name']} failed: {error.type}: {error.message}")
                return f"{told['name']} failed: {error.type}: {error.message}"

        tool = library.Tool(use, name=told["name"], desc=told["description"], args=told["args"], arg_types={})
        tool.has_kwargs = False
        return tool

    async def _asked(self, library: Any, engine: DspyEngine, ask: Any) -> Any:
        """What DSPy makes of the answers.

        Raises:
            StepError: the answer breaks the format (`InvalidAnswer`), or DSPy failed.
            ModelError: a call failed.
        """
        try:
            prediction = await ask()
        except Exception as error:
            if engine.failure is not None:
                raise engine.failure from None
            raise self._failure(library, error) from error
        if engine.failure is not None:  # DSPy has taken it for the end of its turns
            raise engine.failure
        return prediction

    def _failure(self, library: Any, error: Any) -> Exception:
        if isinstance(error, library.AdapterParseError):
            wanted = ", ".join(error.signature.output_fields)
            answer = str(error.lm_response or "")
            return AnswerError(
                f"the answer does not have the fields of the signature ({wanted}); it begins {answer[:_SHOWN]!r}",
                hint="raise `max_tokens` if it was cut, or try another model"
                if self.fields.adapter == "json"
                else "try `adapter: json`, or raise `max_tokens` if it was cut",
            )
        if isinstance(error, library.ContextWindowExceededError):
            return StepError(
                f"the model refused so long a prompt: {error.message}",
                type="PromptTooLong",
                hint="give it less, or a model that reads more",
            )
        if isinstance(error, StepError):
            return error
        return StepError(f"DSPy failed: {error}", type=type(error).__name__)

    def _tell(self, engine: DspyEngine) -> None:
        """Put into the log what costs more than one would think."""
        if self.fields.module != "react" and engine.calls > 1:
            self.context.log(
                "WARNING",
                f"the answer broke DSPy's format: it took {engine.calls} calls; `adapter: json` may avoid this",
            )


class _Classes:
    """The project's classes for types of fields."""

    def __init__(self, known: Any) -> None:
        self._known = known
        self.names = [name for name, value in known.items() if isinstance(value, type)]

    def __call__(self, name: str) -> Any:
        return self._known[name]


def _short(args: JsonObject) -> str:
    text = ", ".join(f"{name}={value!r}" for name, value in args.items())
    return text if len(text) <= _OBSERVED else text[:_OBSERVED] + "..."
