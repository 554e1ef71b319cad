"""Values of any content pass through every kind of step as they are; nothing in them is ever replaced, run or parsed."""

from __future__ import annotations

import contextlib
import http.server
import json
import sqlite3
import threading
from collections.abc import Iterator

import pytest

from tests.support.language import Language, language

__all__ = ["language"]

HOSTILE = [
    "${secret}",
    "$${x} ${steps.argv} ${env.HOME ?? 'x'}",
    "'; rm -rf ~ #",
    '"; rm -rf ~; echo "',
    "$(touch owned) `touch owned` ; touch owned",
    "line one\nline two\n\n  indented\ttab\r\nend\n",
    "{{ 7 * 7 }} {% raw %} %s %(name)s {0} \\n \\x41",
    "--output=/tmp/owned",
    "-",
    "@no-such-file",
    "@obj:00000000:0",
    "true",
    "null",
    "007",
    "2026-11-21",
    "[1, 2]",
    '{"a": 1}',
    "' or 1 == 1 or '",
    "__import__('os').system('touch owned')",
    "ünïcödé ☃ \U0001f600 \u202e \u2028",
    "",
    " spaces ",
]

THROUGH_ALL = """
    name: hostile
    inputs: {v: {type: any}, address: string}
    env: {FILE_V: "${v}"}
    steps:
      - {name: argv, type: run, command: [printf, "%s", "${v}"]}
      - {name: env, type: run, command: 'printf "%s|%s" "$FILE_V" "$STEP_V"', env: {STEP_V: "<${v}>"}}
      - {name: stdin, type: run, command: cat, stdin: "${v}"}
      - {name: json, type: run, command: cat, stdin: ["${v}"], parse: json}
      - {name: script, type: script, inputs: {v: "${v}", text: "a ${v} b"}, code: "result = [v, text, '${v}']"}
      - {name: python, type: python, call: "probe:mark", args: [hostile, "${v}"]}
      - {name: inside, type: python, call: "probe:mark", args: {name: hostile, value: {k: "${v}"}}, isolate: false}
      - {name: cli, type: cli, command: workflows transform, args: {data: "${v}"}}
      - {name: nested, type: cli, command: workflows transform, args: {data: [{v: "${v}"}], map: "{'w': v}"}}
      - {name: write, type: cli, command: workflows write, args: {data: "${v}", output: hostile.txt, format: text}}
      - {name: emit, type: emit, event: hostile, value: "${v}"}
      - {name: append, type: emit, stream: hostile, value: {v: "${v}"}}
      - {name: http, type: http, method: POST, url: "${address}/x", json: {v: "${v}"}, params: {q: "${v}"}, allow_private: true}
      - name: items
        foreach: {items: ["${v}", other], key: "<${item}>"}
        steps: [{name: one, type: script, inputs: {i: "${item}", k: "${key}"}, code: "result = [i, k]"}]
      - name: children
        foreach: {items: ["${v}"], key: "<${item}>"}
        steps:
          - {name: one, type: script, inputs: {i: "${item}"}, code: result = i}
          - {name: two, type: script, inputs: {i: "${steps.one}"}, code: result = i}
        collect: {got: "${steps.two}"}
      - {name: when, type: script, code: result = 1, when: "v == steps.python and '${v}' == v and ${v} == '${v}'"}
      - {name: choice, switch: {on: "v == inputs.v", cases: {true: [{name: same, type: script, inputs: {v: "${v}"}, code: result = v}]}}}
      - {name: both, parallel: [{name: a, type: script, inputs: {v: "${v}"}, code: result = v}]}
      - {name: call, workflow: parts/echo.yaml, inputs: {v: "${v}"}}
      - {name: fail, type: python, call: "probe:refuse", args: ["${v}"], on_error: {fallback: [{name: told, type: script,
         inputs: {e: "${error.message}"}, code: result = e}]}}
    outputs: {v: "${v}", text: "<${v}>", steps: "${steps}"}
    """


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        text = json.dumps({"path": self.path, "body": json.loads(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def prepared(language: Language) -> Language:
    language.write(
        "inputs: {v: {type: any}}\nsteps: [{type: script, code: ''}]\noutputs: {v: '${v}'}\n",
        "parts/echo.yaml",
    )
    code = (language.root / "probe.py").read_text()
    if "refuse" not in code:
        (language.root / "probe.py").write_text(code + "\n\ndef refuse(text):\n    raise ValueError(text)\n")
    return language


@pytest.mark.parametrize("part", range(3))
def test_hostile_text_passes_through_every_kind(prepared: Language, address: str, part: int) -> None:
    runs = [(text, prepared.start(THROUGH_ALL, {"v": text, "address": address})) for text in HOSTILE[part::3]]
    for text, run_id in runs:
        outputs = prepared.client.result(run_id, timeout=90)
        assert (outputs["v"], outputs["text"]) == (text, f"<{text}>")
        values = outputs["steps"]
        assert values["argv"]["stdout"] == text.removesuffix("\n")
        assert values["env"]["stdout"] == f"{text}|<{text}>"
        assert values["stdin"]["stdout"] == text.removesuffix("\n")
        assert values["json"]["stdout"] == [text]
        assert values["script"] == [text, f"a {text} b", "${v}"]
        assert (values["python"], values["inside"]) == (text, {"k": text})
        assert (values["cli"], values["nested"]) == (text, [{"w": text}])
        assert (values["emit"], values["append"]) == (text, {"v": text})
        assert values["http"]["body"]["body"] == {"v": text}
        assert values["items"] == [[text, f"<{text}>"], ["other", "<other>"]]
        assert values["children"] == [{"got": text}]
        assert (values["when"], values["choice"], values["both"]) == (1, text, {"a": text})
        assert values["call"] == {"v": text}
        assert values["fail"] == (text.strip() or "ValueError") or values["fail"] == text
        assert prepared.client.events(run_id)["hostile"] == text
        assert prepared.client.stream(run_id, "hostile").items == [{"v": text}]
    assert not (prepared.root / "owned").exists()


def test_a_text_of_five_megabytes_passes_through(prepared: Language, address: str) -> None:
    text = "ab'\"${x}\n" * 620_000
    run_id = prepared.start(
        """
        inputs: {v: string, address: string}
        steps:
          - {name: stdin, type: run, command: [wc, -c], stdin: "${v}"}
          - {name: back, type: run, command: cat, stdin: "${v}"}
          - {name: script, type: script, inputs: {v: "${v}"}, code: result = v}
          - {name: python, type: python, call: "probe:mark", args: [long, "${steps.script}"]}
          - {name: cli, type: cli, command: workflows write, args: {data: "${steps.python}", output: long.txt}}
          - {name: read, type: cli, command: workflows read, argv: [long.txt]}
          - {name: http, type: http, method: POST, url: "${address}/x", json: {v: "${v}"}, allow_private: true, max_size: 20MB}
          - {name: items, foreach: {items: ["${v}"]}, steps: [{name: n, type: script, inputs: {i: "${item}"}, code: result = len(i)}]}
          - {name: argv, type: run, command: [echo, "${v}"], on_error: skip}
          - {name: env, type: run, command: [echo], env: {V: "${v}"}, on_error: skip}
        outputs: {same: "${steps.read}", stdin: "${steps.stdin.stdout}", items: "${steps.items}"}
        """,
        {"v": text, "address": address},
    )
    outputs = prepared.client.result(run_id, timeout=90)
    assert outputs["same"] == text
    assert (int(outputs["stdin"]), outputs["items"]) == (len(text), [len(text)])
    steps = prepared.steps(run_id)
    assert steps["back"].value["stdout"] == text.removesuffix("\n")
    assert steps["http"].value["body"]["body"] == {"v": text}
    for name in ("argv", "env"):
        error = steps[name].error or {}
        assert "stdin" in f"{error['message']} {error.get('hint')}", error


def test_values_that_programs_cannot_take_are_refused_in_words(prepared: Language) -> None:
    run = prepared.run(
        """
        inputs: {v: string}
        steps:
          - {name: argv, type: run, command: [echo, "${v}"], on_error: skip}
          - {name: env, type: run, command: [echo], env: {V: "${v}"}, on_error: skip}
          - {name: stdin, type: run, command: [wc, -c], stdin: "${v}"}
          - {name: script, type: script, inputs: {v: "${v}"}, code: result = v}
          - {name: emit, type: emit, event: nul, value: "${v}"}
        outputs: {v: "${v}"}
        """,
        {"v": "a\0b"},
    )
    assert run.status == "succeeded", run.error
    assert run.outputs == {"v": "a\0b"}
    steps = prepared.steps(run)
    for name in ("argv", "env"):
        error = steps[name].error or {}
        assert error["type"] == "FieldError" or "NUL" in error["message"] or "null" in error["message"], error
    assert steps["script"].value == "a\0b"
    assert int(steps["stdin"].value["stdout"]) == 3
    assert prepared.client.events(run.id)["nul"] == "a\0b"


def test_types_are_kept_and_text_is_json(prepared: Language) -> None:
    value = {"i": 1, "f": 1.5, "b": True, "n": None, "l": [1, [2]], "big": 2**70, "e": {}, "é": "ü"}
    outputs = prepared.outputs(
        """
        inputs: {v: {type: object}}
        steps:
          - {name: a, type: script, inputs: {v: "${v}"}, code: result = v}
          - {name: t, type: emit, event: t, value: "${v.b} ${v.n} ${v.f} ${v.l} ${v.e} ${v[\\"é\\"]}"}
          - {name: stdin, type: run, command: cat, stdin: "${v}", parse: json}
        outputs: {a: "${steps.a}", t: "${steps.t}", stdin: "${steps.stdin.stdout}"}
        """,
        {"v": value},
    )
    assert outputs == {"a": value, "t": "true null 1.5 [1, [2]] {} ü", "stdin": value}


def test_a_child_run_is_given_only_the_steps_that_it_uses(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: large, type: script, code: "result = 'x' * 200_000"}
          - {name: small, type: script, code: "result = [1, 2]"}
          - name: items
            foreach: {items: "${steps.small}", as: n}
            steps:
              - {name: one, type: script, inputs: {n: "${n}", all: "${steps.small}"}, code: "result = n + sum(all)"}
              - {name: two, type: script, inputs: {n: "${steps.one}"}, code: "result = n"}
          - name: whole
            foreach: {items: [1], as: n}
            steps:
              - {name: one, type: script, inputs: {steps: "${steps}"}, code: "result = len(steps['large'])"}
              - {name: two, type: script, inputs: {n: "${steps.one}"}, code: "result = n"}
        outputs: {items: "${steps.items}", whole: "${steps.whole}"}
        """
    )
    assert run.outputs == {"items": [4, 5], "whole": [200_000]}, run.error
    query = (
        "SELECT s.attributes, length(i.inputs) FROM workflow_input i JOIN workflow_status s USING (workflow_uuid)"
        " WHERE s.workflow_uuid LIKE ? || '.%'"
    )
    with contextlib.closing(sqlite3.connect(language.root / ".kurt" / "kurt.sqlite")) as connection:
        sizes = {
            json.loads(attributes)["kurt"]["path"]: size
            for attributes, size in connection.execute(query, (run.id,))
        }
    assert sizes.keys() == {"items[0]", "items[1]", "whole[0]"}
    assert max(sizes["items[0]"], sizes["items[1]"]) < 1000
    assert sizes["whole[0]"] > 200_000
