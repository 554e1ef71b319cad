"""From the syntax tree of an expression to closures, by a whitelist of node types."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from kurt.engine.expressions import operators
from kurt.engine.expressions.allowance import MAX_BITS, Allowance, check_text_length
from kurt.engine.expressions.functions import FUNCTIONS, Function
from kurt.engine.expressions.lookups import Evaluation, Lookup, MissingError, Run, key_lookup, path_lookup
from kurt.engine.expressions.references import Path, Reference, TemplateSyntaxError, parse_template
from kurt.engine.expressions.syntax import PLACEHOLDER, ExpressionSyntaxError
from kurt.engine.suggestions import did_you_mean
from kurt.errors import ExpressionError
from kurt.types import Json

MAX_DEPTH = 100


_CONSTANTS = {"true": True, "false": False, "null": None}
_BINARY: dict[type[ast.operator], Callable[[Json, Json, Allowance], Json]] = {
    ast.Add: operators.add,
    ast.Sub: operators.subtract,
    ast.Mult: operators.multiply,
    ast.Div: operators.divide,
    ast.Mod: operators.remainder,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Json, Json, Allowance], bool]] = {
    ast.Eq: operators.equal,
    ast.NotEq: operators.unequal,
    ast.Lt: operators.less,
    ast.LtE: operators.less_or_equal,
    ast.Gt: operators.greater,
    ast.GtE: operators.greater_or_equal,
    ast.In: operators.contained,
    ast.NotIn: operators.not_contained,
}
_UNARY: dict[type[ast.unaryop], Callable[[Json], Json]] = {
    ast.USub: operators.negative,
    ast.UAdd: operators.positive,
}
_REFUSED: dict[type[ast.AST], tuple[str, str | None]] = {
    ast.Pow: ("there is no power operator", "multiply instead"),
    ast.FloorDiv: ("there is no `//`", "write `int(a / b)`"),
    ast.Is: ("there is no `is`", "write `==`"),
    ast.IsNot: ("there is no `is not`", "write `!=`"),
    ast.Slice: ("there are no slices", "take single items, or use a `script` step"),
    ast.Lambda: ("there are no functions to define", None),
    ast.ListComp: ("there are no comprehensions", "use a `foreach` block or a `script` step"),
    ast.SetComp: ("there are no comprehensions", "use a `foreach` block or a `script` step"),
    ast.DictComp: ("there are no comprehensions", "use a `foreach` block or a `script` step"),
    ast.GeneratorExp: ("there are no comprehensions", "use a `foreach` block or a `script` step"),
    ast.JoinedStr: ("there are no f-strings", "write '${name}' inside the quotes"),
    ast.Set: ("there are no sets", "write a list: `[a, b]`"),
    ast.Starred: ("there is no `*`", None),
}


class Compiler:
    """Compiles one expression.

    Attributes:
        lookups: the paths that were met.
    """

    def __init__(self, references: tuple[Reference, ...]) -> None:
        self.lookups: list[Lookup] = []
        self._references = references
        self._depth = 0
        self._optional = 0

    def compile(self, node: ast.expr) -> Run:
        """The closure that evaluates a node.

        Raises:
            ExpressionSyntaxError: the node, or one below it, is not part of the language.
        """
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise _refused(node)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionSyntaxError("it is nested too deep")
        run = handler(self, node)
        self._depth -= 1
        return run

    def constant(self, node: Any) -> Run:
        """A constant; a text in quotes may hold references."""
        value = node.value
        if isinstance(value, str) and "${" in value:
            return self._template(value)
        if not (value is None or isinstance(value, str | bool | int | float)):
            raise ExpressionSyntaxError(f"{value!r} is not a value of JSON")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise ExpressionSyntaxError("a number is too large")
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise ExpressionSyntaxError("a number is too large")
        return _always(value)

    def _template(self, text: str) -> Run:
        try:
            template = parse_template(text)
        except TemplateSyntaxError as error:
            raise ExpressionSyntaxError(str(error), error.hint) from None
        parts = [part if isinstance(part, str) else self._reference(part) for part in template.parts]
        if len(parts) == 1 and not isinstance(parts[0], str):
            return parts[0]

        def run(evaluation: Evaluation) -> str:
            texts: list[str] = []
            length = 0
            for part in parts:
                texts.append(part if isinstance(part, str) else evaluation.allowance.text(part(evaluation)))
                length += len(texts[-1])
                check_text_length(length)
            return evaluation.allowance.made("".join(texts))

        return run

    def _reference(self, reference: Reference) -> Run:
        optional = reference.is_optional or self._optional > 0
        self.lookups.extend(Lookup(path, optional) for path in reference.paths)
        if len(reference.choices) == 1:
            return path_lookup(reference.paths[0])

        def run(evaluation: Evaluation) -> Json:
            try:
                return reference.resolve(evaluation.scope)
            except ExpressionError as error:
                raise MissingError(error.message, error.hint) from None

        return run

    def name(self, node: Any) -> Run:
        """A name: a constant, a reference that stood here, or a name of the scope."""
        name: str = node.id
        if name in _CONSTANTS:
            return _always(_CONSTANTS[name])
        if name.startswith(PLACEHOLDER):
            return self._reference(self._references[int(name[len(PLACEHOLDER) :])])
        return self._path((name,))

    def _path(self, path: Path) -> Run:
        self.lookups.append(Lookup(path, self._optional > 0))
        return path_lookup(path)

    def attribute(self, node: Any) -> Run:
        """A dot: the value of a key, never an attribute of an object."""
        path = self._as_path(node)
        if path is not None:
            return self._path(path)
        return key_lookup(self.compile(node.value), node.attr)

    def subscript(self, node: Any) -> Run:
        """Brackets: an index or a key, which may itself be computed."""
        path = self._as_path(node)
        if path is not None:
            return self._path(path)
        value, key = self.compile(node.value), self.compile(node.slice)

        def run(evaluation: Evaluation) -> Json:
            found, part = value(evaluation), key(evaluation)
            try:
                return operators.index(found, part)
            except LookupError as error:
                raise MissingError(str(error)) from None

        return run

    def _as_path(self, node: Any) -> Path | None:
        """The path of a chain of constant keys and indices, None for anything else."""
        parts: list[str | int] = []
        while not isinstance(node, ast.Name):
            if len(parts) > MAX_DEPTH:
                raise ExpressionSyntaxError("it is nested too deep")
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
            elif isinstance(node, ast.Subscript) and (key := _constant_key(node.slice)) is not None:
                parts.append(key)
            else:
                return None
            node = node.value
        start = self._start(node.id)
        return None if start is None else (*start, *reversed(parts))

    def _start(self, name: str) -> Path | None:
        if name in _CONSTANTS:
            return None
        if not name.startswith(PLACEHOLDER):
            return (name,)
        reference = self._references[int(name[len(PLACEHOLDER) :])]
        return None if reference.is_optional else reference.paths[0]

    def boolean(self, node: Any) -> Run:
        """`and`, `or`: the first value that decides."""
        runs = [self.compile(value) for value in node.values]
        wanted = isinstance(node.op, ast.Or)

        def run(evaluation: Evaluation) -> Json:
            value: Json = None
            for part in runs:
                value = part(evaluation)
                if bool(value) is wanted:
                    break
            return value

        return run

    def unary(self, node: Any) -> Run:
        """`not`, `-`, `+`."""
        operand = self.compile(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda evaluation: not operand(evaluation)
        apply = _UNARY.get(type(node.op))
        if apply is None:
            raise _refused(node.op)
        return lambda evaluation: apply(operand(evaluation))

    def binary(self, node: Any) -> Run:
        """Arithmetic."""
        apply = _BINARY.get(type(node.op))
        if apply is None:
            raise _refused(node.op)
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda evaluation: apply(left(evaluation), right(evaluation), evaluation.allowance)

    def compare(self, node: Any) -> Run:
        """Comparisons, also chained: `1 < x <= 10`."""
        first = self.compile(node.left)
        steps = [
            (self._comparison(op), self.compile(right))
            for op, right in zip(node.ops, node.comparators, strict=True)
        ]

        def run(evaluation: Evaluation) -> bool:
            left = first(evaluation)
            for apply, operand in steps:
                right = operand(evaluation)
                if not apply(left, right, evaluation.allowance):
                    return False
                left = right
            return True

        return run

    def _comparison(self, op: ast.cmpop) -> Callable[[Json, Json, Allowance], bool]:
        apply = _COMPARISONS.get(type(op))
        if apply is None:
            raise _refused(op)
        return apply

    def conditional(self, node: Any) -> Run:
        """`a if condition else b`."""
        test, body, otherwise = self.compile(node.test), self.compile(node.body), self.compile(node.orelse)
        return lambda evaluation: body(evaluation) if test(evaluation) else otherwise(evaluation)

    def sequence(self, node: Any) -> Run:
        """A list or tuple; both are lists."""
        runs = [self.compile(item) for item in node.elts]
        return lambda evaluation: [run(evaluation) for run in runs]

    def mapping(self, node: Any) -> Run:
        """A mapping with constant keys."""
        keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise ExpressionSyntaxError("the keys of a mapping are quoted texts")
        runs = [self.compile(value) for value in node.values]
        return lambda evaluation: {key: run(evaluation) for key, run in zip(keys, runs, strict=True)}

    def call(self, node: Any) -> Run:
        """A call of a function of the table."""
        function = _function(node)
        if node.keywords:
            raise ExpressionSyntaxError("arguments have no names here", f"write {function.help}")
        count = len(node.args)
        if not function.least <= count <= function.most:
            raise ExpressionSyntaxError(
                f"`{function.name}` does not take {count} arguments", f"write {function.help}"
            )
        if function.name == "default":
            return self._default(node)
        runs = [self.compile(argument) for argument in node.args]
        return _called(function, runs)

    def _default(self, node: Any) -> Run:
        self._optional += 1
        value = self.compile(node.args[0])
        self._optional -= 1
        otherwise = self.compile(node.args[1])

        def run(evaluation: Evaluation) -> Json:
            try:
                found = value(evaluation)
            except MissingError:
                found = None
            return otherwise(evaluation) if found is None else found

        return run


def _always(value: Json) -> Run:
    def run(evaluation: Evaluation) -> Json:
        del evaluation
        return value

    return run


def _constant_key(node: ast.expr) -> str | int | None:
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    key = node.value
    if isinstance(key, str) and "${" not in key:
        return key
    return key if isinstance(key, int) else None


def _called(function: Function, runs: list[Run]) -> Run:
    apply, metered, makes = function.call, function.metered, function.makes

    def run(evaluation: Evaluation) -> Json:
        allowance = evaluation.allowance
        arguments = [argument(evaluation) for argument in runs]
        for argument in arguments:
            allowance.charge(1 + len(argument) // 16 if isinstance(argument, str | list | dict) else 1)
        value = apply(allowance, *arguments) if metered else apply(*arguments)
        return allowance.made(value) if makes else value

    return run


def _function(node: Any) -> Function:
    """The function that a call names."""
    if isinstance(node.func, ast.Attribute):
        method = node.func.attr
        hint = f"write `{method}(...)` with the value inside" if method in FUNCTIONS else None
        raise ExpressionSyntaxError(f"values have no methods such as `.{method}()`", hint)
    if not isinstance(node.func, ast.Name):
        raise ExpressionSyntaxError("only a function of the table can be called")
    function = FUNCTIONS.get(node.func.id)
    if function is None:
        name = node.func.id
        shown = "a reference" if name.startswith(PLACEHOLDER) else f"`{name}`"
        hint = did_you_mean(name, FUNCTIONS, "the functions are " + ", ".join(FUNCTIONS))
        raise ExpressionSyntaxError(f"{shown} is not a function", hint)
    return function


def _refused(node: ast.AST) -> ExpressionSyntaxError:
    known = _REFUSED.get(type(node))
    if known:
        return ExpressionSyntaxError(*known)
    return ExpressionSyntaxError(f"`{type(node).__name__}` is not part of the language")


_HANDLERS: dict[type[ast.AST], Callable[[Compiler, Any], Run]] = {
    ast.Constant: Compiler.constant,
    ast.Name: Compiler.name,
    ast.Attribute: Compiler.attribute,
    ast.Subscript: Compiler.subscript,
    ast.BoolOp: Compiler.boolean,
    ast.UnaryOp: Compiler.unary,
    ast.BinOp: Compiler.binary,
    ast.Compare: Compiler.compare,
    ast.IfExp: Compiler.conditional,
    ast.List: Compiler.sequence,
    ast.Tuple: Compiler.sequence,
    ast.Dict: Compiler.mapping,
    ast.Call: Compiler.call,
}
"""The whitelist."""
