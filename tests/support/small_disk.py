"""A file system of a few megabytes, for tests of what happens when it is full or may not be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BLOCK = 1024


class SmallDisk:
    """A mounted file system.

    Attributes:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Fill it up but for so many bytes."""
        with self._filling.open("ab", buffering=0) as file:
            while self.free > leave and file.write(b"x" * min(64 * _BLOCK, max(_BLOCK, self.free - leave))):
                pass

    def clear(self) -> None:
        """Take away what fills it."""
        self._filling.unlink()

    def read_only(self, on: bool) -> None:
        """Let nothing be written, or everything again; nobody may have a file open for writing."""
        _mount("-o", "remount,ro" if on else "remount,rw", str(self.folder))


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Generator[SmallDisk]:
    """A file system over a folder, with the folder's files; skips where nobody may mount one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs a disk of a few megabytes, which only root on Linux can mount")
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    if refused := _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "kurt-tests", str(folder)):
        pytest.skip(f"needs a disk of a few megabytes, and this machine does not mount one: {refused}")
    try:
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> str:
    """What `mount` has to complain of, nothing when it did what was asked."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""
