"""The models of a workflow file, in the form in which it is frozen and run.

What people write is brought into this form by `kurt.engine.language.draft`: block kinds in their short forms, inputs in
shorthand, steps without a name. A frozen definition is plain JSON in exactly this form; `WorkflowDefinition.from_frozen`
reads it back.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from kurt.engine.expressions.references import as_text
from kurt.engine.language.fields import Condition, Model, Name, Names, Seconds, Text, Variable, Variables
from kurt.engine.language.model_specs import BudgetSpec, CacheSpec
from kurt.engine.language.notify import NotifySpec
from kurt.engine.language.policies import DebounceSpec, ScheduleSpec
from kurt.engine.language.specs import (
    ApprovalSpec,
    Defaults,
    ForeachSpec,
    InputSpec,
    LimitsSpec,
    RetryPolicy,
    WaitSpec,
    WorkflowCall,
)
from kurt.types import Json, JsonObject

__all__ = [
    "BLOCK_KINDS",
    "FLOW_KINDS",
    "FROZEN_FORMAT",
    "ApprovalSpec",
    "BudgetSpec",
    "CacheSpec",
    "Defaults",
    "ErrorHandling",
    "ForeachSpec",
    "InputSpec",
    "LimitsSpec",
    "RetryPolicy",
    "SwitchSpec",
    "WaitSpec",
    "WorkflowCall",
    "WorkflowDefinition",
    "WorkflowStep",
    "frozen_subworkflow",
    "is_flow",
]

FROZEN_FORMAT = 1
"""Version of the form in which definitions are stored with runs."""

BLOCK_KINDS = ("parallel", "foreach", "switch", "workflow", "wait", "approval")
"""Kinds that the interpreter carries out itself; every other type is a plug-in."""

FLOW_KINDS = {"llm": "items", "embed": "items"}
"""Kinds that work on rows where this field is given: the interpreter then gives each row a checkpoint of its own."""


WAITS = frozenset({"wait", "approval"})
"""Blocks that wait for something outside of the run: their `timeout` is how long they wait, and they start no process."""


def is_flow(kind: str, spec: Mapping[str, Any]) -> bool:
    """Whether a step of this kind, with these fields of its own, works on rows."""
    return FLOW_KINDS.get(kind, "") in spec


class ErrorHandling(Model):
    """What happens when a step has failed and no attempt is left.

    Attributes:
        strategy: `fail` ends the run, `skip` goes on with null, `retry` is short for three attempts, `fallback` runs
            something instead.
        fallback: name of a step of the same list, or steps.
    """

    strategy: Literal["fail", "skip", "retry", "fallback"] = "fail"
    fallback: "str | list[WorkflowStep] | None" = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"strategy": value}
        if isinstance(value, Mapping) and "fallback" in value:
            return {"strategy": "fallback", **value}
        return value


class SwitchSpec(Model):
    """The choice of a `switch` block.

    Attributes:
        on: expression.
        cases: steps by the value that takes them.
        default: steps for every other value.
    """

    on: Condition = Field(description="Expression whose value chooses the case.", examples=["mode"])
    cases: dict[str, list["WorkflowStep"]] = Field(
        description="Steps by value; a number or boolean is compared by its text.", examples=[{"fast": []}]
    )
    default: list["WorkflowStep"] | None = Field(
        None, description="Steps for every other value.", examples=[[]]
    )


class WorkflowStep(Model):
    """One step.

    Attributes:
        name: unique in its list.
        type: its kind.
        description: for people.
        when: expression; the step is skipped where it is not true.
        needs: steps of its list that it waits for; None for all before it.
        output: variable that receives its value.
        timeout: seconds for one attempt.
        retry: how often it is tried.
        on_error: what happens when it has failed.
        env: variables for its child processes.
        limits: limits of its child processes.
        cache: keep its value for later runs.
        budget: what its calls of models may cost.
        spec: the kind's own fields, as written.
        steps: the body of `parallel` and `foreach`.
        foreach: the fan-out.
        collect: template that gives the value of each item.
        switch: the choice.
        workflow: the other workflow.
        wait: what is waited for.
        approval: what a person is asked.
        pointer: where it stands in its definition: `steps/0/steps/1`; see `WorkflowDefinition.at`.
    """

    name: Name = Field(description="Unique in its list; without one it is `step<N>`.", examples=["fetch"])
    type: str = Field(description="The kind of step.", examples=["cli"])
    description: Text | None = Field(None, description="What the step is for.", examples=["Fetch the page"])
    when: Condition | None = Field(
        None, description="Expression; where it is not true the step is skipped.", examples=["len(pages) > 0"]
    )
    needs: Names | None = Field(
        None,
        description="Steps of the same list to wait for; without it all before this one, with [] none.",
        examples=[["fetch"], []],
    )
    output: Name | None = Field(
        None, description="Variable that receives the step's value.", examples=["page"]
    )
    timeout: Seconds | None = Field(None, description="Time limit of each attempt.", examples=["5m"])
    retry: RetryPolicy | None = Field(None, description="How often to try.", examples=[{"max_attempts": 5}])
    on_error: ErrorHandling | None = Field(
        None, description="What happens when the step has failed.", examples=["skip", {"fallback": "other"}]
    )
    env: Variables = Field(
        default_factory=dict, description="Variables for child processes.", examples=[{"URL": "${url}"}]
    )
    limits: LimitsSpec | None = Field(
        None, description="Limits of child processes.", examples=[{"memory": "1GB", "cpu": "60s"}]
    )
    cache: CacheSpec | None = Field(
        None,
        description="Keep the value for later runs with the same inputs.",
        examples=["7d", True, {"key": "${url}", "ttl": "7d"}],
    )
    budget: BudgetSpec | None = Field(
        None, description="What the step's calls of models may cost.", examples=[{"usd": 0.5}]
    )
    spec: dict[str, Any] = Field(default_factory=dict)
    steps: list["WorkflowStep"] = Field(
        default_factory=list, description="The steps inside the block.", examples=[[]]
    )
    foreach: ForeachSpec | None = Field(
        None, description="Run `steps` for each item.", examples=[{"items": "${urls}"}]
    )
    collect: Any = Field(None, description="The value of each item.", examples=["${page.title}"])
    switch: SwitchSpec | None = Field(None, description="Run one of several lists of steps.")
    workflow: WorkflowCall | None = Field(None, description="Run another workflow.")
    wait: WaitSpec | None = Field(None, description="Wait for a time or a message.")
    approval: ApprovalSpec | None = Field(None, description="Wait until a person approves or rejects.")
    pointer: str = Field("", exclude=True)

    @property
    def is_block(self) -> bool:
        """Whether the interpreter carries it out itself."""
        return self.type in BLOCK_KINDS

    @property
    def is_flow(self) -> bool:
        """Whether it is a plug-in kind that the interpreter carries out row by row."""
        return is_flow(self.type, self.spec)

    @property
    def fallback(self) -> "str | list[WorkflowStep] | None":
        """What runs instead when it has failed: a step's name, or steps."""
        return self.on_error.fallback if self.on_error else None

    @property
    def skips_errors(self) -> bool:
        """Whether the run goes on with null when it has failed."""
        return self.on_error is not None and self.on_error.strategy == "skip"

    @property
    def on(self) -> str:
        """The expression of a `switch`."""
        return self.switch.on if self.switch else "null"

    def matching_case(self, value: Json) -> str | None:
        """The case that a value takes, None for the default; compared by text, so that 200 takes `"200"`."""
        text = as_text(value)
        return text if self.switch is not None and text in self.switch.cases else None

    def case(self, key: str | None) -> "list[WorkflowStep]":
        """The steps of a case, those of the default for None."""
        if self.switch is None:
            return []
        return (self.switch.default or []) if key is None else self.switch.cases[key]

    def timeout_seconds(self, definition: "WorkflowDefinition") -> float | None:
        """Seconds that one attempt may take: its own limit, or the file's default unless it is a block."""
        if self.timeout is not None or self.is_block:
            return self.timeout
        return definition.defaults.timeout

    def retry_of(self, definition: "WorkflowDefinition") -> RetryPolicy | None:
        """Its attempts: the file's defaults with its own values over them; None for one, and for a block that has none."""
        own, default = self.retry, definition.defaults.retry
        if own is None or default is None:
            return own or (None if self.is_block else default)
        return default.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    def has_attempts(self, definition: "WorkflowDefinition") -> bool:
        """Whether it is a block that is tried several times, or ended when it takes too long."""
        policy = self.retry_of(definition)
        is_tried = policy is not None and policy.max_attempts > 1
        return self.is_block and (is_tried or (self.timeout is not None and self.type not in WAITS))

    def bodies(self) -> "Iterator[tuple[str, list[WorkflowStep]]]":
        """The lists of steps inside it, each with the part of the pointer that leads there."""
        if self.steps:
            yield "steps", self.steps
        if self.switch is not None:
            for key, steps in self.switch.cases.items():
                yield f"cases/{_escaped(key)}", steps
            if self.switch.default is not None:
                yield "default", self.switch.default
        if isinstance(self.fallback, list):
            yield "fallback", self.fallback


