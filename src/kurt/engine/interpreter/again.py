"""Which recorded steps of a run must be forgotten so that it does something once more, and nothing else.

`retry` repeats what failed, `fork` a step that is named; both repeat what depends on it. In a list of steps that is
everything after it, in a list with `needs` what needs it, in a fan-out or among parallel branches nothing beside it. A
child in which only something is to be repeated goes on under its own id; a child that is repeated as a whole must vanish,
or its next start would find the old one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kurt.engine.interpreter.envelope import FAILED, OPENED
from kurt.engine.interpreter.simple import BLOCKS
from kurt.engine.language.order import ancestors, dependencies, fallback_names
from kurt.engine.language.schema import WAITS
from kurt.runtime import names, row_records
from kurt.runtime.durable import TERMINAL
from kurt.runtime.history import Checkpoint, History

if TYPE_CHECKING:
    from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep

_HANDLERS = ("on_error.", "finally.", "notify.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run, item or branch in its family.

    Attributes:
        history: what it recorded.
        definition: the file that it belongs to, None for a Python workflow.
        children: the children that it started, by id.
    """

    history: History
    definition: WorkflowDefinition | None
    children: Mapping[str, Recorded]

    @property
    def path(self) -> str:
        """Its place in the run that started it."""
        facts = (self.history.member.row.attributes or {}).get(names.ATTRIBUTES_KEY) or {}
        return str(facts.get("path") or "")

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.history.member.status == "SUCCESS"


@dataclass(slots=True)
class Again:
    """What is to be done once more.

    Attributes:
        forget: for each run or child that is executed again, children first, the numbers to be forgotten in it.
        drop: ids of children that are to vanish, with all below them.
        alone: ids of attempts of a block that keep nothing of those before them.
    """

    forget: dict[str, set[int]] = field(default_factory=dict[str, "set[int]"])
    drop: set[str] = field(default_factory=set[str])
    alone: set[str] = field(default_factory=set[str])


def what_failed(run: Recorded) -> Again:
    """What a retry repeats: every step and item that failed, unless a fallback made it good. Empty if nothing did."""
    walk = _Failed()
    walk.member(run)
    return walk.again


def from_step(run: Recorded, start: str, *, whole: bool) -> Again:
    """What a fork repeats from a step on; empty if the run has not come to that step.

    Args:
        run: the run.
        start: path of the step, or of an item: `report`, `pages[url-1]`.
        whole: repeat all items of a fan-out, also those that succeeded.
    """
    walk = _From(start, whole=whole)
    walk.member(run)
    return walk.again


@dataclass(frozen=True, slots=True)
class _Part:
    """One step of a list with the records that belong to it."""

    member: Recorded
    step: WorkflowStep
    path: str
    records: Sequence[Checkpoint]

    def split(self) -> tuple[Sequence[Checkpoint], Sequence[Checkpoint]]:
        """The step's own records, and those of what ran instead of it."""
        own = [index for index, record in enumerate(self.records) if record.name == self.path]
        if self.step.fallback is None or not own or not _has_failed(self.records[own[-1]]):
            return self.records, ()
        return self.records[: own[-1] + 1], self.records[own[-1] + 1 :]


