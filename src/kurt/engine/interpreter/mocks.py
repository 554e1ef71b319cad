"""What a run only pretends: values and failures in place of steps, answers in place of models.

It is stored with the run, as `mock` of its input:

    {"llm": true, "answers": [...], "hurry": true,
     "answered": ["review"], "steps": {"pages.fetch": [{"error": {"message": "503"}}, {"value": {"title": "A"}}]}}

so it holds wherever and however often the run goes on. The last outcome of a step counts for all further attempts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kurt.engine.expressions.references import resolve
from kurt.errors import StepError
from kurt.runtime import mocked, serializer

if TYPE_CHECKING:
    from kurt.engine.interpreter.context import Frame, WorkflowContext
    from kurt.engine.language.schema import WorkflowStep
    from kurt.types import Json, JsonObject

_KEY = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Mocks:
    """What a run pretends.

    Attributes:
        on: anything at all.
        llm: answers of models are made up.
        answers: answers that are given for models, see `kurt.llm.mock.MockCompleter`.
        steps: outcomes of steps, one for each attempt, by path; without the keys of items for all of them.
        hurry: nobody waits: neither between two attempts nor for a time, nor for an answer that does not come.
        answered: paths of steps that wait for an answer and get one.
        below: path of the step that runs this file, in the file that was started; empty in that one itself.
    """

    on: bool = False
    llm: bool = False
    answers: Sequence[JsonObject] = ()
    steps: Mapping[str, Sequence[JsonObject]] = field(default_factory=dict[str, "Sequence[JsonObject]"])
    hurry: bool = False
    answered: Sequence[str] = ()
    below: str = ""

    @classmethod
    def from_json(cls, stored: JsonObject | None) -> Mocks:
        """Read what is stored with a run."""
        return cls(on=True, **stored) if stored is not None else cls()

    def to_json(self) -> JsonObject | None:
        """As it is stored with a run, None if nothing is pretended."""
        if not self.on:
            return None
        return {
            "llm": self.llm,
            "answers": list(self.answers),
            "steps": dict(self.steps),
            "hurry": self.hurry,
            "answered": list(self.answered),
            "below": self.below,
        }

    @property
    def attributes(self) -> JsonObject:
        """The mark of a child run, empty if nothing is pretended."""
        return {mocked.ATTRIBUTE: mocked.marks({"llm": self.llm, "steps": self.steps})} if self.on else {}

    def inside(self, path: str) -> JsonObject | None:
        """The same for a file that a step of this path runs, as it is stored."""
        stored = self.to_json()
        return stored and {**stored, "below": f"{self.below}{path}."}

    def has(self, path: str) -> bool:
        """Whether a step is pretended."""
        return bool(self.steps) and self._outcomes(path) is not None

    def cuts(self, path: str) -> bool:
        """Whether the time of a step that waits for an answer is over at once."""
        full = self.below + path
        return self.hurry and full not in self.answered and _KEY.sub("", full) not in self.answered

    def outcome(self, path: str, attempt: int) -> JsonObject | None:
        """What an attempt comes to, `{"value"}` or `{"error"}`; None where the step really works."""
        outcomes = self._outcomes(path) if self.steps else None
        return outcomes[min(attempt, len(outcomes)) - 1] if outcomes else None

    def _outcomes(self, path: str) -> Sequence[JsonObject] | None:
        full = self.below + path
        found = self.steps.get(full)
        return found if found is not None else self.steps.get(_KEY.sub("", full))


def value_of(outcome: JsonObject) -> Json:
    """The value of a pretended attempt.

    Raises:
        StepError: it is to fail.
    """
    if "error" not in outcome:
        return outcome.get("value")
    said = outcome["error"]
    details = dict(said) if isinstance(said, dict) else {"message": str(said)}
    message = str(details.pop("message", "the mocked step fails"))
    kind = str(details.pop("type", "Mocked"))
    raise StepError(message, type=kind, hint=details.pop("hint", None), details=details)


def facts(context: WorkflowContext, step: WorkflowStep, frame: Frame) -> JsonObject:
    """What is stored of a pretended attempt: that it is one, and the fields with which it would have worked.

    Raises:
        KurtError: a reference in them leads nowhere.
    """
    if step.workflow is not None:
        found: Json = resolve(step.workflow.inputs, frame.names)
    elif step.is_block:
        found = None
    else:
        info = context.kinds.get(step.type)
        as_written = info.kind.verbatim if info is not None else frozenset[str]()
        if info is not None and step.is_flow:
            as_written |= info.kind.row_fields
        found = {
            key: value if key in as_written else resolve(value, frame.names)
            for key, value in step.spec.items()
        }
    return {"mocked": True, "given": serializer.round_trip(context.masker.mask_value(found))}
