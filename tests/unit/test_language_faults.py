"""Everything that is wrong with a file is reported at once, with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from kurt.errors import DefinitionError, NotFoundError
from tests.support.definitions import BUILT_IN, faults_in, load_workflow, written

TEN_MISTAKES = """\
name: pages
inputs:
  limit: {type: int, default: many}
steps:
  - name: fetch
    type: cli
    comand: content fetch
    retry: {max_attempts: 0}
  - name: count
    type: script
    code: result = 1
    timeout: 5 parsecs
    needs: [fetsh]
  - name: report
    type: clii
    when: lenn(pages) > 0
  - name: last
    type: run
    command: echo ${limit}
    cach: {ttl: 7d}
outputs: {pages: "${lmit}"}
"""


def test_ten_mistakes_give_ten_messages(tmp_path: Path) -> None:
    faults = faults_in(tmp_path, TEN_MISTAKES)
    assert [(fault.line, fault.column) for fault in faults] == [
        (3, 31),
        (7, 5),
        (8, 27),
        (12, 14),
        (13, 13),
        (15, 11),
        (16, 11),
        (19, 14),
        (20, 5),
        (21, 18),
    ]
    assert all(fault.hint and fault.file == "flow.yaml" and fault.severity == "error" for fault in faults)
    with pytest.raises(DefinitionError, match=r"flow\.yaml has 10 errors") as caught:
        load_workflow(tmp_path / "flow.yaml", root=tmp_path, kinds=BUILT_IN)
    assert caught.value.faults == faults
    assert caught.value.exit_code == 2


def step(fields: str) -> str:
    """A file of one step."""
    return f"name: x\nsteps:\n  - {{name: a, {fields}}}\n"


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("5", (1, 1), "is a mapping", "steps:"),
        ("name: x\n", (1, 1), "`steps` is missing", "add `steps:`"),
        ("stpes: []\n", (1, 1), "unknown key `stpes`", "did you mean `steps`?"),
        ("steps: []\n", (1, 8), "`steps` is empty", "add at least one"),
        ("steps: {a: 1}\n", (1, 8), "must be a list of steps", "- name:"),
        ("steps:\n  - just text\n", (2, 5), "a step must be a mapping", "- name:"),
        ("steps: [{name: a}]\n", (1, 9), "`type` is missing in a step", "add `type:`"),
        ("steps: [{name: a, command: content fetch}]\n", (1, 9), "`type` is missing", "type: cli"),
        ("steps: [{name: a, command: [ls]}]\n", (1, 9), "`type` is missing", "type: run"),
        ("steps: [{name: a, code: x}]\n", (1, 9), "`type` is missing", "type: script"),
        ("steps: [{type: 5}]\n", (1, 16), "`type` must be text", "type: cli"),
        (step("type: cli"), (3, 5), "`command` is missing in a `cli` step", "add, for example"),
        (step("type: cli, command: 5"), (3, 35), "must be a valid string, not 5", "write, for example"),
        (
            step("type: run, command: 5"),
            (3, 35),
            "must be a valid string or a valid list",
            "write, for example",
        ),
        (step("type: run, command: [a], parse: jsn"), (3, 47), "must be 'text', 'json' or 'lines'", "`json`"),
        (step("type: dspy, signature: X"), (3, 38), "there is no signatures.py", "write the class into"),
        (
            step("type: dspy, signature: a -> b, inputs: {c: 1, a: 2}"),
            (3, 55),
            "no input `c`",
            "its inputs are `a`",
        ),
        (
            step("type: dspy, signature: a -> b, inputs: {a: 2}, modul: x"),
            (3, 62),
            "key `modul` in a `dspy`",
            "`module`",
        ),
        (step("type: shell, command: x"), (3, 21), "unknown step kind 'shell'", "`run`"),
        (step("type: cli, command: x, wen: true"), (3, 38), "unknown key `wen` in a `cli` step", "`when`"),
        (
            step("type: cli, command: x, budget: {usd: 5}"),
            (3, 38),
            "`budget` has no meaning for a `cli`",
            "remove it",
        ),
        (step("type: llm, prompt: x, budget: 5"), (3, 45), "`budget` must be a valid dictionary", "usd"),
        (
            step("type: llm, prompt: x, budget: {}"),
            (3, 45),
            "`budget` has no limit",
            "write `usd`, `tokens` or both",
        ),
        (step("type: cli, command: x, cache: soon"), (3, 45), "'soon' is not a duration", "write"),
        (
            step("type: foreach, foreach: {items: [1]}, cache: 1d, steps: [{type: cli, command: x}]"),
            (3, 53),
            "`cache` has no meaning for a `foreach` block",
            "on the steps",
        ),
        (step("type: llm"), (3, 5), "`prompt` is missing in a `llm` step", "add, for example"),
        (
            step("type: llm, prompt: x, schema: {title: string}"),
            (3, 45),
            "none of the keys of a JSON Schema",
            "properties",
        ),
        (step("type: llm, prompt: x, schema: {type: objekt}"), (3, 45), "is not a JSON Schema", "properties"),
        (
            step("type: llm, prompt: x, schema: 5 things"),
            (3, 45),
            "neither a JSON Schema nor module:Class",
            "JSON Schema",
        ),
        (step("type: llm, prompt: x, concurrency: 5"), (3, 50), "has no `items`", "add `items`"),
        (
            step("type: llm, prompt: x, items: pages"),
            (3, 44),
            "`items` must be a list or a reference",
            "${pages}",
        ),
        (step("type: llm, prompt: '${item}'"), (3, 34), "unknown name `item`", None),
        (step("type: llm, prompt: '${page}', items: [1]"), (3, 34), "unknown name `page`", None),
        (
            step("type: llm, prompt: x, items: [1], schema: {properties: {status: {}}}"),
            (3, 57),
            "the field `status` of `schema`",
            "prefix",
        ),
        (step("type: embed"), (3, 5), "needs `text` or `items`", "add `text:`"),
        (step("type: cli, command: x, when: 1 +"), (3, 44), "not an expression", "for example"),
        (
            step("type: cli, command: x, when: [1]"),
            (3, 44),
            "`when` must be a valid string",
            "write, for example",
        ),
        (step("type: cli, command: x, output: 1x"), (3, 46), "'1x' is not a name", "use letters"),
        (step("type: cli, command: x, output: steps"), (3, 46), "cannot be named `steps`", "rename"),
        (
            step("type: cli, command: x, retry: 5"),
            (3, 45),
            "`retry` must be a valid dictionary",
            "max_attempts",
        ),
        (
            step("type: cli, command: x, retry: {delay: 1, dely: 2}"),
            (3, 56),
            "unknown key `dely` in `retry`",
            "`delay`",
        ),
        (step("type: cli, command: x, retry: {when: err.status}"), (3, 52), "unknown name `err`", "`error`"),
        (
            step("type: cli, command: x, on_error: explode"),
            (3, 48),
            "`on_error.strategy`",
            "write one of them",
        ),
        (
            step("type: cli, command: x, on_error: skp"),
            (3, 48),
            "must be 'fail', 'skip'",
            "did you mean `skip`?",
        ),
        (
            step("type: cli, command: x, on_error: fallback"),
            (3, 48),
            "says not what to run",
            "{fallback: STEP}",
        ),
        (
            step("type: cli, command: x, on_error: {fallback: 5}"),
            (3, 59),
            "a step's name or a list",
            "write the name",
        ),
        (
            step("type: cli, command: x, on_error: {falback: y}"),
            (3, 48),
            "must be a word",
            "{fallback: STEP}",
        ),
        (step("type: cli, command: x, env: {1x: y}"), (3, 44), "'1x' is not the name of a variable", None),
        (
            step("type: cli, command: x, env: [y]"),
            (3, 43),
            "`env` must be a valid dictionary",
            "write, for example",
        ),
        (step("type: cli, command: x, limits: {memory: lots}"), (3, 55), "'lots' is not a size", "512MB"),
        (
            step("type: cli, command: x, needs: 5"),
            (3, 45),
            "`needs` must be a valid list",
            "write, for example",
        ),
        (step("type: cli, command: x, args: {a: '${'}"), (3, 48), "not closed", "close the reference"),
        (step("type: cli, command: x, args: {'${a}': 1}"), (3, 45), "references in keys", "write the key"),
        (step("type: run, command: 'echo ${x}'"), (3, 35), "shell text", "`env`"),
        (step("type: script, code: x, inputs: [1]"), (3, 46), "`inputs` must be a valid dictionary", "write"),
        (step("type: script, code: x, inputs: {a-b: 1}"), (3, 46), "cannot be the name", None),
        (step("type: emit, value: 1"), (3, 5), "`event` or `stream`", None),
        (step("foreach: {items: [1]}"), (3, 5), "`steps` is missing in a `foreach` block", "add `steps:`"),
        (
            step("foreach: [1], steps: [{type: emit, event: e, value: 1}]"),
            (3, 24),
            "must be a mapping",
            "items",
        ),
        (
            step("foreach: {itms: [1]}, steps: [{type: emit, event: e, value: 1}]"),
            (3, 25),
            "`itms`",
            "`items`",
        ),
        (
            step("foreach: {items: abc}, steps: [{type: emit, event: e, value: 1}]"),
            (3, 32),
            "must be a list",
            "${abc}",
        ),
        (
            step("foreach: {items: 5}, steps: [{type: emit, event: e, value: 1}]"),
            (3, 32),
            "must be a list",
            "${urls}",
        ),
        (
            step("foreach: {items: [a, b, a], key: '${item}'}, steps: [{type: emit, event: e, value: 1}]"),
            (3, 39),
            "items 0 and 2 have the same key 'a'",
            "leave `key` out",
        ),
        (step("parallel: []"), (3, 25), "`steps` is empty", "add at least one"),
        (step("type: parallel"), (3, 5), "`steps` is missing in a `parallel` block", "add `steps:`"),
        (
            step("parallel: [{type: emit, event: e, value: 1, needs: []}]"),
            (3, 59),
            "wait for nothing",
            "`needs` away",
        ),
        (step("switch: {cases: {a: []}}"), (3, 23), "`on` is missing in `switch`", "mode"),
        (step("switch: {on: 'true'}"), (3, 23), "`cases` is missing in `switch`", "add, for example"),
        (step("switch: {on: 'true', cases: []}"), (3, 43), "`cases` must be a mapping", "add `cases:`"),
        (step("switch: {on: 'true', cases: {a: []}, defalt: []}"), (3, 52), "`defalt`", "`default`"),
        (step("wait: {}"), (3, 21), "exactly one of", None),
        (step("wait: {for: 5m, message: x}"), (3, 21), "exactly one of", None),
        (step("wait: {until: tomorrow}"), (3, 29), "unknown name `tomorrow`", "in scope"),
        (
            step("wait: {until: 2026-13-01}"),
            (3, 29),
            "neither a time nor an expression",
            "2026-11-21T07:00:00Z",
        ),
        (step("wait: {for: 5 minutes}"), (3, 27), "not a duration", "5m"),
        (step("wait: {fr: 5m}"), (3, 22), "`fr` in `wait`", "`for`"),
        (step("type: workflow"), (3, 5), "`workflow` is missing", "path of a file"),
        (step("workflow: 'x-${run.id}.yaml'"), (3, 25), "cannot hold references", "switch"),
        (step("workflow: none.yaml"), (3, 25), "there is no file 'none.yaml'", "root"),
        (step("workflow: mapp"), (3, 25), "no workflow named 'mapp'", "did you mean `map`?"),
        (
            step("parallel: [{wait: {for: 1s}}], foreach: {items: []}"),
            (3, 5),
            "one block, not `parallel` and `foreach`",
            "each",
        ),
        (
            step("wait: {for: 1s}, limits: {cpu: 2s}"),
            (3, 32),
            "`limits` has no meaning for a `wait`",
            "remove",
        ),
        (
            step("wait: {for: 1s}, env: {A: b}"),
            (3, 32),
            "`env` has no meaning for a `wait`",
            "starts no process",
        ),
        (
            "secrets: [TOKEN]\nsteps:\n  - {parallel: [{type: emit, event: e, value: 1}], env: {A: '${env.TOKEN}'}}\n",
            (3, 61),
            "`env.TOKEN` is secret",
            "of the step that needs it",
        ),
        ("inputs: [a]\nsteps: [{type: emit, event: e, value: 1}]\n", (1, 9), "`inputs` must be", "limit"),
        (
            "inputs: {1x: 5}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 10),
            "not a name",
            "use letters",
        ),
        (
            "inputs: {run: 5}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 10),
            "cannot be named `run`",
            "rename",
        ),
        (
            "inputs: {a: {b: 1}}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 13),
            "none of the keys",
            "object",
        ),
        (
            "inputs: {a: {typ: int}}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 13),
            "none of the keys",
            "object",
        ),
        ("priority: 0\nsteps: [{type: emit, event: e, value: 1}]\n", (1, 11), "greater than or equal", "10"),
        (
            "queue: a b\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 8),
            "'a b' is not a name",
            "use letters",
        ),
        ("secrets: KEY\nsteps: [{type: emit, event: e, value: 1}]\n", (1, 10), "must be a valid list", "KEY"),
        (
            "schedule: {cron: x}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 18),
            "`cron`: 'x' has 1 field",
            "write five fields",
        ),
        (
            "finally: {a: 1}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 10),
            "must be a list of steps",
            "- name:",
        ),
        (
            "env: {A: '${b}'}\nsteps: [{type: emit, event: e, value: 1}]\n",
            (1, 10),
            "unknown name `b`",
            "in scope",
        ),
    ],
)
def test_one_mistake_gives_one_located_message(
    tmp_path: Path, text: str, place: tuple[int, int], message: str, hint: str | None
) -> None:
    (fault,) = faults_in(tmp_path, text, workflows=["map", "fetch"])
    assert message in fault.message
    assert (fault.line, fault.column) == place
    assert fault.hint
    assert hint is None or hint in fault.hint


def test_values_that_come_from_references_are_checked_when_they_are_known(tmp_path: Path) -> None:
    text = """\
        inputs: {n: 5, kind: json}
        steps:
          - {type: run, command: ["${n}"], parse: "${kind}"}
          - {type: http, url: "${kind}", expect: "${n}", redirects: "${n}", method: "${kind}"}
          - {type: cli, command: x, args: "${kind}"}
        """
    assert faults_in(tmp_path, text) == []


def test_extension_keys_are_free(tmp_path: Path) -> None:
    text = """\
        x-retry: &retry {max_attempts: 5}
        steps:
          - {type: cli, command: x, retry: *retry, x-note: anything}
          - {wait: {for: 1s}, x-note: anything}
        """
    assert faults_in(tmp_path, text) == []


def test_keys_of_cases_may_be_numbers_and_booleans(tmp_path: Path) -> None:
    text = "steps: [{switch: {on: '1', cases: {200: [], true: [], null: [], ok: []}}}]\n"
    assert faults_in(tmp_path, text) == []
    assert "`200` is not text" in faults_in(tmp_path, "200: x\nsteps: [{wait: {for: 1s}}]\n")[0].message


def test_syntax_errors_are_located(tmp_path: Path) -> None:
    (fault,) = faults_in(tmp_path, "name: x\nsteps:\n  - args: {url: ${url}}\n")
    assert (fault.line, fault.hint) == (3, 'quote the reference: "${name}"')


def test_duplicate_keys_and_other_faults_come_together(tmp_path: Path) -> None:
    faults = faults_in(tmp_path, "name: x\nname: y\nsteps:\n  - {type: clii}\n")
    assert [fault.line for fault in faults] == [2, 4]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.yaml"):
        load_workflow(tmp_path / "none.yaml", root=tmp_path, kinds=BUILT_IN)


def test_warnings_do_not_stop_a_run(tmp_path: Path) -> None:
    text = """\
        inputs: {url: string}
        steps:
          - {type: script, code: "print('${url}')"}
          - {type: cli, command: x, args: {a: "{{ url }}", b: "docker {{.Names}}"}}
        """
    path = written(tmp_path, text)
    warnings = load_workflow(path, root=tmp_path, kinds=BUILT_IN).warnings
    assert [(fault.severity, fault.line) for fault in warnings] == [
        ("warning", 1),
        ("warning", 3),
        ("warning", 4),
    ]
    assert [fault.hint for fault in warnings] == [
        "if the type is meant, write `{type: string}`",
        "give the value by `inputs: {url: ${url}}`",
        "write ${url}",
    ]


def test_a_thousand_faults_are_all_there(tmp_path: Path) -> None:
    text = "steps:\n" + "".join(
        f"  - {{name: s{n}, type: cli, command: x, nope{n}: 1}}\n" for n in range(1000)
    )
    assert len(faults_in(tmp_path, text)) == 1000
