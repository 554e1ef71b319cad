"""The workflow language as its JSON Schema describes it, with the lines of an example for each field.

The examples are files in `docs/workflows/examples/`, which a test runs. What is shown for a field are the lines of a file
that use it; the shortest use wins. `missing_examples` names the fields that no file uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "workflows" / "examples"
STEP = "WorkflowStep"
_DEFS = "#/$defs/"

PARTS: Mapping[str, tuple[str, str]] = {
    "file": ("The file", "What stands at the top level."),
    "InputSpec": (
        "Inputs",
        "What one of `inputs` accepts. A plain value in its place, such as `limit: 10`, gives its type and its default.",
    ),
    "Defaults": ("Defaults", "What holds for all steps of the file that say nothing else."),
    STEP: (
        "Steps: what all kinds have",
        "Blocks have no `cache`; waits and approvals start no process and have neither `env` nor `limits`.",
    ),
    "RetryPolicy": ("Retries", "The keys of `retry`. A crash during a wait does not start the count again."),
    "ErrorHandling": (
        "Errors of a step",
        (
            "`on_error: fail` ends the run (the default), `skip` goes on with null, `retry` is short for three attempts, and a "
            "mapping names what runs instead."
        ),
    ),
    "LimitsSpec": ("Limits", "The keys of `limits`, of a file or a step."),
    "CacheSpec": (
        "Cache",
        (
            "The keys of `cache`. `cache: true` keeps the value for ever, `cache: 7d` for a time; an earlier run of the same step with "
            "the same fields then gives its value."
        ),
    ),
    "BudgetSpec": ("Budget", "The keys of `budget`: what calls of models may cost."),
    "ScheduleSpec": (
        "Schedule",
        "The keys of `schedule`, of which there may be a list.",
    ),
    "DebounceSpec": ("Debounce", "The keys of `debounce`, for runs in the background."),
    "NotifySpec": (
        "Notifications",
        "What each entry of `notify` has; its notifier adds keys of its own.",
    ),
    "dspy.SignatureMapping": ("The mapping of a `signature`", "In a `dspy` step."),
    "dspy.SignatureField": ("A field of a signature", "In the mapping of a `dspy` step's `signature`."),
}
"""Title and first words of the sections that are not kinds of steps, in their order."""

BLOCKS: Mapping[str, str] = {
    "parallel": "Runs its steps at the same time. Its value is a mapping of theirs by name.",
    "foreach": "Runs its steps for each item, several at once. Its value is a list in the order of the items.",
    "switch": "Runs the case that fits. Its value is that of the case's last step.",
    "workflow": "Runs another file of the project, or a Python workflow, as a child run. Its value are the outputs.",
    "wait": "Waits for a time or a message without keeping a process busy. Its value is the message.",
    "approval": "Waits for a person's answer. Its value is the answer: `approved`, `by`, `at` and the fields.",
}
"""What each block does: blocks are part of the language and have no class with a docstring."""

_INSIDE = {"switch": "SwitchSpec", "wait": "WaitSpec", "approval": "ApprovalSpec", "foreach": "ForeachSpec"}
"""The models whose keys stand in a block's own section."""


