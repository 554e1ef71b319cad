"""The kinds that work in child processes, executed as a run executes them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.engine.kinds import Limits, StepKind
from kurt.engine.processes.pool import close_pools
from kurt.engine.steps.cli import CliKind
from kurt.engine.steps.emit import EmitKind
from kurt.engine.steps.python import PythonKind
from kurt.engine.steps.run import RunKind
from kurt.engine.steps.script import ScriptKind
from kurt.errors import StepError, StepTimeoutError
from tests.support.processes import children
from tests.support.steps import Bench

HOSTILE: list[Any] = [
    "${x}",
    "$${x} $(touch never) `touch never`",
    "'; touch never; '",
    '"; rm -rf ~ #',
    "line\nbreak\r\n\ttab",
    "'''\"\"\"\\",
    "--help",
    "-",
    "@obj:0",
    "{{ x }} %s {0} \\u0041",
    "é😀\u2028",
    "",
    " ",
    "[1, 2]",
    "null",
    0,
    -1.5,
    True,
    None,
    ["a", ["b"], {}],
    {"a b": {"${c}": None}, "": []},
]
MODULE = """
import asyncio, dataclasses, os, threading
import pydantic

def echo(value): return value
def both(a, /, b=2, *rest): return [a, b, list(rest)]
def fail(message): raise LookupError(message)
def here(): return [os.getpid(), threading.current_thread() is threading.main_thread()]
async def later(value):
    await asyncio.sleep(0)
    return value
class Tools:
    @staticmethod
    def name(): return "tools"
@dataclasses.dataclass
class Point:
    x: int
    tags: tuple = ()
class Page(pydantic.BaseModel):
    url: str
    point: Point
def models(): return [Page(url="u", point=Point(1)), Point(2, ("t",)), {"p": Point(3)}]
def unfit(): return {"rows": [1, {"when": object()}]}
CONSTANT = 3
"""
COMMANDS = """
import click
from kurt.errors import NotFoundError
from kurt.handoff import received

class Data(click.ParamType):
    name = "data"
    takes_objects = True
    def convert(self, value, param, ctx):
        found, thing = received(value)
        return {"object": thing} if found else {"text": value}

@click.group()
def pieces():
    "Commands of the tests."

@pieces.command()
@click.option("--data", type=Data())
@click.option("--plain-text")
@click.option("--many", multiple=True)
@click.option("--flag/--no-flag", default=None)
@click.option("--number", type=int)
@click.argument("rest", nargs=-1)
def echo(**given):
    click.echo("printed on the way")
    return given

@pieces.command()
def fail():
    raise NotFoundError("there is no run 'x'", hint="kurt workflows list")

@pieces.command()
def crash():
    raise ZeroDivisionError("oops")

@pieces.command()
def leave():
    raise SystemExit(5)
