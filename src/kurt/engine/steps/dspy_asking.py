"""One execution of a `dspy` step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kurt.engine.asking import failure_of, said_of
from kurt.engine.signatures import modules
from kurt.engine.signatures.project import load_class, own_types
from kurt.engine.signatures.shapes import ARROW, ShapeError, shape_of_mapping, shape_of_text
from kurt.engine.signatures.sources import SIGNATURES
from kurt.engine.steps.calls import call
from kurt.errors import StepError
from kurt.llm.adapters.dspy import DspyEngine, load_dspy, settings_for
from kurt.llm.calls import Answer
from kurt.llm.errors import ModelError
from kurt.llm.types import Attempt, Message, Request
from kurt.runtime import place

if TYPE_CHECKING:
    from kurt.core.completion import Calls
    from kurt.engine.kinds import StepContext
    from kurt.engine.steps.dspy import DspyFields
    from kurt.llm.step_answers import StepAnswers
    from kurt.llm.types import Response
    from kurt.types import Json, JsonObject

_SHOWN = 300
"""Characters of a faulty answer that an error shows."""

_LOGGED = 500
"""Characters of a tool's arguments that the log shows."""


@dataclass(slots=True)
class _Asker:
    """Answers requests through the step's calls, and keeps what they consumed.

    Attributes:
        calls: the step's calls.
        attempts: those of all requests.
        answers: how many requests have an answer.
    """

    calls: Calls
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    answers: int = 0

    async def complete(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            ModelError: the model did not.
        """
        answer = await self.calls.ask(request)
        self.attempts += answer.attempts
        self.answers += 1
        response = answer.attempts[-1].response
        assert response is not None  # noqa: S101 - a call without an answer raises
        return response


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
            StepError: something is not there or does not fit, or the model did not answer.
            StepSkippedError: the budget is spent, and its file says to go on.
        """
        fields = self.fields
        library = await asyncio.to_thread(load_dspy)
        signature = await asyncio.to_thread(self._signature, library)
        inputs = modules.check_inputs(signature, fields.inputs)
        calls = await self.context.models(model=fields.model)
        try:
            if _is_pretended(calls):
                return await self._pretended(library, signature, calls, inputs)
            return await self._asked(library, signature, calls, inputs)
        except ModelError as error:
            raise failure_of(error) from error

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
        own: Callable[[str], Any] = lambda name: own_types(root)[name]  # noqa: E731 - imported if a type needs it
        try:
            if isinstance(given, str):
                shape = shape_of_text(given, own)
            else:
                inputs, outputs = (
                    {name: item or "str" for name, item in side.items()}
                    for side in (given.inputs, given.outputs)
                )
                shape = shape_of_mapping(inputs, outputs, given.prompt, own)
        except ShapeError as error:
            raise StepError(str(error), type="FieldError", hint=error.hint) from None
        return modules.signature_of(library, shape)

    async def _asked(self, library: Any, signature: Any, calls: Calls, inputs: dict[str, Any]) -> JsonObject:
        """The outputs as the model gives them.

        Raises:
            StepError: as `value`.
            ModelError: a call failed.
        """
        fields, answers = self.fields, await self._answers(calls)
        asker = _Asker(calls)
        engine = DspyEngine(asker, params=self._params())
        told = await self._tools_told()
        made = modules.make_module(
            library,
            fields.module,
            signature,
            tools=[self._tool(library, one, answers) for one in told],
            max_iterations=fields.max_iterations,
        )
        if fields.program is not None:
            await asyncio.to_thread(self._fill, made, fields.program)
        try:
            with library.context(**settings_for(library, engine, adapter=fields.adapter)):
                prediction = await self._prediction(library, made, engine, inputs)
        except Exception:
            await answers.over()
            raise
        await answers.over()
        self._tell(asker)
        return modules.value_of(prediction, signature, fields.module)

    async def _answers(self, calls: Calls) -> StepAnswers:
        """The answers of this attempt, should the process die before it is over."""
        from kurt.db import get_engine  # noqa: PLC0415 - loads SQLAlchemy, which the run has by now
        from kurt.llm.step_answers import StepAnswers  # noqa: PLC0415 - as above

        engine = await asyncio.to_thread(get_engine, calls.settings)
        run_id = place.run_id() or self.context.run_id
        calls.cache = answers = StepAnswers(engine, (run_id, self.context.path, str(self.context.attempt)))
        return answers

    def _params(self) -> JsonObject:
        """What goes with each call."""
        limit = self.context.limits.timeout
        return {**({} if limit is None else {"timeout": limit}), **self.fields.request_params()}

    def _fill(self, made: Any, program: str) -> None:
        file = self.context.project_root / program
        if file.suffix != ".json":
            raise StepError(
                f"a program is a JSON file, and {program!r} is none",
                type="ProgramMismatch",
                hint='save it by `program.save("program.json")`',
            )
        model = modules.load_program(made, self.fields.module, file, program)
        if model is not None:
            self.context.log("INFO", f"{program} was made with {model}")

    async def _tools_told(self) -> list[JsonObject]:
        if not self.fields.tools:
            return []
        payload = {"calls": self.fields.tools}
        told: Any = await call(self.context, "kurt.engine.processes.tools:describe_tools", payload)
        return told

    def _tool(self, library: Any, told: JsonObject, answers: StepAnswers) -> Any:
        """A function of the project as DSPy's tool: it runs in a child process, under the step's limits."""

        async def use(**args: Any) -> Any:
            key, known = await answers.result(told["call"], args)
            if known is None:
                known = {"value": await self._used(told, args)}
                answers.note(key, known["value"])
            return known["value"]

        return modules.tool_of(library, told, use)

    async def _used(self, told: JsonObject, args: JsonObject) -> Json:
        """What a function gives; its failure is told to the model, which may do something else."""
        self.context.log("INFO", f"{told['name']}({_short(args)})")
        payload = {"call": told["call"], "args": args}
        try:
            return await call(self.context, "kurt.engine.processes.tools:call_tool", payload)
        except StepError as error:
            self.context.log("WARNING", f"{told['name']} failed: {error.type}: {error.message}")
            return f"{told['name']} failed: {error.type}: {error.message}"

    async def _prediction(self, library: Any, made: Any, engine: DspyEngine, inputs: dict[str, Any]) -> Any:
        """What DSPy makes of the answers.

        Raises:
            StepError: the answer breaks the format (`InvalidAnswer`), or DSPy failed.
            ModelError: a call failed.
        """
        try:
            prediction = await modules.call_module(made, inputs)
        except Exception as error:
            if engine.failure is not None:
                raise engine.failure from None
            raise self._failure(library, error) from error
        if engine.failure is not None:  # DSPy has taken it for the end of its turns
            raise engine.failure
        return prediction

    def _failure(self, library: Any, error: Any) -> StepError:
        if isinstance(error, library.AdapterParseError):
            wanted = ", ".join(error.signature.output_fields)
            answer = str(error.lm_response or "")
            longer = "raise `max_tokens` if it was cut, or try another model"
            return StepError(
                f"the answer does not have the fields of the signature ({wanted}); it begins {answer[:_SHOWN]!r}",
                type="InvalidAnswer",
                hint=longer if self.fields.adapter == "json" else f"try `adapter: json`; {longer}",
            )
        if isinstance(error, library.ContextWindowExceededError):
            return StepError(
                f"the model refuses so long a prompt: {error.message.partition(chr(10))[0]}",
                type="PromptTooLong",
                hint="give it less, or use a model that reads more",
            )
        return StepError(f"DSPy failed: {error}", type=type(error).__name__)

    def _tell(self, asker: _Asker) -> None:
        """Put into the log what it took."""
        if not asker.attempts:
            return
        self.context.log("INFO", said_of(Answer(None, "", tuple(asker.attempts))))
        if self.fields.module != "react" and asker.answers > 1:
            self.context.log(
                "WARNING",
                f"an answer broke the format, so the model was asked {asker.answers} times; `adapter: json` may avoid this",
            )

    async def _pretended(
        self, library: Any, signature: Any, calls: Calls, inputs: dict[str, Any]
    ) -> JsonObject:
        """Outputs that are made up by their types: one question with a schema, in place of DSPy's prompts."""
        model = modules.outputs_model(signature, self.fields.module)
        messages = tuple(
            Message(said["role"], str(said["content"]))
            for said in library.ChatAdapter().format(signature, [], inputs)
        )
        answer = await calls.ask(Request("", messages), model)
        value: JsonObject = answer.value.model_dump(mode="json")
        return {**value, "trajectory": []} if self.fields.module == "react" else value


def _is_pretended(calls: Calls) -> bool:
    from kurt.llm.mock import MockCompleter  # noqa: PLC0415 - beside its use

    return isinstance(calls.completer, MockCompleter)


def _short(args: JsonObject) -> str:
    text = ", ".join(f"{name}={value!r}" for name, value in args.items())
    return text if len(text) <= _LOGGED else text[:_LOGGED] + "..."
