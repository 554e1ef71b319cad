"""Calls that DBOS refuses where they stand, mostly without a word about why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from kurt.app.module_check.findings import ERROR, WARNING, Finding, at
from kurt.app.module_check.index import STEP, TRANSACTION, WORKFLOW, Index, Part, Reached

_STARTS = {
    "dbos.DBOS.start_workflow",
    "dbos.DBOS.start_workflow_async",
    "kurt.core.run_workflow",
    "kurt.core.run_with_background_support",
}
_ENQUEUES = {
    "dbos.DBOS.enqueue_workflow",
    "dbos.DBOS.enqueue_workflow_async",
    "dbos.DBOS.enqueue_workflow_with_options",
}
_ONLY_IN_WORKFLOWS = {f"dbos.DBOS.{name}{ending}" for name in ("recv", "sleep") for ending in ("", "_async")}
_THREADS = {"threading.Thread", "threading.Timer"}  # asyncio.to_thread carries the workflow's context along
_HANDS_OVER = ("submit", "map", "run_in_executor", "apply_async", "starmap")


class _Fault(NamedTuple):
    code: str
    message: str
    remedy: str
    severity: str = ERROR


def misuses(index: Index) -> Iterator[Finding]:
    """Calls in steps and transactions that only workflows may make, and durable calls handed to threads."""
    for item in index.reached():
        for call, name in item.function.calls():
            fault = (
                _in_workflow(index, item, call, name)
                if item.role == WORKFLOW
                else _outside(index, item, name)
            )
            if fault is not None:
                place = at(item.function.source.shown, call)
                yield Finding(fault.code, fault.message, fault.remedy, *place, severity=fault.severity)


def _outside(index: Index, item: Reached, name: str) -> _Fault | None:
    """What is wrong with a call in a step or a transaction."""
    short = name.replace("()", "").rpartition(".")[2]
    if index.is_llm(name):
        return _Fault(
            "llm_step_in_step",
            f"{item.said} runs rows through a model ({_tail(name)}), which only a workflow may do",
            "call it in the workflow, between the steps"
            + (
                ""
                if "LLMStep" in _made(index, name)
                else "; for vectors inside a step use generate_embeddings(texts)"
            ),
        )
    if name in _STARTS or _starts_workflow(index, name):
        return _Fault(
            "workflow_in_step",
            f"{item.said} starts a workflow ({short})",
            f"return the data from {item.root.node.name!r} and call {short} in the workflow",
        )
    if name in _ENQUEUES or short in {"enqueue", "enqueue_async"}:
        return _Fault(
            "enqueue_in_step",
            f"{item.said} puts a workflow on a queue",
            f"return the data from {item.root.node.name!r} and enqueue in the workflow",
        )
    if name in _ONLY_IN_WORKFLOWS:
        return _Fault(
            "wait_in_step",
            f"{item.said} calls DBOS.{short}, which only a workflow may do",
            f"call DBOS.{short} in the workflow, before or after the step",
        )
    if item.role == STEP and index.is_save(name):
        return _transaction_in_step(item, _tail(name))
    return _called_from(index.functions.get(name), item)


def _transaction_in_step(item: Reached, name: str) -> _Fault:
    return _Fault(
        "transaction_in_step",
        f"{item.said} calls the transaction {name!r}: its rows and the step's checkpoint are not saved together",
        f"let the step return the rows and call {name}(rows) in the workflow",
        WARNING,
    )


def _called_from(called: Part | None, item: Reached) -> _Fault | None:
    """What is wrong with the call of one of the module's own durable functions."""
    if called is None or called.role is None:
        return None
    name = called.node.name
    if called.role == TRANSACTION and item.role == STEP:
        return _transaction_in_step(item, name)
    if called.role == STEP and item.role == TRANSACTION:
        return _Fault(
            "step_in_transaction",
            f"{item.said} calls the step {name!r}",
            f"call {name} in the workflow and give its result to the transaction",
        )
    return None


def _starts_workflow(index: Index, name: str) -> bool:
    called = index.functions.get(name)
    return called is not None and called.role == WORKFLOW


def _in_workflow(index: Index, item: Reached, call: ast.Call, name: str) -> _Fault | None:
    """Durable calls that a workflow hands to a thread, where DBOS cannot number them."""
    for given in _handed_over(call, name):
        what = _durable(index, item.function, given)
        if what:
            return _Fault(
                "durable_call_in_thread",
                f"{item.said} gives {what} to a thread: outside of the workflow's own thread it has no fixed number "
                "and is not replayed",
                "call it in the workflow itself; for many rows at once use LLMStep, or async steps with asyncio.gather",
            )
    return None


def _handed_over(call: ast.Call, name: str) -> list[ast.expr]:
    """What a call executes in another thread."""
    targets = [keyword.value for keyword in call.keywords if keyword.arg in {"target", "function"}]
    if name in _THREADS:
        return [*targets, *call.args]
    if name.rpartition(".")[2] in _HANDS_OVER and "." in name:
        return call.args[:2]
    return []


def _durable(index: Index, function: Part, given: ast.expr) -> str:
    """What of DBOS is in something that a thread executes; empty if nothing is."""
    names = [function.dotted(given)]
    if isinstance(given, ast.Lambda):
        names = [function.dotted(node.func) for node in ast.walk(given) if isinstance(node, ast.Call)]
    for name in names:
        if (found := _durable_name(index, name, set())) is not None:
            return found
    return ""


def _durable_name(index: Index, name: str, seen: set[str]) -> str | None:
    if name.startswith("dbos.DBOS."):
        return name.removeprefix("dbos.")
    if index.is_llm(name):
        return _tail(name)
    called = index.functions.get(name)
    if called is None or name in seen:
        return None
    if called.role is not None:
        return f"the {called.role} {called.node.name!r}"
    for _, inner in called.calls():
        if (found := _durable_name(index, inner, {*seen, name})) is not None:
            return found
    return None


def _made(index: Index, name: str) -> str:
    return index.made_of(name.rpartition(".")[0])


def _tail(name: str) -> str:
    return ".".join(name.replace("()", "").split(".")[-2:]).lstrip("@")