@dataclass(frozen=True, slots=True)
class Use:
    """Lines of an example that use a field.

    Attributes:
        file: name of the example.
        lines: the lines, without their common indentation.
        line: of the key, counted from 0.
        column: of the key, counted from 0.
    """

    file: str
    lines: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the reference.

    Attributes:
        id: `file`, the name of a model, or the type of a step or notifier.
        title: its heading.
        intro: its first words.
        fields: the schema of each field by key.
        required: the keys that must be there.
    """

    id: str
    title: str
    intro: str
    fields: Mapping[str, Any]
    required: frozenset[str]


class Language:
    """The language as its schema describes it.

    Args:
        schema: the JSON Schema of workflow files.
        intros: first words on each plug-in kind and notifier, by `type` and `notify.<type>`.

    Attributes:
        root: the schema.
        defs: its models by name.
        kinds: what each type of step adds.
        notifiers: what each notifier adds.
        common: the fields that steps of all plug-in kinds have.
    """

    def __init__(self, schema: Mapping[str, Any], intros: Mapping[str, str]) -> None:
        self.defs: dict[str, Any] = dict(schema["$defs"])
        self._intros = intros
        self.root = schema
        self.kinds = dict(_branches(self.defs[STEP]))
        self.notifiers = dict(_branches(self.defs["NotifySpec"]))
        common = self.defs[STEP]["properties"]
        plugin = next(kind for kind in self.kinds if kind not in BLOCKS)
        shared = self.kinds[plugin]["properties"].keys() & self.kinds["parallel"]["properties"].keys()
        both = {key for key in self.kinds[plugin]["properties"] if self._everywhere(key)}
        self.common = {
            **common,
            **{key: self.kinds[plugin]["properties"][key] for key in both | shared - {"steps"}},
        }

    def _everywhere(self, key: str) -> bool:
        return all(key in kind["properties"] for name, kind in self.kinds.items() if name not in BLOCKS)

    def sections(self) -> Iterator[Section]:
        """All sections, in the order of the page."""
        for part, (title, intro) in PARTS.items():
            if part == "file":
                yield Section(part, title, intro, self.root["properties"], frozenset(self.root["required"]))
            elif part == STEP:
                yield Section(part, title, intro, _in_order(self.common, self._step_order()), frozenset())
            elif part in self.defs and not part.startswith("dspy."):
                yield self._model(part, title, intro)
            if part == "NotifySpec":
                yield from self._notifier_sections()
        for kind in [*sorted(self.kinds.keys() - BLOCKS.keys()), *BLOCKS]:
            if kind in self.kinds:
                yield self._kind(kind)
            for part, (title, intro) in PARTS.items():
                if part.startswith(f"{kind}.") and part in self.defs:
                    yield self._model(part, title, intro)

    def _step_order(self) -> list[str]:
        return ["name", "type", "description", "when", "needs", "output", "timeout", "retry", "on_error"]

    def _model(self, name: str, title: str, intro: str) -> Section:
        definition = self.mapping(self.defs[name])
        required = frozenset(definition.get("required", ()))
        return Section(name, title, intro, definition.get("properties", {}), required)

    def _notifier_sections(self) -> Iterator[Section]:
        for name in sorted(self.notifiers):
            then = self.notifiers[name]
            intro = self._intros.get(f"notify.{name}", "")
            required = frozenset(then.get("required", ()))
            yield Section(f"notify.{name}", f"Notifier `{name}`", intro, then["properties"], required)

    def _kind(self, kind: str) -> Section:
        then = self.kinds[kind]
        own = {key: field for key, field in then["properties"].items() if key not in self.common}
        required = set(then.get("required", ()))
        if kind in _INSIDE:
            inner = self.defs[_INSIDE[kind]]
            outer = {key: own[key] for key in own if key not in inner["properties"]}
            own = {**outer, **inner["properties"]}
            required |= set(inner.get("required", ()))
        is_block = kind in BLOCKS
        title = f"Block `{kind}`" if is_block else f"Kind `{kind}`"
        intro = BLOCKS.get(kind) or self._intros.get(kind, "")
        return Section(kind, title, intro, own, frozenset(required & own.keys()))

    def resolve(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
        """What a schema refers to, with the name of the model."""
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema, None
        name, *rest = reference.removeprefix(_DEFS).split("/")
        found: Any = self.defs[name]
        for part in rest:
            found = found[part]
        return found, None if rest else name

    def mapping(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The branch of a schema that is a mapping with known keys; the schema itself if it has none."""
        for branch in (schema, *schema.get("anyOf", ())):
            if "properties" in branch:
                return branch
        return schema

    def uses(self) -> dict[tuple[str, str], Use]:
        """The shortest use of each field, by section and key."""
        found: dict[tuple[str, str], Use] = {}
        for file in sorted(EXAMPLES.glob("*.yaml")):
            text = file.read_text(encoding="utf-8")
            for field, use in _Walk(self, file.name, text).run():
                known = found.get(field)
                if known is None or len(use.lines) < len(known.lines):
                    found[field] = use
        return found

    def missing_examples(self) -> list[str]:
        """The fields that no example uses, as `section.key`."""
        uses = self.uses()
        return [
            f"{section.id}.{key}"
            for section in self.sections()
            for key in section.fields
            if (section.id, key) not in uses
        ]


