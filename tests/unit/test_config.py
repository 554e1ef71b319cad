"""Settings: discovery, precedence, the ladder, origins, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kurt.config import KEYS, is_secret, load_settings
from kurt.config.layers import variable
from kurt.errors import ConfigError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "kurt.config").write_text("# nothing yet\n")
    return folder


def load(root: Path, environ: dict[str, str] | None = None, **overrides: str):
    home = {"HOME": str(root.parent)}
    return load_settings(root, environ=home | (environ or {}), overrides=overrides)


def test_the_project_is_found_from_a_folder_below(root: Path) -> None:
    below = root / "a" / "b"
    below.mkdir(parents=True)
    settings = load(below)
    assert (settings.root, settings.is_project) == (root, True)


def test_without_a_project_the_folder_itself_is_the_root(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.root, settings.is_project) == (tmp_path, False)


def test_the_working_directory_is_the_default(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert load_settings().root == root


def test_the_users_own_file_makes_no_project(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "kurt"
    own.mkdir(parents=True)
    (own / "kurt.config").write_text('USER_ID="me"\n')
    settings = load_settings(own, environ={"HOME": str(tmp_path)})
    assert not settings.is_project
    assert settings.get("USER_ID") == "me"


def test_a_removed_working_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="does not exist any more"):
        load_settings()


def test_each_source_wins_over_the_weaker_ones(root: Path) -> None:
    user = root.parent / ".config" / "kurt"
    user.mkdir(parents=True)
    seen = [load(root).get("USER_ID")]
    origins = [load(root).origin("USER_ID")]

    def look(environ: dict[str, str] | None = None, **overrides: str) -> None:
        settings = load(root, environ, **overrides)
        seen.append(settings.get("USER_ID"))
        origins.append(settings.origin("USER_ID"))

    (user / "kurt.config").write_text("USER_ID=user\n")
    look()
    (root / "kurt.config").write_text("\nUSER_ID=project\n")
    look()
    (root / ".env").write_text("KURT_USER_ID=dotenv\n")
    look()
    look({"KURT_USER_ID": "environment"})
    look({"KURT_USER_ID": "environment"}, USER_ID="flag")
    assert seen == ["", "user", "project", "dotenv", "environment", "flag"]
    assert origins == [
        "default",
        f"{user}/kurt.config:1",
        f"{root}/kurt.config:2",
        f"{root}/.env:1",
        "environment (KURT_USER_ID)",
        "flag",
    ]


def test_xdg_config_home_moves_the_users_file(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "xdg" / "kurt"
    folder.mkdir(parents=True)
    (folder / "kurt.config").write_text("USER_ID=xdg\n")
    assert load(root, {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}).get("USER_ID") == "xdg"
    assert load(root, {"XDG_CONFIG_HOME": "relative"}).get("USER_ID") == ""


def test_a_module_key_is_looked_up_from_step_to_module_to_global(root: Path) -> None:
    (root / "kurt.config").write_text("LLM_MODEL=a\n")
    assert load(root).get("LLM_MODEL", module="extract", step="entities") == "a"
    (root / "kurt.config").write_text("LLM_MODEL=a\nEXTRACT.LLM_MODEL=b\n")
    assert load(root).get("llm_model", module="extract", step="entities") == "b"
    (root / "kurt.config").write_text("LLM_MODEL=a\nEXTRACT.LLM_MODEL=b\nextract.entities.llm_model=c\n")
    settings = load(root, {"KURT_LLM_MODEL": "d"})
    assert settings.get("LLM_MODEL", module="extract", step="entities") == "c"
    assert settings.get("LLM_MODEL", module="extract", step="claims") == "b"
    assert settings.get("LLM_MODEL", module="map") == "d"
    assert settings.get("OTHER", module="map") is None


def test_a_dotted_key_has_a_variable(root: Path) -> None:
    assert variable("WORKER.GRACE") == "KURT_WORKER__GRACE"
    assert load(root, {"KURT_MAP__MAX_PAGES": "7"}).get("MAX_PAGES", module="map") == "7"


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("WORKFLOW.TIMEOUT=1h30m", "WORKFLOW.TIMEOUT", 5400),
        ("WORKFLOW.TIMEOUT=", "WORKFLOW.TIMEOUT", None),
        ("WORKER.GRACE=2.5", "WORKER.GRACE", 2.5),
        ("WORKER.GRACE=", "WORKER.GRACE", 10),
        ("WORKER.CONCURRENCY=3", "WORKER.CONCURRENCY", 3),
        ("LOG.MAX_BYTES=2MiB", "LOG.MAX_BYTES", 2 * 1024 * 1024),
        ("LOG.MAX_BYTES=5000", "LOG.MAX_BYTES", 5000),
        ("DATABASE.SYNCHRONOUS=FULL", "DATABASE.SYNCHRONOUS", "full"),
        ("format=jsonl", "FORMAT", "jsonl"),
        ("DBOS.max_db_connections=4", "DBOS.MAX_DB_CONNECTIONS", "4"),
    ],
)
def test_values_have_the_type_of_their_key(root: Path, line: str, key: str, value: object) -> None:
    (root / "kurt.config").write_text(line + "\n")
    assert load(root).get(key) == value
    assert dict(load(root).items())[key] == value


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("WORKFLOW.TIMEOUT=soon", "30s"),
        ("WORKER.CONCURRENCY=0", "the least is 1"),
        ("WORKER.CONCURRENCY=many", "whole number"),
        ("LOG.MAX_BYTES=big", "10MB"),
        ("FORMAT=xml", "table, json, jsonl"),
        ("DATABASE_URL=mysql://host/db", "postgresql://"),
    ],
)
def test_an_illegal_value_is_refused_with_its_place(root: Path, line: str, hint: str) -> None:
    (root / "kurt.config").write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=r"kurt\.config:2: ") as caught:
        load(root)
    assert hint in (caught.value.hint or "")


def test_an_illegal_variable_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match="KURT_WORKER__CONCURRENCY"):
        load(root, {"KURT_WORKER__CONCURRENCY": "x"})


@pytest.mark.parametrize("key", [key.name for key in KEYS])
def test_every_default_is_legal_and_every_key_is_explained(root: Path, key: str) -> None:
    settings = load(root)
    assert settings.origin(key) == "default"
    settings.get(key)
    assert next(known.help for known in KEYS if known.name == key)


def test_the_database_is_a_file_below_the_root(root: Path) -> None:
    settings = load(root)
    assert settings.is_sqlite
    assert settings.sqlite_path == root / ".kurt" / "kurt.sqlite"
    assert settings.database_url == f"sqlite:///{root}/.kurt/kurt.sqlite"
    assert settings.executors_dir == root / ".kurt" / "executors"
    assert settings.logs_dir == root / ".kurt" / "logs"


def test_projects_that_share_a_file_share_the_executors_folder(root: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "link").symlink_to(shared)
    direct = load(root, PATH_DB=str(shared / "x.sqlite"))
    linked = load(root, PATH_DB="../link/x.sqlite")
    assert direct.executors_dir == linked.executors_dir == shared / "executors"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_has_one_spelling(root: Path, scheme: str) -> None:
    settings = load(root, {"DATABASE_URL": f"{scheme}://me@host:5433/db"})
    assert settings.database_url == "postgresql://me@host:5433/db"
    assert not settings.is_sqlite
    assert settings.executors_dir == root / ".kurt" / "executors"
    with pytest.raises(ConfigError):
        _ = settings.sqlite_path


def test_a_sqlite_address_may_be_relative(root: Path) -> None:
    assert load(root, {"DATABASE_URL": "sqlite:///data/x.db"}).sqlite_path == root / "data" / "x.db"


def test_kurts_own_variable_wins_over_database_url(root: Path) -> None:
    environ = {"DATABASE_URL": "sqlite:///a.db", "KURT_DATABASE_URL": "sqlite:///b.db"}
    assert load(root, environ).sqlite_path.name == "b.db"


def test_a_wrong_address_is_shown_without_its_password(root: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(root, {"DATABASE_URL": "mysql://me:hunter2@host/db"})
    assert "hunter2" not in str(caught.value)
    assert "environment (DATABASE_URL)" in str(caught.value)


def test_folders_follow_the_settings(root: Path) -> None:
    settings = load(root, PATH_SOURCES="content")
    assert settings.sources_dir == root / "content"
    assert settings.workflows_dir == root / "workflows"
    assert settings.steps_dir == root / "steps"
    assert settings.commands_dir == root / "commands"


def test_the_real_environment_wins_over_dotenv(root: Path) -> None:
    (root / ".env").write_text("OPENAI_API_KEY=from-file\nOTHER=x\nEMPTY=\n")
    settings = load(root, {"OPENAI_API_KEY": "from-environment"})
    assert settings.secret("OPENAI_API_KEY") == "from-environment"
    assert settings.secret("OTHER") == "x"
    assert settings.secret("EMPTY") is None
    assert settings.secret("NONE") is None
    assert "OTHER" not in os.environ


def test_a_dotenv_outside_a_project_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHER=x\n")
    assert load(tmp_path).secret("OTHER") is None


@pytest.mark.parametrize(
    "line", ["OPENAI_API_KEY=sk-12345678", "CMS.SANITY.TOKEN=t0k3n-value", "DB_PASSWORD=hunter2!"]
)
def test_a_secret_in_the_project_file_is_refused(root: Path, line: str) -> None:
    (root / "kurt.config").write_text(line)
    with pytest.raises(ConfigError, match=r"kurt\.config:1: .* looks like a secret") as caught:
        load(root)
    assert ".env" in (caught.value.hint or "")
    assert line.partition("=")[2] not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("password", ["hunter2", "p/ss@word"])
def test_an_address_with_a_password_in_the_project_file_is_refused(root: Path, password: str) -> None:
    (root / "kurt.config").write_text(f"DATABASE_URL=postgresql://me:{password}@host/db\n")
    with pytest.raises(ConfigError, match="holds a password") as caught:
        load(root)
    assert "DATABASE_URL" in (caught.value.hint or "")
    assert password not in f"{caught.value} {caught.value.hint}"


def test_an_address_without_a_password_may_stand_there(root: Path) -> None:
    (root / "kurt.config").write_text("DATABASE_URL=postgresql://me@host/db\nMAP.START=https://x:80/a@b\n")
    assert load(root).database_url == "postgresql://me@host/db"


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("OPENAI_API_KEY", True),
        ("openai_api_key_2", True),
        ("CMS.ACCESS_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("PGPASSWORD", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", True),
        ("CLIENT_SECRET", True),
        ("MAX_TOKENS", False),
        ("TOKEN_LIMIT", False),
        ("DEBOUNCE_KEY", False),
        ("KEY", False),
        ("PATH_DB", False),
        ("_", False),
    ],
)
def test_secrets_are_known_by_their_names(key: str, secret: bool) -> None:
    assert is_secret(key) is secret


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("PATH_DBB=x", "did you mean PATH_DB?"),
        ("WORKER.CONCURENCY=3", "did you mean WORKER.CONCURRENCY?"),
        ("WROKER.CONCURRENCY=3", "did you mean WORKER.CONCURRENCY?"),
        ("QQQQQ=3", "nobody knows the setting QQQQQ"),
    ],
)
def test_an_unknown_key_gives_a_warning(root: Path, line: str, warning: str) -> None:
    (root / "kurt.config").write_text(f"#\n{line}\n")
    (found,) = load(root).warnings
    assert "kurt.config:2: " in found
    assert found.endswith(warning)


def test_keys_of_modules_are_free(root: Path) -> None:
    (root / "kurt.config").write_text(
        "MAP.MAX_PAGES=3\nEXTRACT.ENTITIES.LLM_MODEL=x\nCRAWLER.CONCURRENCY=1\nMAP.TIMEOUT=1m\n"
    )
    assert load(root).warnings == ()