class WorkflowDefinition(Model):
    """A whole workflow.

    Attributes:
        name: its name; without one the file's stem.
        description: for people.
        version: of the workflow, for people.
        inputs: what it accepts, by name.
        defaults: what holds for its steps.
        env: variables for child processes, and `env.*` in references.
        secrets: names of secrets, from the environment or `.env`.
        steps: what it does.
        on_error: steps that run when it has failed.
        finally_: steps that run in the end, in any case; `finally:` in a file.
        outputs: what it gives back, by name.
        notify: who is told when it has ended, or waits for somebody.
        schedule: when it runs by itself.
        queue: the queue it runs on in the background.
        priority: among the runs of its queue; 1 is first.
        concurrency: how many of its runs may be at work at once.
        debounce: makes one run of requests for a background run that come close together.
        timeout: seconds for the whole run.
        limits: limits of child processes.
        budget: what all calls of models of a run may cost.
        file: the file as it was named, relative to the project where it lies in it.
        sha256: of the file's bytes.
    """

    name: str = Field(min_length=1, max_length=200, description="Name of the workflow.", examples=["pages"])
    description: Text | None = Field(None, description="What it is for.", examples=["Fetch pages"])
    version: Text | None = Field(None, description="Version of the file, for people.", examples=["1"])
    inputs: dict[Name, InputSpec] = Field(
        default_factory=dict, description="What the workflow accepts.", examples=[{"limit": 10}]
    )
    defaults: Defaults = Field(
        default_factory=lambda: Defaults.model_validate({}),
        description="What holds for every step.",
        examples=[{"timeout": "5m"}],
    )
    env: Variables = Field(
        default_factory=dict,
        description="Variables for child processes and `env.*`.",
        examples=[{"LANG": "C"}],
    )
    secrets: list[Variable] = Field(
        default_factory=list,
        description="Secrets from the environment or .env.",
        examples=[["OPENAI_API_KEY"]],
    )
    steps: list[WorkflowStep] = Field(description="What it does, in order.")
    on_error: list[WorkflowStep] = Field(default_factory=list, description="Steps when the run has failed.")
    finally_: list[WorkflowStep] = Field(
        default_factory=list, alias="finally", description="Steps at the end, in any case."
    )
    outputs: dict[Name, Any] = Field(
        default_factory=dict, description="What the workflow gives back.", examples=[{"titles": "${titles}"}]
    )
    notify: list[NotifySpec] = Field(
        default_factory=list,
        description="Who is told when the run has failed or succeeded, or waits for somebody's answer.",
        examples=[[{"type": "command", "on": "failure", "command": ["notify-send", "${notice.title}"]}]],
    )
    schedule: list[ScheduleSpec] = Field(
        default_factory=list,
        description="When it runs by itself, once `kurt schedules create FILE` has registered it; one, or a list.",
        examples=[{"cron": "0 7 * * 1", "timezone": "Europe/Paris"}],
    )
    queue: Name | None = Field(None, description="Queue for runs in the background.", examples=["default"])
    priority: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Priority on its queue; 1 is first.", examples=[10]
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Runs of this workflow at work at once, in all processes; others wait for their turn.",
        examples=[1],
    )
    debounce: DebounceSpec | None = Field(
        None,
        description="Requests for a background run that come close together start one run.",
        examples=["60s", {"period": "60s", "key": "${url}"}],
    )
    timeout: Seconds | None = Field(None, description="Time limit of the whole run.", examples=["2h"])
    limits: LimitsSpec | None = Field(
        None, description="Limits of child processes.", examples=[{"memory": "1GB", "cpu": "60s"}]
    )
    budget: BudgetSpec | None = Field(
        None,
        description="What all calls of models of a run may cost, those of files that it runs included.",
        examples=[{"usd": 5, "tokens": 1000000}],
    )
    file: str = ""
    sha256: str = ""

    @classmethod
    def from_frozen(cls, frozen: Mapping[str, Any]) -> Self:
        """The definition that is stored with a run.

        Args:
            frozen: what `kurt.engine.language.parser.freeze` gave.
        """
        body = {**frozen["definition"], "file": frozen["file"], "sha256": frozen["sha256"]}
        definition = cls.model_validate(body)
        for part, steps in definition.lists():
            _set_pointers(steps, part)
        return definition

    def lists(self) -> Iterator[tuple[str, list[WorkflowStep]]]:
        """Its lists of steps, each with the pointer that leads there."""
        yield "steps", self.steps
        yield "on_error", self.on_error
        yield "finally", self.finally_

    def walk(self) -> Iterator[WorkflowStep]:
        """Every step, blocks before what is in them."""
        todo = [step for _, steps in self.lists() for step in steps]
        while todo:
            step = todo.pop(0)
            yield step
            todo[:0] = [inner for _, steps in step.bodies() for inner in steps]

    def path_of(self, pointer: str) -> str:
        """The path of the step with this pointer, without the keys of items; empty if there is none."""
        part, _, _ = pointer.partition("/")
        names = [step.name for step in self.walk() if f"{pointer}/".startswith(f"{step.pointer}/")]
        return ".".join(names if part == "steps" else [part, *names])

    def at(self, pointer: str) -> WorkflowStep:
        """The step with this pointer.

        Raises:
            KeyError: there is none.
        """
        for step in self.walk():
            if step.pointer == pointer:
                return step
        raise KeyError(pointer)


def frozen_subworkflow(frozen: JsonObject, target: str) -> JsonObject:
    """The frozen definition of a file that another one runs.

    Args:
        frozen: of the workflow that runs it.
        target: `WorkflowCall.target`.
    """
    return {**frozen["subworkflows"][target], "subworkflows": frozen["subworkflows"]}


def _set_pointers(steps: list[WorkflowStep], prefix: str) -> None:
    for index, step in enumerate(steps):
        pointer = f"{prefix}/{index}"
        step.pointer = pointer
        for part, inner in step.bodies():
            _set_pointers(inner, f"{pointer}/{part}")


def _escaped(key: str) -> str:
    """A key as one part of a pointer."""
    return key.replace("~", "~0").replace("/", "~1")
