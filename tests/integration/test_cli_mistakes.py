"""What people type by mistake: each mistake is answered with what is wrong, what to do and an exit status, never with a
traceback, and for programs with one JSON object."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Kurt
from tests.support.command import Command

TYPED = """
name: typed
inputs:
  n: {type: integer, required: true}
  mode: {type: string, enum: [a, b], default: a}
steps: [{name: s, type: script, inputs: {n: "${n}"}, code: result = n}]
"""
RUN = ("workflows", "run")
TYPED_RUN = (*RUN, "typed")
UNREACHABLE = {"DATABASE_URL": "postgresql://ada:secret-word@127.0.0.1:1/x"}

# What is typed, exit status, part of the error, part of the hint.
COMMAND_LINE = [
    (["frobnicate"], 2, "No such command 'frobnicate'", "kurt --help"),
    (["workflow", "list"], 2, "Did you mean 'workflows'?", "kurt --help"),
    (["workflows", "lst"], 2, "Did you mean 'list'?", "kurt workflows --help"),
    (["workflows", "list", "--stat", "failed"], 2, "Did you mean '--status'?", "kurt workflows list --help"),
    (["workflows", "list", "--status", "broken"], 2, "is not one of 'scheduled', 'queued'", "--help"),
    (["workflows", "list", "--limit", "many"], 2, "'many' is not a valid integer", "--help"),
    (["workflows", "list", "--since", "soonish"], 2, "neither a time nor a duration", "2h for two hours ago"),
    (["workflows", "status"], 2, "Missing argument 'RUN_ID'", "kurt workflows status --help"),
    (["completion"], 2, "Choose from: bash, zsh, fish", "kurt completion --help"),
    (["doctor", "now"], 2, "unexpected extra argument (now)", "kurt doctor --help"),
    (["worker", "stop"], 2, "which workers", "kurt worker stop --all"),
    (["worker", "stop", "nobody"], 3, "no live workers fit 'nobody'", "kurt worker list"),
    (["worker", "start", "--queues", ","], 2, "names no queue", "--queues default,reports"),
    (["worker", "start", "--queues", "a b"], 2, "'a b' is not a name for a queue", "use letters"),
    (["worker", "start", "--idle-exit", "soon"], 2, "'soon' is not a duration", "30s"),
    (["queues", "create", "default"], 1, "exists already", "kurt queues update default"),
    (["queues", "create", "q", "--rate", "fast"], 2, "'fast' is not a rate", "10/60"),
    (["queues", "update", "nowhere"], 3, "there is no queue 'nowhere'", "kurt queues create nowhere"),
    (["config", "get", "WORKER.CONCURENCY"], 3, "no setting", "did you mean WORKER.CONCURRENCY?"),
    (["config", "LLM.MODEL=openai/x"], 2, "it changes none", 'write the line LLM.MODEL="openai/x" into'),
    (
        ["config", "set", "LLM.MODEL", "openai/x"],
        2,
        "it changes none",
        'LLM.MODEL="openai/x" into kurt.config',
    ),
    (["config", "set"], 2, "it changes none", 'KEY="..."'),
    (["db", "upgrade", "now"], 3, "no such revision", "kurt db current"),
    (["init", "a.py"], 2, "'a.py' is a file", "kurt init --help"),
]
TARGETS = [
    ([*RUN, "typd"], 3, "there is no workflow 'typd'", "did you mean `typed`?"),
    (
        [*RUN, "workflows/typd.yaml"],
        3,
        "no file 'workflows/typd.yaml'",
        "did you mean `workflows/typed.yaml`?",
    ),
    ([*RUN, "workflows"], 2, "'workflows' is a folder", "such as workflows/"),
    ([*RUN, "workflows/folder.yaml"], 2, "is a folder", "kurt workflows list --files"),
    ([*RUN, "workflows/feature"], 2, "is a folder", "without its folder: feature"),
    (
        [*RUN, "workflows/tabs.yaml"],
        2,
        "workflows/tabs.yaml:3:1: not valid YAML",
        "with spaces, not with tabs",
    ),
    ([*RUN, "workflows/empty.yaml"], 2, "workflows/empty.yaml:1:1: the file is empty", "start with `name:`"),
    ([*RUN, "page.md"], 2, "page.md:1:1: the file holds comments only", "start with `name:`"),
    ([*RUN, "table.csv"], 2, "table.csv:1:1: a workflow file is a mapping", "start with `name:`"),
    ([*RUN, "a.py"], 2, "a.py:1:1: this is Python", "command: [python, a.py]"),
    ([*RUN, "go.sh"], 2, "go.sh:1:1: this is a program", "command: [./go.sh]"),
    ([*RUN, "/bin/sh"], 2, "this is a program", "type: run"),
    ([*RUN, "picture.png"], 2, "picture.png:1:1: this is binary data", "kurt workflows list --files"),
    (["workflows", "validate", "./go.sh"], 2, "this is a program", "type: run"),
    (["workflows", "validate", "typd"], 3, "there is no workflow 'typd'", "did you mean `typed`?"),
    (["workflows", "graph", "workflows"], 2, "is a folder", "such as workflows/"),
    (["workflows", "read", "workflows"], 1, "'workflows' is a folder", "name a file in it"),
    (["workflows", "read", "broken.json"], 1, "broken.json:1:5 is not valid JSON", "that line and column"),
    (["workflows", "status", "none"], 3, "there is no run 'none'", "kurt workflows list"),
    (
        ["workflows", "validate", "--data", "{}", "--required", "b"],
        1,
        "the key 'b' is missing",
        "mend the data",
    ),
    (
        ["workflows", "foreach", "--data", "[1]", "--command", "no-such-program"],
        1,
        "'no-such-program' cannot be started: No such file or directory",
        "install the program",
    ),
]
INPUTS = [
    ([*TYPED_RUN], 2, "the input `n` is missing", "add --input n=..."),
    ([*TYPED_RUN, "--input", "n"], 2, "'n' is not `name=value`", "the inputs of 'typed' are `n`, `mode`"),
    ([*TYPED_RUN, "--input", "n=[1"], 2, "`n`: '[1' is not valid YAML", "the inputs of 'typed'"),
    ([*TYPED_RUN, "--input", "n=three"], 2, "`n` must be a whole number", "the inputs of 'typed'"),
    ([*TYPED_RUN, "--input", "n=3", "--input", "mode=c"], 2, "one of `a`, `b`", "the inputs of 'typed'"),
    ([*TYPED_RUN, "--input", "m=3"], 2, "there is no input `m`", "add --input n=..."),
    ([*TYPED_RUN, "--inputs-file", "gone.json"], 2, "No such file", "name a file"),
    ([*TYPED_RUN, "--inputs-file", "list.json"], 2, "holds a list, not a mapping", "`name: value`"),
    ([*TYPED_RUN, "--inputs-file", "broken.json"], 2, "broken.json:", "close the bracket"),
    ([*TYPED_RUN, "--input", "n=1", "--queue", "nowhere"], 3, "no queue", "kurt queues create nowhere"),
    ([*TYPED_RUN, "--input", "n=1", "--priority", "1"], 2, "has none", "add --background"),
    ([*TYPED_RUN, "--input", "n=1", "--run-id", "a b"], 2, "'a b' is not a run id", "letters, digits"),
]


@pytest.fixture
def mistaken(project: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Commands in a project that holds what people may name by mistake."""
    monkeypatch.chdir(project)
    workflows = project / "workflows"
    (workflows / "typed.yaml").write_text(TYPED)
    (workflows / "tabs.yaml").write_text("name: tabs\nsteps:\n\t- {name: a, type: run, command: [echo]}\n")
    (workflows / "empty.yaml").write_text("\n")
    (workflows / "folder.yaml").mkdir()
    (workflows / "feature").mkdir()
    (workflows / "feature" / "workflow.py").write_text("")
    (project / "page.md").write_text("# Title\n")
    (project / "table.csv").write_text("a,b\n1,2\n")
    (project / "a.py").write_text('print("a: b")\n')
    (project / "go.sh").write_text("#!/bin/sh\necho a\n")
    (project / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    (project / "broken.json").write_text("[1,2")
    (project / "list.json").write_text("[1,2]")
    return Command(project)


@pytest.mark.parametrize(
    ("argv", "code", "message", "hint"),
    [*COMMAND_LINE, *TARGETS, *INPUTS],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_mistake_has_its_remedy(
    mistaken: Command, argv: list[str], code: int, message: str, hint: str
) -> None:
    answered_well(mistaken, argv, code, message, hint)


@pytest.mark.parametrize(
    ("environ", "argv", "code", "message", "hint"),
    [
        (
            {"DATABASE_URL": "nonsense"},
            ["workflows", "list"],
            2,
            "neither a Postgres nor",
            "write postgresql://",
        ),
        (UNREACHABLE, ["workflows", "list"], 1, "the Postgres server cannot be reached", "DATABASE_URL"),
        (UNREACHABLE, ["db", "current"], 1, "the Postgres server cannot be reached", "DATABASE_URL"),
        ({"KURT_PATH_DB": "workflows"}, ["workflows", "list"], 1, "is a folder", "set PATH_DB to a file"),
        ({"KURT_PATH_DB": "page.md"}, ["workflows", "list"], 1, "not a database", "kurt db upgrade"),
        (
            {"KURT_WORKER__CONCURRENCY": "lots"},
            ["config", "show"],
            2,
            "'lots' is not valid",
            "a whole number",
        ),
        ({"KURT_WORKFLOW__TIMEOUT": "soon"}, [*TYPED_RUN], 2, "'soon' is not valid", "30s"),
    ],
)
def test_each_wrong_setting_has_its_remedy(
    mistaken: Command,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    argv: list[str],
    code: int,
    message: str,
    hint: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    answered_well(mistaken, argv, code, message, hint)


def answered_well(kurt: Command, argv: list[str], code: int, message: str, hint: str) -> None:
    """The command ends with this status, this error and this hint, for people and for programs."""
    for_people = kurt(*argv, code=code)
    shows_faults = "validate" in argv
    assert for_people.stdout == "" or shows_faults
    assert message in for_people.stderr
    assert "error: " in for_people.stderr
    assert any("hint: " in line and hint in line for line in for_people.stderr.splitlines()), for_people
    assert "Traceback" not in for_people.stderr
    assert "secret-word" not in for_people.stderr
    for_programs = kurt(*argv, "--format", "json", code=code)
    assert for_programs.stdout == "" or shows_faults
    described = for_programs.error()
    assert hint in described["hint"]
    assert described["code"]


def test_a_run_that_cannot_start_is_not_told_to_be_running(kurt: Kurt, project: Path) -> None:
    (project / "workflows" / "plain.yaml").write_text("steps: [{name: a, type: run, command: [echo]}]\n")
    result = kurt("workflows", "run", "plain", code=1, env=UNREACHABLE)
    assert "running" not in result.stderr
    assert "error: the Postgres server cannot be reached" in result.stderr
    kurt("workflows", "run", "plain", "--run-id", "over")
    for verb in (["resume"], ["retry"], ["fork", "--from", "nothing"]):
        result = kurt("workflows", verb[0], "over", *verb[1:], code=None)
        assert result.exit_code in (1, 3)
        assert "running" not in result.stderr


def test_a_worker_says_when_nothing_can_come(kurt: Kurt, tmp_path: Path) -> None:
    result = kurt("worker", "start", "--queues", "default,nowhere", "--idle-exit", "1s")
    assert "WARNING [kurt] there is no queue 'nowhere' yet" in result.stderr
    assert "kurt queues create nowhere" in result.stderr
    assert "'default'" not in result.stderr
    (tmp_path / "elsewhere").mkdir()
    result = kurt("worker", "start", "--idle-exit", "1s", cwd=tmp_path / "elsewhere")
    assert "there is no kurt.config" in result.stderr
    assert "alembic" not in result.stderr
