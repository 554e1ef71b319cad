"""Making a folder a project: writes what is missing and never changes a file that is there.

The one exception is `.gitignore`: lines that keep secrets and the database out of git are added at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kurt.types import JsonObject

TEMPLATES = Path(__file__).with_name("templates")
"""Texts of the files that a new project gets."""

QUICKSTART = Path(__file__).parent / "scaffold" / "library" / "quickstart" / "workflows" / "quickstart.yaml"
"""The workflow that every project has; it is a template, too."""

SCHEMA_FILE = "kurt-workflow.schema.json"
"""The JSON Schema that editors check workflow files with."""

TEST_SCHEMA_FILE = "kurt-test.schema.json"
"""The same for test files."""

IGNORED = (".env", ".kurt/")
"""What git must not see of a project."""

CREATE, EXTEND, KEEP = "create", "extend", "keep"


@dataclass(frozen=True, slots=True)
class Change:
    """What became, or would become, of one file or folder.

    Attributes:
        path: from the project's root; a folder ends with a slash.
        action: `create`, `extend` (lines or tables were added) or `keep` (it was there).
    """

    path: str
    action: str

    def to_json(self) -> JsonObject:
        """The change as JSON: path, action."""
        return {"path": self.path, "action": self.action}


def initialise(
    folder: Path, *, dry_run: bool = False, environ: Mapping[str, str] | None = None
) -> list[Change]:
    """Make a folder a project, with its database.

    Args:
        folder: the project's root, an absolute path; made if it is missing.
        dry_run: only tell what would be done.
        environ: the environment; that of the process by default.

    Raises:
        StorageError: a file or the database cannot be written.
        ConfigError: the settings that are there, or the environment's, are not valid.
    """
    try:
        changes = [_apply(folder, path, make, dry_run=dry_run) for path, make in _contents()]
        changes.append(_ignore(folder, dry_run=dry_run))
    except OSError as error:
        raise StorageError(
            f"{error.filename or str(folder)!r} cannot be written: {error.strerror}",
            hint="choose a folder that you may write: kurt init DIR",
        ) from error
    return [*changes, _database(folder, environ, dry_run=dry_run)]


def _contents() -> Iterator[tuple[str, Callable[[], str] | None]]:
    """Files with what makes their text, and folders."""
    yield "kurt.config", _template("kurt.config")
    yield ".env.example", _template("env.example")
    yield ".kurt/", None
    yield "content/", None
    yield "content/README.md", _template("content.md")
    yield "sources/", None
    yield "sources/README.md", _template("sources.md")
    yield "workflows/", None
    yield "workflows/quickstart.yaml", lambda: QUICKSTART.read_text(encoding="utf-8")
    yield SCHEMA_FILE, _schema
    yield TEST_SCHEMA_FILE, _test_schema


def _template(name: str) -> Callable[[], str]:
    return lambda: (TEMPLATES / name).read_text(encoding="utf-8")


def _schema() -> str:
    import json  # noqa: PLC0415 - together with what follows, only a new schema needs it

    from kurt.engine.language.jsonschema import workflow_schema  # noqa: PLC0415 - loads Pydantic
    from kurt.engine.registry import kinds  # noqa: PLC0415 - see above

    return json.dumps(workflow_schema(kinds(None)), indent=2, ensure_ascii=False) + "\n"


def _test_schema() -> str:
    import json  # noqa: PLC0415 - as above

    from kurt.engine.cases.jsonschema import case_schema  # noqa: PLC0415 - as above

    return json.dumps(case_schema(), indent=2, ensure_ascii=False) + "\n"


def _apply(folder: Path, path: str, make: Callable[[], str] | None, *, dry_run: bool) -> Change:
    target = folder / path
    if target.exists() or target.is_symlink():
        return Change(path, KEEP)
    if not dry_run:
        if make is None:
            target.mkdir(parents=True)
        else:
            _write_new(target, make())
    return Change(path, CREATE)


def _write_new(target: Path, text: str) -> None:
    """Write a file that is not there yet: never over one that somebody else has made in the meantime."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = target.open("x", encoding="utf-8")
    except FileExistsError:
        return
    try:
        with file:
            file.write(text)
    except OSError:
        target.unlink()  # half a file would be kept for ever
        raise


def _ignore(folder: Path, *, dry_run: bool) -> Change:
    """`.gitignore` with what must stay out of git; lines are added to one that lacks them."""
    target = folder / ".gitignore"
    text = target.read_text(encoding="utf-8", errors="surrogateescape") if target.exists() else ""
    present = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in IGNORED if line.strip("/") not in present]
    if not missing:
        return Change(".gitignore", KEEP)
    if not dry_run:
        separator = "\n" if text and not text.endswith("\n") else ""
        with target.open("a", encoding="utf-8") as file:
            file.write(separator + "".join(f"{line}\n" for line in missing))
    return Change(".gitignore", EXTEND if text else CREATE)


def _database(folder: Path, environ: Mapping[str, str] | None, *, dry_run: bool) -> Change:
    """The database with the schema of this build."""
    from kurt.config import load_settings  # noqa: PLC0415 - it reads the file that was just written

    settings = load_settings(folder, environ=environ)
    if not settings.is_sqlite:
        path, exists = "the Postgres database", False
    elif settings.root == folder:
        path, exists = _shown(settings.sqlite_path, folder), settings.sqlite_path.exists()
    else:  # a dry run in a folder that is no project yet
        path, exists = ".kurt/kurt.sqlite", False
    if dry_run:
        return Change(path, KEEP if exists else CREATE)
    from kurt.db.migrate import ensure_schema  # noqa: PLC0415 - it loads Alembic where the schema is old

    changed = ensure_schema(settings)
    return Change(path, KEEP if not changed else EXTEND if exists else CREATE)


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
