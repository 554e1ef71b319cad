"""What every part of the interpreter knows about the run, and the names that a step may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kurt.engine.interpreter.mocks import Mocks
from kurt.engine.interpreter.progress import Progress
from kurt.engine.kinds import KindInfo
from kurt.runtime.masking import Masker
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.engine.interpreter.envelope import StepFailed
    from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep


@dataclass(slots=True)
class Tally:
    """Failures that a run lived with, and what it did not do again, for its summary.

    Attributes:
        skipped_failures: steps that failed under `on_error: skip`.
        items_failed: items that failed under `skip` or `collect`.
        items: items of those fan-outs.
        rows_failed: rows of a step that failed, where it went on without them.
        rows_skipped: rows of a step that were left out.
        rows: rows of those steps.
        cached: steps, and rows of steps, whose values came from an earlier run.
        model_calls: calls of models that were made; told where something is cached.
    """

    skipped_failures: int = 0
    items_failed: int = 0
    items: int = 0
    rows_failed: int = 0
    rows_skipped: int = 0
    rows: int = 0
    cached: int = 0
    model_calls: int = 0

    def add(self, other: Mapping[str, int]) -> None:
        """Count what a child run lived with."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + other.get(name, 0))

    def to_json(self) -> JsonObject:
        """Only what is not zero, for the run of which this one is a part."""
        return {name: count for name in _COUNTS if (count := getattr(self, name))}

    def summary(self) -> JsonObject:
        """The same for people: a run that used kept values says how many calls of models it made, be it none."""
        found = self.to_json()
        found.pop("model_calls", None)
        return {**found, "model_calls": self.model_calls} if self.cached else found


_COUNTS = tuple(one.name for one in fields(Tally))


class Interpreter(Protocol):
    """How blocks run the steps inside them, without knowing who runs the blocks."""

    async def run_steps(self, context: WorkflowContext, steps: Sequence[WorkflowStep], frame: Frame) -> Json:
        """Run a list of steps; the value of the last one."""
        ...

    async def recovered(
        self,
        context: WorkflowContext,
        step: WorkflowStep,
        frame: Frame,
        failure: StepFailed,
        siblings: Sequence[WorkflowStep],
    ) -> Json:
        """What the step's `on_error` makes of its failure; raises it where it says nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """What blocks around a step say for all that is in them.

    Attributes:
        env: variables for child processes.
        memory: bytes of address space of a child process.
        cpu: seconds of processor time of a child process.
        budgets: what the files around a file may spend: `usd`, `tokens`, `on_spent`, and `below`, the run that counts.
    """

    env: Mapping[str, str] = field(default_factory=dict[str, str])
    memory: int | None = None
    cpu: float | None = None
    budgets: Sequence[JsonObject] = ()

    def within(self, other: Around) -> Around:
        """The same inside of another one; what is inside wins."""
        return Around(
            {**other.env, **self.env},
            self.memory if self.memory is not None else other.memory,
            self.cpu if self.cpu is not None else other.cpu,
            [*other.budgets, *self.budgets],
        )

    def to_json(self) -> JsonObject | None:
        """As it is stored with a child run, None if it says nothing."""
        stored = {
            "env": dict(self.env),
            "memory": self.memory,
            "cpu": self.cpu,
            "budgets": list(self.budgets),
        }
        return {key: value for key, value in stored.items() if value} or None

    @classmethod
    def from_json(cls, stored: JsonObject | None) -> Around:
        """Read what was stored."""
        return cls(**stored) if stored else cls()


@dataclass(slots=True)
class WorkflowContext:
    """A run, as one DBOS workflow of it sees it: the run itself, or the child that runs an item or a branch.

    Attributes:
        root_id: the run that the user started; logs and events belong to it.
        owner_id: the run of this definition: the root, or the child run of a file that another one calls.
        run_id: the DBOS workflow in which the code runs: the owner, or a child that runs an item or a branch of it.
        queue: the named queue of the run.
        definition: what is interpreted.
        frozen: the definition as it is stored with the run.
        settings: the project's settings, as this executor reads them.
        kinds: step kinds by type.
        progress: where reports go.
        masker: hides secrets in text and values.
        secrets: values of the declared secrets.
        env: the file's `env` and the secrets, by name.
        prefix: path of the item or branch, with its dot; empty in the run itself.
        base: path of the step that runs this file, with its dot; empty in the file that the user started.
        run: what `run.*` is in references.
        interpreter: runs lists of steps.
        tally: failures lived with so far.
        around: what the blocks around the present steps say, in this file.
        outside: what the blocks say that are around the whole file, where another one runs it.
        mocks: what the run only pretends.
        use_cache: values that earlier runs have kept are used.
    """

    root_id: str
    owner_id: str
    run_id: str
    queue: str
    definition: WorkflowDefinition
    frozen: JsonObject
    settings: Settings
    kinds: Mapping[str, KindInfo]
    progress: Progress
    masker: Masker
    secrets: tuple[str, ...]
    env: dict[str, str]
    interpreter: Interpreter
    prefix: str = ""
    base: str = ""
    use_cache: bool = True
    run: JsonObject = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    around: Around = field(default_factory=Around)
    outside: Around = field(default_factory=Around)
    mocks: Mocks = field(default_factory=Mocks)

    @property
    def project_root(self) -> Path:
        """Where relative paths start."""
        return self.settings.root

    def within(self, path: str) -> WorkflowContext:
        """The same context for the steps inside an item or branch."""
        return replace(self, prefix=f"{path}.")

    def inside(self, env: Mapping[str, str], step: WorkflowStep) -> WorkflowContext:
        """The same context for what is inside a block.

        Args:
            env: the block's variables.
            step: the block.
        """
        limits = step.limits
        own = Around(env, limits.memory if limits else None, limits.cpu if limits else None)
        return replace(self, around=own.within(self.around))

    def limits_of(self, step: WorkflowStep) -> Around:
        """Limits of a step's child processes: its own, of the blocks around it, of the file, of what runs the file."""
        file = self.definition.limits
        limits = step.limits
        own = Around({}, limits.memory if limits else None, limits.cpu if limits else None)
        of_file = Around({}, file.memory if file else None, file.cpu if file else None)
        return own.within(self.around).within(of_file).within(self.outside)

    def path(self, name: str) -> str:
        """Path of a step of this level."""
        return self.prefix + name


NOT_RUN: Any = object()
"""Stands for the value of a step that was skipped, until it is recorded."""


@dataclass(slots=True)
class Frame:
    """The names in scope at one level, growing as steps finish.

    Attributes:
        names: variables, with `steps`, `run`, `env` and, in handlers, `error`.
    """

    names: dict[str, Any]

    def record(self, name: str, output: str | None, value: Json) -> Json:
        """A step has finished: its value is `steps.NAME`, and the variable that it names; the value.

        A step that was skipped is null, and leaves a variable that an earlier step has set as it is.
        """
        if value is NOT_RUN:
            self.names["steps"][name] = None
            if output is not None:
                self.names.setdefault(output, None)
            return None
        self.names["steps"][name] = value
        if output is not None:
            self.names[output] = value
        return value

    def child(self, **more: Any) -> Frame:
        """A level inside this one: sees everything, and what it adds is not seen outside."""
        return Frame({**self.names, **more, "steps": dict(self.names["steps"])})
