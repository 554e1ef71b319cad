"""`LLMStep`: the rows of a table through a model, each row paid once and kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from kurt.core.frames import open_table
from kurt.core.llm_call import Call
from kurt.core.loops import wait_for
from kurt.core.origin import calling_module
from kurt.core.prompts import PromptTemplate
from kurt.core.rows import draw
from kurt.errors import UsageError
from kurt.runtime import place

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kurt.core.calling import Retry
    from kurt.core.hooks import StepHooks
    from kurt.llm.budget import Budget
    from kurt.llm.cache import ResponseCache
    from kurt.llm.limits import RateLimit
    from kurt.llm.types import Completer

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

_REMEDY = (
    "take it out of the step and call it in the body of the @DBOS.workflow() function, before or after the step;\n"
    "inside a step call the model directly, for embeddings with generate_embeddings(texts)"
)


class LLMStep:
    """Sends each row of a table to a model and adds the answer's fields as columns.

    In a workflow each row is a checkpoint of its own: after a crash at most `concurrency` calls are made again. Outside of
    one it simply runs, without a database.

    Args:
        name: durable name of the step: letters, digits, `_` and `-`.
        input_columns: columns that the prompt may use.
        prompt_template: the prompt, with `{column}` where a cell belongs; `{{` and `}}` stand for braces.
        output_schema: pydantic model of an answer; each field becomes a column.
        llm_fn: calls the model: takes the prompt, returns the model, a dict, or `(result, metrics)`; sync or async.
        model: `provider/model` that Kurt calls itself, in place of `llm_fn`.
        concurrency: rows at work at once.
        prepare_fn: takes a row's input columns as a dict and returns the prompt's cells; None skips the row.
        hooks: are told what happens.
        retry: how often a failed call is repeated: a `RetryPolicy`, or a number of attempts. Without it a model is asked
            five times at most, and `llm_fn` once unless its error says that it may heal (`ModelError.retryable`).
        rate_limit: requests and tokens a minute, shared by all steps of the process that use the model.
        budget: what may be spent; by default what the settings `LLM.BUDGET_USD`, `LLM.BUDGET_TOKENS` say in a workflow.
        cache: use answers that were paid before to exactly the same question.
        params: more of the request to `model`: `temperature`, `max_tokens`, `timeout`, `system`, and what the provider
            itself knows.
        completer: who calls `model` in place of Kurt's client: anything with `async complete(Request) -> Response`.
        module: workflow module for settings such as `EXTRACT.ENTITIES.LLM_MODEL`; that of the calling code by default.
        on_row_error: `record` keeps the row as an error and goes on, `fail` ends the step.
        output_prefix: put before the fields' names to make the columns' names.
        priority_enabled: allow `run(df, priority=...)`.

    Attributes:
        name: its name.
        substitute: answers in place of the function or the model, in tests.

    Raises:
        UsageError: the arguments do not fit together.
    """

    def __init__(  # noqa: PLR0913 - all of it is a choice of the author's, by name
        self,
        *,
        name: str,
        input_columns: Sequence[str],
        prompt_template: str,
        output_schema: type[BaseModel],
        llm_fn: Callable[[str], Any] | None = None,
        model: str | None = None,
        concurrency: int = 3,
        prepare_fn: Callable[[dict[str, Any]], Mapping[str, Any] | None] | None = None,
        hooks: StepHooks | None = None,
        retry: Retry = None,
        rate_limit: RateLimit | None = None,
        budget: Budget | None = None,
        cache: bool | ResponseCache | None = None,
        params: Mapping[str, Any] | None = None,
        completer: Completer | None = None,
        module: str | None = None,
        on_row_error: Literal["record", "fail"] = "record",
        output_prefix: str = "",
        priority_enabled: bool = False,
    ) -> None:
        self.name = checked_name(name)
        _check_kinds(name, input_columns, output_schema, llm_fn)
        self.input_columns = list(input_columns)
        self.output_schema = output_schema
        self.llm_fn = llm_fn
        self.model = model
        self.concurrency = positive(concurrency, name, "concurrency")
        self.prepare_fn = prepare_fn
        self.hooks = hooks
        self.retry = retry
        self.rate_limit = rate_limit
        self.budget = budget
        self.cache = cache
        self.params = dict(params or {})
        self.completer = completer
        self.module = module or calling_module()
        self.substitute: Callable[[str], Any] | None = None
        self.on_row_error = on_row_error
        self.output_prefix = output_prefix
        self.priority_enabled = priority_enabled
        if llm_fn is not None and model is not None:
            raise UsageError(f"step {name!r} has both llm_fn and model", hint="give one of them")
        if llm_fn is not None:
            _refuse_what_a_client_does(
                name, cache=cache, rate_limit=rate_limit, params=params, completer=completer
            )
        self.prompt = PromptTemplate(prompt_template, f"step {name!r}")
        if prepare_fn is None:
            self.prompt.check(self.input_columns)

    @property
    def function(self) -> Callable[[str], Any] | None:
        """What answers, None where a model does."""
        return self.substitute or self.llm_fn

    @property
    def prompt_template(self) -> str:
        """The prompt's template."""
        return self.prompt.text

    @property
    def fields(self) -> list[str]:
        """Names of the answer's fields."""
        return list(self.output_schema.model_fields)

    def run(self, df: Any, *, priority: str | Sequence[float] | None = None) -> Any:
        """Do all rows and wait for them.

        Args:
            df: a DataFrame of pandas or polars, an Arrow table, or a list of dicts; it stays as it is.
            priority: a column, or one number a row: rows with low numbers begin first.

        Returns:
            a table of the same make with one more column for each field, and `<name>_status` (`success`, `error`,
            `skipped`) and `<name>_error`.

        Raises:
            UsageError: a column is missing or would be overwritten, or the caller is in a step.
        """
        place.refuse_step("LLMStep.run", _REMEDY)
        refuse_blocking("LLMStep.run", self.name)
        call = self._call(df, priority)
        return call.finished(wait_for(call.rows()))

    async def run_async(self, df: Any, *, priority: str | Sequence[float] | None = None) -> Any:
        """Do all rows from an asynchronous workflow or function; otherwise as `run`."""
        place.refuse_step("LLMStep.run_async", _REMEDY)
        call = self._call(df, priority)
        return call.finished(await call.rows())

    def _call(self, df: Any, priority: str | Sequence[float] | None) -> Call:
        table = open_table(df)
        if priority is not None and not self.priority_enabled:
            raise UsageError(
                f"step {self.name!r} takes no priority", hint="LLMStep(..., priority_enabled=True)"
            )
        return Call(self, table, draw(table.length), priority)


