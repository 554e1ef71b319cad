"""The engine `file`: files of the project, and of folders that `map` was told to search."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.content.identity import file_path
from kurt.errors import DataError, UsageError

from .engines import Brought, Target

if TYPE_CHECKING:
    from kurt.config import Settings

    from .config import FetchConfig

KINDS = {
    ".md": "markdown",
    ".mdx": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".ipynb": "notebook",
    ".docx": "docx",
}
"""What is read, by ending."""


class FileEngine:
    """Reads files; never one that a link leads to outside of where it was found.

    Args:
        config: the limit of their size.
        settings: where the project is.
    """

    name = "file"

    def __init__(self, config: FetchConfig, settings: Settings) -> None:
        self._limit = config.max_bytes
        self._root = settings.root.resolve()

    async def bring(self, target: Target) -> Brought:
        """Read a file.

        Raises:
            DataError: it is too large or none of the kinds that are read.
            UsageError: it is not within the project.
        """
        return await asyncio.to_thread(self._read, target)

    def _read(self, target: Target) -> Brought:
        path = file_path(target.uri, self._root)
        kind = kind_of_file(path)
        try:
            real = path.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            return Brought(gone="there is no such file")
        except (OSError, RuntimeError) as error:
            raise DataError(f"{str(path)!r} cannot be read: {error}") from error
        if real != path and not real.is_relative_to(self._root):
            raise UsageError(f"{str(path)!r} is a link that leads out of the project")
        try:
            if path.stat().st_size > self._limit:
                raise DataError(f"the file has more than {self._limit} bytes", hint="raise max_bytes")
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{str(path)!r} cannot be read: {error.strerror}") from error
        version = hashlib.sha256(data).hexdigest()
        if version == target.etag:
            return Brought(unchanged=True)
        return Brought(body=data, kind=kind, etag=version)

    async def close(self) -> None:
        """Nothing to close."""


def kind_of_file(path: Path) -> str:
    """What a file is, by its ending.

    Raises:
        DataError: none of the kinds that are read.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            f"{path.name!r} is none of the kinds of files that are read",
            hint=f"they end in {', '.join(KINDS)}",
        )
    return kind
