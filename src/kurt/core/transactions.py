"""Steps whose rows and checkpoint are committed together."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast, overload

from kurt.errors import UsageError
from kurt.runtime import place

P = ParamSpec("P")
R = TypeVar("R")

ISOLATION = "SERIALIZABLE"
"""The level of isolation on Postgres, as DBOS has it; SQLite knows no other."""


@overload
def transaction(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def transaction(
    function: None = None, /, *, name: str | None = None, isolation_level: str = ISOLATION
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def transaction(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    isolation_level: str = ISOLATION,
) -> Any:
    """Make a function a step that is one transaction: its rows are stored with its checkpoint, or neither is.

    Inside, `managed_session()` gives the session of the transaction:

        @transaction()
        def persist(rows: list[dict[str, Any]]) -> int:
            with managed_session() as session:
                session.add_all([Item(**row) for row in rows])
            return len(rows)

    Called from a workflow it is a step of its own. Called from a step it is a plain transaction and part of that step,
    called outside a workflow or inside another transaction likewise. On Postgres two transactions may be in each other's
    way; one of them is then called again, so a function must do nothing but work on the database.

    Args:
        function: the function, when the decorator is used without parentheses.
        name: durable name of the step, the function's by default.
        isolation_level: `SERIALIZABLE`, `REPEATABLE READ` or `READ COMMITTED`; for Postgres.

    Raises:
        UsageError: the function is asynchronous.
    """

    def decorate(wrapped: Callable[P, R]) -> Callable[P, R]:
        step = name or wrapped.__qualname__
        if inspect.iscoroutinefunction(wrapped):
            raise UsageError(
                f"the transaction {step} is an async function",
                hint=f"write `def {wrapped.__name__}`; an async workflow calls it as `await asyncio.to_thread({wrapped.__name__}, ...)`",
            )

        @wraps(wrapped)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            def work() -> R:
                return wrapped(*args, **kwargs)

            in_workflow = place.in_workflow()  # a step, and a transaction is one, is outside
            return _as_step(work, step, isolation_level) if in_workflow else _plainly(work)

        return call

    return decorate(function) if function is not None else decorate


def _as_step(work: Callable[[], R], name: str, isolation_level: str) -> R:
    from sqlalchemy.orm import sessionmaker  # noqa: PLC0415 - as above
    from sqlmodel import Session  # noqa: PLC0415 - workflows without tables do without

    from kurt.db.sessions import joining  # noqa: PLC0415 - as above
    from kurt.runtime import datasource, serializer  # noqa: PLC0415 - loads DBOS

    source = datasource.current()
    if source.sessionmaker.class_ is not Session and not issubclass(source.sessionmaker.class_, Session):
        source.sessionmaker = sessionmaker(class_=Session, expire_on_commit=False)

    def body() -> Any:
        with joining(cast("Session", source.sql_session())):
            # What a replay reads from the checkpoint, the first pass gives too.
            return serializer.loads(serializer.dumps(work()))

    return source.run_tx_step({"name": name, "isolation_level": cast("Any", isolation_level)}, body)


def _plainly(work: Callable[[], R]) -> R:
    from kurt.db.sessions import joining, managed_session  # noqa: PLC0415 - see above

    with managed_session() as session, joining(session):
        return work()
