"""Completion: the shells' scripts, and the names that they ask for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from kurt.cli import options
from kurt.cli.options import complete_run_id, complete_workflow_file
from kurt.config import load_settings
from kurt.db.migrate import ensure_schema
from tests.support.cli import Kurt
from tests.support.environment import child_environment


@pytest.fixture
def bare(tmp_path: Path, home: Path) -> Kurt:
    root = tmp_path / "project"
    (root / "workflows" / "sub").mkdir(parents=True)
    for name in ("daily.yaml", "daily.test.yaml", "sub/deep.yml", "notes.txt"):
        (root / "workflows" / name).write_text("")
    (root / "kurt.config").write_text("")
    return Kurt(root, home, tmp_path)


def complete(kurt: Kurt, *words: str) -> list[str]:
    """What bash is offered for the last word."""
    env = {
        "_KURT_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["kurt", *words]),
        "COMP_CWORD": str(len(words)),
    }
    result = kurt(env=env)
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(bare: Kurt, shell: str) -> None:
    script = bare("completion", shell).stdout
    assert f"_KURT_COMPLETE={shell}_complete" in script
    assert bare.json("completion", shell)["script"] == script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=20)


def test_an_unknown_shell_is_refused(bare: Kurt) -> None:
    assert "'bash', 'zsh', 'fish'" in bare("completion", "tcsh", code=2).stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_it(bare: Kurt, home: Path, tmp_path: Path) -> None:
    kurt = tmp_path / "bin" / "kurt"
    kurt.parent.mkdir()
    kurt.write_text(f'#!/bin/sh\nexec {sys.executable} -m kurt "$@"\n')
    kurt.chmod(0o755)
    line = (
        f'PATH={kurt.parent}:$PATH; eval "$(kurt completion bash)"; '
        'COMP_WORDS=(kurt comp); COMP_CWORD=1; _kurt_completion kurt; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=bare.project,
        env=child_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "completion\n"


class TestInstall:
    @pytest.fixture
    def own(self, tmp_path: Path, bare: Kurt) -> Path:
        """A home of the test's own; commands find `kurt` in its folder `bin`."""
        own = tmp_path / "own home"
        (own / "bin").mkdir(parents=True)
        (own / "bin" / "kurt").write_text(f'#!/bin/sh\nexec {sys.executable} -m kurt "$@"\n')
        (own / "bin" / "kurt").chmod(0o755)
        bare.environ.update(HOME=str(own))
        return own

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_repeat_changes_nothing_and_the_users_lines_stay(
        self, bare: Kurt, own: Path, shell: str
    ) -> None:
        settings = own / f".{shell}rc"
        settings.write_text("alias ll='ls -l'  # mine")
        assert "would be created" in bare("completion", shell, "--install", "--dry-run").stdout
        assert sorted(own.iterdir()) == [settings, own / "bin"]
        told = bare("completion", shell, "--install").lines
        assert told[-1].startswith("to undo: rm ")
        first = {path: path.read_text() for path in own.rglob("*") if path.is_file()}
        assert any(text == bare("completion", shell).stdout for text in first.values())
        again = bare.json("completion", shell, "--install")
        assert {change["action"] for change in again["changes"]} == {"kept"}
        assert {path: path.read_text() for path in own.rglob("*") if path.is_file()} == first
        lines = settings.read_text().splitlines()
        assert lines[0] == "alias ll='ls -l'  # mine"
        assert len(lines) == (1 if shell == "fish" else 3)

    def test_an_old_script_is_replaced_and_a_link_stays_a_link(self, bare: Kurt, own: Path) -> None:
        (own / "dotfiles").mkdir()
        (own / "dotfiles" / "bashrc").write_text("# mine\n")
        (own / ".bashrc").symlink_to(own / "dotfiles" / "bashrc")
        bare("completion", "bash", "--install")
        assert (own / ".bashrc").is_symlink()
        script = own / ".local" / "share" / "bash-completion" / "completions" / "kurt"
        script.write_text("old")
        assert bare.json("completion", "bash", "--install")["changes"][0]["action"] == "updated"
        assert script.read_text() != "old"

    def test_what_cannot_be_written_is_named(self, bare: Kurt, own: Path) -> None:
        (own / ".local").write_text("a file")
        error = bare("completion", "bash", "--install", "--format", "json", code=1).error()
        assert str(own / ".local") in error["message"]
        assert "kurt completion" in error["hint"]

    def test_a_dry_run_is_about_an_installation(self, bare: Kurt) -> None:
        assert "--install" in bare("completion", "bash", "--dry-run", code=2).stderr

    @pytest.mark.parametrize(
        ("shell", "line"),
        [
            (
                "bash",
                '. "$HOME/.bashrc"; COMP_WORDS=(kurt comp); COMP_CWORD=1; _kurt_completion kurt; echo "${COMPREPLY[@]}"',
            ),
            ("zsh", '. "$HOME/.zshrc"; print $_comps[kurt]'),
            ("fish", "complete -C 'kurt comp'"),
        ],
    )
    def test_the_shell_itself_completes(self, bare: Kurt, own: Path, shell: str, line: str) -> None:
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell}")
        bare("completion", shell, "--install")
        environment = child_environment(own, {"HOME": str(own)})
        environment["PATH"] = f"{own / 'bin'}:{environment['PATH']}"
        done = subprocess.run(
            [shell, "-c", line],
            cwd=bare.project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ("_kurt_completion" if shell == "zsh" else "completion") in done.stdout


def test_names_of_commands_options_and_choices(bare: Kurt) -> None:
    assert complete(bare, "work") == ["workflows", "worker"]
    assert complete(bare, "config", "") == ["show", "get", "path"]
    assert complete(bare, "config", "show", "--or") == ["--origin"]
    assert complete(bare, "config", "show", "--format", "j") == ["json", "jsonl"]
    assert complete(bare, "config", "get", "path") == ["PATH_DB", "PATH_SOURCES"]


def test_names_of_the_projects_commands(bare: Kurt) -> None:
    (bare.project / "commands").mkdir()
    (bare.project / "commands" / "notes.py").write_text("import click\n@click.command()\ndef notes(): ...\n")
    assert complete(bare, "note") == ["notes"]


class TestValues:
    @pytest.fixture(autouse=True)
    def _here(self, bare: Kurt, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(bare.project)

    def offered(self, complete: Any, incomplete: str) -> list[tuple[str, str, str | None]]:
        command = click.Command("x")
        items = complete(click.Context(command), click.Argument(["x"]), incomplete)
        return [(item.value, item.type, item.help) for item in items]

    def test_workflow_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(options, "COMPLETION_SECONDS", 20)
        assert [name for name, _, _ in self.offered(complete_workflow_file, "")] == [
            "workflows/daily.yaml",
            "workflows/sub/deep.yml",
        ]
        assert self.offered(complete_workflow_file, "/else") == [("/else", "file", None)]

    def test_run_ids(self, bare: Kurt, monkeypatch: pytest.MonkeyPatch) -> None:
        import sqlite3

        monkeypatch.setattr(options, "COMPLETION_SECONDS", 20)  # this machine may be busy
        settings = load_settings()
        assert self.offered(complete_run_id, "") == []
        ensure_schema(settings)
        with closing(sqlite3.connect(settings.sqlite_path)) as connection, connection:
            for run_id in ("aa1", "aa2", "bb1"):
                connection.execute(
                    "INSERT INTO workflow_status (workflow_uuid, status, name, created_at, updated_at, priority)"
                    " VALUES (?, 'SUCCESS', 'daily', 1, 1, 0)",
                    (run_id,),
                )
        connection.close()
        found = self.offered(complete_run_id, "aa")
        assert sorted(found) == [("aa1", "plain", "daily succeeded"), ("aa2", "plain", "daily succeeded")]

    def test_whatever_is_wrong_there_are_no_names_and_no_error(self, bare: Kurt) -> None:
        (bare.project / "kurt.config").write_text("nonsense\n")
        assert self.offered(complete_run_id, "") == []

    def test_it_takes_no_longer_than_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        release = threading.Event()
        monkeypatch.setattr(options, "load", lambda _: lambda *_: release.wait(30))
        began = time.monotonic()
        assert self.offered(complete_run_id, "") == []
        assert time.monotonic() - began < 5
        release.set()
