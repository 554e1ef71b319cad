"""Walking through a file in the order in which it runs, and checking every reference and expression on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kurt.engine.durations import parse_duration
from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.expressions.references import TemplateSyntaxError, has_references, parse_template
from kurt.engine.expressions.until import until_fault, until_paths
from kurt.engine.kinds import KindInfo
from kurt.engine.language.analysis import expression_paths
from kurt.engine.language.check_names import Use, check_use
from kurt.engine.language.draft import Draft, DraftStep
from kurt.engine.language.faults import Report
from kurt.engine.language.names import Level, Names, View
from kurt.engine.language.notify import NAMES as NOTICE_NAMES
from kurt.engine.language.schema import is_flow
from kurt.engine.language.source import DataPath
from kurt.errors import ExpressionError
from kurt.types import Json, JsonObject

_BRACES = re.compile(r"\{\{\s*([A-Za-z_]\w*)[\w.\[\]-]*\s*\}\}")
_REFERENCE = re.compile(r"(?<!\$)\$\{\s*([A-Za-z_][\w-]*)")
_NO_LISTS = frozenset({"string", "int", "integer", "float", "number", "bool", "boolean", "date", "path"})
_FOREIGN_ROOTS = frozenset({"inputs", "steps", "outputs", "vars", "item", "env", "secrets", "params"})


class ScopeCheck:
    """Checks one file."""

    def __init__(self, report: Report, draft: Draft, kinds: Mapping[str, KindInfo]) -> None:
        self._report = report
        self._draft = draft
        self._kinds = kinds

    def run(self) -> None:
        """Check everything."""
        start = self._start()
        file_env = Names(start.inputs, (start.inputs,))
        for place, value in self._env_values():
            self._template(value, place, file_env)
        main = self._list(self._draft.lists["steps"], start)
        outputs = self._draft.value.get("outputs")
        if isinstance(outputs, dict):
            self._template(outputs, ("outputs",), start.inside(View(main)), stored=True)
        handlers = start.inside(View(main, uncertain=True)).with_error()
        self._list(self._draft.lists["on_error"], handlers)
        self._list(self._draft.lists["finally"], handlers.with_error(may_be_null=True))
        self._notify(start)

    def _notify(self, start: Names) -> None:
        """Notifications: sent when everything is over, in a process that knows no more than what was kept."""
        names = start.inside(dict.fromkeys(NOTICE_NAMES, "any"))
        notifications: list[JsonObject] = self._draft.value.get("notify") or []
        for index, item in enumerate(notifications):
            about = names.with_error(may_be_null=item.get("on", "failure") not in ("failure", ["failure"]))
            for key, value in item["spec"].items():
                self._template(value, ("notify", index, key), about)

    def _env_values(self) -> list[tuple[DataPath, Json]]:
        value = self._draft.value
        defaults = value.get("defaults")
        found: list[tuple[DataPath, Json]] = [(("env",), value.get("env"))]
        if isinstance(defaults, dict):
            found.append((("defaults", "env"), defaults.get("env")))
        return found

    def _start(self) -> Names:
        value = self._draft.value
        declared = value["inputs"] if isinstance(value["inputs"], dict) else {}
        inputs = {name: _input_type(spec) for name, spec in declared.items()}
        secrets = value.get("secrets")
        secret_names = frozenset(map(str, secrets)) if isinstance(secrets, list) else frozenset[str]()
        env = {key for _, mapping in self._env_values() if isinstance(mapping, dict) for key in mapping}
        return Names(inputs, (inputs,), frozenset(env) | secret_names, secret_names)

    def _list(self, steps: list[DraftStep], outer: Names, *, independent: bool = False) -> Level:
        """Check a list of steps."""
        level = Level(steps, independent=independent)
        for step in steps:
            if step.name not in level.order.substitutes:
                self._step(step, outer.inside(View(level, step)))
        for step in steps:
            substitute = level.by_name.get(step.fallback) if step.fallback else None
            if substitute is not None and step is not substitute:
                view = View(level, substitute, guard=_guard(steps, step))
                self._step(substitute, outer.inside(view).with_error())
        return level

    def _step(self, step: DraftStep, names: Names) -> None:
        value = step.value
        self._expression(value.get("when"), step.place("when"), names)
        if names.error_may_be_null and ("error",) in expression_paths(value.get("when")):
            names = names.with_error()  # the condition asks whether there is one
        retry = value.get("retry")
        if isinstance(retry, dict):
            self._expression(retry.get("when"), (*step.place("retry"), "when"), names.with_error())
        # What a block gives to the steps inside it is stored with the child runs that they are.
        self._template(value.get("env"), step.place("env"), names, stored=step.type in _BLOCKS)
        if step.type in _BLOCKS:
            _BLOCKS[step.type](self, step, names)
        else:
            self._fields(step, names)
        if "fallback" in step.bodies:
            self._list(step.bodies["fallback"], names.with_error())

    def _fields(self, step: DraftStep, names: Names) -> None:
        """The own fields of a plug-in kind."""
        info = self._kinds.get(step.type)
        verbatim = info.kind.verbatim if info else frozenset[str]()
        spec = step.value.get("spec", {})
        of_row = _row_names(step, names) if info and is_flow(step.type, spec) else names
        if of_row is not names:
            self._items(spec, (*step.path, "items"), names)
        cache = step.value.get("cache")
        if isinstance(cache, dict):
            self._template(cache.get("key"), (*step.place("cache"), "key"), of_row)
        for key, item in spec.items():
            if key in verbatim:
                self._verbatim(item, (*step.path, key), names)
            elif not (
                step.type == "run" and key == "command" and isinstance(item, str)
            ):  # the kind checks it
                inside = of_row if info and key in info.kind.row_fields else names
                self._template(item, (*step.path, key), inside, stored=step.type == "emit")

    def foreach(self, step: DraftStep, names: Names) -> None:
        """A `foreach` block."""
        spec = step.value["foreach"]
        place = step.place("foreach")
        self._template(spec.get("items"), (*place, "items"), names, stored=True)
        self._items(spec, (*place, "items"), names)
        variable = spec.get("as", "item")
        item = names.inside(dict.fromkeys(("item", "index", str(variable)), "any"))
        self._template(spec.get("key"), (*place, "key"), item, stored=True)
        inside = item.inside({"key": "any", str(variable): "any"})
        self._unique_keys(spec, (*place, "items"))
        body = self._list(step.bodies.get("steps", []), inside)
        self._template(
            step.value.get("collect"), step.place("collect"), inside.inside(View(body)), stored=True
        )

    def _items(self, spec: Mapping[str, Json], place: DataPath, names: Names) -> None:
        """Items that can never be a list."""
        items = spec.get("items")
        if isinstance(items, str):
            text = items.strip()
            found = (
                names.variable(text[2:-1].strip()) if text.startswith("${") and text.endswith("}") else None
            )
            if "${" not in items:
                self._report.add(
                    place, "`items` must be a list or a reference to one", f'write "${{{text}}}"'
                )
            elif found is not None and found[0] in _NO_LISTS:
                self._report.add(place, f"`{text}` is a {found[0]}, not a list", "give a list of items")
        elif not isinstance(items, list | dict) and "items" in spec:
            self._report.add(
                place, "`items` must be a list or a reference to one", 'write, for example, "${urls}"'
            )

    def _unique_keys(self, spec: Mapping[str, Json], place: DataPath) -> None:
        """Two literal items with one key."""
        items, key = spec.get("items"), spec.get("key")
        variable = spec.get("as", "item")
        if not isinstance(items, list) or key not in (f"${{{variable}}}", "${item}"):
            return
        first: dict[str, int] = {}
        for index, item in enumerate(items):
            text = str(item)
            if "${" not in text and first.setdefault(text, index) != index:
                message = f"items {first[text]} and {index} have the same key {text!r}"
                self._report.add((*place, index), message, "leave `key` out, or remove one of them")

    def switch(self, step: DraftStep, names: Names) -> None:
        """A `switch` block."""
        self._expression(step.value["switch"].get("on"), (*step.place("switch"), "on"), names)
        self._bodies(step, names)

    def parallel(self, step: DraftStep, names: Names) -> None:
        """A `parallel` block."""
        self._list(step.bodies.get("steps", []), names, independent=True)

    def workflow(self, step: DraftStep, names: Names) -> None:
        """A `workflow` block."""
        inputs = step.value["workflow"].get("inputs")
        if step.is_command:
            for name, value in inputs.items():
                self._template(value, step.input_place(name), names, stored=True)
        else:
            self._template(inputs, (*step.path, "inputs"), names, stored=True)

    def wait(self, step: DraftStep, names: Names) -> None:
        """A `wait` block."""
        spec, place = step.value["wait"], step.place("wait")
        self._template(spec.get("for"), (*place, "for"), names)
        self._duration(spec.get("for"), (*place, "for"))
        self._template(spec.get("message"), (*place, "message"), names, stored=True)
        until = spec.get("until")
        if until is None:
            return
        fault = until_fault(until)
        if fault:
            self._report.add((*place, "until"), *fault)
        for path in until_paths(until):
            check_use(self._report, names, Use(path, (*place, "until")))

    def approval(self, step: DraftStep, names: Names) -> None:
        """An `approval` block: what it asks is stored with the run, and shown."""
        spec, place = step.value["approval"], step.place("approval")
        self._template(
            spec.get("message"), step.places.get("approval/message", (*place, "message")), names, stored=True
        )
        fields = spec.get("fields")
        for name, field in fields.items() if isinstance(fields, dict) else ():
            if isinstance(field, dict):
                at = (*place, "fields", name, "default")
                self._template(field.get("default"), at, names, stored=True)

    def _duration(self, value: Json, place: DataPath) -> None:
        if value is None or has_references(value):
            return
        try:
            parse_duration(value)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            self._report.add(place, message, hint or None)

    def _bodies(self, step: DraftStep, names: Names) -> None:
        for label, steps in step.bodies.items():
            if label != "fallback":
                self._list(steps, names)

    def _expression(self, text: Json, place: DataPath, names: Names) -> None:
        if not isinstance(text, str):
            return
        try:
            expression = compile_expression(text)
        except ExpressionError as error:
            self._report.add(place, error.message, error.hint)
            return
        for lookup in expression.lookups:
            check_use(self._report, names, Use(lookup.path, place, lookup.optional))

    def _template(self, value: Json, place: DataPath, names: Names, *, stored: bool = False) -> None:
        """Check every reference in a value, at any depth."""
        if isinstance(value, str):
            self._text(value, place, names, stored=stored)
        elif isinstance(value, dict):
            for key, item in value.items():
                if "${" in key:
                    hint = "write the key as it is, or build the mapping in a `script` step"
                    self._report.add((*place, key), "references in keys are not replaced", hint, key=True)
                self._template(item, (*place, key), names, stored=stored)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._template(item, (*place, index), names, stored=stored)

    def _text(self, text: str, place: DataPath, names: Names, *, stored: bool) -> None:
        if "{{" in text:
            self._braces(text, place, names)
        if "${" not in text:
            return
        try:
            template = parse_template(text)
        except TemplateSyntaxError as error:
            self._report.add(place, str(error), error.hint)
            return
        for reference in template.references:
            for number, path in enumerate(reference.paths):
                optional = reference.is_optional and number < len(reference.choices) - 1
                check_use(self._report, names, Use(path, place, optional, stored))

    def _braces(self, text: str, place: DataPath, names: Names) -> None:
        """`{{ name }}`, the habit of other systems."""
        for found in _BRACES.finditer(text):
            if found[1] in _FOREIGN_ROOTS or names.variable(found[1]):
                hint = f"write ${{{found[0].strip('{} ')}}}"
                self._report.warn(place, f"`{found[0]}` is left as it is", hint)

    def _verbatim(self, value: Json, place: DataPath, names: Names) -> None:
        """Text in which nothing is replaced: a reference to a known name is likely a mistake."""
        if not isinstance(value, str) or "${" not in value:
            return
        for name in dict.fromkeys(_REFERENCE.findall(value)):
            if names.variable(name):
                message = f"`${{{name}}}` is not replaced in `{place[-1]}`"
                self._report.warn(place, message, f"give the value by `inputs: {{{name}: ${{{name}}}}}`")


_BLOCKS = {
    "foreach": ScopeCheck.foreach,
    "switch": ScopeCheck.switch,
    "parallel": ScopeCheck.parallel,
    "workflow": ScopeCheck.workflow,
    "wait": ScopeCheck.wait,
    "approval": ScopeCheck.approval,
}


def _row_names(step: DraftStep, names: Names) -> Names:
    """What the fields of a step that works on rows may refer to: the row too."""
    variable = step.value["spec"].get("as")
    row = dict.fromkeys(("item", variable if isinstance(variable, str) else "item"), "any")
    return names.inside({**row, "index": "int"})


def _input_type(spec: Json) -> str:
    kind = spec.get("type") if isinstance(spec, dict) else spec
    return kind if isinstance(kind, str) else "any"


def _guard(steps: list[DraftStep], step: DraftStep) -> DraftStep:
    """The step in whose place a chain of fallbacks runs."""
    for _ in steps:  # a chain is no longer than the list; one that closes is reported elsewhere
        guard = next((other for other in steps if other.fallback == step.name), None)
        if guard is None:
            break
        step = guard
    return step
