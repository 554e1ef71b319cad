"""The heavy half of `kurt.db.migrate`: runs DBOS's migrations and Alembic's; the caller holds the lock."""

from __future__ import annotations

import os
import warnings
from argparse import Namespace
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from kurt.db.engine import system_engine
from kurt.db.failures import storage_error
from kurt.db.state import (
    META_DBOS,
    PROJECT_VERSION_TABLE,
    VERSION_TABLE,
    installed_dbos,
    read_state,
)
from kurt.db.system import attach, detach, migrate_dbos
from kurt.errors import ConflictError, NotFoundError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from kurt.config import Settings

MIGRATIONS = Path(__file__).with_name("migrations")
"""Alembic's folder: environment, template, and Kurt's own revisions."""

_SAVE_META = """
INSERT INTO kurt_meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""


def upgrade(settings: Settings, to: str) -> None:
    """Upgrade DBOS's tables and Kurt's. See `kurt.db.migrate`."""
    with _working_engine(settings) as engine:
        _refuse_newer(settings)
        _prepare_dbos(engine, settings)
        _run(engine, kurt_config(), lambda config: command.upgrade(config, to))
        _finish(engine)


def downgrade(settings: Settings, to: str) -> None:
    """Take Kurt's own tables back. See `kurt.db.migrate`."""
    with _working_engine(settings) as engine:
        _refuse_newer(settings)
        _run(engine, kurt_config(), lambda config: command.downgrade(config, to))


def upgrade_project(settings: Settings) -> None:
    """Upgrade the tables of the project's own modules; nothing where they have no revisions.

    Raises:
        StorageError: the revisions are not one line, or one of them fails.
    """
    folders = project_folders(settings)
    if not folders:
        return
    with _working_engine(settings) as engine:
        _run(engine, project_config(folders), lambda config: command.upgrade(config, "head"))


def new_revision(settings: Settings, module: str, message: str, package: str | None = None) -> Path:
    """Write a revision for one of the project's modules. See `kurt.db.migrate`."""
    home = settings.workflows_dir / module
    if not (home / "__init__.py").is_file():
        raise NotFoundError(
            f"there is no workflow module {module!r} in {str(settings.workflows_dir)!r}",
            hint=f"make the folder {home} with an __init__.py",
        )
    folder = home / "migrations" / "versions"
    folder.mkdir(parents=True, exist_ok=True)
    folders = sorted({*project_folders(settings), folder})
    config = project_config(folders)
    scripts = ScriptDirectory.from_config(config)
    if package is not None:
        with _alembic_errors(settings):
            return _drafted(settings, config, package, _one_line(message), folder)
    with _alembic_errors(settings):
        head = scripts.get_current_head()
        written = scripts.generate_revision(
            _next_id(scripts), _one_line(message), head=head or "base", version_path=str(folder)
        )
    assert written is not None  # noqa: S101 - only a dry run of Alembic writes nothing
    return Path(written.path)


def _drafted(settings: Settings, config: Config, package: str, message: str, folder: Path) -> Path:
    """Write a revision with what the models of a module have that the database lacks."""
    from kurt.db.drafting import Drafting  # noqa: PLC0415 - loads SQLModel

    drafting = Drafting(package, package.rpartition(".")[2])
    config.attributes["drafting"] = drafting.options()
    scripts = ScriptDirectory.from_config(config)
    written: list[Any] = []

    def write(config: Config) -> None:
        made = command.revision(
            config,
            message,
            autogenerate=True,
            head=scripts.get_current_head() or "base",
            version_path=str(folder),
            rev_id=_next_id(scripts),
            process_revision_directives=drafting.keep_difference,
        )
        written.append(made)

    with _working_engine(settings) as engine, warnings.catch_warnings():
        # Alembic looks at all tables before it leaves out those of others.
        warnings.filterwarnings("ignore", message="Skipped unsupported reflection")
        _run(engine, config, write)
    if not drafting.found_any:
        raise ConflictError(
            f"the tables of {package} in the database are as its models say: there is nothing to revise",
            hint="change the models first, or leave --autogenerate out for an empty revision",
        )
    return Path(written[0].path)


def project_folders(settings: Settings) -> list[Path]:
    """Folders with revisions of the project's own modules."""
    return sorted(
        path for path in settings.workflows_dir.glob("*/migrations/versions") if any(path.glob("*.py"))
    )


def kurt_config() -> Config:
    """Alembic's configuration for Kurt's own history."""
    return _config(VERSION_TABLE, [MIGRATIONS / "versions"])


def project_config(folders: list[Path]) -> Config:
    """Alembic's configuration for the history of a project, over all its modules."""
    return _config(PROJECT_VERSION_TABLE, folders)


def _config(version_table: str, folders: list[Path]) -> Config:
    config = Config(cmd_opts=Namespace(quiet=True))  # Alembic must not print: results belong to the command
    escaped = [str(path).replace("%", "%%") for path in (MIGRATIONS, *folders)]
    config.set_main_option("script_location", escaped[0])
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(escaped[1:]))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["version_table"] = version_table
    return config


def _one_line(message: str) -> str:
    """A message that can stand in a docstring."""
    return " ".join(message.split()).replace('"', "'").replace("\\", "/")


def _next_id(scripts: ScriptDirectory) -> str:
    """`YYYYMMDD_NNN`: today, and the number after the last one of today."""
    today = datetime.now(UTC).strftime("%Y%m%d")
    taken = [item.revision for item in scripts.walk_revisions() if item.revision.startswith(today)]
    return f"{today}_{len(taken) + 1:03d}"


def _refuse_newer(settings: Settings) -> None:
    """Never touch the tables of a newer Kurt: this build does not know what they mean."""
    found = read_state(settings).revision
    known = {item.revision for item in ScriptDirectory.from_config(kurt_config()).walk_revisions()}
    if found is not None and found not in known:
        raise StorageError(
            f"a newer Kurt wrote this database: it has revision {found}, which this release does not know",
            hint="install that release again: pip install --upgrade kurt",
        )


def _prepare_dbos(engine: sa.Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        detach(connection)
    migrate_dbos(engine, settings.database_url)


def _finish(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        attach(connection)
        connection.execute(sa.text(_SAVE_META), {"key": META_DBOS, "value": installed_dbos()})


def _run(engine: sa.Engine, config: Config, action: Callable[[Config], None]) -> None:
    """Run a command of Alembic in one transaction."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # The driver begins a transaction only before changes of rows: changes of tables would escape it.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        action(config)


@contextmanager
def _working_engine(settings: Settings) -> Generator[sa.Engine]:
    """An engine for the duration of the work; its errors become a StorageError with a hint."""
    engine = system_engine(settings)
    try:
        with _alembic_errors(settings):
            yield engine
    except SQLAlchemyError as error:
        raise storage_error(settings, error) from error
    finally:
        engine.dispose()


@contextmanager
def _alembic_errors(settings: Settings) -> Generator[None]:
    try:
        yield
    except CommandError as error:
        text = str(error)
        if "locate revision" in text:
            raise NotFoundError(f"there is no such revision: {text}", hint="run `kurt db current`") from error
        if "not up to date" in text:
            raise StorageError(
                "the database lacks revisions of the project that are there already",
                hint="run `kurt db upgrade`",
            ) from error
        raise StorageError(
            f"the revisions cannot be applied: {text}",
            hint=f"make the revisions below {settings.workflows_dir} one line: each names the one before it",
        ) from error