"""


@pytest.fixture(autouse=True)
def _end() -> Iterator[None]:
    yield
    close_pools()
    assert not children(os.getpid())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    root = tmp_path / "project"
    (root / "commands").mkdir(parents=True)
    (root / "kurt.config").touch()
    (root / "tools").mkdir()
    (root / "tools" / "__init__.py").touch()
    (root / "tools" / "parts.py").write_text(MODULE)
    (root / "commands" / "pieces.py").write_text(COMMANDS)
    return Bench(root)


async def failure(bench: Bench, kind: type[StepKind], spec: dict[str, Any], **context: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        await bench.do(kind, spec, **context)
    return caught.value


def untouched(bench: Bench) -> bool:
    return not list(bench.root.rglob("never"))


# ---------------------------------------------------------------- hostile and large values


async def test_run_passes_values_unharmed_by_stdin(bench: Bench) -> None:
    for value in HOSTILE:
        if value is not None:  # no input at all
            result = await bench.do(RunKind, {"command": ["cat"], "stdin": value})
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            assert result["stdout"] == written
    assert untouched(bench)


async def test_run_passes_values_unharmed_by_arguments_and_environment(bench: Bench) -> None:
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['VALUE']]))"
    texts = [value if isinstance(value, str) else json.dumps(value) for value in HOSTILE]
    for text in texts:
        spec = {"command": [sys.executable, "-c", code, *texts], "parse": "json"}
        result = await bench.do(RunKind, spec, env={"VALUE": text})
        assert result["stdout"] == [texts, text]
    shell = {"command": 'printf %s "$VALUE"'}
    for text in texts:
        value = (await bench.do(RunKind, shell, env={"VALUE": text}))["stdout"]
        assert value == text.removesuffix("\n")
    assert untouched(bench)


async def test_script_receives_values_unharmed(bench: Bench) -> None:
    spec = {"code": "result = [values, '${values}']", "inputs": {"values": HOSTILE}}
    assert await bench.do(ScriptKind, spec) == [HOSTILE, "${values}"]
    assert untouched(bench)


@pytest.mark.parametrize("isolate", [True, False])
async def test_python_receives_values_unharmed(bench: Bench, isolate: bool) -> None:
    for args in ({"value": HOSTILE}, [HOSTILE]):
        spec = {"call": "tools.parts:echo", "args": args, "isolate": isolate}
        assert await bench.do(PythonKind, spec) == HOSTILE
    assert untouched(bench)


async def test_cli_receives_values_unharmed(bench: Bench) -> None:
    for value in HOSTILE:
        args = {"data": value, "plain_text": value, "many": [value, value]}
        result = await bench.do(CliKind, {"command": "pieces echo", "args": args})
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        left_out = value is None
        assert result["data"] == {"object": value}
        assert result["plain_text"] == (None if left_out else text)
        assert result["many"] == [text, text]
    texts = [value for value in HOSTILE if isinstance(value, str)]
    assert (await bench.do(CliKind, {"command": "pieces echo", "argv": texts}))["rest"] == texts
    assert untouched(bench)


async def test_emit_writes_values_unharmed(bench: Bench) -> None:
    for value in HOSTILE:
        assert await bench.do(EmitKind, {"event": "found", "value": value}) == value
        assert await bench.do(EmitKind, {"stream": "all", "value": value}) == value
    assert bench.emitted[::2] == [("event", "found", value) for value in HOSTILE]
    assert bench.emitted[1::2] == [("stream", "all", value) for value in HOSTILE]


async def test_values_of_five_megabytes(bench: Bench) -> None:
    text = "é'\"${x}\n" * 600_000
    spec = {"command": ["cat"], "stdin": {"text": text}, "parse": "json"}
    assert (await bench.do(RunKind, spec))["stdout"] == {"text": text}
    spec = {"code": "result = text[::-1]", "inputs": {"text": text}}
    assert await bench.do(ScriptKind, spec) == text[::-1]
    for isolate in (True, False):
        spec = {"call": "tools.parts:echo", "args": [text], "isolate": isolate}
        assert await bench.do(PythonKind, spec) == text
    result = await bench.do(CliKind, {"command": "pieces echo", "args": {"data": text, "plain_text": text}})
    assert (result["data"], result["plain_text"]) == ({"object": text}, text)


# ---------------------------------------------------------------- run


async def test_run_gives_what_parse_says(bench: Bench) -> None:
    command = ["printf", "%s\\n", "1", "2"]
    assert await bench.do(RunKind, {"command": command}) == {"stdout": "1\n2", "exit_code": 0, "stderr": ""}
    assert (await bench.do(RunKind, {"command": command, "parse": "lines"}))["stdout"] == ["1", "2"]
    assert (await bench.do(RunKind, {"command": "echo '{\"a\": 1}'", "parse": "json"}))["stdout"] == {"a": 1}
    for text in ("no", "1 2", "NaN", ""):
        error = await failure(bench, RunKind, {"command": ["printf", text], "parse": "json"})
        assert (error.type, error.details["stdout"]) == ("ParseError", text)


async def test_run_works_in_its_folder(bench: Bench) -> None:
    root = str(bench.root.resolve())
    assert (await bench.do(RunKind, {"command": "pwd -P"}))["stdout"] == root
    assert (await bench.do(RunKind, {"command": "pwd -P", "cwd": "tools"}))["stdout"] == f"{root}/tools"
    assert (await bench.do(RunKind, {"command": "pwd -P", "cwd": "/"}))["stdout"] == "/"


async def test_run_fails_with_the_exit_code_and_the_end_of_stderr(bench: Bench) -> None:
    spec = {"command": "echo on the way; echo wrong >&2; echo key=$KEY >&2; exit 3"}
    error = await failure(bench, RunKind, spec, env={"KEY": "s3cret-value"}, secrets=("s3cret-value",))
    assert error.type == "ExitCode"
    assert error.message == "the program ended with exit code 3: key=***"
    assert error.details == {"exit_code": 3, "stderr": "wrong\nkey=***"}
    assert sorted(bench.log.splitlines()) == ["key=***", "on the way", "wrong"]
    error = await failure(bench, RunKind, {"command": "kill -KILL $$"})
    assert (error.message, error.details["exit_code"]) == ("the program ended with signal 9", -9)


async def test_run_takes_numbers_as_arguments(bench: Bench) -> None:
    spec = {"command": ["printf", "%s ", 1, 2.5, True, {"a": None}]}
    assert (await bench.do(RunKind, spec))["stdout"] == '1 2.5 true {"a": null} '


async def test_run_honours_its_time_out(bench: Bench) -> None:
    with pytest.raises(StepTimeoutError):
        await bench.do(RunKind, {"command": ["sleep", "300"]}, limits=Limits(timeout=0.2))


# ---------------------------------------------------------------- script


async def test_script_without_a_result_gives_null(bench: Bench) -> None:
    assert await bench.do(ScriptKind, {"code": "x = 1"}) is None
    assert await bench.do(ScriptKind, {"code": "import sys\nresult = 1\nsys.exit()"}) == 1


async def test_script_is_ordinary_python(bench: Bench) -> None:
    code = """
