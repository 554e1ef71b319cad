"""What a command loads before it does anything: help, version and completion must answer like `git`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import child_environment

HEAVY = {
    "dbos",
    "sqlalchemy",
    "alembic",
    "pandas",
    "pydantic",
    "rich",
    "yaml",
    "asyncio",
    "psycopg",
    "jinja2",
    "aiohttp",
}
NAMES_ONLY = {
    "importlib.metadata",
    "json",
    "kurt.config.settings",
    "kurt.cli.workflows",
    "kurt.runtime",
    "kurt.engine",
}
PROBE = """
import atexit, sys
atexit.register(lambda: sys.stderr.write("\\nMODULES " + " ".join(sorted(sys.modules))))
sys.argv = ["kurt", *sys.argv[1:]]
from kurt.__main__ import main
main()
"""
"""`-X importtime` does not see what `importlib.import_module` loads."""


def loaded(home: Path, cwd: Path, *argv: str, code: int = 0, env: dict[str, str] | None = None) -> set[str]:
    """Names of all modules that `kurt ARGV` has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *argv],
        cwd=cwd,
        env=child_environment(home, env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return set(done.stderr.rpartition("MODULES ")[2].split())


def heavy(modules: set[str]) -> set[str]:
    return HEAVY & {name.partition(".")[0] for name in modules}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "kurt.config").write_text("")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "x.yaml").write_text("name: x\nsteps: []\n")
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "mine.py").write_text(
        "import click, pandas\n@click.command('mine')\ndef f(): ...\n"
    )
    return tmp_path


@pytest.mark.parametrize("argv", [["--help"], ["--version"]])
def test_help_and_version_load_names_only(root: Path, home: Path, argv: list[str]) -> None:
    loaded(home, root, *argv)  # fills the cache of names
    modules = loaded(home, root, *argv)
    assert "kurt.cli.main" in modules
    assert not heavy(modules)
    assert not NAMES_ONLY & modules


def test_the_help_of_a_group_loads_none_of_its_commands(root: Path, home: Path) -> None:
    modules = loaded(home, root, "workflows", "--help")
    assert "kurt.cli.workflows" in modules
    assert not heavy(modules)
    assert not {
        name for name in modules if name.startswith(("kurt.cli.workflows.", "kurt.app", "kurt.runtime"))
    }


@pytest.mark.parametrize(
    "argv", [["config", "show"], ["config", "get", "PATH_DB"], ["completion", "zsh"], ["init", "--dry-run"]]
)
def test_light_commands_stay_light(root: Path, home: Path, argv: list[str]) -> None:
    assert not heavy(loaded(home, root, *argv))


@pytest.mark.parametrize("words", ["kurt w", "kurt workflows l", "kurt config get PATH", "kurt --pro"])
def test_completion_of_names_stays_light(root: Path, home: Path, words: str) -> None:
    env = {"_KURT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    modules = loaded(home, root, env=env)
    assert "click.shell_completion" in modules
    assert not heavy(modules)


def test_an_error_of_the_command_line_stays_light(root: Path, home: Path) -> None:
    assert not heavy(loaded(home, root, "worfklows", code=2))
