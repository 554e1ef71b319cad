"""From what people write to the form that is run, keeping in mind where everything stood.

A draft may have faults: it is as complete as the file allows, so that every later check can go on and report its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kurt.engine.language.source import DataPath
from kurt.types import JsonObject

STEP_KEYS = (
    "name",
    "type",
    "description",
    "when",
    "needs",
    "output",
    "timeout",
    "retry",
    "on_error",
    "env",
    "limits",
    "cache",
    "budget",
)
"""Keys that a step of a plug-in kind may have beside the kind's own."""

_EVERY_BLOCK = ("name", "type", "description", "when", "needs", "output", "timeout", "retry", "on_error")
_AROUND = ("env", "limits")
_BLOCK_KEYS = {
    "parallel": (*_AROUND, "parallel", "steps"),
    "foreach": (*_AROUND, "foreach", "steps", "collect"),
    "switch": (*_AROUND, "switch", "on", "cases", "default"),
    "workflow": (*_AROUND, "workflow", "inputs"),
    "wait": ("wait", "for", "until", "message"),
    "approval": ("approval", "message", "fields", "on_timeout", "on_reject"),
}


def block_keys(kind: str) -> tuple[str, ...]:
    """The keys of a block of this kind."""
    return (*_EVERY_BLOCK, *_BLOCK_KEYS[kind])


@dataclass(slots=True)
class DraftStep:
    """A step.

    Attributes:
        path: where it stands in the file.
        value: its normalised fields, without the lists of steps inside it.
        places: where each normalised key stands.
        bodies: the lists of steps inside it: `steps`, `cases/<value>`, `default`, `fallback`.
        has_cases: it is a `switch` block with `cases`.
        is_command: it is a `workflow` block that was written as a command.
        texts: its inputs that were given as texts, to be read by their types.
    """

    path: DataPath
    value: JsonObject
    places: dict[str, DataPath] = field(default_factory=dict[str, DataPath])
    bodies: dict[str, list[DraftStep]] = field(default_factory=dict[str, "list[DraftStep]"])
    has_cases: bool = False
    is_command: bool = False
    texts: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.value["name"])

    @property
    def type(self) -> str:
        """Its type, empty if it has none."""
        return str(self.value["type"])

    @property
    def output(self) -> str | None:
        """The variable that it sets."""
        output = self.value.get("output")
        return output if isinstance(output, str) else None

    @property
    def fallback(self) -> str | None:
        """The step of the same list that runs instead when it has failed."""
        handling = self.value.get("on_error")
        fallback = handling.get("fallback") if isinstance(handling, dict) else None
        return fallback if isinstance(fallback, str) else None

    @property
    def needs(self) -> list[str] | None:
        """The steps that it says it waits for."""
        needs = self.value.get("needs")
        if isinstance(needs, str):
            return [needs]
        return [str(need) for need in needs] if isinstance(needs, list) else None

    def place(self, key: str) -> DataPath:
        """Where a normalised key stands, or would stand."""
        return self.places.get(key, (*self.path, key))

    def input_place(self, name: str) -> DataPath:
        """Where an input of a `workflow` block stands."""
        return self.places.get(f"inputs/{name}", (*self.path, "inputs", name))

    def walk(self) -> Iterator[DraftStep]:
        """The step and all that are in it."""
        yield self
        for steps in self.bodies.values():
            for step in steps:
                yield from step.walk()

    def to_json(self) -> JsonObject:
        """The step as it is frozen."""
        value = dict(self.value)
        if "steps" in self.bodies:
            value["steps"] = _to_json(self.bodies["steps"])
        if "fallback" in self.bodies:
            value["on_error"] = {**value["on_error"], "fallback": _to_json(self.bodies["fallback"])}
        if self.type == "switch":
            cases = {
                key.removeprefix("cases/"): _to_json(steps)
                for key, steps in self.bodies.items()
                if key.startswith("cases/")
            }
            default = {"default": _to_json(self.bodies["default"])} if "default" in self.bodies else {}
            value["switch"] = {**value["switch"], "cases": cases, **default}
        return value


@dataclass(slots=True)
class Draft:
    """A whole file.

    Attributes:
        value: its normalised fields, without the lists of steps.
        lists: its lists of steps: `steps`, `on_error`, `finally`.
    """

    value: JsonObject
    lists: dict[str, list[DraftStep]]

    def walk(self) -> Iterator[DraftStep]:
        """Every step of the file."""
        for steps in self.lists.values():
            for step in steps:
                yield from step.walk()

    def to_json(self) -> JsonObject:
        """The definition as it is frozen."""
        return {**self.value, **{key: _to_json(steps) for key, steps in self.lists.items() if steps}}


def _to_json(steps: list[DraftStep]) -> list[JsonObject]:
    return [step.to_json() for step in steps]
