"""Leases as locked files, for executors of one machine.

The file `<executor id>.lock` is locked (`flock`) for as long as the executor lives and holds what it says about
itself. Whoever can take a shared lock on it knows that the owner is dead. Looking is always by a shared lock, so
any number of processes may look at once without taking each other for the owner.

A lock belongs to the open file, not to the process. Programs that the executor starts do not inherit it
(close-on-exec); a child that is forked without a new program would hold it, so it is closed there at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import weakref
from typing import TYPE_CHECKING, cast

from kurt.errors import StorageError
from kurt.runtime.lease_types import ExecutorInfo, Lease, oldest_first, safe_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kurt.types import JsonObject

_SUFFIX = ".lock"
_PATIENCE = 5.0  # seconds; others hold a fresh file for microseconds
_held: weakref.WeakSet[FileLease] = weakref.WeakSet()


class FileExecutors:
    """The executors of one machine, by their files.

    Args:
        folder: `.kurt/executors` of the project; may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def live(self) -> list[ExecutorInfo]:
        """Those that live, oldest first; files of dead ones are removed on the way."""
        return oldest_first(ExecutorInfo.from_json(name, _read(path)) for name, path in self._locked())

    def alive(self) -> set[str]:
        """Ids of those that live; files of dead ones are removed on the way."""
        return {name for name, _ in self._locked()}

    def is_alive(self, executor_id: str) -> bool:
        """Whether this one lives."""
        return safe_id(executor_id) and _is_locked(self._folder / f"{executor_id}{_SUFFIX}", remove=False)

    def _locked(self) -> Iterator[tuple[str, Path]]:
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if _is_locked(path, remove=True):
                yield path.name.removesuffix(_SUFFIX), path


class FileLease(FileExecutors, Lease):
    """This process's lease, as a locked file.

    Args:
        folder: `.kurt/executors` of the project; made when it is missing.
        info: what the file says.
    """

    def __init__(self, folder: Path, info: ExecutorInfo) -> None:
        FileExecutors.__init__(self, folder)
        Lease.__init__(self, info)
        self._path = folder / f"{info.id}{_SUFFIX}"
        self._fd = -1

    @property
    def lost(self) -> bool:
        """Whether somebody has removed the file; `acquire` makes it again."""
        return self._fd >= 0 and not _same_file(self._fd, self._path)

    def acquire(self) -> None:
        """Take the lease; does nothing when it is held and not lost.

        Raises:
            StorageError: the file cannot be made.
        """
        if self._fd >= 0 and not self.lost:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = _create_locked(self._path)
            self._close()
            self._fd = fresh
            self._publish()
        except OSError as error:
            self._close()
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise StorageError(
                f"the lease of this process cannot be written: {error.strerror or error}",
                hint="free space on the disk, then repeat the command; nothing that was stored is lost"
                if full
                else f"make the folder writable: {self._folder}",
            ) from error
        _held.add(self)

    def release(self) -> None:
        if self._fd < 0:
            return
        if not self.lost:
            with contextlib.suppress(OSError):  # the lock is given up in any case; others remove the file
                self._path.unlink()
        self._close()

    def close_inherited(self) -> None:
        """In a forked child: let go of the file without giving up the parent's lock."""
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _publish(self) -> None:
        """Rewrite the description in one piece: blanks cover what is left of a longer one."""
        if self._fd >= 0:
            text = json.dumps(self._info.to_json(), default=str).encode()
            os.pwrite(self._fd, text.ljust(os.fstat(self._fd).st_size), 0)


def _create_locked(path: Path) -> int:
    """Make the file and lock it; begins again when somebody took it for a dead one and removed it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(fd, path):
                return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise
            time.sleep(0.001)
        os.close(fd)


def _is_locked(path: Path, *, remove: bool) -> bool:
    """Whether the owner of the file lives; the file of a dead one may be removed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        # Another user's file, or no descriptor left: what cannot be seen counts as alive, or its work would run twice.
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if remove and _same_file(fd, path):
            with contextlib.suppress(OSError):  # a folder of another user: its owner removes it
                path.unlink()
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> JsonObject:
    """What an executor says about itself; nothing while it is just writing its first words."""
    with contextlib.suppress(OSError, ValueError):
        return cast("JsonObject", json.loads(path.read_bytes()))
    return {}


def _close_inherited() -> None:
    for lease in list(_held):
        lease.close_inherited()


os.register_at_fork(after_in_child=_close_inherited)
