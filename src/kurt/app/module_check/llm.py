"""Model steps whose prompt and columns do not fit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from string import Formatter

from kurt.app.module_check.findings import Finding, at
from kurt.app.module_check.sources import Source, dotted


def prompts(sources: list[Source]) -> Iterator[Finding]:
    """Placeholders of prompts that are no input columns, where both are written down in the source."""
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and _is_llm_step(dotted(node.func, {}, source)):
                yield from _in_step(source, node)


def _is_llm_step(name: str) -> bool:
    return name.startswith("kurt.core.") and name.rpartition(".")[2] in {"LLMStep", "llm_step"}


def _in_step(source: Source, node: ast.Call) -> Iterator[Finding]:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    template, columns = given.get("prompt_template"), given.get("input_columns")
    if not isinstance(template, ast.Constant) or not isinstance(columns, ast.List) or "prepare_fn" in given:
        return
    known = {item.value for item in columns.elts if isinstance(item, ast.Constant)}
    if len(known) != len(columns.elts) or dotted(node.func, {}, source).endswith("llm_step"):
        return
    try:
        fields = {field for _, field, _, _ in Formatter().parse(str(template.value)) if field is not None}
    except ValueError as error:
        remedy = "write {{ and }} for braces that are no placeholders"
        yield Finding(
            "prompt_not_readable",
            f"the prompt cannot be filled in: {error}",
            remedy,
            *at(source.shown, template),
        )
        return
    for field in sorted(fields):
        column = field.split(".")[0].split("[")[0]
        if column not in known:
            message = (
                f"the prompt uses {{{field}}}, which is none of the input columns {sorted(map(str, known))}"
            )
            remedy = f"add {column!r} to input_columns, or write {{{{{field}}}}} for braces that are meant"
            yield Finding("prompt_column", message, remedy, *at(source.shown, template))
