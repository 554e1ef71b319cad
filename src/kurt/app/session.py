"""An executor in a process of the user's own: a test, a notebook, a web application."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.app.registry import WorkflowRegistry
from kurt.config import Settings, load_settings
from kurt.core.trace_writer import close_writers
from kurt.engine.interpreter import runner
from kurt.engine.processes import pool
from kurt.errors import ConflictError
from kurt.runtime import names
from kurt.runtime.declared_queues import declared
from kurt.runtime.executor import Executor
from kurt.runtime.leases import open_lease

if TYPE_CHECKING:
    from kurt.runtime.leases import Lease

_current: list[Executor] = []


def init_dbos(
    project: str | Path | None = None,
    *,
    settings: Settings | None = None,
    queues: Sequence[str] = (names.DEFAULT_QUEUE,),
) -> Executor:
    """Launch DBOS for a project in this process, as an executor with a lease of its own.

    It serves `queues`, and with them those that `kurt.runtime.queue` has declared so far: a run that is put on one of
    them in the background is executed here and no worker is started.
    Call `destroy_dbos()` at the end; the end of the process does it too.

    Args:
        project: the project's folder, or one below it; the working directory by default.
        settings: settings in place of those of the folder.
        queues: the named queues to serve.

    Raises:
        ConflictError: it is launched already.
        StorageError: the database cannot be opened.
    """
    if _current:
        raise ConflictError("DBOS is launched in this process already", hint="call destroy_dbos() first")
    chosen = settings or load_settings(Path(project) if project is not None else None)
    served = list(dict.fromkeys([*queues, *declared()])) if queues else []
    lease: Lease = open_lease(chosen, "session", {"queues": served})
    executor = Executor(chosen, lease, queues=served, resolve=WorkflowRegistry(chosen).resolve)
    runner.use(chosen)
    executor.start()
    executor.persevere()
    _current.append(executor)
    atexit.register(destroy_dbos)
    return executor


def destroy_dbos(*, grace: float = 0) -> None:
    """Undo `init_dbos`; does nothing when it was not called.

    Args:
        grace: seconds that steps at work are given; what is not finished is taken up by another executor.
    """
    if not _current:
        return
    atexit.unregister(destroy_dbos)
    try:
        _current.pop().close(grace=grace)
    finally:
        close_writers()
        if (sessions := sys.modules.get("kurt.db.sessions")) is not None:  # else there was none
            sessions.dispose_engines()
        pool.close_pools()
