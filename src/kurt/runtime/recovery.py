"""The one module that reaches into DBOS: handing work from dead executors back to their queues.

DBOS recovers only the runs of an executor with the same id, and a Kurt executor never uses an id twice. So every
executor looks, about once a second, for owners of pending runs that hold no lease any more and hands those runs back.
Each statement is guarded by what it found, so several executors may do it at once. A contract test covers each private
call of DBOS that is used here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

import sqlalchemy as sa
from dbos import _dbos  # pyright: ignore[reportPrivateUsage] - no public way to the instance
from dbos._context import get_local_dbos_context
from dbos._dbos import _get_dbos_instance, _get_or_create_dbos_registry  # pyright: ignore[reportPrivateUsage] - no public way to the instance
from dbos._sys_db import db_retry
from dbos._utils import GlobalParams
from sqlalchemy.exc import SQLAlchemyError

from kurt.errors import NotFoundError
from kurt.runtime import asking, names, serializer
from kurt.runtime.logs import RUN_LABEL

if TYPE_CHECKING:
    from dbos import DBOSClient
    from dbos._sys_db import SystemDatabase

_log = logging.getLogger(__name__)

_ROOTS_KEPT = 10_000

P = ParamSpec("P")
T = TypeVar("T")


def repeated(function: Callable[P, T]) -> Callable[P, T]:
    """Repeat what only reads or writes once, for as long as the database is away, as DBOS does with its own statements.

    For all that runs ask of the database by themselves: a server that begins again must not fail them.
    """
    return db_retry()(function)


def system_database() -> SystemDatabase:
    """DBOS's database object in this process, which must have launched DBOS."""
    return _get_dbos_instance()._sys_db  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module


def executor_id() -> str:
    """The id of this executor."""
    return GlobalParams.executor_id


def next_number() -> int:
    """The number that the run in which the caller is draws next.

    Raises:
        RuntimeError: called outside a run.
    """
    context = get_local_dbos_context()
    if context is None:
        raise RuntimeError("called outside a run")
    return context.function_id + 1


def is_launched() -> bool:
    """Whether this process has launched DBOS."""
    instance = _dbos._dbos_global_instance  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - the registry keeps one that has ended
    return instance is not None and instance._launched  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module


def database_of(client: DBOSClient) -> SystemDatabase:
    """The database object of a client, for rows that the client has no call for."""
    return client._sys_db  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module


def let_go(run_ids: Iterable[str]) -> None:
    """Let nothing more be stored of these runs by the executions of this process, which is about to end.

    A run that was started directly runs in a thread of its own, for which the end of DBOS is a failure of the run.
    """
    database = system_database()
    status = database.tables.workflow_status
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(status)
            .where(status.c.workflow_uuid.in_(list(run_ids)), status.c.executor_id == executor_id())
            .where(status.c.status == sa.literal_column("'PENDING'"))
            .values(owner_xid=f"left-{executor_id()}")
        )


def take_back(database: SystemDatabase, members: Iterable[Any], alive: Collection[str]) -> None:
    """Return a run and its children to their queues, as far as dead executors have them.

    Args:
        database: DBOS's.
        members: rows of the run and its children, the run first.
        alive: executors that hold a lease.
    """
    for row in reversed(list(members)):  # the run last: it must find its children on their way
        if row.status == "PENDING" and row.executor_id not in alive:
            _reenqueue(database, row, [row.executor_id])


def pending_owners(database: SystemDatabase) -> set[str]:
    """Executors that own a pending run, and those whose private queue still holds one."""
    status = database.tables.workflow_status
    # The literal lets SQLite use the partial index on status; a bound value makes it scan.
    owners = (
        sa.select(status.c.executor_id).where(status.c.status == sa.literal_column("'PENDING'")).distinct()
    )
    private = (
        sa.select(status.c.queue_name)
        .where(status.c.status == sa.literal_column("'ENQUEUED'"))
        .where(status.c.queue_name >= names.PRIVATE_PREFIX)
        .where(status.c.queue_name < names.PRIVATE_PREFIX + "\x7f")
        .distinct()
    )
    with database.engine.connect() as connection:
        found = {row[0] for row in connection.execute(owners)}
        found |= {row[0].removeprefix(names.PRIVATE_PREFIX) for row in connection.execute(private)}
    return {owner for owner in found if owner}


def hand_back(database: SystemDatabase, dead: Iterable[str]) -> list[str]:
    """Return the runs of dead executors to their named queues; the ids of those that moved."""
    dead = list(dead)
    if not dead:
        return []
    owned = _owned(database, dead)
    resting = asking.resting_among(database, owned, dead)
    moved = [row.id for row in owned if row.id not in resting and _reenqueue(database, row, dead)]
    _drop_private_queues(database, dead)
    return moved


