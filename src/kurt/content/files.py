"""The texts of documents: Markdown files with front matter in the folder of sources, readable and fit for Git."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kurt.content.markdown import content_hash, front_matter, with_front_matter
from kurt.content.names import relative_name
from kurt.db.tenant import current_tenant
from kurt.errors import DataError, NotFoundError, StorageError

if TYPE_CHECKING:
    from kurt.types import JsonObject

__all__ = ["Stored", "content_hash", "delete_document", "read_document", "write_document"]

_FACTS: Final = ("title", "uri", "author", "published", "language")


@dataclass(frozen=True, slots=True)
class Stored:
    """A document with its text.

    Attributes:
        uri: its canonical URI.
        markdown: its text.
        title: its title.
        author: who wrote it.
        published: when, ISO 8601.
        language: ISO 639-1.
    """

    uri: str
    markdown: str
    title: str | None = None
    author: str | None = None
    published: str | None = None
    language: str | None = None


def write_document(root: Path, stored: Stored, *, synced: bool = False) -> str:
    """Write the text of a document, all of it or nothing; a file that says the same already is left alone.

    Args:
        root: the folder of sources.
        stored: the document.
        synced: wait until it would survive a power cut.

    Returns:
        the file's path below the folder, with `/`; the same for the same document, whatever its text is.

    Raises:
        StorageError: it cannot be written.
    """
    name = relative_name(stored.uri, current_tenant().workspace_id)
    facts: JsonObject = {fact: getattr(stored, fact) for fact in _FACTS}
    data = with_front_matter(facts, stored.markdown).encode("utf-8", "replace")
    target = root / name
    try:
        if not _holds(target, data):
            _replace(target, data, synced=synced)
    except OSError as error:
        raise StorageError(
            f"{str(target)!r} cannot be written: {error.strerror}",
            hint="free space on the disk, or set PATH_SOURCES to a folder that you may write",
        ) from error
    return name


def read_document(root: Path, path: str) -> tuple[JsonObject, str]:
    """What stands in a document's file: the facts at its head, and its Markdown.

    Args:
        root: the folder of sources.
        path: the file below it, as `write_document` gave it.

    Raises:
        NotFoundError: the file is gone.
        DataError: the path leads out of the folder, or the file is no text.
    """
    target = _inside(root, path)
    try:
        text = target.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(
            f"the text of the document is gone: {str(target)!r}",
            hint="fetch it again: kurt content fetch --refetch",
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{str(target)!r} is not UTF-8 text") from None
    except OSError as error:
        raise StorageError(f"{str(target)!r} cannot be read: {error.strerror}") from error
    facts, body = front_matter(text)
    return facts, body


def delete_document(root: Path, path: str) -> bool:
    """Remove a document's file and the folders that are empty without it; whether there was one.

    Raises:
        DataError: the path leads out of the folder.
        StorageError: it cannot be removed.
    """
    target = _inside(root, path)
    try:
        target.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{str(target)!r} cannot be removed: {error.strerror}") from error
    for folder in target.parents:
        if folder == root:
            break
        with suppress(OSError):  # not empty
            folder.rmdir()
    return True


def _inside(root: Path, path: str) -> Path:
    """The file, which lies in the folder even if links are followed."""
    target = root / path
    if not target.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{path!r} leads out of the folder of sources")
    return target


def _holds(target: Path, data: bytes) -> bool:
    try:
        return target.stat().st_size == len(data) and target.read_bytes() == data
    except FileNotFoundError:
        return False


def _replace(target: Path, data: bytes, *, synced: bool) -> None:
    """Put a file in its place when all of it is written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
