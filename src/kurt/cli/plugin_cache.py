"""A cache of names below the user's cache folder; whatever is wrong with it, the names are found anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kurt.config.discovery import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
"""Rises when what is kept changes its form."""

_SEPARATOR = "\t"


def time_of(path: str) -> tuple[int, ...]:
    """When a file or folder was changed last, and its size; empty where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib is slow to import
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_size)


def remembered(subject: str, key: object, find: Callable[[], list[list[str]]]) -> list[list[str]]:
    """What `find` gives, from the cache if it was found under the same key before.

    Args:
        subject: what is looked for; each has its own file.
        key: something whose `repr` changes whenever `find` would give something else.
        find: looks for it: rows of words without tabs and line ends.
    """
    from zlib import crc32  # json and hashlib would cost as much as the rest of the look-up

    folder = cache_folder(os.environ)
    path = f"{folder}/{crc32(subject.encode('utf-8', 'surrogateescape')):08x}.names"
    head = repr((VERSION, subject, key))
    kept = _read(path)
    if kept and kept[0] == head:
        return [line.split(_SEPARATOR) for line in kept[1:]]
    rows = find()
    _keep(folder, path, "\n".join([head, *(_SEPARATOR.join(row) for row in rows)]))
    return rows


def _read(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
            return file.read().split("\n")
    except (OSError, ValueError):  # missing or damaged: it is written anew
        return []


def _keep(folder: str, path: str, text: str) -> None:
    """Write the cache in one move, so that nobody reads half of it."""
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - pathlib is slow to import
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - see above
            file.write(text)
        os.replace(temporary, path)  # noqa: PTH105 - pathlib is slow to import
    except OSError:
        pass  # a home that cannot be written costs time, not the command
