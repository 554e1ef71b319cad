"""Documents of a folder: which files there are, what they say of themselves, and what has become of those known before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kurt.content.identity import file_uri
from kurt.content.patterns import Patterns
from kurt.errors import NotFoundError, UsageError

from .titles import SUFFIXES, facts_of

MAX_BYTES = 100_000_000
"""Bytes of a file that is read."""

_SKIPPED = frozenset({"node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier run found about a file.

    Attributes:
        uri: its address.
        content_hash: SHA-256 of its bytes.
        size: how many they were.
        modified: when it was changed, in nanoseconds since 1970, as text.
        title: its title.
        is_gone: it was not there any more.
    """

    uri: str
    content_hash: str | None
    size: int | None
    modified: str | None
    title: str | None
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Folder:
    """What is searched, and how.

    Attributes:
        path: the folder, absolute and without links.
        root: the project's folder, likewise: addresses are relative to it.
        patterns: which files are meant.
        limit: how many are taken, None for all.
        skipped: a folder that is passed over: the one in which Kurt keeps texts.
    """

    path: Path
    root: Path
    patterns: Patterns
    limit: int | None = None
    skipped: Path | None = None


def open_folder(text: str) -> Path:
    """The folder that the user means, without links.

    Raises:
        NotFoundError: there is none.
        UsageError: it is a file.
    """
    path = Path(text).expanduser()
    if not path.exists():
        raise NotFoundError(
            f"there is no folder {text!r}", hint="give a path from the working directory, or an absolute one"
        )
    if not path.is_dir():
        raise UsageError(
            f"{text!r} is a file", hint="give its folder, and the file as pattern: --include '*/NAME'"
        )
    return path.resolve()


def discover_files(folder: Folder, known: Mapping[str, Known]) -> dict[str, Any]:
    """Find the files of a folder.

    Args:
        folder: what is searched.
        known: what earlier runs found there, by address.

    Returns:
        `{rows, gone, truncated}`: a row has `uri, title, content_hash, size, modified`, where it applies `moved_from`
        and what its front matter says, or `uri, error`; `gone` are addresses of files that are not there any more.
    """
    rows: list[dict[str, Any]] = []
    truncated = False
    for path in _files(folder):
        uri = file_uri(path, folder.root)
        if not folder.patterns.allows(uri):
            continue
        if folder.limit is not None and len(rows) >= folder.limit:
            truncated = True
            break
        rows.append(_row(path, uri, known.get(uri)))
    found = {row["uri"] for row in rows}
    gone = [
        item
        for item in known.values()
        if item.uri not in found and not item.is_gone and not _is_there(item, folder)
    ]
    _mark_moved(rows, known, gone)
    return {"rows": rows, "gone": [item.uri for item in gone], "truncated": truncated}


def _files(folder: Folder) -> Iterator[str]:
    """Paths of all documents, in order; folders that are links are not entered, files that lead out are left out."""
    stack = [str(folder.path)]
    inside = f"{folder.path}{os.sep}"
    while stack:
        here = stack.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:  # a folder that may not be read, or is gone by now
            continue
        folders: list[str] = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if _is_entered(entry, folder):
                    folders.append(entry.path)
            elif _is_document(entry, inside):
                yield entry.path
        stack += reversed(folders)


def _is_entered(entry: os.DirEntry[str], folder: Folder) -> bool:
    return not (entry.name.startswith(".") or entry.name in _SKIPPED or entry.path == str(folder.skipped))


def _is_document(entry: os.DirEntry[str], inside: str) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - for each of thousands
    if suffix not in SUFFIXES or entry.name.startswith("."):
        return False
    if entry.is_symlink() and not os.path.realpath(entry.path).startswith(inside):
        return False
    return entry.is_file()


def _row(path: str, uri: str, known: Known | None) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - for each of thousands
            stat = os.fstat(file.fileno())
            modified = str(stat.st_mtime_ns)
            if (
                known is not None
                and not known.is_gone
                and (known.size, known.modified) == (stat.st_size, modified)
            ):
                return {
                    "uri": uri,
                    "title": known.title,
                    "content_hash": known.content_hash,
                    "size": known.size,
                    "modified": modified,
                }
            if stat.st_size > MAX_BYTES:
                return {"uri": uri, "error": f"the file is larger than {MAX_BYTES:,} bytes"}
            data = file.read()
    except OSError as error:
        return {"uri": uri, "error": f"the file cannot be read: {error.strerror}"}
    return {
        "uri": uri,
        **facts_of(data, path),
        "content_hash": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "modified": modified,
    }


def _is_there(item: Known, folder: Folder) -> bool:
    """Whether a file exists that this run only has not looked at."""
    from kurt.content.identity import file_path  # noqa: PLC0415 - only where a file is missing

    return file_path(item.uri, folder.root).is_file()


def _mark_moved(rows: list[dict[str, Any]], known: Mapping[str, Known], gone: list[Known]) -> None:
    """Say of new files that have the bytes of one that is gone, from where they were moved; each one once."""
    places: dict[str, list[str]] = {}
    for item in gone:
        if item.content_hash is not None:
            places.setdefault(item.content_hash, []).append(item.uri)
    for row in rows:
        before = known.get(row["uri"])
        if (before is None or before.is_gone) and (waiting := places.get(row.get("content_hash") or "")):
            row["moved_from"] = waiting.pop(0)
