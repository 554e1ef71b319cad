"""The pytest plugin: a project of its own for each test, with or without DBOS, and runners of commands.

pytest loads it by its entry point; nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from click.testing import CliRunner

_CONFIG = """# Kurt Project Configuration
PATH_DB=".kurt/kurt.sqlite"
PATH_SOURCES="sources"
"""
_STEERING = ("DATABASE_URL", "DBOS_SYSTEM_DATABASE_URL", "KURT_PROJECT")
_CODE = ("workflows", "commands", "steps")
"""Folders of a project that its tests share with it."""

_STATES = ("discovered", "discovered", "fetched", "fetched", "error", "indexed", "skipped")
_DOCS = {
    "index.md": "# Welcome\n\nThe first page.\n",
    "guide.md": "# Guide\n\nHow it is done.\n",
    "tutorials/first.md": "# First steps\n\nOne after another.\n",
    "tutorials/second.md": "# Second steps\n\nA little faster.\n",
}


def pytest_configure(config: pytest.Config) -> None:
    """Let the tests of a project import its workflows under the names that Kurt gives them: `workflows.x` is one module.

    Raises:
        UsageError: the project's settings cannot be read.
    """
    root = _project(config)
    if root is None:
        return
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - only tests of a project need it
    from kurt.config import load_settings  # noqa: PLC0415 - as above
    from kurt.errors import ConfigError  # noqa: PLC0415 - as above

    try:
        WorkflowRegistry(load_settings(root))
    except ConfigError as error:
        raise pytest.UsageError(f"{error.message}; {error.hint}") from error


def _project(config: pytest.Config) -> Path | None:
    """The project whose tests these are, None where they are no project's."""
    import os  # noqa: PLC0415 - beside its use

    from kurt.config.discovery import find_root  # noqa: PLC0415 - light, but pytest runs without Kurt's projects too

    root = find_root(str(config.rootpath), environ=os.environ)
    return None if root is None else Path(root)


@pytest.fixture
def reset_dbos_state() -> Generator[None]:
    """DBOS is not launched in this process, neither before the test nor after it."""
    _end_dbos()
    yield
    _end_dbos()


def _end_dbos() -> None:
    import sys  # noqa: PLC0415 - beside its use

    if "dbos" not in sys.modules:
        return
    from dbos import DBOS  # noqa: PLC0415 - loaded already

    from kurt.core import destroy_dbos  # noqa: PLC0415 - only tests of runs need it

    destroy_dbos()
    DBOS.destroy()


@pytest.fixture
def tmp_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Path:
    """A project with its database in a temporary folder, which is the working directory.

    In the tests of a project it has that project's workflows, commands and kinds of steps, and their tables.
    """
    from kurt.db import init_database  # noqa: PLC0415 - only tests with a database pay for it

    for name in _STEERING:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "sources").mkdir(exist_ok=True)
    (tmp_path / ".kurt").mkdir(exist_ok=True)
    (tmp_path / "kurt.config").write_text(_CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    own = _project(pytestconfig)
    for name in _CODE:
        if own is not None and (own / name).is_dir():
            (tmp_path / name).symlink_to(own / name, target_is_directory=True)
    init_database()
    return tmp_path


@pytest.fixture
def tmp_database(tmp_project: Path) -> Path:
    """A database of its own, without DBOS; its file."""
    return tmp_project / ".kurt" / "kurt.sqlite"


@pytest.fixture
def tmp_project_with_docs(tmp_project: Path) -> Path:
    """A project with seven documents, `doc-1` to `doc-7`, in all states."""
    from kurt.db import managed_session  # noqa: PLC0415 - as above
    from kurt.db.models import Document  # noqa: PLC0415 - as above

    with managed_session() as session:
        for number, state in enumerate(_STATES, start=1):
            address = f"https://example.com/doc-{number}"
            session.add(Document(id=f"doc-{number}", uri=address, title=f"Document {number}", state=state))
    return tmp_project


@pytest.fixture
def tmp_docs_folder(tmp_path: Path) -> Path:
    """A folder with four Markdown files, two of them in a folder below."""
    folder = tmp_path / "docs"
    for name, text in _DOCS.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def dbos_launched(tmp_project: Path, reset_dbos_state: None) -> Any:
    """DBOS in this process, as an executor that serves the project's default queue."""
    del reset_dbos_state
    from kurt.core import init_dbos  # noqa: PLC0415 - only tests of runs need it

    return init_dbos(tmp_project)


@pytest.fixture
def tmp_kurt_project(tmp_project: Path, dbos_launched: Any) -> Path:
    """A project with its database and DBOS: all that a workflow needs."""
    del dbos_launched
    return tmp_project


@pytest.fixture
def cli_runner() -> CliRunner:
    """Runs click commands inside the test: `invoke_cli(cli_runner, command, [...])`."""
    from click.testing import CliRunner  # noqa: PLC0415 - only tests of commands need it

    return CliRunner()


@pytest.fixture
def crash_after() -> Callable[..., Any]:
    """Begin a run in a process of its own and kill that after a step; see `kurt.testing.crash_after`."""
    from kurt.testing.crashes import crash_after  # noqa: PLC0415 - only tests that crash something need it

    return crash_after


@pytest.fixture
def run_yaml(tmp_project: Path) -> Callable[..., Any]:
    """Run a workflow file in the test's project; see `kurt.testing.run_yaml`."""
    del tmp_project
    from kurt.testing.yaml_runs import run_yaml  # noqa: PLC0415 - only tests of workflow files need it

    return run_yaml
