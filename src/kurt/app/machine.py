"""Checks of the machine: Python, the system, SQLite, disks."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING

from kurt.app.verdicts import FAIL, OK, WARN, Check

if TYPE_CHECKING:
    from pathlib import Path

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 35)
"""The first release with RETURNING, which DBOS needs."""

LITTLE_SPACE, NO_SPACE = 1_000_000_000, 100_000_000
"""Free bytes below which the disk is a warning and a failure."""

MOUNTS = "/proc/self/mounts"
"""Where Linux lists its file systems."""

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|glusterfs|lustre|fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs)|davfs"
)


def check_python() -> Check:
    """Whether this Python is one that Kurt supports."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", FAIL, version, "install Python 3.11 or newer")
    return Check("python", OK, f"{version} ({sys.executable})")


def check_system() -> Check:
    """Whether this system is one that Kurt supports: it needs POSIX processes and locks."""
    system = platform.system()
    if system not in {"Linux", "Darwin"}:
        return Check("system", FAIL, f"{system} is not supported", "use Linux or macOS, or WSL on Windows")
    return Check("system", OK, f"{system} {platform.release()}")


def check_sqlite() -> Check:
    """Whether the SQLite library of this Python is new enough."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Check("sqlite", FAIL, sqlite3.sqlite_version, "use a Python with SQLite 3.35 or newer")
    return Check("sqlite", OK, sqlite3.sqlite_version)


def check_disk(folder: Path) -> Check:
    """Whether there is space on a folder's disk."""
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < NO_SPACE:
        return Check("disk_space", FAIL, detail, "free space; `kurt gc` removes old runs")
    if free < LITTLE_SPACE:
        return Check("disk_space", WARN, detail, "`kurt gc` removes old runs")
    return Check("disk_space", OK, detail)


def network_file_system(folder: Path) -> str | None:
    """The kind of network file system on which a folder is; None for a local one, or where nobody tells."""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - a fixed place
            mounts = [line.split() for line in file]
    except OSError:  # not Linux
        return None
    real = os.path.realpath(folder)
    nearest, kind = "", ""
    for _, point, mounted, *_ in mounts:
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)  # noqa: PLW2901 - unescaped
        inside = real == point or real.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= len(nearest):
            nearest, kind = point, mounted
    return kind if _NETWORK.fullmatch(kind) else None
