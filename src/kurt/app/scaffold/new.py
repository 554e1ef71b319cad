"""Writing the files of a new workflow; one that is there is never changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from kurt.app.init import SCHEMA_FILE, TEST_SCHEMA_FILE
from kurt.app.scaffold.library import copied
from kurt.app.scaffold.names import Names, as_yaml, file_name, is_file, module_names
from kurt.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kurt.config import Settings
    from kurt.types import JsonObject

TEMPLATES = Path(__file__).with_name("templates")
"""Texts of the files; the folder `module` has the shape that a module gets."""

PYTEST_FILES = ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml")
"""Files that may hold settings of pytest; a project with one of them keeps its own."""

_PYTEST = "[pytest]\n# Tests of several workflows have the same names of files.\naddopts = --import-mode=importlib\n"
_SUFFIX = ".tmpl"
_MIGRATION = "create_tables.py"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that was, or would be, written.

    Attributes:
        path: from the project's root.
        text: what is in it.
    """

    path: str
    text: str

    def to_json(self) -> JsonObject:
        """The file as JSON: path, action."""
        return {"path": self.path, "action": "create"}


def new_workflow(
    settings: Settings, word: str, *, template: str | None = None, dry_run: bool = False
) -> list[NewFile]:
    """Write a new workflow into the project: a Python module, for a name with `.yaml` a workflow file, or a copy of a
    template, which is a workflow file with what belongs to it.

    Args:
        settings: the project's settings.
        word: its name.
        template: the shipped workflow that is copied.
        dry_run: only tell which files would be written.

    Returns:
        the files, the workflow file or the module's own first.

    Raises:
        UsageError: the name cannot be.
        NotFoundError: there is no such template.
        ConflictError: there is a workflow of that name, or one of the files.
        StorageError: the files cannot be written.
    """
    if template is not None:
        name = file_name(word if is_file(word) else f"{word}.yaml")
        files = [NewFile(path, text) for path, text in copied(template, name)]
    else:
        files = list(_yaml(word) if is_file(word) else _module(settings, module_names(word)))
    _refuse_taken(settings, word, files)
    if not dry_run:
        _write(settings.root, files)
    return files


def _yaml(word: str) -> Iterator[NewFile]:
    name = file_name(word)
    text = (TEMPLATES / "workflow.yaml.tmpl").read_text(encoding="utf-8")
    values = {
        "name": as_yaml(name),
        "schema": f"../{SCHEMA_FILE}",
        "file": f"workflows/{word.removeprefix('workflows/')}",
    }
    yield NewFile(values["file"], _filled(text, values))
    tests = (TEMPLATES / "workflow.test.yaml.tmpl").read_text(encoding="utf-8")
    path = Path(values["file"])
    yield NewFile(
        str(path.with_name(f"{path.stem}.test{path.suffix}")),
        _filled(tests, {**values, "schema": f"../{TEST_SCHEMA_FILE}"}),
    )


def _module(settings: Settings, names: Names) -> Iterator[NewFile]:
    from kurt.app.scaffold.revision import next_revision  # noqa: PLC0415 - Alembic is not needed for files

    revision, before = next_revision(settings)
    values = {
        "name": names.name,
        "command": names.name.replace("_", "-"),
        "camel": names.camel,
        "revision": revision,
        "enum": f"{names.camel}Status".lower(),
        "before": f'"{before}"' if before else "None",
    }
    home = TEMPLATES / "module"
    for path in sorted(home.rglob(f"*{_SUFFIX}")):
        inner = Path(_filled(str(path.relative_to(home)).removesuffix(_SUFFIX), {"name": names.name}))
        if inner.name == _MIGRATION:
            inner = inner.with_name(f"{revision}_{names.name}_tables.py")
        text = _filled(path.read_text(encoding="utf-8"), values)
        yield NewFile(f"workflows/{names.name}/{inner.as_posix()}", text)
    if not any((settings.root / name).exists() for name in PYTEST_FILES):
        yield NewFile(PYTEST_FILES[0], _PYTEST)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return Template(text).substitute(values)


def _refuse_taken(settings: Settings, word: str, files: list[NewFile]) -> None:
    """Nothing is written if anything is there.

    Raises:
        ConflictError: naming what is there.
    """
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - after the cheap checks

    name = file_name(word) if is_file(word) else word.removeprefix("workflows/")
    for path in (
        settings.workflows_dir / name,
        *(settings.workflows_dir / f"{name}{end}" for end in (".yaml", ".yml")),
    ):
        if path.exists() or path.is_symlink():
            raise ConflictError(
                f"there is a workflow {name!r} already: {path.relative_to(settings.root)}",
                hint="choose another name; nothing was written",
            )
    if any(module.name == name for module in WorkflowRegistry(settings).modules()):
        raise ConflictError(
            f"an installed package brings a workflow {name!r} already",
            hint="choose another name; nothing was written",
        )
    for file in files:
        if (settings.root / file.path).exists():
            other = (
                "choose another name"
                if name in Path(file.path).name
                else f"move {file.path} away for a moment"
            )
            raise ConflictError(f"{file.path} exists already", hint=f"{other}; nothing was written")


def _write(root: Path, files: list[NewFile]) -> None:
    try:
        for file in files:
            target = root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open(
                "x", encoding="utf-8"
            ) as stream:  # never over what somebody made in the meantime
                stream.write(file.text)
    except OSError as error:
        raise StorageError(
            f"{error.filename or str(root)!r} cannot be written: {error.strerror}",
            hint="make the folder writable; files that were written stay",
        ) from error
