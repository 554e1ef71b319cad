"""Secrets reach the steps that need them and are nowhere else: not on disk, not in what commands print, not in `ps`."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.language import Language, language
from tests.support.processes import command_line, descendants, executors
from tests.support.waiting import wait_until

__all__ = ["language"]

SECRET = 's3cr3t-"quoted"-Zebra/42+=x'
OTHER = "another-Giraffe-value"
SUB = "secret-of-the-Okapi-below"

LEAKY = """
    name: leaky
    inputs: {address: string}
    secrets: [MY_TOKEN, OTHER_TOKEN]
    env: {DERIVED: "prefix-${run.name}"}
    steps:
      - {name: echo, type: run, command: 'echo "out $MY_TOKEN"; echo "err $OTHER_TOKEN" >&2'}
      - {name: argv, type: run, command: [sh, -c, 'printf "%s" "$1"', x, "${env.MY_TOKEN}"]}
      - {name: fail, type: run, command: 'echo "bad $MY_TOKEN" >&2; exit 3', on_error: skip}
      - name: script
        type: script
        code: |
          import base64, json, logging, os, sys, urllib.parse
          secret = os.environ["MY_TOKEN"]
          print(secret)
          print(json.dumps({"secret": secret}), urllib.parse.quote(secret), base64.b64encode(secret.encode()).decode())
          print(secret, file=sys.stderr)
          result = {"token": secret, secret: 1, "list": ["a " + secret], "json": json.dumps([secret])}
      - {name: raises, type: script, code: "import os; raise ValueError('no: ' + os.environ['MY_TOKEN'])", on_error: skip}
      - {name: python, type: python, call: "leaks:leak", args: {token: "${env.MY_TOKEN}"}, on_error: skip}
      - {name: inside, type: python, call: "leaks:leak", args: {token: "${env.OTHER_TOKEN}"}, isolate: false, on_error: skip}
      - {name: http, type: http, method: POST, url: "${address}/x", headers: {Authorization: "Bearer ${env.MY_TOKEN}"},
         json: {token: "${env.OTHER_TOKEN}"}, params: {key: "${env.OTHER_TOKEN}"}, allow_private: true}
      - {name: refused, type: http, url: "http://127.0.0.1:9/?key=${env.OTHER_TOKEN}", on_error: skip}
      - {name: cli, type: cli, command: workflows read, argv: ["/no/${env.OTHER_TOKEN}"], on_error: skip}
      - {name: emit, type: emit, event: leaked, value: "${steps.script}"}
      - {name: said, type: emit, stream: leaked, value: ["${steps.python ?? steps.argv.stdout}"]}
      - name: items
        foreach: {items: ["${steps.script.list[0]}"], key: "${item}"}
        steps:
          - {name: one, type: run, command: 'echo "item $MY_TOKEN"'}
          - {name: two, type: script, code: "import os; result = os.environ['OTHER_TOKEN']"}
      - {name: call, workflow: parts/leak.yaml}
      - {name: seen, type: script, env: {T: "${env.MY_TOKEN}"}, inputs: {n: "${steps.http.body.length}"},
         code: "import os; result = [len(os.environ['T']), os.environ['DERIVED'], n]"}
      - {name: hold, type: run, command: 'touch holding; sleep 60 & wait', env: {T: "${env.MY_TOKEN}"}, timeout: 1m, when: hold == true}
      - {name: last, type: run, command: 'echo "last $MY_TOKEN"; exit 9'}
    on_error: [{name: told, type: script, inputs: {e: "${error}"}, code: "print(e); result = e"}]
    outputs: {all: "${steps}"}
    """


class _Server(http.server.BaseHTTPRequestHandler):
    tokens: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        token = self.headers["Authorization"] or ""
        self.tokens.append(token)
        text = json.dumps({"echo": body, "path": self.path, "token": token, "length": len(token)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Token", token)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def spellings(secret: str) -> list[bytes]:
    """Forms in which a secret must not be found either."""
    alone = base64.b64encode(secret.encode()).decode().rstrip("=")
    forms = [
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        alone,
        "Zebra",
        "Giraffe",
    ]
    return [form.encode() for form in forms]


def found_in(data: bytes) -> list[bytes]:
    return [form for secret in (SECRET, OTHER, SUB) for form in spellings(secret) if form in data]


def leaks(root: Path) -> dict[str, list[bytes]]:
    """Files of a project in which a form of a secret stands; raw bytes of the database and the worker's output too."""
    files = (path for path in root.parent.rglob("*") if path.is_file() and path != root / ".env")
    return {str(path): forms for path in files if (forms := found_in(path.read_bytes()))}


