"""Fixtures of tests that need a database: SQLite always, Postgres where the machine can run one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kurt.config import Settings, load_settings
from kurt.db.migrate import ensure_schema
from tests.support.postgres import NoServerError, Server, shared_server

BACKENDS = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
"""Both back ends, for `parametrize`."""


def session_root(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of the test session share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, the same one for the whole session; skips in plain words where there is none."""
    try:
        sharing = shared_server(session_root(tmp_path_factory))
        server = sharing.__enter__()
    except NoServerError as reason:
        pytest.skip(str(reason))
    yield server
    sharing.__exit__(None, None, None)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The address of an empty database that only this test uses."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


def project_settings(root: Path, url: str | None = None) -> Settings:
    """The settings of a project in `root`, which is made; on SQLite without an address."""
    root.mkdir(exist_ok=True)
    (root / "kurt.config").touch()
    return load_settings(root, environ={"DATABASE_URL": url} if url else {})


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = project_settings(tmp_path_factory.mktemp("sqlite"))
    ensure_schema(settings)
    return settings.sqlite_path


@pytest.fixture(scope="session")
def _postgres_template(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> str:
    name = postgres_server.create()
    ensure_schema(project_settings(tmp_path_factory.mktemp("postgres"), postgres_server.url(name)))
    return name


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """`sqlite` and `postgres`: a test that uses it runs on both."""
    return request.param


@pytest.fixture
def database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """The settings of a project of this test, whose database has the current schema and no runs."""
    if backend == "sqlite":
        settings = project_settings(tmp_path / "project")
        settings.state_dir.mkdir()
        shutil.copy(request.getfixturevalue("_sqlite_template"), settings.sqlite_path)
        yield settings
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = server.create(request.getfixturevalue("_postgres_template"))
    yield project_settings(tmp_path / "project", server.url(name))
    server.drop(name)