def _owned(database: SystemDatabase, dead: list[str]) -> list[Any]:
    """Pending runs of dead executors, and what waits in their private queues."""
    status = database.tables.workflow_status
    query = sa.select(
        status.c.workflow_uuid.label("id"),
        status.c.status,
        status.c.queue_name,
        status.c.attributes,
        status.c.executor_id,
        status.c.parent_workflow_id.label("parent"),
    ).where(
        sa.or_(
            sa.and_(status.c.status == sa.literal_column("'PENDING'"), status.c.executor_id.in_(dead)),
            sa.and_(
                status.c.status == sa.literal_column("'ENQUEUED'"),
                status.c.queue_name.in_([names.private_queue(executor) for executor in dead]),
            ),
        )
    )
    with database.engine.connect() as connection:
        return list(connection.execute(query))


def _reenqueue(database: SystemDatabase, row: Any, dead: list[str]) -> bool:
    queue = home_queue(database, row)
    status = database.tables.workflow_status
    if row.queue_name != queue and (row.queue_name or "").startswith(names.PRIVATE_PREFIX):
        with database.engine.begin() as connection:
            connection.execute(
                sa.update(status)
                .where(status.c.workflow_uuid == row.id, status.c.queue_name == row.queue_name)
                .values(queue_name=queue)
            )
    if row.status == "ENQUEUED":
        return True
    return database.reenqueue_for_recovery(row.id, dead, queue)


def home_queue(database: SystemDatabase, row: Any) -> str:
    """The named queue of a run, from its attributes; of a child, the items queue of its run's queue."""
    own = _attributes(row).get("queue")
    if row.parent is None:
        return own or _unless_private(row.queue_name) or names.DEFAULT_QUEUE
    if own:
        return names.items_queue(own)
    parent = _row(database, row.parent)
    return names.items_queue(home_queue(database, parent) if parent is not None else names.DEFAULT_QUEUE)


def _attributes(row: Any) -> dict[str, Any]:
    attributes = cast("dict[str, Any]", row.attributes or {})
    return attributes.get(names.ATTRIBUTES_KEY) or {}


def _unless_private(queue: str | None) -> str | None:
    return None if queue is None or queue.startswith((names.PRIVATE_PREFIX, "_dbos")) else queue


def _row(database: SystemDatabase, run_id: str) -> Any:
    status = database.tables.workflow_status
    query = sa.select(
        status.c.workflow_uuid.label("id"),
        status.c.status,
        status.c.queue_name,
        status.c.attributes,
        status.c.executor_id,
        status.c.parent_workflow_id.label("parent"),
    ).where(status.c.workflow_uuid == run_id)
    with database.engine.connect() as connection:
        return connection.execute(query).first()


def _drop_private_queues(database: SystemDatabase, dead: list[str]) -> None:
    queues = database.tables.queues
    with database.engine.begin() as connection:
        connection.execute(
            sa.delete(queues).where(queues.c.name.in_([names.private_queue(executor) for executor in dead]))
        )


def first_argument(database: SystemDatabase, run_id: str) -> Any:
    """The first argument with which a run was started, None if it had none."""
    status = database.get_workflow_status(run_id)
    text = status["inputs"] if status else None
    arguments = serializer.loads(text)["args"] if text else []
    return arguments[0] if arguments else None


def give_back(run_id: str) -> None:
    """Return a run that this executor has just taken to its named queue, unfinished, with its deadline."""
    database = system_database()
    row = _row(database, run_id)
    if row is not None:
        database.reenqueue_for_recovery(run_id, [row.executor_id], home_queue(database, row))


class Resolver(Protocol):
    """Finds workflow functions on demand."""

    def __call__(self, name: str, *, child: bool = False) -> Callable[..., Any] | None:
        """The function for a run that was taken from a queue, or for a child; None where DBOS's own table is right."""
        ...


class LazyWorkflows(dict[str, Callable[..., Any]]):
    """DBOS's table of workflow functions, which asks for a name that it lacks when a run needs it.

    An executor imports only the modules that its runs name. Without this, DBOS logs an unknown name and leaves the run
    pending with a live owner, so that it shows as running for ever.

    Attributes:
        resolve: gives the function for a name before each run of it, or None to use what is registered.
    """

    def __init__(self, known: dict[str, Callable[..., Any]], resolve: Resolver) -> None:
        super().__init__(known)
        self.resolve = resolve

    def get(self, key: str, default: Any = None, /) -> Any:
        return self.resolve(key) or super().get(key, default)