class _Walk(ABC):
    """Goes through a run and its children as the interpreter does, and notes what is to be done once more."""

    def __init__(self) -> None:
        self.again = Again()

    @abstractmethod
    def touched(self, part: _Part) -> bool:
        """Whether the step is to be repeated, wholly or in part; notes what of it."""

    @abstractmethod
    def item(self, member: Recorded, name: str, records: Sequence[Checkpoint]) -> bool:
        """The same for an item that is one step of its run."""

    @abstractmethod
    def child(self, member: Recorded, record: Checkpoint) -> bool:
        """The same for a child that a block has started."""

    @abstractmethod
    def python(self, member: Recorded) -> bool:
        """The same for a Python workflow."""

    def member(self, member: Recorded) -> bool:
        """Whether something in a run or child is to be repeated."""
        again = self._declared(member) if member.definition is not None else self.python(member)
        if again:
            self.again.forget.setdefault(member.history.id, set())
        return again

    def _declared(self, member: Recorded) -> bool:
        payload, definition = member.history.payload, member.definition
        records = member.history.checkpoints
        if definition is None or not isinstance(payload, dict):
            return False
        if "frozen" in payload:
            end = self._end_of_steps(member, definition)
            again = self.steps(member, definition.steps, "", records[:end])
            if again or self.goes_on(member):
                self.wipe(member, records[end:])
            return again or self.goes_on(member)
        step = definition.at(payload["pointer"])
        if payload.get("block_attempt"):
            part = _Part(member, step, payload["path"], records)
            again = bool(records) and _is_open(records[0]) and self.inside(part, records)
        elif payload.get("item"):
            again = self.steps(member, step.steps, payload["path"] + ".", records)
        else:
            again = self.steps(member, [step], payload["prefix"], records)
        return again or self.goes_on(member)

    def goes_on(self, member: Recorded) -> bool:
        """Whether a run or child is executed again although no step of it is repeated."""
        del member
        return False

    def _end_of_steps(self, member: Recorded, definition: WorkflowDefinition) -> int:
        """Where the records of `on_error`, `finally` and `notify` begin: these run last, and again."""
        own = {step.name for step in definition.steps}
        for index, record in enumerate(member.history.checkpoints):
            path = _path_of(member, record) or ""
            if path.startswith(_HANDLERS) and path.split(".", 1)[0] not in own:
                return index
        return len(member.history.checkpoints)

    def steps(
        self,
        member: Recorded,
        steps: Sequence[WorkflowStep],
        prefix: str,
        records: Sequence[Checkpoint],
        *,
        independent: bool = False,
    ) -> bool:
        """Whether something in a list of steps is to be repeated; with it goes what depends on it."""
        substitutes = fallback_names(steps)
        wanted = [step for step in steps if step.name not in substitutes] or list(steps)
        parts = _by_step(member, wanted, prefix, records)
        again = {
            step.name
            for step in wanted
            if parts[step.name] and self._step(_Part(member, step, prefix + step.name, parts[step.name]))
        }
        needs = dependencies(wanted, independent=independent)
        for step in wanted:
            if ancestors(needs, step.name) & again:
                self.wipe(member, parts[step.name])
        return bool(again)

    def _step(self, part: _Part) -> bool:
        first = part.records[0]
        # Beside other steps all but the simplest run as children.
        return self.touched(part) if first.child is None else self.child(part.member, first)

    def inside(self, part: _Part, records: Sequence[Checkpoint]) -> bool:
        """Whether something inside a block is to be repeated."""
        step, member = part.step, part.member
        opened, inner = records[0], records[1:]
        if step.type == "parallel":
            return self.steps(member, step.steps, part.path + ".", inner, independent=True)
        if step.type == "switch":
            case = (opened.value or {}).get("case")
            return self.steps(member, step.case(case), part.path + ".", inner)
        return self._items(member, inner)

    def _items(self, member: Recorded, records: Sequence[Checkpoint]) -> bool:
        """The items of a `foreach`, or the child of a `workflow` block."""
        simple: dict[str, list[Checkpoint]] = {}
        again = False
        for record in records:
            if record.child is not None:
                again = self.child(member, record) or again
            else:
                simple.setdefault(record.name, []).append(record)
        for name, own in simple.items():
            again = self.item(member, name, own) or again
        return again

    def wipe(self, member: Recorded, records: Sequence[Checkpoint]) -> None:
        """Forget records, and the children that they started."""
        self.forget(member, records)
        self.again.drop.update(record.child for record in records if record.child is not None)

    def forget(self, member: Recorded, records: Sequence[Checkpoint]) -> None:
        """Forget records; children stay as they are."""
        numbers = self.again.forget.setdefault(member.history.id, set())
        numbers.update(record.number for record in records)