def llm_step(
    *,
    input_columns: Sequence[str],
    prompt_template: str,
    output_schema: type[BaseModel],
    name: str | None = None,
    **options: Any,
) -> Callable[[Callable[[dict[str, Any]], Mapping[str, Any] | None]], LLMStep]:
    """Make a step of a function that prepares a row: it takes the input columns and returns the prompt's cells, or None.

    Args:
        input_columns: columns that the function gets.
        prompt_template: the prompt, with `{cell}` for what the function returns.
        output_schema: pydantic model of an answer.
        name: durable name of the step, the function's by default.
        options: all other arguments of `LLMStep`.
    """

    def make(prepare: Callable[[dict[str, Any]], Mapping[str, Any] | None]) -> LLMStep:
        step = LLMStep(
            name=name or prepare.__name__,
            input_columns=input_columns,
            prompt_template=prompt_template,
            output_schema=output_schema,
            prepare_fn=prepare,
            **options,
        )
        step.__doc__ = prepare.__doc__
        return step

    return make


def checked_name(name: str) -> str:
    """The name, if a step may have it.

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name of a step", hint="use letters, digits, '_' and '-', a letter first"
        )
    return name


def _check_kinds(name: str, input_columns: Any, output_schema: Any, llm_fn: Any) -> None:
    """Refuse what type checkers find and people overlook.

    Raises:
        UsageError: an argument is of the wrong kind.
    """
    if isinstance(input_columns, str):
        raise UsageError(
            f"input_columns of step {name!r} is a text", hint=f"input_columns=[{input_columns!r}]"
        )
    if not (isinstance(output_schema, type) and hasattr(output_schema, "model_fields")):
        raise UsageError(
            f"output_schema of step {name!r} is no pydantic model",
            hint="write class Answer(BaseModel): ..., and give output_schema=Answer",
        )
    if llm_fn is not None and not callable(llm_fn):
        raise UsageError(
            f"llm_fn of step {name!r} cannot be called", hint="give a function, or a model's name as model="
        )


def _refuse_what_a_client_does(name: str, **given: Any) -> None:
    """A function of the user's own is called as it is: say so where more is asked for than Kurt can do.

    Raises:
        UsageError: an argument was given that needs `model`.
    """
    for argument, value in given.items():
        if value:
            raise UsageError(
                f"step {name!r} has llm_fn and {argument}, which is for calls that Kurt makes itself",
                hint="give model='provider/model' in place of llm_fn, or leave it out",
            )


def positive(number: int, name: str, what: str) -> int:
    """The number, if it is at least 1.

    Raises:
        UsageError: it is not.
    """
    if number < 1:
        raise UsageError(f"step {name!r} needs a {what} of at least 1, not {number}")
    return number


def refuse_blocking(what: str, name: str) -> None:
    """Refuse to block the event loop of an asynchronous workflow.

    Raises:
        UsageError: that is where the caller is.
    """
    if place.in_workflow() and _in_event_loop():
        raise UsageError(f"{what} would block an asynchronous workflow", hint=f"await {name}.run_async(df)")


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
