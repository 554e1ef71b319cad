"""Steering runs that exist: cancel, resume, retry, fork, send, delete."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kurt.app.runs import Submitted, find, served
from kurt.db.migrate import ensure_schema
from kurt.engine.interpreter.again import Again, Recorded, from_step, what_failed
from kurt.engine.language.inputs import bind_inputs
from kurt.engine.language.schema import WorkflowDefinition
from kurt.errors import ConflictError, NotFoundError
from kurt.runtime import asking, copying, history, names, operations, recovery, row_records
from kurt.runtime.durable import TERMINAL
from kurt.runtime.engine import open_client
from kurt.runtime.leases import live_executors
from kurt.runtime.logs import log_path
from kurt.runtime.queues import ensure_queues
from kurt.runtime.runs import Run

if TYPE_CHECKING:
    from dbos import DBOSClient

    from kurt.app.foreground_watch import Watch
    from kurt.config import Settings
    from kurt.runtime.history import History


@contextmanager
def acting(settings: Settings) -> Generator[DBOSClient]:
    """A client of the project's database, which exists."""
    ensure_schema(settings)
    with open_client(settings) as client:
        ensure_queues(client, [names.DEFAULT_QUEUE])
        yield client


def _alive(settings: Settings) -> set[str]:
    return {executor.id for executor in live_executors(settings)}


def cancel(settings: Settings, run_ids: Sequence[str]) -> list[Run]:
    """Cancel runs with their children; all ids are looked up before the first is cancelled.

    Raises:
        NotFoundError: one of them does not exist.
        ConflictError: one of them is over.
    """
    runs = [find(settings, run_id) for run_id in run_ids]
    with acting(settings) as client:
        for run in runs:
            operations.cancel(client, run.id)
            asking.clear(recovery.database_of(client), run.id)
    return [find(settings, run.id) for run in runs]


def resume_in_background(settings: Settings, run_id: str) -> Submitted:
    """Put a run back on its queue and see to a worker; one whose budget was spent goes on from there."""
    run = find(settings, run_id)
    refuse_child(run, "resume")
    if _ran_out(run):
        return retry_in_background(settings, run.id)
    with acting(settings) as client:
        operations.resume(client, run.id, alive=_alive(settings))
    return _handed_over(settings, run)


def resume_here(settings: Settings, run_id: str, *, watch: Watch) -> Run:
    """Take a run up in this process; one whose budget was spent goes on from there."""
    from kurt.app import foreground  # noqa: PLC0415 - launches DBOS

    run = find(settings, run_id)
    refuse_child(run, "resume")
    if _ran_out(run):
        return retry_here(settings, run.id, watch=watch)
    foreground.resume(settings, run.id, watch=watch)
    return find(settings, run.id)


def _ran_out(run: Run) -> bool:
    """Whether a run was stopped because its budget was spent: nothing in it is broken, it only needs more."""
    from kurt.llm.errors import BudgetSpentError  # noqa: PLC0415 - most runs are no concern of models

    return run.status == "failed" and (run.error or {}).get("type") == BudgetSpentError.default_type


def _handed_over(settings: Settings, run: Run) -> Submitted:
    return served(settings, Submitted(run.id, run.name, str(log_path(settings, run.id)), _queue(run)))


def _queue(run: Run) -> str:
    return str((run.attributes or {}).get("queue") or run.queue or names.DEFAULT_QUEUE)


def retry_in_background(settings: Settings, run_id: str, *, failed_rows: bool = False) -> Submitted:
    """Repeat what failed, in a worker.

    Args:
        settings: the project's settings.
        run_id: the run.
        failed_rows: only if rows of a batch step failed.
    """
    run = find(settings, run_id)
    with acting(settings) as client:
        _rewind(client, run, queue=None, failed_rows=failed_rows)
    return _handed_over(settings, run)


def retry_here(settings: Settings, run_id: str, *, watch: Watch, failed_rows: bool = False) -> Run:
    """Repeat what failed, in this process; otherwise as `retry_in_background`."""
    from kurt.app import foreground  # noqa: PLC0415 - launches DBOS

    run = find(settings, run_id)

    def prepare(client: DBOSClient, queue: str) -> None:
        _rewind(client, run, queue=queue, failed_rows=failed_rows)

    foreground.take_up(settings, run.id, prepare, watch=watch)
    return find(settings, run.id)


