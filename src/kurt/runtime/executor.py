"""An executor: the only kind of process that launches DBOS.

It is a foreground run, a worker, or any process that calls `init_dbos()`. It holds a lease for as long as it lives, serves
its queues, and hands the work of dead executors back to theirs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from kurt.config import current, is_secret
from kurt.db import tenant
from kurt.db.failures import storage_error
from kurt.db.migrate import ensure_schema
from kurt.errors import StorageError
from kurt.runtime import datasource, declared_queues, gate, names, recovery, refusals, tenancy
from kurt.runtime.engine import dbos_config, open_client, quiet_dbos
from kurt.runtime.leases import Lease
from kurt.runtime.patience import Patience
from kurt.runtime.queues import ensure_queues, register_private
from kurt.runtime.routing import Router, process_log, routed

if TYPE_CHECKING:
    from kurt.config import Settings

_log = logging.getLogger(__name__)

REAP_EVERY = 1.0
"""Seconds between two searches for dead executors."""

_LOOK_AT_WAITING = 5
"""Every so many searches also look at runs that wait for people."""

_DRAIN_POLL = 0.1


class Executor:
    """DBOS in this process, with a lease.

    Args:
        settings: the project's settings.
        lease: the process's lease, taken or not; its id is the executor's.
        queues: named queues to serve; none for a foreground run.
        private: serve a queue of its own too, for a run that is resumed in the foreground.
        resolve: gives workflow functions on demand.
        on_trouble: told when the database refuses while runs are at work; they wait for it.
    """

    def __init__(
        self,
        settings: Settings,
        lease: Lease,
        *,
        queues: Sequence[str] = (),
        private: bool = False,
        resolve: recovery.Resolver | None = None,
        on_trouble: Callable[[StorageError], None] | None = None,
    ) -> None:
        self._settings = settings
        self._queues = list(queues)
        self._private = private
        self._resolve = resolve
        self._stop = threading.Event()
        self._rounds = 0
        self._reaper: threading.Thread | None = None
        self._closing = ExitStack()
        self._patience = Patience(settings, on_trouble)
        self.lease = lease
        self.id = lease.id

    @property
    def private_queue(self) -> str:
        """The queue that only this executor serves."""
        return names.private_queue(self.id)

    def start(self) -> None:
        """Take the lease, launch DBOS and start to look for dead executors.

        Raises:
            StorageError: the database or the disk refuses.
        """
        ensure_schema(self._settings)
        self.lease.acquire()
        try:
            self._launch()
        except BaseException as error:
            self._closing.close()
            self.lease.release()
            if isinstance(error, SQLAlchemyError):
                raise storage_error(self._settings, error) from error
            raise
        current.use(self._settings)
        self._closing.callback(current.release, self._settings)
        self._closing.enter_context(process_log(self._settings))
        self._closing.enter_context(routed(Router(self._settings, recovery.place, self._secrets())))
        self._reaper = threading.Thread(target=self._reap_forever, name="kurt-reaper", daemon=True)
        self._reaper.start()

    def persevere(self) -> None:
        """Let runs wait while the database refuses. Before, what refuses ends the start of this executor or its run."""
        self._patience.begin()

    def _secrets(self) -> list[str]:
        """Values of all variables that are secret by their name; a Python workflow may print any of them."""
        return [value for name, value in self._settings.environ.items() if is_secret(name)]

    def _launch(self) -> None:
        quiet_dbos()
        self._register_queues()
        config = dbos_config(self._settings, self.id)
        if (engine := config.get("system_database_engine")) is not None:
            self._closing.callback(engine.dispose)  # DBOS leaves an engine that it was given alone
            self._patience.attach(engine)
        DBOS(config=config)
        quiet_dbos()
        self._closing.enter_context(datasource.opened(self._settings))
        listened = [queue for name in self._queues for queue in (name, names.items_queue(name))]
        DBOS.listen_queues([*listened, self.private_queue] if self._private else listened)
        if self._resolve is not None:
            recovery.install_resolver(self._resolve)
        refusals.install()
        tenant.add_source(tenancy.tenant_here)  # rows of a run belong to its tenant, whoever writes them
        DBOS.launch()

    def _register_queues(self) -> None:
        """Before the launch: DBOS looks for new queues only once a second afterwards."""
        if not self._queues and not self._private:
            return
        with open_client(self._settings) as client:
            declared_queues.register_all(client, self._queues)
            ensure_queues(client, self._queues)
            if self._private:
                register_private(client, self.id)

    def _reap_forever(self) -> None:
        while not self._stop.wait(REAP_EVERY):
            try:
                self.reap()
            except (SQLAlchemyError, StorageError) as error:  # away for a while: told elsewhere, tried again
                _log.debug("could not look for dead executors: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, the next round tries again
                if not self._stop.is_set():
                    _log.warning("could not look for dead executors", exc_info=True)

    def reap(self) -> list[str]:
        """Hand back the runs of dead executors; the ids of those that moved."""
        if self.lease.lost:
            self.lease.acquire()
        database = recovery.system_database()
        owners = recovery.pending_owners(database) - {self.id}
        if (
            self._rounds % _LOOK_AT_WAITING
        ):  # whoever answers brings the run back; this is for one who was killed
            owners.discard(names.NOBODY)
        self._rounds += 1
        if not owners:
            return []
        moved = recovery.hand_back(database, owners - self.lease.alive())
        if moved:
            _log.info("handed back %d runs of dead executors", len(moved))
        return moved

    def _drain(self, grace: float) -> None:
        """Take no more work; wait for the steps at work, and for Python workflows, which pass no gate."""
        until = time.monotonic() + grace
        recovery.stop_taking_work()
        with suppress(StorageError):  # only so that others do not count on this executor any more
            self.lease.update(queues=[])
        gate.current().drain(grace)
        while time.monotonic() < until and self._has_python_runs():
            time.sleep(_DRAIN_POLL)

    def _has_python_runs(self) -> bool:
        try:
            return bool(recovery.python_runs())
        except SQLAlchemyError:  # nothing of theirs could be stored; others go on with them
            return False

    def _drop_private_queue(self) -> None:
        """Not through DBOS, which would wait for a database that is away; another executor drops what is left."""
        with suppress(StorageError), open_client(self._settings) as client:
            client.delete_queue(self.private_queue)

    def close(self, *, grace: float = 0) -> None:
        """Let no further step begin, give those at work `grace` seconds, end DBOS, give up the lease.

        What is not finished stays in the database; another executor continues it.
        """
        self._stop.set()
        if self._reaper is not None:
            self._reaper.join(timeout=5)
        try:
            if grace > 0:
                self._drain(grace)
            if self._private:
                self._drop_private_queue()
            DBOS.destroy()
        finally:
            self._closing.close()
            self.lease.release()
