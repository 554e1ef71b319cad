"""`foreach`: the same steps for each item, at most so many at once, results in the order of the items.

Items whose body is one simple step are durable steps of the run itself; other items are child runs. Either way every
number is drawn in the order of the items, and as many are drawn when the fan-out ends early.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kurt.engine.expressions.references import resolve
from kurt.engine.interpreter import branch
from kurt.engine.interpreter.children import Waiter
from kurt.engine.interpreter.concurrency import together
from kurt.engine.interpreter.context import Frame, WorkflowContext
from kurt.engine.interpreter.envelope import StepFailed, error_json
from kurt.engine.interpreter.simple import is_simple, reserve, run_simple, value_of
from kurt.errors import ExpressionError, StepError
from kurt.runtime import durable
from kurt.runtime.names import child_id
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.language.schema import ForeachSpec, WorkflowStep


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a fan-out.

    Attributes:
        index: its place, from 0.
        key: its key as text, unique within the fan-out.
        path: path of the item, such as `pages[url-1]`.
        value: the item.
    """

    index: int
    key: str
    path: str
    value: Json


def items_of(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> list[Item]:
    """The items with their keys.

    Raises:
        StepError: they are no list, or two have one key.
    """
    spec = spec_of(step)
    values = resolve(spec.items, frame.names)
    if isinstance(values, dict):
        values = [{"key": key, "value": value} for key, value in values.items()]
    if not isinstance(values, list):
        raise StepError(
            f"`items` is not a list but {type(values).__name__}",
            type="ItemsError",
            hint="give a list of items",
        )
    base = context.path(step.name)
    items = [_item(spec, base, index, value, frame) for index, value in enumerate(values)]
    _check_unique(items)
    return items


def spec_of(step: WorkflowStep) -> ForeachSpec:
    """What the block says of its fan-out."""
    if step.foreach is None:
        raise ValueError(f"the step {step.name} is no foreach")
    return step.foreach


def _item(spec: ForeachSpec, base: str, index: int, value: Json, frame: Frame) -> Item:
    key = str(index)
    if spec.key is not None:
        names = {**frame.names, spec.variable: value, "item": value, "index": index}
        key = _key_text(resolve(spec.key, names))
    return Item(index, key, f"{base}[{key}]", value)


def _key_text(key: Json) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return str(key)
    raise StepError(f"a key must be text or a number, not {key!r}", type="KeyError", hint="look at `key:`")


def _check_unique(items: list[Item]) -> None:
    first: dict[str, int] = {}
    for item in items:
        if item.key in first:
            raise StepError(
                f"items {first[item.key]} and {item.index} have the same key {item.key!r}",
                type="KeyError",
                hint="give a `key:` that is different for each item, or leave `key:` out",
            )
        first[item.key] = item.index


def open_foreach(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """Facts of the beginning: how many items there are."""
    return {"total": len(items_of(context, step, frame))}


async def run_foreach(
    context: WorkflowContext, step: WorkflowStep, path: str, frame: Frame, facts: JsonObject
) -> list[Json]:
    """Run the items; their values in order, with what `on_item_error` makes of failures.

    Where the block is tried again, its facts name the `earlier` attempt: items that succeeded in it are not repeated.
    """
    items = items_of(context, step, frame)
    fanout = _FanOut(context, step, path, frame, items, facts.get("earlier"))
    body = step.steps
    if len(body) == 1 and is_simple(body[0]) and body[0].needs is None:
        await fanout.run_simple_items(body[0])
    else:
        await fanout.run_child_items()
    return fanout.results()


@dataclass(slots=True)
class _FanOut:
    context: WorkflowContext
    step: WorkflowStep
    path: str
    frame: Frame
    items: list[Item]
    earlier: str | None
    values: dict[int, Json] = field(default_factory=dict)
    failures: dict[int, StepFailed] = field(default_factory=dict)

    @property
    def _spec(self) -> ForeachSpec:
        return spec_of(self.step)

    @property
    def stopped(self) -> bool:
        """True once a failure ends the fan-out: what is at work finishes, nothing new begins."""
        return bool(self.failures) and self._spec.on_item_error == "fail"

    async def run_simple_items(self, body: WorkflowStep) -> None:
        """Each item is one step of this run."""
        todo = iter(self.items)
        workers = min(self._spec.max_concurrent, len(self.items))
        await together(*[self._work(body, todo) for _ in range(workers)])

    async def _work(self, body: WorkflowStep, todo: Iterator[Item]) -> None:
        for item in todo:
            # Drawn as an item begins, so in the order of the items, and for those that are left out too; not for all
            # items at once, since a reservation keeps some 30 KB until it has run.
            slots = reserve(self.context, body)
            if self.stopped:
                continue
            try:
                self.values[item.index] = await self._simple_item(body, item, slots)
            except StepFailed as failure:
                self.failures[item.index] = failure
            self._report()

    async def _simple_item(self, body: WorkflowStep, item: Item, slots: list[durable.Slot]) -> Json:
        frame, inside = self._frame(item), self.context.within(item.path)
        path = inside.path(body.name)
        envelope = await run_simple(inside, body, path, frame, slots, earlier=self.earlier)
        try:
            value = value_of(envelope, path)
        except StepFailed as failure:
            value = await self.context.interpreter.recovered(inside, body, frame, failure, ())
        value = frame.record(body.name, body.output, value)
        return self._collected(item, value, frame)

    def _collected(self, item: Item, value: Json, frame: Frame) -> Json:
        """The value of an item; one that `collect` cannot make of it is a failure of that item alone."""
        try:
            return value if self.step.collect is None else resolve(self.step.collect, frame.names)
        except ExpressionError as error:
            raise StepFailed(item.path, error_json(error)) from error

    async def run_child_items(self) -> None:
        """Each item is a child run; the next is started when one is over."""
        waiter, places, left_out = Waiter(), dict[str, Item](), dict[str, Item]()
        for item in self.items:
            while len(waiter) >= self._spec.max_concurrent and not self.stopped:
                await self._take(waiter, places)
            run_id = child_id(self.context.run_id, self.path, item.key)
            if self.stopped:
                durable.burn(1)
                left_out[run_id] = item
                continue
            waiter.add(run_id)
            places[run_id] = item
            earlier = None if self.earlier is None else child_id(self.earlier, self.path, item.key)
            await branch.start_item(
                self.context, self.step, item.path, item.key, self._frame(item), earlier=earlier
            )
        # An earlier execution of this run may have come further before it saw the failure.
        for run_id in await durable.statuses(left_out):
            waiter.add(run_id)
            places[run_id] = left_out[run_id]
        while len(waiter):
            await self._take(waiter, places)

    async def _take(self, waiter: Waiter, places: dict[str, Item]) -> None:
        for run_id, outcome in await waiter.next():
            item = places.pop(run_id)
            try:
                self.values[item.index] = self._child_value(item, outcome)
            except StepFailed as failure:
                self.failures[item.index] = failure
            self._report()

    def _child_value(self, item: Item, outcome: durable.Outcome) -> Json:
        if outcome.error is not None:
            raise branch.failure(item.path, outcome.error)
        if outcome.status != "SUCCESS":
            raise StepFailed(
                item.path, {"type": "Cancelled", "message": f"the item was {outcome.status.lower()}"}
            )
        self.context.tally.add(outcome.value["tally"])
        return outcome.value["value"]

    def _frame(self, item: Item) -> Frame:
        more = {"item": item.value, "index": item.index, "key": item.key}
        return self.frame.child(**{**more, self._spec.variable: item.value})

    def _report(self) -> None:
        failed = len(self.failures)
        self.context.progress.items(
            self.path, done=len(self.values) + failed, failed=failed, total=len(self.items)
        )

    def results(self) -> list[Json]:
        """The values in order.

        Raises:
            StepFailed: the first failed item, in the order of the items, under `on_item_error: fail`.
        """
        mode = self._spec.on_item_error
        if self.failures and mode == "fail":
            raise self.failures[min(self.failures)]
        self.context.tally.items += len(self.items) if self.failures else 0
        self.context.tally.items_failed += len(self.failures)
        if mode == "skip":
            return [self.values[item.index] for item in self.items if item.index in self.values]
        return [self._value_or_error(item) for item in self.items]

    def _value_or_error(self, item: Item) -> Json:
        if item.index in self.values:
            return self.values[item.index]
        return {"error": self.failures[item.index].error, "key": item.key}