def install_resolver(resolve: Resolver) -> None:
    """Make the executor ask `resolve` for the function of each run that it takes from a queue."""
    registry = _get_dbos_instance()._registry  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module
    known = registry.workflow_info_map
    registry.workflow_info_map = LazyWorkflows(
        dict(known), resolve
    )  # the registry outlives a launch: the newest resolver counts


def registered(name: str, *, child: bool = False) -> Callable[..., Any]:
    """The workflow function of a durable name.

    Args:
        name: the name; for a child also the short one.
        child: it is to be started by a run that is at work here.

    Raises:
        NotFoundError: nobody registered it.
    """
    workflows = _get_dbos_instance()._registry.workflow_info_map  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module
    if child and isinstance(workflows, LazyWorkflows):
        function = workflows.resolve(name, child=True) or dict.get(workflows, name)
    else:
        function = workflows.get(name)
    if function is None:
        raise NotFoundError(f"no workflow named {name!r} is known", hint="kurt workflows list --files")
    return function


def place() -> tuple[str, str] | None:
    """The run in which the caller's code runs, and its step, or None outside of a run.

    A child's place is in the run that the user started. A step is named by its number: DBOS keeps no name of it.
    """
    context = get_local_dbos_context()
    if context is None or not context.workflow_id:
        return None
    label = f"step-{context.curr_step_function_id}" if context.is_step() else RUN_LABEL
    try:
        return root_of(context.workflow_id), label
    except SQLAlchemyError:  # what is to be logged may be that very error; most ids tell it themselves
        return context.workflow_id.partition(".")[0], label


_roots: dict[str, str] = {}


def root_of(run_id: str) -> str:
    """The run that the user started, of a run or one of its children."""
    if run_id not in _roots:
        if len(_roots) > _ROOTS_KEPT:
            _roots.clear()
        row = _row(system_database(), run_id)
        _roots[run_id] = run_id if row is None or row.parent is None else root_of(row.parent)
    return _roots[run_id]


def is_registered(name: str) -> bool:
    """True if this process itself has registered a workflow of that durable name."""
    return dict.__contains__(_get_or_create_dbos_registry().workflow_info_map, name)


def name_of(run_id: str) -> str:
    """The durable name of a run's workflow."""
    status = system_database().get_workflow_status(run_id)
    return status["name"] if status else "?"


def status_of(run_id: str) -> str | None:
    """DBOS's state of a run."""
    status = system_database().get_workflow_status(run_id)
    return status["status"] if status else None


def active_runs() -> list[str]:
    """Ids of the runs and children that are at work in this process."""
    instance = _get_dbos_instance()
    return instance._active_workflows_set.activeList()  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - see the module


def python_runs() -> list[str]:
    """Ids of the runs of Python workflows that are at work in this process."""
    database = system_database()
    status = database.tables.workflow_status
    query = sa.select(status.c.workflow_uuid).where(
        status.c.workflow_uuid.in_(active_runs()),
        status.c.name.not_in([names.RUN_WORKFLOW, names.BRANCH_WORKFLOW]),
    )
    with database.engine.connect() as connection:
        return [row[0] for row in connection.execute(query)]


def stop_taking_work() -> None:
    """Let this executor take nothing more from its queues; what it has goes on."""
    for event in _get_dbos_instance().background_thread_stop_events:
        event.set()


def work_left(database: SystemDatabase, queues: Iterable[str], owner: str | None = None) -> bool:
    """True if there is something to do for a worker of these queues.

    That is a run that waits on one of them, or will be put on it at a later time, or one that this owner has not ended.
    """
    status = database.tables.workflow_status
    served = [name for queue in queues for name in (queue, names.items_queue(queue))]
    waiting = sa.and_(
        status.c.status.in_([sa.literal_column("'ENQUEUED'"), sa.literal_column("'DELAYED'")]),
        status.c.queue_name.in_(served),
    )
    owned = sa.and_(status.c.status == sa.literal_column("'PENDING'"), status.c.executor_id == owner)
    query = sa.select(status.c.workflow_uuid.label("id"), status.c.status, status.c.executor_id)
    with database.engine.connect() as connection:
        if connection.execute(query.where(waiting).limit(1)).first() is not None:
            return True
        own = list(connection.execute(query.where(owned))) if owner is not None else []
    return len(asking.resting_among(database, own, [owner])) < len(own) if owner is not None else False
