"""Every kind of step, with its fields, in runs of the real engine."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.language import Language, language

__all__ = ["language"]


def test_cli_steps_take_and_give_objects(language: Language) -> None:
    rows = [{"n": 1, "text": "a 'b' \"c\"\n${x}"}, {"n": 2, "text": None}]
    outputs = language.outputs(
        """
        name: cli
        inputs: {rows: {type: list}}
        steps:
          - name: write
            type: cli
            command: workflows write
            args: {data: "${rows}", output: cli/out.json, append: false, template: null}
          - {name: read, type: cli, command: workflows read, argv: ["${steps.write.path}"], output: back}
          - name: more
            type: cli
            command: workflows transform
            args: {data: "${back}", filter: n > 1, sort: [n, -text]}
        outputs: {written: "${steps.write}", back: "${back}", more: "${steps.more}"}
        """,
        {"rows": rows},
    )
    assert outputs["back"] == rows
    assert outputs["more"] == [rows[1]]
    assert outputs["written"]["records"] == 2
    assert json.loads((language.root / "cli/out.json").read_text()) == rows


def test_a_cli_step_fails_as_its_command_does(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: absent, type: cli, command: workflows read, argv: [no-such-file], on_error: skip}
          - {name: unknown, type: cli, command: workflows no-such-verb, on_error: skip}
          - {name: option, type: cli, command: workflows read, argv: [x], args: {no_such: 1}, on_error: skip}
        """
    )
    errors = {path: step.error for path, step in language.steps(run).items()}
    assert errors["absent"]
    assert "no-such-file" in errors["absent"]["message"]
    assert errors["unknown"]
    assert errors["unknown"]["type"] == "usage"
    assert errors["option"]
    assert "--no-such" in errors["option"]["message"]


def test_a_command_that_executes_a_run_has_it_as_a_child(language: Language) -> None:
    language.write(
        """
        name: handed
        inputs: {word: string, rows: {type: list, items: int}, n: 1, flag: false, more: {type: list}}
        steps: [{name: s, type: script, inputs: {word: "${word}"}, code: "result = [type(word).__name__, word]"}]
        outputs: {s: "${steps.s}", rows: "${rows}", n: "${n}", flag: "${flag}", more: "${more}"}
        """,
        "workflows/handed.yaml",
    )
    folder = language.root / "workflows" / "counted"
    folder.mkdir(parents=True)
    (folder / "workflow.py").write_text(
        "from dbos import DBOS\n\n@DBOS.workflow()\ndef counted_workflow(n, text):\n    return [n, text]\n"
    )
    run = language.run(
        """
        inputs: {rows: {type: list, default: [1, 2]}, text: "12"}
        steps:
          - name: named
            type: cli
            command: workflows run
            argv: [handed]
            args: {input: ["word=12", "rows=${rows}", "n=7", "flag=true", "more=a", "more=b"], format: json}
            retry: {max_attempts: 2}
            output: named
          - {name: file, type: cli, command: workflows run, argv: [workflows/handed.yaml], args: {input: "word=<${text}>"}}
          - {name: word, type: cli, command: workflows run handed, args: {input: ["word=${text}"]}}
          - {name: python, type: cli, command: workflows run counted, args: {input: ["n=5", "text=${text}"]}}
          - {name: plan, type: cli, command: workflows run, argv: [handed], args: {dry_run: true}}
        outputs: {named: "${named}", file: "${steps.file.s}", word: "${steps.word.s}", python: "${steps.python}", plan: "${steps.plan.name}"}
        """
    )
    assert run.outputs == {
        "named": {"s": ["str", "12"], "rows": [1, 2], "n": 7, "flag": True, "more": ["a", "b"]},
        "file": ["str", "<12>"],
        "word": ["str", "12"],
        "python": [5, "12"],
        "plan": "handed",
    }, run.error
    steps = language.steps(run)
    assert [steps[path].kind for path in ("named", "file", "word", "python", "plan")] == ["workflow"] * 4 + [
        "cli"
    ]
    children = language.client.list(name="handed", parent=None)
    assert not children, "none of them is a run of its own"


def test_a_command_that_is_known_only_when_it_runs_may_not_execute_a_run(language: Language) -> None:
    run = language.run(
        """
        inputs: {command: workflows run}
        steps:
          - {name: execute, type: cli, command: "${command}", argv: [handed], on_error: skip}
        """
    )
    refused = language.steps(run)["execute"].error or {}
    assert refused["type"] == "usage"
    assert "a step of type `workflow`" in refused["hint"]


