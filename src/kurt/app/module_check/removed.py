"""What DBOS 3 no longer has, with what stands in its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kurt.app.module_check.findings import ERROR, WARNING, Finding, at
from kurt.app.module_check.sources import Function, Source, dotted

_TRANSACTION = "from kurt.core import transaction, and decorate with @transaction()"
_ATTRIBUTES = {
    "transaction": ("removed_transaction", _TRANSACTION),
    "sql_session": ("removed_transaction", f"{_TRANSACTION}; inside, use managed_session() from kurt.db"),
    "scheduled": (
        "removed_scheduled",
        "after the launch: DBOS.create_schedule(schedule_name=..., workflow_fn=..., schedule='0 7 * * *')",
    ),
    "recover_pending_workflows": (
        "removed_recovery",
        "kurt workflows resume ID; workers recover by themselves",
    ),
}
"""Attributes of `DBOS` that are gone: code of the finding, and the remedy."""

_KEYS = {
    "database_url": (
        "removed_database_url",
        "use init_dbos() from kurt.core, or system_database_url=...",
        ERROR,
    ),
    "application_database_url": (
        "removed_database_url",
        "leave it out; rows are written through @transaction() from kurt.core",
        ERROR,
    ),
    "run_admin_server": ("removed_admin_server", "leave it out: DBOS 3 ignores it", WARNING),
    "admin_port": ("removed_admin_server", "leave it out: DBOS 3 ignores it", WARNING),
    "enable_patching": ("removed_patching", "leave it out: DBOS.patch() works without it", WARNING),
}
"""Keys of `DBOSConfig` that are gone."""


def removed(sources: list[Source]) -> Iterator[Finding]:
    """Uses of what DBOS 3 removed, and decorators that cannot work."""
    for source in sources:
        for node in ast.walk(source.tree):
            yield from _in_node(source, node)


def _in_node(source: Source, node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Attribute(attr=name) if (
            name in _ATTRIBUTES and dotted(node, {}, source) == f"dbos.DBOS.{name}"
        ):
            code, remedy = _ATTRIBUTES[name]
            yield Finding(code, f"DBOS.{name} does not exist in DBOS 3", remedy, *at(source.shown, node))
        case ast.Call(func=function) if dotted(function, {}, source) == "dbos.Queue":
            yield _queue(source, node)
        case ast.Call(func=function) if dotted(function, {}, source) in {"dbos.DBOSConfig", "dbos.DBOS"}:
            yield from _keys(source, node)
        case ast.Import() | ast.ImportFrom():
            yield from _private(source, node)
        case ast.Call(func=function, args=[ast.Name() as given]) if _reads_text(source, function, given):
            yield _read_json(source, node, given)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _decorators(source, node)
        case _:
            pass


def _queue(source: Source, node: ast.Call) -> Finding:
    given = [ast.unparse(item) for item in node.args[:1]]
    given += [f"concurrency={ast.unparse(item.value)}" for item in node.keywords if item.arg == "concurrency"]
    return Finding(
        "removed_queue",
        "Queue(...) raises in DBOS 3: queues are rows of the database",
        f"from kurt.runtime import queue, and write queue({', '.join(given)}); its enqueue() is as before",
        *at(source.shown, node),
    )


def _keys(source: Source, node: ast.Call) -> Iterator[Finding]:
    for keyword in node.keywords:
        if keyword.arg in _KEYS:
            code, remedy, severity = _KEYS[keyword.arg]
            message = f"the setting {keyword.arg!r} does not exist in DBOS 3"
            yield Finding(code, message, remedy, *at(source.shown, keyword), severity=severity)


def _private(source: Source, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [item.name for item in node.names]
    for name in names:
        if name.startswith("dbos._"):
            yield Finding(
                "private_dbos",
                f"{name} is private to DBOS and changes with each release",
                "in tests use the fixtures of kurt.testing, such as reset_dbos_state; else the public names of dbos",
                *at(source.shown, node),
            )


def _reads_text(source: Source, function: ast.expr, given: ast.Name) -> bool:
    """Whether this reads JSON of a variable that holds a text, by its name."""
    return dotted(function, {}, source) == "pandas.read_json" and given.id.endswith(("json", "text"))


def _read_json(source: Source, node: ast.Call, given: ast.Name) -> Finding:
    return Finding(
        "text_for_read_json",
        "pandas 3 takes a text for the name of a file",
        f"write pd.read_json(io.StringIO({given.id}), ...)",
        *at(source.shown, node),
        severity=WARNING,
    )


def _decorators(source: Source, node: Function) -> Iterator[Finding]:
    for item in node.decorator_list:
        name = dotted(item, {}, source)
        if name in {"dbos.DBOS.workflow", "dbos.DBOS.step"}:
            short = name.rpartition(".")[2]
            shown = ast.unparse(item)
            yield Finding(
                "decorator_not_called",
                f"{node.name!r} is decorated with @{shown} instead of @{shown}()",
                f"write @{shown}(): without the brackets {node.name!r} is no {short}",
                *at(source.shown, item),
            )
        if isinstance(node, ast.AsyncFunctionDef) and name.removesuffix("()") == "kurt.core.transaction":
            yield Finding(
                "async_transaction",
                f"the transaction {node.name!r} is an async function, which importing the module refuses",
                f"write def {node.name}; an async workflow calls it as await asyncio.to_thread({node.name}, ...)",
                *at(source.shown, item),
            )
        if name == "dbos.DBOS.step()" and isinstance(node, ast.FunctionDef) and _has_timeout(item):
            yield Finding(
                "timeout_of_sync_step",
                f"timeout_seconds of the step {node.name!r} needs an async function; importing the module fails",
                f"write async def {node.name}, or give the call inside a timeout of its own",
                *at(source.shown, item),
            )


def _has_timeout(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(
        item.arg == "timeout_seconds" for item in decorator.keywords
    )
