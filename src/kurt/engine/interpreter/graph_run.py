"""Steps at the same time: the branches of `parallel`, and lists in which `needs` decides what waits for what.

Everything is started in the order of the file before anything is awaited, so that step numbers never depend on time. A
simple step waits for what it needs in this run. Any other step runs as a child, started at once, which reads from the
database when what it needs is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kurt.engine.interpreter import branch
from kurt.engine.interpreter.children import Waiter, cancel_unfinished
from kurt.engine.interpreter.concurrency import together
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import StepFailed
from kurt.engine.interpreter.simple import is_simple, reserve, run_simple, value_of
from kurt.engine.language.order import ancestors, dependencies
from kurt.runtime import resting
from kurt.runtime.durable import Slot
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowStep


async def run_graph(
    context: WorkflowContext,
    steps: Sequence[WorkflowStep],
    frame: Frame,
    *,
    siblings: Sequence[WorkflowStep] = (),
    independent: bool = False,
) -> dict[str, Json]:
    """Run the steps as their needs allow; their values by name, all recorded in the frame in the file's order.

    Raises:
        StepFailed: the first step, in the file's order, that failed. What was at work has then finished, nothing new began.
    """
    needs = dependencies(steps, independent=independent)
    steps = [
        step for step in steps if step.name in needs
    ]  # one that is only a fallback has no place of its own
    graph = _Graph(context, list(steps), frame, needs, siblings)
    values = await graph.run()
    for step in steps:
        values[step.name] = frame.record(step.name, step.output, values[step.name])
    return values


@dataclass(slots=True)
class _Graph:
    context: WorkflowContext
    steps: list[WorkflowStep]
    frame: Frame
    needs: dict[str, list[str]]
    siblings: Sequence[WorkflowStep]
    slots: dict[str, list[Slot]] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    values: dict[str, Json] = field(default_factory=dict)
    failures: dict[str, StepFailed] = field(default_factory=dict)
    done: dict[str, asyncio.Event] = field(default_factory=dict)

    async def run(self) -> dict[str, Json]:
        self.done = {step.name: asyncio.Event() for step in self.steps}
        await self._start_all()
        tasks = [self._simple(step) for step in self.steps if step.name in self.slots]
        await together(*tasks, self._collect_children())
        for step in self.steps:
            if step.name in self.failures:
                raise self.failures[step.name]
        return self.values

    async def _start_all(self) -> None:
        """Draw every number, in the order of the file."""
        for step in self.steps:
            if is_simple(step):
                self.slots[step.name] = reserve(self.context, step)
            else:
                self.children[step.name] = await branch.start_step(
                    self.context, step, self.frame, siblings=self.siblings, waits_for=self._dependencies(step)
                )

    def _dependencies(self, step: WorkflowStep) -> list[branch.Dependency]:
        """What a child must wait for by itself, in the file's order."""
        wanted = ancestors(self.needs, step.name)
        return [
            branch.Dependency(
                name=other.name,
                output=other.output,
                path=self.context.path(other.name),
                child=self.children.get(other.name),
                skips=other.skips_errors,
            )
            for other in self.steps
            if other.name in wanted
        ]

    async def _simple(self, step: WorkflowStep) -> None:
        with resting.waiting():
            for name in self.needs[step.name]:
                await self.done[name].wait()
        if not self.failures:
            await self._run_simple(step)
        self.done[step.name].set()

    async def _run_simple(self, step: WorkflowStep) -> None:
        path = self.context.path(step.name)
        frame = self._frame_for(step)
        try:
            envelope = await run_simple(self.context, step, path, frame, self.slots[step.name])
            self.values[step.name] = value_of(envelope, path)
        except StepFailed as failure:
            await self._failed(step, failure)

    async def _failed(self, step: WorkflowStep, failure: StepFailed) -> None:
        if step.skips_errors:
            self.values[step.name] = await self.context.interpreter.recovered(
                self.context, step, self.frame, failure, self.siblings
            )
            return
        self.failures[step.name] = failure
        await cancel_unfinished(self._waiting_children())

    def _waiting_children(self) -> list[str]:
        """Children that have not begun because something that they need is not done."""
        return [
            child
            for name, child in self.children.items()
            if any(not self.done[other].is_set() for other in ancestors(self.needs, name))
        ]

    def _frame_for(self, step: WorkflowStep) -> Frame:
        """Only what the step waits for is in its scope: anything else may or may not be there yet."""
        wanted = ancestors(self.needs, step.name)
        frame = self.frame.child()
        for other in self.steps:
            if other.name in wanted and other.name in self.values:
                frame.record(other.name, other.output, self.values[other.name])
        return frame

    async def _collect_children(self) -> None:
        waiter = Waiter()
        steps = {self.children[step.name]: step for step in self.steps if step.name in self.children}
        for child in steps:
            waiter.add(child)
        while len(waiter):
            for child, outcome in await waiter.next():
                step = steps[child]
                try:
                    self.values[step.name] = branch.value_of(self.context, step, outcome)
                except StepFailed as failure:
                    await self._failed_child(step, failure)
                self.done[step.name].set()

    async def _failed_child(self, step: WorkflowStep, failure: StepFailed) -> None:
        """The child has already done what the step's `on_error` says."""
        self.failures[step.name] = failure
        await cancel_unfinished(self._waiting_children())