class _Failed(_Walk):
    """What failed."""

    def goes_on(self, member: Recorded) -> bool:
        return not member.succeeded

    def touched(self, part: _Part) -> bool:
        own, instead = part.split()
        if instead:
            return self._replaced(part, instead[-1])
        if part.step.is_flow and _is_open(own[0]):
            return self._row_step(part, own)
        if part.step.type not in BLOCKS or part.step.type in WAITS or not _is_open(own[0]):
            return self._wiped_if_failed(part)
        if attempts := _attempts(part):
            return self._last_attempt(part, attempts[-1], own[-1])
        closed = own[-1] if len(own) > 1 and own[-1].name == part.path else None
        inner = own[:-1] if closed is not None else own
        again = self.inside(part, inner)
        if not again and closed is not None and not _has_failed(closed):
            return False
        self.forget(part.member, [] if closed is None else [closed])
        return True

    def _last_attempt(self, part: _Part, attempt: Checkpoint, ended: Checkpoint) -> bool:
        """A block that was tried several times goes on with its last attempt; those before stay as they are."""
        again = self.child(part.member, attempt)
        if ended.name == part.path and (again or _has_failed(ended)):
            self.forget(part.member, [ended])
            return True
        return again

    def _replaced(self, part: _Part, last: Checkpoint) -> bool:
        """A step whose fallback ran: both are repeated, unless the fallback went well."""
        if last.child is not None and (child := part.member.children.get(last.child)) is not None:
            went_well = child.succeeded
        else:
            went_well = not _has_failed(last) and not _is_open(last)
        if not went_well:
            self.wipe(part.member, part.records)
        return not went_well

    def _row_step(self, part: _Part, own: Sequence[Checkpoint]) -> bool:
        """A step that works on rows: those that failed, or were left out; the others are kept."""
        rows = [record for record in own if row_records.to_repeat(record)]
        closed = [record for record in own[1:] if record.name == part.path]
        if not rows and closed and not _has_failed(closed[-1]):
            return False
        self.forget(part.member, [*rows, *closed])
        return True

    def _wiped_if_failed(self, part: _Part) -> bool:
        last = part.records[-1]
        failed = _has_failed(last) or _is_open(last)
        if failed:
            self.wipe(part.member, part.records)
        return failed

    def item(self, member: Recorded, name: str, records: Sequence[Checkpoint]) -> bool:
        del name
        failed = _has_failed(records[-1])
        if failed:
            self.forget(member, records)
        return failed

    def child(self, member: Recorded, record: Checkpoint) -> bool:
        child = member.children.get(record.child or "")
        if child is None:
            self.forget(member, [record])
            return True
        return self.member(child)

    def python(self, member: Recorded) -> bool:
        records = member.history.checkpoints
        for index, record in enumerate(records):
            if row_records.to_repeat(record):
                self._rows(member, row_records.batch_of(record, records))
                return True
            if record.child is not None and record.child in member.children:
                again = self.member(member.children[record.child])
            else:
                again = record.failed
            if again:
                self.wipe(member, records[index + (record.child is not None) :])
                return True
        return not member.succeeded

    def _rows(self, member: Recorded, batch: Sequence[Checkpoint]) -> None:
        """Rows of a batch: the others of it are kept, what came after the batch has seen its results."""
        last = max(record.number for record in batch)
        self.forget(member, [record for record in batch if row_records.to_repeat(record)])
        self.wipe(member, [record for record in member.history.checkpoints if record.number > last])