class _Walk:
    """Goes through an example and its schema side by side."""

    def __init__(self, language: Language, file: str, text: str) -> None:
        self._language = language
        self._file = file
        self._lines = text.splitlines()
        self._root = yaml.compose(text)
        self._found: list[tuple[tuple[str, str], Use]] = []

    def run(self) -> list[tuple[tuple[str, str], Use]]:
        """Every field that is used, with the lines that use it."""
        root = {"properties": self._language.root["properties"]}
        self._mapping(self._root, root, "file", None)
        return self._found

    def _mapping(self, node: Any, schema: Mapping[str, Any], section: str, flow: Any) -> None:
        for key, value in node.value:
            field = schema.get("properties", {}).get(key.value)
            around = flow or (node if node.flow_style else None)
            if field is not None:
                self._note(section, key, value, around)
                self._value(value, field, around)
            elif (inner := _by_any_key(schema)) is not None:
                self._value(value, inner, around)

    def _note(self, section: str, key: Any, value: Any, around: Any) -> None:
        start, end = (around or key).start_mark.line, (around or value).end_mark
        last = end.line if end.column or end.line == start else end.line - 1
        lines = self._lines[start : last + 1]
        inside = 0 if around else key.start_mark.column + 1  # a block ends where the next one begins
        while len(lines) > 1 and (_indent(lines[-1]) < inside or not lines[-1].strip(" #")):
            lines.pop()
        indent = min(_indent(line) for line in lines if line.strip())
        if not around:
            first = lines[0].lstrip().removeprefix("- ")
            indent = len(lines[0]) - len(first) if lines[0].lstrip().startswith("- ") else indent
            lines = [first, *(line[indent:] for line in lines[1:])]
        else:
            lines = [line[indent:] for line in lines]
        text = "\n".join(lines)
        if section == STEP and not around and key.value != lines[0].partition(":")[0]:
            return
        mark = key.start_mark
        self._found.append(((section, key.value), Use(self._file, text, mark.line, mark.column)))

    def _value(self, node: Any, schema: Mapping[str, Any], flow: Any) -> None:
        schema, name = self._language.resolve(schema)
        if name == STEP and isinstance(node, yaml.MappingNode):
            self._step(node, flow)
        elif name == "NotifySpec":
            self._notification(node, schema, flow)
        elif isinstance(node, yaml.SequenceNode):
            inner = flow or (node if node.flow_style else None)
            for item in node.value:
                self._value(item, self._items(schema), inner)
        elif isinstance(node, yaml.MappingNode):
            branch, model = self._branch(schema, name)
            self._mapping(node, branch, _own_section(model), flow)

    def _items(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for branch in (schema, *schema.get("anyOf", ())):
            if "items" in branch:
                return branch["items"]
        return {}

    def _branch(self, schema: Mapping[str, Any], name: str | None) -> tuple[Mapping[str, Any], str]:
        """The branch for a mapping, and the model that it is."""
        for branch in (schema, *schema.get("anyOf", ())):
            resolved, model = self._language.resolve(branch)
            mapping = self._language.mapping(resolved)
            if "properties" in mapping or _by_any_key(mapping) is not None:
                return mapping, model or name or ""
        return schema, name or ""

    def _step(self, node: Any, flow: Any) -> None:
        keys = {key.value: value for key, value in node.value}
        kind = keys["type"].value if "type" in keys else next(kind for kind in BLOCKS if kind in keys)
        then = self._language.kinds[kind]["properties"]
        common = self._language.common
        own = {key: field for key, field in then.items() if key not in common}
        self._mapping(node, {"properties": common}, STEP, flow)
        self._mapping(node, {"properties": own}, kind, flow)

    def _notification(self, node: Any, schema: Mapping[str, Any], flow: Any) -> None:
        kind = next(value.value for key, value in node.value if key.value == "type")
        self._mapping(node, {"properties": schema["properties"]}, "NotifySpec", flow)
        self._mapping(node, self._language.notifiers[kind], f"notify.{kind}", flow)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _by_any_key(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a mapping holds under keys that its author chooses."""
    found: list[Any] = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    return next(
        (inner for inner in found if isinstance(inner, Mapping) and set(inner) - {"description"}), None
    )


def _own_section(model: str) -> str:
    """The section in which a model's keys stand: some blocks have theirs in their own."""
    return next((kind for kind, inside in _INSIDE.items() if inside == model), model)


def _branches(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The types of a schema that depends on `type`, each with what it adds."""
    for branch in schema["allOf"]:
        condition = branch["if"]
        first = condition.get("anyOf", [condition])[0]
        kind = first.get("properties", {}).get("type", {}).get("const")
        if kind is not None:
            yield kind, branch["then"]


def _in_order(fields: Mapping[str, Any], first: list[str]) -> dict[str, Any]:
    return {key: fields[key] for key in [*first, *sorted(fields.keys() - set(first))]}


def load() -> Language:
    """The language with all that Kurt itself brings."""
    from kurt.engine.language.jsonschema import workflow_schema
    from kurt.engine.notifiers.registry import notifiers
    from kurt.engine.registry import kinds

    known, told = kinds(None), notifiers(None)
    intros = {kind: _first_words(known[kind].kind) for kind in known}
    intros.update({f"notify.{name}": _first_words(told[name].notifier) for name in told})
    return Language(workflow_schema(known, told), intros)


def _first_words(found: type) -> str:
    return " ".join((found.__doc__ or "").strip().split("\n\n")[0].split())
