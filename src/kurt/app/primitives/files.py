"""Writing files so that a crash at any moment leaves the old content or the new, never half of it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator


def replace_content(path: Path, data: bytes, *, keep: bool = False) -> int:
    """Give a file new content in one step; its folders are made, its mode is kept, symbolic links are followed.

    The data goes to a new file in the same folder, reaches the disk, and takes the old one's place. Devices and
    pipes, which cannot be replaced, are written to.

    Args:
        path: the file.
        data: what to write.
        keep: put it behind the old content.

    Returns:
        Size of the file afterwards, in bytes.

    Raises:
        OSError: it could not be written; the old content is still there.
    """
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(data)
        return len(data)
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        size = _write(temporary, data, target if keep and mode is not None else None, mode)
        temporary.replace(target)
    except BaseException:  # also a Ctrl-C: nobody else removes the temporary file - it is raised again
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)
    return size


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Keep other processes and threads from appending in the file's folder meanwhile.

    Appending reads the old file, so two of them at once would lose one's lines. The lock is on the folder, because
    the file itself is replaced; where a file system cannot lock folders there is none.
    """
    folder = path.resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _mode(target: Path) -> int | None:
    """The type and mode of what is at the place, or None; refuses what may not be written."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise UsageError(f"{str(target)!r} is a folder", hint="name a file in it")
    if not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", str(target))
    return mode


def _write(temporary: Path, data: bytes, old: Path | None, mode: int | None) -> int:
    """Write the temporary file down to the disk; returns its size."""
    # Created with the usual mode, so that the process's umask counts.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, stat.S_IMODE(mode))
        if old is not None:
            with old.open("rb") as source:
                shutil.copyfileobj(source, file, 1024 * 1024)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
        return file.tell()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot; the content itself is on the disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