def test_run_steps(language: Language) -> None:
    (language.root / "deep").mkdir()
    run = language.run(
        """
        inputs: {word: "a b'c"}
        env: {FROM_FILE: "file ${word}", BOTH: file}
        steps:
          - {name: argv, type: run, command: [printf, "%s|%s", "${word}", 3]}
          - {name: shell, type: run, command: 'echo "$FROM_FILE/$BOTH/$OWN"', env: {BOTH: step, OWN: "${word}"}}
          - {name: stdin, type: run, command: cat, stdin: {a: ["${word}"]}, parse: json}
          - {name: lines, type: run, command: "printf 'x\\ny\\n'; echo oops >&2", parse: lines}
          - {name: cwd, type: run, command: [pwd], cwd: deep}
          - {name: code, type: run, command: "echo no >&2; exit 7", on_error: skip}
          - {name: words, type: run, command: [echo, no], parse: json, on_error: skip}
          - {name: absent, type: run, command: [no-such-program], on_error: skip}
        """
    )
    steps = language.steps(run)
    assert steps["argv"].value == {"stdout": "a b'c|3", "exit_code": 0, "stderr": ""}
    assert steps["shell"].value["stdout"] == "file a b'c/step/a b'c"
    assert steps["stdin"].value["stdout"] == {"a": ["a b'c"]}
    assert steps["lines"].value == {"stdout": ["x", "y"], "exit_code": 0, "stderr": "oops"}
    assert steps["cwd"].value["stdout"].endswith("/project/deep")
    errors = {path: step.error or {} for path, step in steps.items()}
    assert (errors["code"]["type"], errors["code"]["exit_code"]) == ("ExitCode", 7)
    assert errors["words"]["type"] == "ParseError"
    assert "no-such-program" in errors["absent"]["message"]
    assert "[code] no" in language.log(run)
    assert "[lines] oops" in language.log(run)


def test_script_and_python_steps(language: Language) -> None:
    (language.root / "tools.py").write_text(
        "import os\n"
        "async def later(word): return word * 2\n"
        "def pid(): return os.getpid()\n"
        "def fail(code):\n    raise OSError(code, 'gone wrong')\n"
        "class Shape:\n    @staticmethod\n    def area(a, b): return a * b\n"
        "def odd(): return {1, 2}\n"
    )
    run = language.run(
        """
        inputs: {word: x}
        env: {FROM_FILE: "yes"}
        steps:
          - name: script
            type: script
            inputs: {word: "${word}", rows: [1, {a: "${word}"}]}
            env: {OWN: "${word}"}
            code: |
              import os
              print("from the script")
              result = [word, rows, os.environ["FROM_FILE"], os.environ["OWN"], os.getpid()]
          - {name: nothing, type: script, code: "x = 1"}
          - {name: raises, type: script, code: "y = 1\\n{}['k']", on_error: skip}
          - {name: later, type: python, call: "tools:later", args: {word: "${word}"}}
          - {name: position, type: python, call: "tools:Shape.area", args: [3, 4]}
          - {name: inside, type: python, call: "tools:pid", isolate: false}
          - {name: fail, type: python, call: "tools:fail", args: {code: 5}, on_error: skip}
          - {name: odd, type: python, call: "tools:odd", on_error: skip}
          - {name: missing, type: python, call: "tools:nobody", on_error: skip}
        """
    )
    steps = language.steps(run)
    assert steps["script"].value[:4] == ["x", [1, {"a": "x"}], "yes", "x"]
    assert steps["script"].value[4] != steps["inside"].value, "a script runs in a child process"
    assert steps["nothing"].value is None
    assert steps["later"].value == "xx"
    assert steps["position"].value == 12
    errors = {path: step.error or {} for path, step in steps.items()}
    assert (errors["raises"]["type"], errors["raises"]["line"]) == ("KeyError", 2)
    assert errors["fail"]["type"] == "OSError"
    assert "gone wrong" in errors["fail"]["message"]
    assert errors["odd"]["type"] == "NotJson"
    assert "nobody" in errors["missing"]["message"]
    assert "[script] from the script" in language.log(run)
    assert run.summary == {"skipped_failures": 4}


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        found = {"path": self.path, "token": self.headers.get("X-Token"), "body": body}
        self._answer(202, json.dumps(found))

    def do_GET(self) -> None:
        self._answer(404 if "absent" in self.path else 200, '{"ok": true}')

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def address() -> Iterator[str]:
    """A server that tells what it was sent."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_http_steps(language: Language, address: str) -> None:
    run = language.run(
        """
        inputs: {address: string, word: "a&b=c d"}
        steps:
          - name: post
            type: http
            method: post
            url: ${address}/x
            params: {q: "${word}", page: [1, 2], no: null}
            headers: {X-Token: "${word}"}
            json: {word: "${word}"}
            expect: [202]
            allow_private: true
          - {name: get, type: http, url: "${address}/y", allow_private: true}
          - {name: absent, type: http, url: "${address}/absent", allow_private: true, on_error: skip}
          - {name: wanted, type: http, url: "${address}/absent", allow_private: true, expect: [200, 404]}
          - {name: private, type: http, url: "${address}/y", on_error: skip}
        """,
        {"address": address},
    )
    steps = language.steps(run)
    assert steps["post"].value["status"] == 202
    assert steps["post"].value["body"] == {
        "path": "/x?q=a%26b%3Dc+d&page=1&page=2",
        "token": "a&b=c d",
        "body": '{"word": "a&b=c d"}',
    }
    assert steps["get"].value["body"] == {"ok": True}
    assert steps["wanted"].value["status"] == 404
    errors = {path: step.error or {} for path, step in steps.items()}
    assert (errors["absent"]["type"], errors["absent"]["status"]) == ("HttpStatus", 404)
    assert errors["private"]["type"] == "AddressRefused"


def test_emit_steps_are_read_from_outside(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: first, type: emit, event: colour, value: red}
          - {name: second, type: emit, event: colour, value: {is: green}}
          - {name: one, type: emit, stream: found, value: 1}
          - name: more
            foreach: {items: [2, 3], max_concurrent: 1}
            steps:
              - {name: say, type: emit, stream: found, value: "${item}"}
              - {name: also, type: emit, event: "seen-${item}", value: "${index}"}
        outputs: {said: "${steps.second}"}
        """
    )
    assert run.outputs == {"said": {"is": "green"}}
    events = language.client.events(run.id)
    assert events["colour"] == {"is": "green"}
    assert (events["seen-2"], events["seen-3"]) == (0, 1)
    assert language.client.stream(run.id, "found").items == [1, 2, 3]


