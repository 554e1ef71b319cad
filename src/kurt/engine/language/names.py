"""Which names are in scope at one place of a file, and why others are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from kurt.engine.language.draft import DraftStep
from kurt.engine.language.order import Order

Reason: TypeAlias = tuple[str, str]
"""Why a name is not in scope, and the remedy."""

ALWAYS = ("inputs", "steps", "run", "env")
"""Names that are in scope everywhere."""


class Level:
    """One list of steps: its order, and which variables its steps set.

    Attributes:
        order: who waits for whom.
        by_name: the steps by name.
    """

    def __init__(self, steps: list[DraftStep], *, independent: bool) -> None:
        self.order = Order(steps, independent=independent)
        self.by_name = {step.name: step for step in reversed(steps)}
        self._steps = steps
        self._independent = independent

    @cached_property
    def setters(self) -> dict[str, list[DraftStep]]:
        """The steps that set each variable."""
        found: dict[str, list[DraftStep]] = {}
        for step in self._steps:
            if step.output:
                found.setdefault(step.output, []).append(step)
        return found

    @cached_property
    def inner_setters(self) -> dict[str, tuple[DraftStep, DraftStep]]:
        """Variables that are set inside of blocks, each with the block and the step in it."""
        found: dict[str, tuple[DraftStep, DraftStep]] = {}
        for block in self._steps:
            for step in block.walk():
                if step is not block and step.output:
                    found.setdefault(step.output, (block, step))
        return found

    def why_hidden(self, other: DraftStep, step: DraftStep | None) -> Reason:
        """Why a step of this list is not seen by another one, or after the list."""
        if other is step:
            return f"the step {other.name!r} has no value before it has run", "refer to an earlier step"
        if other.name in self.order.substitutes:
            hint = "refer to the step whose fallback it is: its value is that of the fallback"
            return f"the step {other.name!r} runs only instead of another one", hint
        if step is None or self._independent:
            return (
                f"the step {other.name!r} runs at the same time",
                "take it out of `parallel`, and place it before",
            )
        if self.order.is_sequential or self.order.waits_for(other.name, step.name):
            return f"the step {other.name!r} runs later", "move it before this step"
        message = f"the step {other.name!r} may not have run yet, since {step.name!r} does not wait for it"
        return message, f"add {other.name!r} to the `needs` of {step.name!r}"


@dataclass(frozen=True, slots=True)
class View:
    """What is seen of one list of steps.

    Attributes:
        level: the list.
        step: who looks; None after the end of the list.
        guard: in whose place it runs, if it is a fallback.
        uncertain: the run failed on its way, so everything may be missing.
    """

    level: Level
    step: DraftStep | None = None
    guard: DraftStep | None = None
    uncertain: bool = False

    def sees(self, other: DraftStep) -> bool:
        """Whether the other step has run."""
        order = self.level.order
        place = self.guard or self.step
        if place is None:
            return other.name in order.positions
        return order.waits_for(place.name, other.name)


@dataclass(frozen=True, slots=True)
class Names:
    """What is in scope at one place.

    Attributes:
        inputs: the file's inputs with their types.
        frames: from the outside in: names of a `foreach` (and the inputs, first), and views of lists of steps.
        env: names that `env` has.
        secrets: those of them that are secret.
        has_error: `error` is known.
        error_may_be_null: it is null where the run has not failed.
    """

    inputs: dict[str, str]
    frames: tuple[dict[str, str] | View, ...]
    env: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    has_error: bool = False
    error_may_be_null: bool = False

    def inside(self, frame: dict[str, str] | View) -> Names:
        """The same with one more frame."""
        return replace(self, frames=(*self.frames, frame))

    def with_error(self, *, may_be_null: bool = False) -> Names:
        """The same with `error`."""
        return replace(self, has_error=True, error_may_be_null=may_be_null)

    def variable(self, name: str) -> tuple[str, bool] | None:
        """The type of a variable (`any` if unknown) and whether it may be missing; None if it is not in scope."""
        for frame in reversed(self.frames):
            if isinstance(frame, dict):
                if name in frame:
                    return frame[name], False
            elif any(frame.sees(step) for step in frame.level.setters.get(name, ())):
                return "any", frame.uncertain
        return None

    def step(self, name: str) -> tuple[DraftStep, bool] | None:
        """A step that has run and whether it may not have; None if it is not in scope."""
        for frame in reversed(self.frames):
            if isinstance(frame, View):
                step = frame.level.by_name.get(name)
                if step is not None and frame.sees(step):
                    return step, frame.uncertain
        return None

    def why_no_variable(self, name: str) -> Reason | None:
        """Why a variable that is set somewhere is not in scope."""
        for frame in reversed(self.frames):
            if isinstance(frame, dict):
                continue
            if setters := frame.level.setters.get(name):
                why = frame.level.why_hidden(setters[0], frame.step)
                return f"`{name}` is set by the step {setters[0].name!r}: {why[0]}", why[1]
            if inner := frame.level.inner_setters.get(name):
                return _why_inside(name, *inner)
        return None

    def why_no_step(self, name: str) -> Reason | None:
        """Why a step that exists is not in scope."""
        for frame in reversed(self.frames):
            if isinstance(frame, View) and name in frame.level.by_name:
                return frame.level.why_hidden(frame.level.by_name[name], frame.step)
        return None

    def step_names(self) -> list[str]:
        """The steps in scope."""
        return [
            step.name
            for frame in reversed(self.frames)
            if isinstance(frame, View)
            for step in frame.level.by_name.values()
            if frame.sees(step)
        ]

    def all(self) -> list[str]:
        """Every name that a path may start from."""
        always = [*ALWAYS, *(["error"] if self.has_error else [])]
        return sorted({*self._variables(), *always})

    def _variables(self) -> Iterator[str]:
        for frame in self.frames:
            if isinstance(frame, dict):
                yield from frame
            else:
                yield from (
                    name
                    for name, steps in frame.level.setters.items()
                    if any(frame.sees(step) for step in steps)
                )


def _why_inside(name: str, block: DraftStep, inner: DraftStep) -> Reason:
    message = f"`{name}` is set inside the block {block.name!r}, and seen only there"
    if block.type == "parallel" and inner in block.bodies["steps"]:
        return message, f"write `steps.{block.name}.{inner.name}`"
    return message, f"give the block an `output`, or write `steps.{block.name}`"