class _From(_Walk):
    """A step that is named."""

    def __init__(self, start: str, *, whole: bool) -> None:
        super().__init__()
        self._start = start
        self._whole = whole

    def touched(self, part: _Part) -> bool:
        own, instead = part.split()
        if part.path == self._start:
            keeps = part.step.type == "foreach" and not self._whole and _is_open(own[0])
            if not (keeps and self._unfinished(part)):
                self.wipe(part.member, part.records)
            return True
        if not self._start.startswith((part.path + ".", part.path + "[")):
            return False
        is_inside = part.step.type in BLOCKS or part.step.is_flow
        if instead or not is_inside or not _is_open(own[0]):
            self.wipe(part.member, part.records)  # the start is in what ran instead of the step
            return True
        attempts = _attempts(part)
        if part.step.is_flow or attempts:
            return self._row(part, own) if part.step.is_flow else self._in_last_attempt(part, attempts)
        inner = [record for record in own[1:] if record.name != part.path]
        if not self.inside(part, [own[0], *inner]):
            return False
        self.forget(part.member, [record for record in own[1:] if record.name == part.path])
        return True

    def _row(self, part: _Part, own: Sequence[Checkpoint]) -> bool:
        """One row of a step that works on rows."""
        rows = [record for record in own if record.name == self._start and row_records.is_row(record)]
        if rows:
            self.forget(part.member, [*rows, *(record for record in own[1:] if record.name == part.path)])
        return bool(rows)

    def _in_last_attempt(self, part: _Part, attempts: Sequence[Checkpoint]) -> bool:
        """A step inside a block that was tried several times: what earlier attempts had finished is not kept."""
        child = part.member.children.get(attempts[-1].child or "")
        if child is None or child.history.member.status not in TERMINAL or self._whole:
            self.wipe(part.member, part.records)
            return True
        if not self.member(child):
            return False
        self.again.alone.add(child.history.id)
        self._goes_on(part)
        return True

    def _goes_on(self, part: _Part) -> None:
        """The block goes on with its last attempt."""
        own, instead = part.split()
        self.wipe(part.member, instead)
        if own[-1].name == part.path:
            self.forget(part.member, [own[-1]])

    def _unfinished(self, part: _Part) -> bool:
        """A fan-out: what its items have finished is kept. False if there is nothing to go on with."""
        own, instead = part.split()
        if attempts := _attempts(part):
            child = part.member.children.get(attempts[-1].child or "")
            if child is None or child.history.member.status not in TERMINAL or not child.history.checkpoints:
                return False
            self._goes_on(part)
            self.again.forget.setdefault(child.history.id, set())
            return self._unfinished(_Part(child, part.step, part.path, child.history.checkpoints))
        self.wipe(part.member, instead)
        simple: dict[str, list[Checkpoint]] = {}
        for record in own[1:]:
            child = part.member.children.get(record.child or "")
            if record.child is not None and not (child and child.succeeded):
                self.wipe(part.member, [record])
            elif record.child is None:
                simple.setdefault(record.name, []).append(record)
        for name, records in simple.items():
            if name == part.path or not _has_succeeded(records[-1]):
                self.forget(part.member, records)
        return True

    def item(self, member: Recorded, name: str, records: Sequence[Checkpoint]) -> bool:
        chosen = name == self._start or name.rpartition(".")[0] == self._start
        if chosen:
            self.forget(member, records)
        return chosen

    def child(self, member: Recorded, record: Checkpoint) -> bool:
        child = member.children.get(record.child or "")
        if child is None:
            return False
        inside = self._start.startswith((child.path + ".", child.path + "["))
        if child.path != self._start and not inside:
            return False
        is_item = isinstance(child.history.payload, dict) and child.history.payload.get("item")
        goes_on = inside or not is_item
        # With other inputs it must be started anew: it holds those that it was started with.
        if goes_on and not self._whole and child.history.member.status in TERMINAL and self.member(child):
            return True
        self.wipe(member, [record])
        return True

    def python(self, member: Recorded) -> bool:
        records = member.history.checkpoints
        for index, record in enumerate(records):
            if record.name == self._start:
                self.wipe(member, records[index:])
                return True
        return False


def _by_step(
    member: Recorded, steps: Sequence[WorkflowStep], prefix: str, records: Sequence[Checkpoint]
) -> dict[str, list[Checkpoint]]:
    """The records of each step; bookkeeping, and what ran instead of a step, belongs to the step before it."""
    parts: dict[str, list[Checkpoint]] = {step.name: [] for step in steps}
    current: str | None = None
    for record in records:
        path = _path_of(member, record)
        if path is not None and path.startswith(prefix):
            head = path[len(prefix) :].split(".", 1)[0].split("[", 1)[0]
            current = head if head in parts else current
        if current is not None:
            parts[current].append(record)
    return parts


def _attempts(part: _Part) -> list[Checkpoint]:
    """The records with which a block has started its attempts, none if it is carried out in its own run."""
    definition = part.member.definition
    if definition is None or not part.step.has_attempts(definition):
        return []
    facts = part.member.history.payload
    if isinstance(facts, dict) and facts.get("block_attempt") and facts.get("path") == part.path:
        return []
    own, _ = part.split()
    return [record for record in own if record.child is not None]


def _path_of(member: Recorded, record: Checkpoint) -> str | None:
    """The path to which a record belongs, None for DBOS's own."""
    if record.child is not None:
        child = member.children.get(record.child)
        return None if child is None else child.path
    if record.name.startswith("kurt."):
        return record.name.partition(":")[2] or None
    return None if record.name.startswith("DBOS.") else record.name


def _state(record: Checkpoint) -> Any:
    return record.value.get("state") if isinstance(record.value, dict) else None


def _is_open(record: Checkpoint) -> bool:
    return _state(record) == OPENED


def _has_failed(record: Checkpoint) -> bool:
    return record.failed or (_state(record) == FAILED and record.value.get("next_at") is None)


def _has_succeeded(record: Checkpoint) -> bool:
    return isinstance(record.value, dict) and bool(record.value.get("ok"))