@pytest.fixture
def secretive(language: Language) -> Language:
    quoted = SECRET.replace('"', '\\"')
    (language.root / ".env").write_text(
        f'MY_TOKEN="{quoted}"\nOTHER_TOKEN={OTHER}\nSUB_TOKEN={SUB}\n', encoding="utf-8"
    )
    (language.root / "leaks.py").write_text(
        "import logging\n"
        "def leak(token):\n"
        "    print('printing', token)\n"
        "    logging.getLogger('leaks').warning('logging %s', token)\n"
        "    raise RuntimeError(f'raising {token}')\n"
    )
    language.write(
        """
        secrets: [SUB_TOKEN]
        steps:
          - {name: in, type: run, command: 'echo "sub $SUB_TOKEN"'}
          - {name: inside, type: python, call: "leaks:leak", args: {token: "${env.SUB_TOKEN}"}, isolate: false, on_error: skip}
          - name: items
            foreach: {items: [1]}
            steps:
              - {name: a, type: run, command: 'echo "item $SUB_TOKEN"'}
              - {name: b, type: python, call: "leaks:leak", args: {token: "${env.SUB_TOKEN}"}, on_error: skip}
        outputs: {o: "${steps.in.stdout}"}
        """,
        "parts/leak.yaml",
    )
    return language


def test_secrets_are_masked_wherever_text_leaves_a_run(secretive: Language, address: str) -> None:
    text = LEAKY.replace("when: hold == true", "when: false")
    run = secretive.run(text, {"address": address})
    assert run.status == "failed"
    steps = secretive.steps(run)
    assert steps["seen"].value == [len(SECRET), "prefix-leaky", len(SECRET) + 7], "steps see the real values"
    assert _Server.tokens == [f"Bearer {SECRET}"]
    assert steps["echo"].value["stdout"] == "out ***"
    assert steps["script"].value == {"token": "***", "***": 1, "list": ["a ***"], "json": '["***"]'}
    for name in ("raises", "python", "inside", "fail", "cli"):
        assert "***" in json.dumps(steps[name].error), (name, steps[name].error)
    log = secretive.log(run)
    for line in (
        "[echo] out ***",
        "[echo] err ***",
        "[script] ***",
        "printing ***",
        "[items[a ***].one] item ***",
    ):
        assert line in log, line
    assert leaks(secretive.root) == {}
    assert found_in(repr((run, steps, secretive.client.events(run.id), log)).encode()) == []
    assert secretive.client.events(run.id)["leaked"]["token"] == "***"
    for argv in (
        ["status", run.id], ["steps", run.id, "--values"], ["logs", run.id], ["events", run.id],
        ["stream", run.id, "leaked"], ["result", run.id], ["list"],
    ):  # fmt: skip
        for form in ("json", "table"):
            shown = secretive.kurt("workflows", *argv, "--format", form, code=None)
            assert found_in(f"{shown.stdout}{shown.stderr}".encode()) == [], shown


def test_secrets_are_not_in_the_list_of_processes(secretive: Language, address: str) -> None:
    text = LEAKY.replace("when: hold == true", "when: true")
    run_id = secretive.start(text, {"address": address})
    wait_until((secretive.root / "holding").exists, 60, what="the step that holds")
    pids = {pid for owner in executors(secretive.root).values() for pid in (owner, *descendants(owner))}
    lines = {pid: command_line(pid) for pid in pids}
    assert any("sleep" in line for line in lines.values()), lines
    assert found_in(repr(lines).encode()) == []
    secretive.client.cancel(run_id)
    secretive.until(run_id, "cancelled")
    assert leaks(secretive.root) == {}


def test_a_foreground_run_shows_no_secret_either(secretive: Language, address: str) -> None:
    name = secretive.write(LEAKY.replace("when: hold == true", "when: false"))
    done = secretive.kurt("workflows", "run", name, "--input", f"address={address}", "--debug", code=1)
    assert found_in(f"{done.stdout}{done.stderr}".encode()) == [], done
    assert leaks(secretive.root) == {}


def test_missing_secrets_are_named_before_anything_starts(secretive: Language) -> None:
    name = secretive.write("secrets: [NO_SUCH_TOKEN]\nsteps: [{type: script, code: ''}]\n")
    for options in ([], ["--background"]):
        error = secretive.kurt("workflows", "run", name, *options, "--format", "json", code=4).error()
        assert error["code"] == "credentials"
        assert "NO_SUCH_TOKEN" in error["message"]
        assert ".env" in error["hint"]
    environment: dict[str, Any] = {"NO_SUCH_TOKEN": "only-in-this-shell"}
    error = secretive.kurt(
        "workflows", "run", name, "--background", "--format", "json", code=4, env=environment
    ).error()
    assert "this shell only" in error["message"]
    assert secretive.kurt("workflows", "run", name, env=environment).exit_code == 0
    assert not any(run.file == name and run.status == "queued" for run in secretive.client.list())


def test_a_secret_where_it_would_be_stored_is_refused(secretive: Language) -> None:
    name = secretive.write(
        """
        secrets: [MY_TOKEN]
        steps:
          - {name: items, foreach: {items: ["${env.MY_TOKEN}"]}, steps: [{type: script, code: ''}]}
          - {name: emit, type: emit, event: x, value: "${env.MY_TOKEN}"}
          - {name: call, workflow: parts/leak.yaml, inputs: {o: "${env.MY_TOKEN}"}}
        outputs: {t: "${env.MY_TOKEN}", all: "${env}"}
        """
    )
    done = secretive.kurt("workflows", "validate", name, "--format", "json", code=2)
    faults = json.loads(done.stdout or done.stderr)
    text = json.dumps(faults)
    assert text.count("is secret, and what stands here is stored with the run") >= 5, text