def _rewind(client: DBOSClient, run: Run, *, queue: str | None, failed_rows: bool = False) -> None:
    """Forget what failed in a run and its children, and put them on a queue.

    Raises:
        ConflictError: the run is not over, or nothing in it failed.
    """
    refuse_child(run, "retry")
    if run.status not in {"failed", "succeeded"}:
        verb = "resume" if run.status in {"cancelled", "stuck"} else "follow"
        raise ConflictError(f"the run {run.id} has not failed", hint=f"kurt workflows {verb} {run.id}")
    family = history.histories(client, run.id)
    if failed_rows and not any(row_records.to_repeat(one) for member in family for one in member.checkpoints):
        raise ConflictError(f"no row of the run {run.id} failed", hint=f"kurt workflows retry {run.id}")
    again = what_failed(_recorded(family))
    if not again.forget:
        raise ConflictError(f"nothing in the run {run.id} failed", hint=f"kurt workflows fork {run.id}")
    gone = _with_descendants(family, again.drop)
    operations.forget_children(client, gone)
    if run.kind == "yaml":
        payload = family[0].payload
        history.set_argument(client, run.id, {**payload, "attempt": payload.get("attempt", 1) + 1})
    asking.clear(recovery.database_of(client), run.id)
    members = {member.id: member for member in family}
    for member_id, numbers in again.forget.items():  # children first: their parent looks for them
        if member_id not in gone:
            history.rewind(client, members[member_id], numbers, queue=queue)


def _recorded(family: Sequence[History]) -> Recorded:
    """The family as a tree, each member with the file that it belongs to."""
    children: dict[str, dict[str, Recorded]] = {}
    payloads = {member.id: member.payload for member in family}
    definitions: dict[str, WorkflowDefinition] = {}
    for member in reversed(family):  # parents stand before their children
        owner = _owner(member, payloads)
        if owner is not None and owner not in definitions:
            definitions[owner] = WorkflowDefinition.from_frozen(payloads[owner]["frozen"])
        definition = definitions.get(owner) if owner is not None else None
        found = Recorded(member, definition, children.get(member.id, {}))
        children.setdefault(member.member.parent or "", {})[member.id] = found
    return children[family[0].member.parent or ""][family[0].id]


def _owner(member: History, payloads: dict[str, Any]) -> str | None:
    """The run whose file a member belongs to, None for a Python workflow."""
    if member.member.name == names.RUN_WORKFLOW:
        return member.id
    if member.member.name == names.BRANCH_WORKFLOW and member.payload["owner"] in payloads:
        return str(member.payload["owner"])
    return None


def _with_descendants(family: Sequence[History], ids: set[str]) -> set[str]:
    found = set(ids)
    for member in family:
        if member.member.parent in found:
            found.add(member.id)
    return found


def refuse_child(run: Run, verb: str) -> None:
    """Items, branches and called workflows are steered with the run to which they belong.

    Raises:
        ConflictError: the run is one of them.
    """
    if run.parent_id is not None:
        root = run.id.split(".", 1)[0]
        raise ConflictError(f"{run.id} is a part of the run {root}", hint=f"kurt workflows {verb} {root}")


def fork_in_background(
    settings: Settings, run_id: str, *, start: str | None, texts: tuple[str, ...] = ()
) -> Submitted:
    """Fork a run into a worker."""
    run = find(settings, run_id)
    with acting(settings) as client:
        new_id = _fork(client, run, start, texts, queue=None)
    return _handed_over(settings, find(settings, new_id))


def fork_here(
    settings: Settings, run_id: str, *, start: str | None, texts: tuple[str, ...] = (), watch: Watch
) -> Run:
    """Fork a run into this process."""
    from kurt.app import foreground  # noqa: PLC0415 - launches DBOS

    run = find(settings, run_id)
    new_id = names.new_run_id()

    def prepare(client: DBOSClient, queue: str) -> None:
        _fork(client, run, start, texts, queue=queue, new_id=new_id)

    foreground.take_up(settings, new_id, prepare, watch=watch)
    return find(settings, new_id)


