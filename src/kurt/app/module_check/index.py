"""The functions of a module with the part that each plays, and what is reached from where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from kurt.app.module_check.sources import Function, Source, dotted

WORKFLOW, STEP, TRANSACTION = "workflow", "step", "transaction"

_ROLES = {
    "dbos.DBOS.workflow": WORKFLOW,
    "dbos.DBOS.step": STEP,
    "dbos.DBOS.transaction": TRANSACTION,
    "kurt.core.transaction": TRANSACTION,
    "kurt.core.transactions.transaction": TRANSACTION,
}
_RUN_STEP = ("dbos.DBOS.run_step", "dbos.DBOS.run_step_async")
"""Calls whose second argument is executed as a step."""


@dataclass(frozen=True, eq=False)
class Part:
    """A function of a module.

    Attributes:
        name: full name.
        node: its definition.
        source: its file.
        role: `workflow`, `step`, `transaction`, or None for a plain function.
        llm: an `@llm_step` function: calling it calls a model.
        inside: full name of its class, or the empty text.
    """

    name: str
    node: Function
    source: Source
    role: str | None
    llm: bool = False
    inside: str = ""

    @cached_property
    def names(self) -> dict[str, str]:
        """What the local names mean: the calls they hold the results of; `?` for what is not known."""
        found = {argument.arg: "?" for argument in _arguments(self.node)}
        for node in ast.walk(self.node):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found[name] = dotted(value, found, self.source) or "?"
                case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                    found[name] = dotted(value, found, self.source) or "?"
                case ast.Name(id=name, ctx=ast.Store()):
                    found.setdefault(name, "?")
                case _:
                    pass
        for name in ("self", "cls"):
            if self.inside and name in found:
                found[name] = self.inside
        return found

    def dotted(self, node: ast.AST) -> str:
        """An expression in its body as a dotted name."""
        return dotted(node, self.names, self.source)

    def body(self) -> Iterator[ast.AST]:
        """The nodes that are executed as part of it, lambdas and inner functions without a role among them."""
        waiting: list[ast.AST] = list(self.node.body)
        while waiting:
            node = waiting.pop()
            yield node
            if isinstance(node, Function) and role_of(node, self.source, self.names):
                continue
            if isinstance(node, ast.Call) and self.dotted(node.func) in _RUN_STEP:
                waiting += [*node.args[2:], *(keyword.value for keyword in node.keywords)]
                continue
            waiting += ast.iter_child_nodes(node)

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """The calls in its body with the full names of what they call."""
        for node in self.body():
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func)


@dataclass(frozen=True)
class Reached:
    """A function as part of what a workflow, step or transaction does.

    Attributes:
        function: the function.
        role: the part that it plays there.
        root: the function with that role.
    """

    function: Part
    role: str
    root: Part

    @property
    def said(self) -> str:
        """`the step 'clean_step'`, with the way to a helper."""
        text = f"the {self.role} {self.root.node.name!r}"
        return text if self.function is self.root else f"{self.function.node.name!r}, which {text} calls,"


@dataclass(frozen=True)
class Index:
    """All functions and objects of a module by their full names."""

    sources: list[Source]
    functions: dict[str, Part] = field(default_factory=dict[str, Part])
    objects: dict[str, str] = field(default_factory=dict[str, str])

    def is_llm(self, name: str) -> bool:
        """Whether calling this runs rows through a model: `<LLMStep>.run`, or a decorated function."""
        base, _, method = name.rpartition(".")
        for known in (name, base):
            if (function := self.functions.get(known)) is not None and function.llm:
                return True
        return method in {"run", "run_async"} and self.made_of(base) in {
            "kurt.core.LLMStep()",
            "kurt.core.EmbeddingStep()",
        }

    def is_save(self, name: str) -> bool:
        """Whether calling this stores rows in a transaction: `<SaveStep>.run`."""
        base, _, method = name.rpartition(".")
        return method == "run" and self.made_of(base) == "kurt.core.SaveStep()"

    def made_of(self, name: str) -> str:
        """The call that made an object: `kurt.core.LLMStep()`."""
        made = self.objects.get(name, name)
        for step in ("LLMStep", "EmbeddingStep", "SaveStep"):
            if made.startswith("kurt.core.") and made.endswith(f".{step}()"):
                return f"kurt.core.{step}()"
        return made

    def reached(self) -> list[Reached]:
        """Each function with a role, and each plain one that such a function calls."""
        found: dict[tuple[str, str], Reached] = {}
        waiting = [Reached(item, item.role, item) for item in self.functions.values() if item.role]
        waiting += [Reached(item, STEP, item) for item in self._run_as_steps()]
        while waiting:
            item = waiting.pop(0)
            key = (item.function.name, item.role)
            if key in found:
                continue
            found[key] = item
            for _, name in item.function.calls():
                called = self.functions.get(name)
                if called is not None and called.role is None and not called.llm:
                    waiting.append(Reached(called, item.role, item.root))
        return list(found.values())

    def _run_as_steps(self) -> Iterator[Part]:
        for function in self.functions.values():
            for node in ast.walk(function.node):
                if (
                    isinstance(node, ast.Call)
                    and len(node.args) > 1
                    and function.dotted(node.func) in _RUN_STEP
                    and (called := self.functions.get(function.dotted(node.args[1]))) is not None
                    and called.role is None
                ):
                    yield called


def build(sources: list[Source]) -> Index:
    """The index of a module's files."""
    index = Index(sources)
    for source in sources:
        for node in source.tree.body:
            if isinstance(node, Function):
                _add(index, source, node)
            elif isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, Function):
                        _add(index, source, inner, inside=source.own_name(node.name))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                made = dotted(node.value, {}, source)
                if made.endswith("()"):
                    index.objects[source.own_name(node.targets[0].id)] = made
    return index


def _add(index: Index, source: Source, node: Function, *, inside: str = "") -> None:
    name = f"{inside}.{node.name}" if inside else source.own_name(node.name)
    decorators = _decorators(node, source, {})
    llm = any(text.startswith("kurt.core.") and text.endswith(".llm_step") for text in decorators)
    found = Part(name, node, source, role_of(node, source, {}), llm, inside)
    index.functions[name] = found
    for inner in ast.walk(node):
        if isinstance(inner, Function) and inner is not node and (role := role_of(inner, source, {})):
            index.functions[f"{name}.{inner.name}"] = Part(f"{name}.{inner.name}", inner, source, role)


def role_of(node: Function, source: Source, names: dict[str, str]) -> str | None:
    """The part that a function's decorators give it."""
    for text in _decorators(node, source, names):
        if text in _ROLES:
            return _ROLES[text]
        if text.endswith(".transaction"):
            return TRANSACTION
    return None


def _decorators(node: Function, source: Source, names: dict[str, str]) -> list[str]:
    return [dotted(item, names, source).removesuffix("()") for item in node.decorator_list]


def _arguments(node: Function) -> list[ast.arg]:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return every + [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
