"""What a warm worker restores, so that no task meets the traces of another."""

from __future__ import annotations

import importlib
import logging
import math
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.project_code import make_importable

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGALRM,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_INSTALLED = ("site-packages", "dist-packages")


@contextmanager
def clean_slate(env: Mapping[str, str], cwd: str, root: str | None) -> Generator[None]:
    """Give a task its environment, folder and import path.

    Afterwards all is as it was before, except the environment, which the next task replaces if it has another: import
    path, signal handlers and timers, the umask, logging, warning filters, `sys.argv`.

    Raises:
        OSError: the folder cannot be entered.
    """
    path, argv = sys.path[:], sys.argv[:]
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    logger = logging.getLogger()
    log = (logger.handlers[:], logger.level, logger.manager.disable)
    umask = os.umask(0o022)
    os.umask(umask)
    random.seed()  # a task that seeds it must not make the next one's ids predictable
    try:
        with warnings.catch_warnings():
            _set_environment(env)
            os.chdir(cwd)
            if root is not None:
                make_importable(root)
            sys.argv[:] = [""]
            yield
    finally:
        os.chdir("/")
        sys.path[:], sys.argv[:] = path, argv
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        logger.handlers[:], logger.level, logger.manager.disable = log
        os.umask(umask)


@contextmanager
def limited(memory: int | None, cpu: float | None) -> Generator[None]:
    """Limit what a task may use beyond what this process has used so far."""
    restore: list[tuple[int, tuple[int, int]]] = []
    try:
        if memory is not None:
            restore.append(_lower(resource.RLIMIT_AS, _address_space() + memory))
        if cpu is not None:
            restore.append(_lower(resource.RLIMIT_CPU, math.ceil(time.process_time() + cpu)))
        yield
    finally:
        for kind, values in restore:
            resource.setrlimit(kind, values)


def leftovers() -> bool:
    """Whether a task has left threads or child processes; ended children are buried."""
    if threading.active_count() > 1:
        return True
    with suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
    return False


class ProjectModules:
    """Drops the modules of a project from memory when one of their files has changed."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._files: dict[str, tuple[int, int] | None] = {}
        self._known: set[str] = set()

    def refresh(self, root: str | None) -> None:
        """Before a task: forget modules that are not what their files say now."""
        if root != self._root:
            self._drop(self._root)
            self._root = root
        elif any(_signature(file) != seen for file, seen in self._files.items()):
            self._drop(root)
        if root is not None:
            importlib.invalidate_caches()

    def note(self, since: float) -> None:
        """After a task that began at `since` (seconds, as of `time.time`): remember what it imported."""
        names = set(sys.modules)
        for name in names - self._known:
            file = _file(sys.modules.get(name))
            if file is None or file in self._files or not self._owns(file):
                continue
            signature = _signature(file)
            if signature is not None and signature[0] >= since * 1e9 - 1e8:
                signature = None  # written while it was imported: nobody knows which text was read
            self._files[file] = signature
        self._known = names

    def _drop(self, root: str | None) -> None:
        if root is None:
            return
        for name, module in list(sys.modules.items()):
            file = _file(module)
            if file is not None and file in self._files:
                del sys.modules[name]
                self._known.discard(name)
        self._files.clear()

    def _owns(self, file: str) -> bool:
        if self._root is None or not file.startswith(self._root + os.sep):
            return False
        return not any(part in file for part in _INSTALLED)


def _set_environment(env: Mapping[str, str]) -> None:
    if os.environ != env:
        os.environ.clear()
        os.environ.update(env)


def _lower(kind: int, soft: int) -> tuple[int, tuple[int, int]]:
    before = resource.getrlimit(kind)
    hard = before[1]
    resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    return kind, before


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where nobody tells (there the limit counts everything)."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    return 0


def _file(module: object) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def _signature(file: str) -> tuple[int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
