"""Prints and log records of code that runs inside a run go to that run's log, and nowhere else.

Which run it is, is known by context: contextvars for steps of declared workflows, DBOS's own context for Python workflows.
A thread that user code starts by itself has neither, so what it prints goes where the process's output goes.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Any, cast

from kurt.errors import KurtError
from kurt.runtime.logs import RunLog, open_log
from kurt.runtime.masking import Masker

if TYPE_CHECKING:
    from kurt.config import Settings

_step: ContextVar[tuple[RunLog, str] | None] = ContextVar("kurt_step_log", default=None)

_KEPT_LOGS = 200

_KNOWN_ENDS = frozenset({"StepFailed", "DBOSWorkflowCancelledError"})
"""Errors with which a run ends whose log says so already, or whose user did it."""

_LEFT = ("Asyncio task cancelled for workflow or step", "outcome was not recorded")
"""What DBOS says of runs and steps in which an executor ends; the run goes on elsewhere, and its log shows that."""

PROCESS_LOG = "kurt.log"
"""Log of what concerns no single run."""


@contextmanager
def step_output(log: RunLog, label: str) -> Generator[None]:
    """What is printed or logged inside belongs to this step."""
    token = _step.set((log, label))
    try:
        yield
    finally:
        _step.reset(token)


class Router:
    """Finds the log to which the present context writes.

    Args:
        settings: the project's settings.
        locate: gives the run and the step of the present context, None outside of a run.
        secrets: values to be masked in logs that are opened here.
    """

    def __init__(
        self, settings: Settings, locate: Callable[[], tuple[str, str] | None], secrets: Iterable[str] = ()
    ) -> None:
        self._settings = settings
        self._locate = locate
        self._masker = Masker(secrets)
        self._logs: dict[str, RunLog] = {}
        self._partial: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._here = threading.local()

    def target(self) -> tuple[RunLog, str] | None:
        """The log and label of the present context, None outside of a run."""
        found = _step.get()
        if found is not None:
            return found
        place = self._place()
        if place is None:
            return None
        return self._log(place[0]), place[1]

    def _place(self) -> tuple[str, str] | None:
        """Where the present context is; nowhere for what is logged while that is being found out."""
        if getattr(self._here, "locating", False):
            return None
        self._here.locating = True
        try:
            return self._locate()
        finally:
            self._here.locating = False

    def _log(self, run_id: str) -> RunLog:
        with self._lock:
            log = self._logs.get(run_id)
            if log is None:
                if len(self._logs) >= _KEPT_LOGS:
                    self._logs.pop(next(iter(self._logs))).close()
                log = self._logs[run_id] = open_log(self._settings, run_id, masker=self._masker)
            return log

    def write(self, text: str) -> bool:
        """Take printed text if it belongs to a run; complete lines are written, the rest waits for its end."""
        found = self.target()
        if found is None:
            return False
        log, label = found
        key = (str(log.path), label)
        with self._lock:
            lines = (self._partial.pop(key, "") + text).split("\n")
            if lines[-1]:
                self._partial[key] = lines[-1]
        for line in lines[:-1]:
            log.write("INFO", label, line)
        return True

    def flush(self) -> None:
        """Write the unfinished line of the present context."""
        found = self.target()
        if found is None:
            return
        with self._lock:
            rest = self._partial.pop((str(found[0].path), found[1]), "")
        if rest:
            found[0].write("INFO", found[1], rest)

    def close(self) -> None:
        """Close the logs that were opened here."""
        with self._lock:
            for log in self._logs.values():
                log.close()
            self._logs.clear()


class _Stream:
    """Stands in place of standard output or error."""

    def __init__(self, inner: IO[str], router: Router) -> None:
        self._inner = inner
        self._router = router

    def write(self, text: str) -> int:
        """Text of a run to its log, any other where it always went."""
        return len(text) if self._router.write(text) else self._inner.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Each of the lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Both."""
        self._router.flush()
        self._inner.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Handler(logging.Handler):
    """Log records of a run to its log."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self._router = router
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record to the log of the run in which it was made."""
        found = self._router.target()
        text = None if found is None else self._text(record)
        if found is not None and text is not None:
            found[0].write(record.levelname, found[1], text)

    def _text(self, record: logging.LogRecord) -> str | None:
        """What is logged; DBOS tells of each run that fails with a traceback, which says nothing of a foreseen failure."""
        error = record.exc_info[1] if record.exc_info else None
        if record.name == "dbos" and any(part in str(record.msg) for part in _LEFT):
            return None
        if record.name != "dbos" or error is None:
            return self.format(record)
        if type(error).__name__ in _KNOWN_ENDS:
            return None
        if isinstance(error, KurtError):
            return f"failed: {type(error).__name__}: {error.message}"
        return self.format(record)


class _OutsideRuns(logging.Filter):
    """Keeps records of runs from the handlers of the process."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self._router = router

    def filter(self, record: logging.LogRecord) -> bool:
        """True for records that belong to no run."""
        del record
        return self._router.target() is None


_routers: list[Router] = []


def note(level: str, step: str, text: str) -> None:
    """Write what a step tells of itself to the log of the present run; to none where no executor keeps logs."""
    found = _routers[-1].target() if _routers else None
    if found is not None:
        found[0].write(level, step, text)


@contextmanager
def routed(router: Router) -> Generator[None]:
    """Send prints and log records of runs to their logs while the context lasts."""
    root = logging.getLogger()
    handler, outside, level = _Handler(router), _OutsideRuns(router), root.level
    others = list(root.handlers)
    for other in others:
        other.addFilter(outside)
    root.addHandler(handler)
    if level == logging.NOTSET or level > logging.INFO:
        root.setLevel(logging.INFO)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("IO[str]", _Stream(stream, router)) for stream in streams)
    _routers.append(router)
    try:
        yield
    finally:
        _routers.remove(router)
        sys.stdout, sys.stderr = streams
        root.setLevel(level)
        root.removeHandler(handler)
        for other in others:
            other.removeFilter(outside)
        router.close()


class _ProcessLog(logging.FileHandler):
    """Leaves out what a full disk does not take: standard error belongs to the command."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Nothing to be done about it."""

    def close(self) -> None:
        """Also with what could not be written."""
        with suppress(OSError):
            super().close()


@contextmanager
def process_log(settings: Settings) -> Generator[None]:
    """Keep warnings of Kurt and DBOS that belong to no run in `.kurt/logs/kurt.log` while the context lasts.

    A worker has its own log and a handler of its own; there nothing is added.
    """
    root = logging.getLogger()
    if root.handlers:
        yield
        return
    path = settings.logs_dir / PROCESS_LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _ProcessLog(path, delay=True)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