def test_limits_and_timeouts_end_child_processes(language: Language) -> None:
    run = language.run(
        """
        limits: {cpu: 30s}
        steps:
          - {name: memory, type: script, code: "x = bytearray(2 * 10**9)", limits: {memory: 1GB}, on_error: skip}
          - {name: cpu, type: run, command: "while :; do :; done", limits: {cpu: 1s}, on_error: skip}
          - {name: slow, type: run, command: "sleep 60 & sleep 60", timeout: 300ms, on_error: skip}
          - {name: script, type: script, code: "import time; time.sleep(60)", timeout: 0.3, on_error: skip}
          - {name: sizes, type: run, command: "ulimit -t"}
        """
    )
    steps = language.steps(run)
    errors = {path: step.error or {} for path, step in steps.items()}
    assert errors["memory"]["type"] == "MemoryError"
    assert steps["cpu"].status == "failed"
    assert (steps["cpu"].seconds or 99) < 20
    assert errors["slow"]["type"] == errors["script"]["type"] == "StepTimeoutError"
    assert (steps["slow"].seconds or 99) < 20
    assert steps["sizes"].value["stdout"] == "30", "a limit of the file holds for every step"


def test_a_project_has_kinds_and_commands_of_its_own(language: Language) -> None:
    (language.root / "steps").mkdir(exist_ok=True)
    (language.root / "steps" / "shout.py").write_text(
        "from kurt.engine.kinds import Fields, StepContext, StepKind\n"
        "class ShoutFields(Fields):\n"
        "    text: str\n"
        "    times: int = 1\n"
        "class Shout(StepKind):\n"
        "    '''Says it louder.'''\n"
        "    type = 'shout'\n"
        "    Model = ShoutFields\n"
        "    def execute(self, fields: ShoutFields, context: StepContext) -> str:\n"
        "        context.log('INFO', f'shouting in attempt {context.attempt}')\n"
        "        return fields.text.upper() + '!' * fields.times\n"
    )
    (language.root / "commands").mkdir(exist_ok=True)
    (language.root / "commands" / "pets.py").write_text(
        "import click\n"
        "from kurt.cli.command import group\n"
        "@group('pets')\n"
        "def pets(): 'Pets.'\n"
        "@pets.command('name')\n"
        "@click.option('--kind', required=True)\n"
        "@click.option('--loud', is_flag=True)\n"
        "def name(kind, loud): return {'kind': kind, 'loud': loud}\n"
    )
    run = language.run(
        """
        inputs: {word: miaow}
        steps:
          - {name: shout, type: shout, text: "${word}", times: 2}
          - {name: cli, type: cli, command: pets name, args: {kind: "${steps.shout}", loud: true}}
        outputs: {said: "${steps.shout}", pet: "${steps.cli}"}
        """
    )
    assert run.outputs == {"said": "MIAOW!!", "pet": {"kind": "MIAOW!!", "loud": True}}
    assert "[shout] shouting in attempt 1" in language.log(run)
