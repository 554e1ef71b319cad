"""The primitives as commands: in a pipe, in a shell, inside a process, and every option of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kurt.app.primitives.formats import FORMATS
from kurt.app.primitives.validate import TYPES
from kurt.cli.invoke import invoke
from kurt.cli.main import cli
from kurt.cli.workflows import primitives
from kurt.errors import DataError, Fault, KurtError, NotFoundError, StepError, UsageError
from kurt.handoff import Handoff

ROWS = [{"name": "Ada", "n": 3}, {"name": "Bob", "n": 1}, {"name": "Cleo", "n": 2}]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test, with some files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    (tmp_path / "rows.csv").write_text("name,n\nAda,3\nBob,1\nCleo,2\n")
    return tmp_path


@pytest.fixture
def run(here: Path) -> Callable[..., Result]:
    """`run("read", "rows.csv", code=0, stdin=None)`: a verb of `kurt workflows`, in this process."""

    def call(
        *argv: str, code: int = 0, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> Result:
        result = CliRunner().invoke(cli, ["workflows", *argv], input=stdin, env=env, prog_name="kurt")
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}"
        return result

    return call


Run = Callable[..., Result]


def value(result: Result) -> Any:
    return json.loads(result.stdout)


# write


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--data", '{"a": 1}'], '{\n  "a": 1\n}\n'),
        (["--data", '{"a": 1}', "--format", "yaml"], "a: 1\n"),
        (["--data", '{"a": 1}', "--format", "csv"], "a\n1\n"),
        (["--data", "[1, 2]", "--format", "jsonl"], "1\n2\n"),
        (["--data", "plain words", "--format", "text"], "plain words\n"),
        (["--data", "# T", "--format", "md", "--output", "-"], "# T\n"),
        (["--data", "@rows.csv", "--template", "t.j2"], "Ada, Bob, Cleo, \n"),
    ],
)
@pytest.mark.parametrize("mode", ["table", "json", "jsonl"])
def test_write_to_stdout_is_the_text_itself(
    run: Run, here: Path, mode: str, argv: list[str], text: str
) -> None:
    (here / "t.j2").write_text("{% for row in data %}{{ row.name }}, {% endfor %}\n")
    assert run("write", *argv, env={"KURT_FORMAT": mode}).stdout == text


def test_write_reads_stdin_by_default_and_says_what_it_wrote(run: Run, here: Path) -> None:
    result = run("write", "--output", "deep/out.csv", stdin=json.dumps(ROWS))
    assert (here / "deep" / "out.csv").read_text() == (here / "rows.csv").read_text()
    assert result.stdout == "wrote deep/out.csv (csv, 3 records, 26 bytes)\n"


def test_write_result_as_json(run: Run) -> None:
    result = run("write", "--data", "1", "--output", "out.json", env={"KURT_FORMAT": "json"})
    assert value(result) == {"path": "out.json", "format": "json", "bytes": 2, "records": 1}


def test_write_append(run: Run, here: Path) -> None:
    for number in (1, 2):
        run("write", "--data", f'{{"n": {number}}}', "--output", "log.jsonl", "--append")
    assert (here / "log.jsonl").read_text() == '{"n": 1}\n{"n": 2}\n'


def test_write_with_a_template_to_a_file(run: Run, here: Path) -> None:
    (here / "t.md.j2").write_text("# {{ data|length }} people\n")
    run("write", "--data", "@rows.json", "--template", "t.md.j2", "--output", "out.md")
    assert (here / "out.md").read_text() == "# 3 people\n"


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--data", "words"], 2, "is not JSON"),
        (["--data", "1", "--append"], 2, "--append needs a file"),
        (["--data", "1", "--format", "xml"], 2, "'xml' is not one of"),
        (["--data", "1", "--template", "t", "--format", "csv"], 2, "cannot be combined"),
        (["--data", "1", "--template", "none.j2"], 3, "no template"),
        (["--data", "@none.json"], 3, "no file"),
        (["--data", "1", "--output", "."], 2, "is a folder"),
        (["--data", "1", "--output", "rows.csv/x"], 1, "cannot be written"),
    ],
)
def test_write_refuses(run: Run, argv: list[str], code: int, message: str) -> None:
    assert message in run("write", *argv, code=code).stderr


# read


def test_read_finds_the_format(run: Run, here: Path) -> None:
    assert value(run("read", "rows.json")) == ROWS
    assert value(run("read", "rows.csv"))[0] == {"name": "Ada", "n": "3"}
    assert value(run("read", "-", stdin="a: [1]\n")) == {"a": [1]}


def test_read_format(run: Run) -> None:
    assert value(run("read", "rows.json", "--format", "text")) == json.dumps(ROWS)
    assert value(run("read", "-", "--format", "csv", stdin="a\n1\n")) == [{"a": "1"}]


def test_read_max_size(run: Run) -> None:
    assert "larger than 10 bytes" in run("read", "rows.json", "--max-size", "10", code=1).stderr
    assert "larger than 10 bytes" in run("read", "-", "--max-size", "10", stdin="x" * 11, code=1).stderr
    assert "is not a size" in run("read", "rows.json", "--max-size", "much", code=2).stderr
    run("read", "rows.json", "--max-size", "1KB")


def test_read_refuses_what_is_not_there_or_broken(run: Run, here: Path) -> None:
    (here / "bad.json").write_text('{"a": \n}')
    assert "no file 'none.json'" in run("read", "none.json", code=3).stderr
    assert "bad.json:2:1 is not valid JSON" in run("read", "bad.json", code=1).stderr


def test_a_table_is_shown_where_it_is_asked_for(here: Path) -> None:
    result = CliRunner().invoke(
        cli, ["--format", "table", "workflows", "read", "rows.json"], prog_name="kurt"
    )
    assert result.stdout.splitlines()[0] == "NAME  N"


# transform


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--select", "[0].name"], "Ada"),
        (["--filter", "n > 2"], [ROWS[0]]),
        (["--map", "upper(name)"], ["ADA", "BOB", "CLEO"]),
        (["--map", "n % 2", "--unique"], [1, 0]),
        (["--map", "{'a': n % 2}", "--unique", "a"], [{"a": 1}, {"a": 0}]),
        (["--sort", "n"], [ROWS[1], ROWS[2], ROWS[0]]),
        (["--sort", "-n", "--sort", "name"], [ROWS[0], ROWS[2], ROWS[1]]),
        (["--group", "n", "--limit", "1"], [{"key": 3, "count": 1, "items": [ROWS[0]]}]),
        (["--limit", "0"], []),
    ],
)
def test_transform(run: Run, argv: list[str], expected: Any) -> None:
    assert value(run("transform", "--data", "@rows.json", *argv)) == expected
    assert value(run("transform", *argv, stdin=json.dumps(ROWS))) == expected


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--filter", "nme > 2"], 1, "did you mean `name`"),
        (["--filter", "n >"], 1, "is not an expression"),
        (["--select", "a b"], 2, "is not a path"),
        (["--limit", "-1"], 2, "-1 is not in the range"),
        (["--sort", "none"], 1, "no element has a value there"),
    ],
)
def test_transform_refuses(run: Run, argv: list[str], code: int, message: str) -> None:
    assert message in run("transform", "--data", "@rows.json", *argv, code=code).stderr


# validate


def test_validate_data_by_schema(run: Run, here: Path) -> None:
    (here / "schema.json").write_text('{"items": {"properties": {"n": {"maximum": 2}}}}')
    result = run("validate", "--data", "@rows.json", "--schema", "schema.json", code=1)
    assert result.stdout == "$[0].n: 3 breaks the rule 'maximum': 2\n"
    assert "the data has 1 error" in result.stderr
    assert run("validate", "--schema", "schema.json", stdin="[]").stdout == ""


def test_validate_data_by_type_and_keys(run: Run) -> None:
    run("validate", "--data", "@rows.json", "--type", "list", "--required", "name, n")
    run("validate", "--data", "@rows.json", "--type", "mapping", code=1)
    result = run("validate", "--required", "a,b", "--required", "c", stdin='{"a": 1}', code=1)
    assert result.stdout == "$: the key 'b' is missing\n$: the key 'c' is missing\n"


def test_validate_lists_faults_as_json(run: Run) -> None:
    env = {"KURT_FORMAT": "json"}
    assert value(run("validate", "--data", "@rows.json", "--type", "list", env=env)) == []
    result = run("validate", "--data", "{}", "--required", "a", env=env, code=1)
    faults = [{"path": "$", "message": "the key 'a' is missing"}]
    assert value(result) == faults
    error = json.loads(result.stderr)["error"]
    assert (error["code"], error["errors"]) == ("invalid_data", faults)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "nothing to validate"),
        (["rows.json", "--schema", "s.json"], "validate --data @rows.json"),
        (["rows.json", "--data", "1"], "is checked as a workflow file"),
        (["--data", "1"], "nothing to validate the data against"),
        (["--data", "1", "--type", "text"], "there is no type 'text'"),
        (["--data", "1", "--type", "list", "--schema", "s.json"], "cannot be combined"),
    ],
)
def test_validate_is_never_confused(run: Run, argv: list[str], message: str) -> None:
    assert message in run("validate", *argv, code=2).stderr


GOOD = "name: good\nsteps:\n  - {name: a, type: cli, command: workflows read, argv: [rows.json]}\n"
BAD = "name: bad\nsteps:\n  - {name: a, type: clii}\n  - {name: b, type: workflow, workflow: nobody}\n"


@pytest.fixture
def files(here: Path) -> Path:
    """A project with a good workflow file and a bad one."""
    (here / "kurt.config").write_text("")
    (here / "workflows").mkdir()
    (here / "workflows" / "good.yaml").write_text(GOOD)
    (here / "workflows" / "bad.yaml").write_text(BAD)
    return here


@pytest.mark.parametrize("target", ["good", "workflows/good.yaml"])
def test_validate_files_that_are_good(run: Run, files: Path, target: str) -> None:
    result = run("validate", target)
    assert (result.stdout, result.stderr) == ("", f"{target} is valid\n")
    assert run("validate", target, env={"KURT_FORMAT": "json"}).stdout == "[]\n"


def test_validate_files_with_faults(run: Run, files: Path) -> None:
    result = run("validate", "good", "workflows/bad.yaml", code=2)
    assert result.stdout == ""
    assert "good is valid\n" in result.stderr
    assert "workflows/bad.yaml:3:21: unknown step kind 'clii'" in result.stderr
    assert "'nobody'" in result.stderr
    assert "error: workflows/bad.yaml has 2 errors" in result.stderr
    result = run("validate", "bad", env={"KURT_FORMAT": "json"}, code=2)
    assert [(fault["line"], fault["severity"]) for fault in value(result)] == [(3, "error"), (4, "error")]


def test_validate_shows_warnings_and_goes_on(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kurt.engine.language import parser

    warning = Fault("never used", file="workflows/good.yaml", line=2, column=1, severity="warning")
    monkeypatch.setattr(parser, "check_file", lambda *_, **__: [warning])
    assert run("validate", "good").stdout == "workflows/good.yaml:2:1: warning: never used\n"


def test_validate_knows_the_workflows_of_the_project(run: Run, files: Path) -> None:
    package = files / "workflows" / "nobody"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "workflow.py").write_text("raise RuntimeError('never imported')")
    assert "'nobody'" not in run("validate", "bad", code=2).stderr


def test_validate_a_file_that_is_not_there(run: Run, files: Path) -> None:
    assert "none.yaml" in run("validate", "none.yaml", code=3).stderr
    assert "no workflow 'none'" in run("validate", "none", code=3).stderr


# foreach


def test_foreach_runs_programs_with_the_item(run: Run) -> None:
    command = f"{sys.executable} -c 'import sys; print(sys.argv[1:], sys.stdin.read().strip())' {{index}} {{item.name}}"
    assert value(run("foreach", "--data", "@rows.json", "--command", command))[1] == (
        "['1', 'Bob'] " + json.dumps(ROWS[1])
    )


@pytest.mark.parametrize("prefix", ["", "kurt "])
def test_foreach_runs_kurt_commands_in_this_process(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(subprocess, "Popen", None)
    command = f"{prefix}workflows write --output out/{{item.name}}.json"
    results = value(run("foreach", "--data", "@rows.json", "--command", command, "--max-concurrent", "3"))
    assert [result["path"] for result in results] == ["out/Ada.json", "out/Bob.json", "out/Cleo.json"]
    assert json.loads((here / "out" / "Bob.json").read_text()) == ROWS[1]


def test_foreach_keeps_the_output_of_each_command_apart(here: Path) -> None:
    """A command of plain click prints its result; with three at once each gets its own input and output."""
    (here / "kurt.config").write_text("")
    (here / "commands").mkdir()
    (here / "commands" / "meet.py").write_text(
        "import sys, threading, click\n"
        "barrier = threading.Barrier(3, timeout=20)\n"
        "@click.command()\n"
        "def meet():\n"
        "    text = sys.stdin.read()\n"
        "    barrier.wait()\n"
        "    click.echo('[')\n"
        "    barrier.wait()\n"
        "    click.echo(text + ']')\n"
    )
    argv = ["workflows", "foreach", "--data", "[1, 2, 3]", "--command", "meet", "--max-concurrent", "3"]
    result = CliRunner().invoke(cli, argv, prog_name="kurt")
    assert result.stdout == "[[1], [2], [3]]\n", result.stderr


def test_foreach_gives_a_command_that_starts_a_run_a_process_of_its_own(here: Path) -> None:
    (here / "kurt.config").write_text("")
    (here / "commands").mkdir()
    (here / "commands" / "launch.py").write_text(
        "import os\n"
        "from kurt.cli.command import command\n"
        "import click\n"
        "@command('launch', starts_run=lambda params: None if params['dry_run'] else {'name': 'x'})\n"
        "@click.option('--dry-run', is_flag=True)\n"
        "def launch(dry_run):\n"
        "    return os.getpid()\n"
    )
    argv = ["workflows", "foreach", "--data", "[1]", "--command"]
    apart = CliRunner().invoke(cli, [*argv, "launch"], prog_name="kurt")
    here_ = CliRunner().invoke(cli, [*argv, "kurt launch --dry-run"], prog_name="kurt")
    assert value(here_) == [os.getpid()]
    assert isinstance(value(apart)[0], int)
    assert value(apart) != [os.getpid()]


@pytest.mark.parametrize(
    ("on_error", "code", "expected"),
    [
        ("fail", 1, None),
        ("skip", 0, ["a", "c"]),
        ("collect", 0, [True, False, True]),
    ],
)
def test_foreach_on_error(run: Run, on_error: str, code: int, expected: Any) -> None:
    argv = ["--data", '["a", "b", "c"]', "--command", "sh -c 'test $0 != b && echo $0' {item}"]
    result = run("foreach", *argv, "--on-error", on_error, code=code)
    if expected is None:
        assert result.stdout == ""
        assert "item 1 failed: 'sh' exited with 1" in result.stderr
        assert "1 of 3 items succeeded, 1 failed, 1 never started" in result.stderr
    else:
        assert [one if isinstance(one, str) else one["ok"] for one in value(result)] == expected
    assert ("1 of 3 items failed and were left out" in result.stderr) is (on_error == "skip")


def test_foreach_fails_by_default(run: Run) -> None:
    run("foreach", "--data", "[1]", "--command", "false", code=1)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--data", "[1]"], "Missing option '--command'"),
        (["--data", "[1]", "--command", "x", "--max-concurrent", "0"], "0 is not in the range"),
        (["--data", "[1]", "--command", "echo '"], "cannot be split"),
        (["--data", "[1]", "--command", "workflows no-such-verb"], "No such command 'no-such-verb'"),
    ],
)
def test_foreach_refuses(run: Run, argv: list[str], message: str) -> None:
    assert message in run("foreach", *argv, code=1 if "no-such" in argv[-1] else 2).stderr


# In a process, as a step of type `cli` calls them


def test_commands_return_their_results(here: Path) -> None:
    root = str(here)
    with_objects = Handoff()
    token = with_objects.token([{"a": "x" * 300_000, "b": None}])
    written = invoke(["workflows", "write", f"--data={token}", "--output=o.json"], root, with_objects.objects)
    assert written == {"path": "o.json", "format": "json", "bytes": written["bytes"], "records": 1}
    assert invoke(["workflows", "read", "o.json"], root) == [{"a": "x" * 300_000, "b": None}]
    assert invoke(["workflows", "write", "--data=[1]", "--format=yaml"], root) == "- 1\n"
    assert invoke(["workflows", "validate", "--data=[1]", "--type=list"], root) == []


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["validate", "--data=1", "--type=list"], DataError),
        (["read", "none"], NotFoundError),
        (["write", "--data=x"], UsageError),
        (["foreach", "--data=[1]", "--command=false"], StepError),
    ],
)
def test_commands_raise_their_errors(here: Path, argv: list[str], kind: type[KurtError]) -> None:
    with pytest.raises(kind):
        invoke(["workflows", *argv], str(here))


# Texts that are written in two places


def test_the_formats_of_the_options_are_those_of_the_functions() -> None:
    assert tuple(primitives._FORMATS.choices) == FORMATS
    [help_text] = [param.help for param in primitives.validate_cmd.params if param.name == "type_name"]
    assert set(help_text.rstrip(".").split(", ")) == set(TYPES) - {"object", "array"}
