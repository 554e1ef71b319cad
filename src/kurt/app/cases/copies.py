"""Throw-away copies of a project: each case works in its own, and never in the project itself."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.config.discovery import CONFIG_FILE
from kurt.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEFT_OUT = frozenset(
    {".kurt", ".env", ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".DS_Store"}
    | {".pytest_cache", ".ruff_cache", ".mypy_cache", ".tox", ".nox", ".idea", ".vscode"}
)
"""What a copy does without: the database, what is secret, what tools make."""

MOST_FILES = 20_000
MOST_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class Project:
    """A project, or a part of one, as it is copied.

    Attributes:
        root: its folder.
        patterns: what is copied, as patterns of paths from the root; None for everything.
        needed: files that are copied in any case, from the root.
    """

    root: Path
    patterns: tuple[str, ...] | None = None
    needed: tuple[str, ...] = ()


def copy_project(project: Project, target: Path) -> None:
    """Copy a project; a folder that is none becomes one.

    Raises:
        UsageError: it is too large.
        StorageError: it cannot be read or written.
    """
    count = size = 0
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, source in _files(project):
            count += 1
            size += 0 if source.is_symlink() else source.stat().st_size
            if count > MOST_FILES or size > MOST_BYTES:
                raise UsageError(
                    f"the project {project.root} is too large to be copied for each test:"
                    f" more than {MOST_FILES} files or {MOST_BYTES // 1_000_000} MB",
                    hint="name in the test file what the runs need: `copy: [workflows, prompts]`",
                )
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place, follow_symlinks=False)
        if not (target / CONFIG_FILE).exists():
            (target / CONFIG_FILE).write_text("", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"the project cannot be copied: {error.filename}: {error.strerror}",
            hint="look at the rights of that file and at the space on the disk",
        ) from error


def _files(project: Project) -> Iterator[tuple[str, Path]]:
    """The files that are copied, by their paths from the root; symbolic links stay what they are."""
    always = {CONFIG_FILE, *project.needed}
    for folder, folders, names in os.walk(project.root):
        inside = os.path.relpath(folder, project.root)
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(folder, name)))
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*names, *links]):
            path, source = os.path.normpath(f"{inside}/{name}"), Path(folder, name)
            if _is_left_out(source) or not (source.is_symlink() or source.is_file()):
                continue
            if project.patterns is None or path in always or _fits(path, project.patterns):
                yield path, source


def _is_left_out(path: Path) -> bool:
    return path.name in LEFT_OUT or (path / "pyvenv.cfg").exists()


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names the file, or a folder in which it is."""
    parts = path.split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(fnmatch(one, pattern.strip("/")) for pattern in patterns for one in above)
