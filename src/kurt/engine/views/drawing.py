"""A workflow as boxes and arrows, whatever they are drawn with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kurt.engine.language.order import direct_needs
from kurt.engine.language.schema import WorkflowDefinition, WorkflowStep

_MAX_LABEL = 60
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")


@dataclass(slots=True)
class Box:
    """One step.

    Attributes:
        id: unique in the drawing.
        title: its name.
        notes: lines below the title: its kind, its condition.
        groups: the lists of steps inside it.
    """

    id: str
    title: str
    notes: list[str]
    groups: list[Group] = field(default_factory=list["Group"])


@dataclass(slots=True)
class Edge:
    """An arrow.

    Attributes:
        source: id of the box it leaves.
        target: id of the box it leads to.
        label: text beside it.
        on_failure: it is taken only when the source has failed.
    """

    source: str
    target: str
    label: str = ""
    on_failure: bool = False


@dataclass(slots=True)
class Group:
    """One list of steps.

    Attributes:
        id: unique in the drawing.
        label: what the list is, such as the value of a case; may be empty.
        boxes: the steps.
        edges: what waits for what.
    """

    id: str
    label: str
    boxes: list[Box] = field(default_factory=list[Box])
    edges: list[Edge] = field(default_factory=list[Edge])


def groups_of(definition: WorkflowDefinition) -> list[Group]:
    """The lists of steps of a workflow that are not empty."""
    builder = _Builder()
    return [
        builder.group("" if part == "steps" else part, steps) for part, steps in definition.lists() if steps
    ]


class _Builder:
    """Gives out ids while it turns steps into boxes."""

    def __init__(self) -> None:
        self._count = 0

    def _id(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def group(self, label: str, steps: Sequence[WorkflowStep], *, independent: bool = False) -> Group:
        """The group of a list of steps."""
        group = Group(self._id(), label)
        ids: dict[str, str] = {}
        for step in steps:
            box = self._box(step)
            ids[step.name] = box.id
            group.boxes.append(box)
        for name, others in direct_needs(steps, independent=independent).items():
            group.edges += [Edge(ids[other], ids[name]) for other in others if other in ids]
        for step in steps:
            if isinstance(step.fallback, str) and step.fallback in ids:
                group.edges.append(Edge(ids[step.name], ids[step.fallback], "on failure", on_failure=True))
        return group

    def _box(self, step: WorkflowStep) -> Box:
        box = Box(self._id(), step.name, list(_notes(step)))
        for part, steps in step.bodies():
            if not steps:
                continue
            label = (
                "" if part == "steps" else part.removeprefix("cases/").replace("~1", "/").replace("~0", "~")
            )
            independent = step.type == "parallel" and part == "steps"
            box.groups.append(self.group(label, steps, independent=independent))
        return box


def _notes(step: WorkflowStep) -> Iterator[str]:
    yield _kind_note(step)
    if step.when is not None:
        yield f"when {step.when}"


def _kind_note(step: WorkflowStep) -> str:
    if step.foreach is not None:
        return f"foreach {step.foreach.variable} in {step.foreach.items}"
    if step.switch is not None:
        return f"switch {step.switch.on}"
    if step.workflow is not None:
        return f"workflow {step.workflow.target}"
    if step.wait is not None:
        return f"wait {step.wait.for_ or step.wait.until or step.wait.message}"
    if step.approval is not None:
        return f"approval: {step.approval.message}"
    return f"{step.type} over {step.spec['items']}" if step.is_flow else step.type


def clean(text: str) -> str:
    """A text for a drawing: on one line, without control characters, cut short."""
    line = _CONTROL.sub(" ", text)
    return line if len(line) <= _MAX_LABEL else line[: _MAX_LABEL - 1] + "…"