from __future__ import annotations
from dataclasses import dataclass
from tools.parts import echo

@dataclass
class Row:
    size: int

def double(n):
    return n * factor if n else double(1)

if __name__ == "__main__":
    result = [double(n) for n in numbers] + [Row(7), echo("x")]
"""
    spec = {"code": code, "inputs": {"factor": 2, "numbers": [1, 2, 0]}}
    assert await bench.do(ScriptKind, spec) == [2, 4, 2, {"size": 7}, "x"]


@pytest.mark.parametrize(
    ("code", "kind", "line", "text"),
    [
        ("a = 1\nb = a / 0\n", "ZeroDivisionError", 2, "division by zero (line 2 of the script: b = a / 0)"),
        ("def f():\n    raise KeyError('k')\nf()", "KeyError", 2, "raise KeyError('k')"),
        ("x = 1\nif x\n  y", "SyntaxError", 2, "(line 2 of the script: if x)"),
        ("import json\njson.loads('{')", "JSONDecodeError", 2, "json.loads('{')"),
        ("import sys\nsys.exit('no')", "SystemExit", 2, "exit with 'no'"),
        ("raise SystemExit(2)", "SystemExit", 1, "exit with 2"),
        ("import no_such_module", "ModuleNotFoundError", 1, "no_such_module"),
    ],
)
async def test_script_errors_tell_the_line(bench: Bench, code: str, kind: str, line: int, text: str) -> None:
    error = await failure(bench, ScriptKind, {"code": code})
    assert (error.type, error.details["line"]) == (kind, line)
    assert text in error.message


async def test_script_traceback_shows_the_script_and_not_the_machinery(bench: Bench) -> None:
    error = await failure(bench, ScriptKind, {"code": "def f():\n    1 / 0\n\nf()\n"}, path="items[x].check")
    trace = error.details["traceback"]
    assert '"<step items[x].check>", line 4, in <module>\n    f()' in trace
    assert "tasks.py" not in trace
    assert "child.py" not in trace


async def test_script_result_must_be_json(bench: Bench) -> None:
    error = await failure(bench, ScriptKind, {"code": "result = {'a': [1, {2, 3}]}"})
    assert (error.type, error.message) == ("NotJson", "result['a'][1] is a set, which is not a JSON value")


async def test_script_honours_its_limits(bench: Bench) -> None:
    spec = {"code": "while True: pass"}
    with pytest.raises(StepTimeoutError):
        await bench.do(ScriptKind, spec, limits=Limits(timeout=0.2))
    assert (await failure(bench, ScriptKind, spec, limits=Limits(cpu=0.1))).type == "CpuLimit"


async def test_script_sees_env_and_its_prints_are_masked(bench: Bench) -> None:
    spec = {"code": "import os\nprint('key', os.environ['KEY'])\nresult = len(os.environ['KEY'])"}
    assert await bench.do(ScriptKind, spec, env={"KEY": "s3cret-value"}, secrets=("s3cret-value",)) == 12
    assert bench.lines == [("INFO", "key ***")]


# ---------------------------------------------------------------- python


@pytest.mark.parametrize("isolate", [True, False])
async def test_python_calls_what_it_names(bench: Bench, isolate: bool) -> None:
    async def call(name: str, args: Any) -> Any:
        return await bench.do(PythonKind, {"call": f"tools.parts:{name}", "args": args, "isolate": isolate})

    assert await call("both", [1]) == [1, 2, []]
    assert await call("both", [1, 5, 6]) == [1, 5, [6]]
    assert await call("later", {"value": 3}) == 3
    assert await call("Tools.name", {}) == "tools"
    assert await call("models", {}) == [
        {"url": "u", "point": {"x": 1, "tags": []}},
        {"x": 2, "tags": ["t"]},
        {"p": {"x": 3, "tags": []}},
    ]


async def test_python_isolates_unless_told_otherwise(bench: Bench) -> None:
    pid, main = await bench.do(PythonKind, {"call": "tools.parts:here"})
    assert pid != os.getpid()
    assert main
    assert await bench.do(PythonKind, {"call": "tools.parts:here", "isolate": False}) == [os.getpid(), False]


@pytest.mark.parametrize("isolate", [True, False])
@pytest.mark.parametrize(
    ("call", "args", "kind", "message"),
    [
        ("tools.parts:fail", ["no such thing"], "LookupError", "no such thing"),
        ("tools.parts:echo", {"wrong": 1}, "TypeError", "unexpected keyword argument"),
        ("tools.parts:nothing", {}, "TargetNotFound", "'tools.parts' has no 'nothing'"),
        ("tools.parts:CONSTANT", {}, "TargetNotFound", "is not a function"),
        ("tools.none:f", {}, "TargetNotFound", "no module 'tools.none'"),
        ("nowhere.none:f", {}, "TargetNotFound", "no module 'nowhere'"),
        ("tools.parts:unfit", {}, "NotJson", "result['rows'][1]['when'] is a object"),
    ],
)
async def test_python_errors(
    bench: Bench, isolate: bool, call: str, args: Any, kind: str, message: str
) -> None:
    error = await failure(bench, PythonKind, {"call": call, "args": args, "isolate": isolate})
    assert error.type == kind
    assert message in error.message


async def test_python_traceback_begins_in_the_function(bench: Bench) -> None:
    error = await failure(bench, PythonKind, {"call": "tools.parts:fail", "args": ["x"]})
    lines = error.details["traceback"].splitlines()
    assert lines[1].endswith('parts.py", line 7, in fail')
    assert lines[-1] == "LookupError: x"


async def test_a_missing_import_of_a_module_is_not_taken_for_a_missing_module(bench: Bench) -> None:
    (bench.root / "broken.py").write_text("import no_such_module\ndef f(): pass\n")
    error = await failure(bench, PythonKind, {"call": "broken:f"})
    assert (error.type, "no_such_module" in error.message) == ("ModuleNotFoundError", True)


# ---------------------------------------------------------------- cli


async def test_cli_gives_the_result_and_logs_what_is_printed(bench: Bench) -> None:
    args = {"flag": True, "number": 3, "many": ["a", {"b": 1}], "plain_text": {"c": None}, "data": [1]}
    assert await bench.do(CliKind, {"command": " pieces  echo ", "args": args, "argv": ["--x", 4]}) == {
        "data": {"object": [1]},
        "plain_text": '{"c": null}',
        "many": ["a", '{"b": 1}'],
        "flag": True,
        "number": 3,
        "rest": ["--x", "4"],
    }
    assert bench.lines == [("INFO", "printed on the way")]


async def test_cli_leaves_out_false_and_null(bench: Bench) -> None:
    args = {"flag": False, "number": None, "plain_text": False}
    result = await bench.do(CliKind, {"command": "pieces echo", "args": args})
    assert result == {"data": None, "plain_text": None, "many": [], "flag": None, "number": None, "rest": []}


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ({"command": "pieces fail"}, "not_found", "there is no run 'x'"),
        ({"command": "pieces crash"}, "ZeroDivisionError", "oops"),
        ({"command": "pieces leave"}, "CommandFailed", "exit status 5"),
        ({"command": "pieces nope"}, "usage", "nope"),
        ({"command": "nope"}, "usage", "nope"),
        ({"command": "pieces echo", "args": {"nope": 1}}, "usage", "--nope"),
        ({"command": "pieces echo", "args": {"number": "x"}}, "usage", "--number"),
    ],
)
async def test_cli_errors(bench: Bench, spec: dict[str, Any], kind: str, message: str) -> None:
    error = await failure(bench, CliKind, spec)
    assert error.type == kind
    assert message in error.message


async def test_cli_keeps_the_hint_of_an_error(bench: Bench) -> None:
    assert (await failure(bench, CliKind, {"command": "pieces fail"})).hint == "kurt workflows list"


async def test_cli_reads_an_edited_command_again(bench: Bench) -> None:
    file = bench.root / "commands" / "pieces.py"
    await bench.do(CliKind, {"command": "pieces echo"})
    file.write_text(COMMANDS.replace("return given", "return 'edited'"))
    assert await bench.do(CliKind, {"command": "pieces echo"}) == "edited"


async def test_cli_runs_commands_of_kurt_itself(bench: Bench) -> None:
    file = {"output": "out.json", "format": "json"}
    await bench.do(CliKind, {"command": "workflows write", "args": {"data": HOSTILE, **file}})
    assert json.loads((bench.root / "out.json").read_text()) == HOSTILE
    read = await bench.do(CliKind, {"command": "workflows read", "argv": ["out.json"]})
    assert HOSTILE in (read, *(read.values() if isinstance(read, dict) else ()))