def _fork(
    client: DBOSClient,
    run: Run,
    start: str | None,
    texts: tuple[str, ...],
    *,
    queue: str | None,
    new_id: str | None = None,
) -> str:
    refuse_child(run, "fork")
    new_id = new_id or names.new_run_id()
    family = history.histories(client, run.id)
    payload = _edited(family[0].payload, texts) if texts else family[0].payload
    if run.kind == "yaml":
        payload = {**payload, "attempt": 1, "submitted_at": time.time()}
    again = _whole(family[0]) if start is None else _from_step(family, start, whole=bool(texts))
    copying.fork(
        client,
        family,
        new_id=new_id,
        forget=again.forget,
        drop=again.drop,
        alone=again.alone,
        payload=payload if run.kind == "yaml" else None,
        queue=queue,
    )
    return new_id


def _whole(run: History) -> Again:
    """Nothing is taken over."""
    recorded = run.checkpoints
    numbers, children = {one.number for one in recorded}, {one.child for one in recorded if one.child}
    return Again(forget={run.id: numbers}, drop=children)


def _from_step(family: Sequence[History], start: str, *, whole: bool) -> Again:
    """What is not taken over by a run that begins at a step.

    Raises:
        NotFoundError: the run has not come to that step.
    """
    again = from_step(_recorded(family), start, whole=whole)
    if not again.forget:
        run = family[0]
        known = dict.fromkeys(one.name for one in run.checkpoints if not set(one.name) & set(".[:"))
        raise NotFoundError(
            f"the run {run.id} has no record of a step {start!r}",
            hint=f"it has come to: {', '.join(known) or 'no step'}",
        )
    _leave_out_unfinished(family, again)
    return again


def _leave_out_unfinished(family: Sequence[History], again: Again) -> None:
    """Children that are still at work belong to the other run; the new one starts its own."""
    again.drop |= {one.id for one in family[1:] if one.member.status not in TERMINAL}
    for member_id, numbers in again.forget.items():
        records = next(one.checkpoints for one in family if one.id == member_id)
        numbers.update(one.number for one in records if one.child in again.drop)


def _edited(payload: Any, texts: tuple[str, ...]) -> Any:
    """The stored input with other values for some inputs.

    Raises:
        ConflictError: the run is no declared workflow.
    """
    if not isinstance(payload, dict) or "frozen" not in payload:
        raise ConflictError("inputs of a Python workflow cannot be edited", hint="start a new run")
    definition = WorkflowDefinition.from_frozen(payload["frozen"])
    return {**payload, "inputs": bind_inputs(definition, payload["inputs"], texts=texts)}


def send(
    settings: Settings, run_id: str, message: Any, *, topic: str, idempotency_key: str | None = None
) -> Run:
    """Send a message to a run; if it waits and nobody executes it, a worker is started.

    Raises:
        ConflictError: the run is over.
    """
    run = find(settings, run_id)
    if run.status in {"succeeded", "failed", "cancelled", "stuck"}:
        raise ConflictError(f"the run {run.id} is over", hint=f"kurt workflows status {run.id}")
    with acting(settings) as client:
        operations.send(client, run.id, message, topic=topic, idempotency_key=idempotency_key)
    go_on(settings, run)
    return run


def go_on(settings: Settings, run: Run) -> None:
    """See to it that somebody executes a run for which something has come that it waited for."""
    alive = _alive(settings)
    with acting(settings) as client:
        members = operations.family(client, run.id)
        if all(
            member.status in TERMINAL or (member.status == "PENDING" and member.executor in alive)
            for member in members
        ):
            return
        database = recovery.database_of(client)
        recovery.take_back(database, [member.row for member in members], alive)
    _handed_over(settings, run)


def delete(settings: Settings, run_ids: Sequence[str]) -> list[str]:
    """Remove runs that are over, with their children and logs.

    Raises:
        NotFoundError: one of them does not exist.
        ConflictError: one of them is not over.
    """
    runs = [find(settings, run_id) for run_id in run_ids]
    for run in runs:
        refuse_child(run, "delete")
    with acting(settings) as client:
        for run in runs:
            operations.delete(client, run.id)
            for path in log_path(settings, run.id).parent.glob(f"{log_path(settings, run.id).name}*"):
                path.unlink(missing_ok=True)
    return [run.id for run in runs]
