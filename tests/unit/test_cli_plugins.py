"""Commands of packages and of the project: found by reading, cached, run when they are called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from kurt.cli import plugins
from kurt.cli.invoke import invoke
from kurt.cli.main import cli
from kurt.cli.plugin_names import names_in
from kurt.errors import ConfigError, KurtError

CONTENT = '''
import click
from kurt.cli.command import group
from helper import PREFIX

@group("pages")
def pages():
    """Fetch pages. Slowly."""

@pages.command("fetch")
@click.option("--url", required=True)
def fetch(url):
    """Fetch one."""
    return {"title": PREFIX + url}

@click.command()
def count_words_cmd():
    """Count."""
    print('{"words": 3}')
'''


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = sys.path[:]
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("commands") or name == "helper"]:
        del sys.modules[name]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "commands").mkdir(parents=True)
    (folder / "kurt.config").write_text("")
    (folder / "helper.py").write_text('PREFIX = "page "\n')
    (folder / "commands" / "pages.py").write_text(CONTENT)
    monkeypatch.chdir(folder)
    return folder


def names(source: str, tmp_path: Path, name: str = "file_name.py") -> list[tuple[str, str]]:
    path = tmp_path / name
    path.write_text(source)
    return names_in(str(path))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@command('a')\ndef f(): 'Do it.'", [("a", "Do it.")]),
        ("@click.command(name='a', help='Long.\\n text')\ndef f(): ...", [("a", "Long. text")]),
        ("@click.group\ndef my_things_group(): 'One\\ntwo. Three.'", [("my-things", "One two.")]),
        ("@click.command()\ndef do_cmd(): ...", [("do", "")]),
        ("@click.group()\ndef g(): ...\n@g.command('x')\ndef x(): ...", [("g", "")]),
        ("@click.option('--x')\n@kurt.cli.command.command('a')\ndef f(x): ...", [("a", "")]),
        ("x = make()", [("file-name", "A command of file_name.py.")]),
        ("def broken(", [("file_name", "A command of file_name.py, which cannot be read.")]),
    ],
)
def test_names_are_read_not_run(source: str, found: list[tuple[str, str]], tmp_path: Path) -> None:
    assert names(source, tmp_path) == found


def test_reading_a_file_does_not_run_it(tmp_path: Path) -> None:
    assert names("raise SystemExit\n@command('a')\ndef f(): ...", tmp_path) == [("a", "")]


def test_the_projects_commands_are_in_the_help(root: Path) -> None:
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    assert re.search(r"\n  pages +Fetch pages\.\n", shown)
    assert re.search(r"\n  count-words +Count\.\n", shown)
    assert "commands.pages" not in sys.modules


def test_they_run_and_can_import_from_the_project(root: Path) -> None:
    result = CliRunner().invoke(cli, ["pages", "fetch", "--url", "x", "--format", "json"])
    assert result.stdout == '{"title": "page x"}\n', result.output


def test_they_are_found_from_another_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["pages", "fetch", "--url", "x"], str(root)) == {"title": "page x"}
    result = CliRunner().invoke(cli, ["--project", str(root), "pages", "fetch", "--url", "x"])
    assert result.stdout == "title  page x\n"


def test_a_new_or_changed_file_is_seen_at_once(root: Path) -> None:
    assert "other" not in plugins.find(str(root))
    other = root / "commands" / "other.py"
    other.write_text("@command('other')\ndef f(): ...")
    assert "other" in plugins.find(str(root))
    other.write_text("@command('another')\ndef f(): ...")
    assert {"another"} == plugins.find(str(root)).keys() - {"pages", "count-words"}
    other.unlink()
    assert "another" not in plugins.find(str(root))


def test_names_come_from_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plugins.find(str(root))

    def never(*_: object) -> None:
        raise AssertionError("it was looked for again")

    monkeypatch.setattr(plugins, "_read_files", never)
    monkeypatch.setattr(plugins, "_entry_points", never)
    assert plugins.find(str(root)) == first


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"other\nx"])
def test_a_damaged_cache_is_made_anew(root: Path, tmp_path: Path, damage: bytes) -> None:
    first = plugins.find(str(root))
    files = list((tmp_path / "cache" / "kurt").iterdir())
    for file in files:
        file.write_bytes(damage)
    assert files
    assert plugins.find(str(root)) == first


def test_a_home_that_cannot_be_written_costs_nothing_but_time(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "pages" in plugins.find(str(root))


def test_private_files_and_tests_are_left_out(root: Path) -> None:
    for name in ("_helpers.py", "test_pages.py", ".hidden.py", "notes.txt"):
        (root / "commands" / name).write_text("@command('x')\ndef f(): ...")
    assert "x" not in plugins.find(str(root))


def test_a_name_that_two_files_bring_is_refused(root: Path) -> None:
    (root / "commands" / "more.py").write_text("@command('pages')\ndef f(): ...")
    result = CliRunner().invoke(cli, ["pages"])
    assert result.exit_code == 2
    assert "defined twice: in commands/more.py and commands/pages.py" in result.stderr
    with pytest.raises(ConfigError):
        invoke(["pages", "fetch", "--url", "x"], str(root))


def test_kurts_own_commands_win(root: Path) -> None:
    (root / "commands" / "mine.py").write_text("@command('config')\ndef f(): ...")
    assert CliRunner().invoke(cli, ["config", "--help"]).stdout.startswith("Usage: kurt config")
    assert CliRunner().invoke(cli, ["--help"]).stdout.count("\n  config ") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
        ("def (", "cannot be loaded: SyntaxError"),
        ("x = 1", "commands/bad.py defines no command 'bad'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_when_it_is_called(root: Path, source: str, message: str) -> None:
    (root / "commands" / "bad.py").write_text(source)
    result = CliRunner().invoke(cli, ["bad"])
    assert result.exit_code == 1
    assert message in result.stderr
    assert CliRunner().invoke(cli, ["--help"]).exit_code == 0


def test_entry_points_bring_commands(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "notes_kit-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: notes-kit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[kurt.commands]\nnotes = commands_of_notes:notes\nodd = json:loads\ngone = no_such:x\n"
        "[console_scripts]\nx = y:z\n"
    )
    (site / "commands_of_notes.py").write_text(
        "import click\n@click.command()\n@click.argument('word')\ndef notes(word):\n    return [word]\n"
    )
    monkeypatch.syspath_prepend(str(site))
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    assert "A command of the package notes-kit." in shown
    assert invoke(["notes", "x"], str(root)) == ["x"]
    with pytest.raises(KurtError, match="no click command"):
        invoke(["odd"], str(root))
    with pytest.raises(KurtError, match="no module 'no_such'"):
        invoke(["gone"], str(root))
    (info / "entry_points.txt").unlink()
    os.utime(site, ns=(1, 1))
    assert "notes" not in plugins.find(None)


def test_without_a_working_directory_kurt_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert CliRunner().invoke(cli, ["--help"]).exit_code == 0
