"""Workflows that run other workflows, and steps that wait for time and messages."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from kurt.errors import DefinitionError
from tests.support.language import Language, language

__all__ = ["language"]

SQUARE = """
    name: square
    inputs: {n: {type: int, required: true}, note: none}
    env: {UNIT: cm}
    steps:
      - {name: mark, type: python, call: "probe:mark", args: ["square-${n}"]}
      - {name: mul, type: script, inputs: {n: "${n}"}, code: "result = 100 // n and n * n"}
      - {name: bad, type: script, code: 1/0, on_error: skip}
    outputs: {square: "${steps.mul}", note: "${note}", unit: "${env.UNIT}", name: "${run.name}", id: "${run.id}"}
    """


def test_a_file_runs_another_one(language: Language) -> None:
    language.write(SQUARE, "parts/square.yaml")
    run = language.run(
        """
        name: outer
        inputs: {n: 3}
        steps:
          - {name: one, workflow: parts/square.yaml, inputs: {n: "${n}", note: "n is ${n}"}, output: one}
          - name: many
            foreach: {items: [4, 5], key: "${item}"}
            steps: [{name: call, workflow: parts/square.yaml, inputs: {n: "${item}"}}]
            collect: ${steps.call.square}
          - name: both
            parallel:
              - {name: a, workflow: parts/square.yaml, inputs: {n: 6}}
              - {name: b, type: workflow, workflow: parts/square.yaml, inputs: {n: 7}}
        outputs: {one: "${one}", many: "${steps.many}", a: "${steps.both.a.square}", b: "${steps.both.b.square}"}
        """
    )
    assert run.status == "succeeded", run.error
    one = {"square": 9, "note": "n is 3", "unit": "cm", "name": "square", "id": run.id}
    assert run.outputs == {"one": one, "many": [16, 25], "a": 36, "b": 49}
    assert run.summary == {"skipped_failures": 5}, "what the other workflow lived with is counted"
    steps = language.steps(run)
    child = steps["one"].child_run_id
    assert child
    assert child.startswith(f"{run.id}.")
    assert language.states(child) == {"mark": "succeeded", "mul": "succeeded", "bad": "failed"}
    found = language.client.get(child)
    assert (found.name, found.parent_id, found.outputs["square"]) == ("square", run.id, 9)
    assert len(language.client.list(parent=run.id)) >= 1
    assert [other.id for other in language.client.list(name="outer")] == [run.id]
    assert not language.client.list(name="square"), "children are not listed as runs"


def test_failures_and_inputs_of_the_other_file(language: Language) -> None:
    language.write(SQUARE, "parts/square.yaml")
    run = language.run(
        """
        inputs: {n: {type: any, default: three}}
        steps:
          - {name: zero, workflow: parts/square.yaml, inputs: {n: 0}, on_error: {fallback: [{name: told, type: script,
             inputs: {e: "${error}"}, code: result = e}]}, output: told}
          - {name: typed, workflow: parts/square.yaml, inputs: {n: "${n}"}, on_error: skip}
          - {name: last, workflow: parts/square.yaml, inputs: {n: 0}}
        outputs: {told: "${told}"}
        """
    )
    assert run.status == "failed"
    steps = language.steps(run)
    told = steps["zero.told"].value
    assert (told["type"], told["message"]) == ("ZeroDivisionError", told["message"])
    assert "division" in told["message"]
    assert told["step"] == "zero.mul"
    typed = steps["typed"].error or {}
    assert "`n` must be a whole number" in typed["message"]
    assert run.error
    assert "division" in run.error["message"]
    assert steps["last"].status == "failed"


def test_calls_are_checked_before_anything_starts(language: Language) -> None:
    language.write(SQUARE, "parts/square.yaml")
    language.write("steps: [{workflow: circle/b.yaml}]", "circle/a.yaml")
    language.write("steps: [{workflow: circle/a.yaml}]", "circle/b.yaml")
    with pytest.raises(DefinitionError) as caught:
        language.start(
            """
            steps:
              - {name: a, workflow: parts/square.yaml, inputs: {m: 1}}
              - {name: b, workflow: parts/absent.yaml}
              - {name: c, workflow: circle/a.yaml}
              - {name: d, workflow: "${run.name}"}
            """
        )
    messages = "\n".join(f"{fault.location}: {fault.message}" for fault in caught.value.faults)
    for words in ("no input `m`", "the input `n` of parts/square.yaml is missing", "no file 'parts/absent.yaml'",
                  "in a circle: circle/a.yaml -> circle/b.yaml -> circle/a.yaml", "cannot hold references"):  # fmt: skip
        assert words in messages, messages


def test_the_other_file_is_frozen_with_the_run(language: Language) -> None:
    language.write(
        "steps: [{name: s, type: script, code: result = 'old'}]\noutputs: {s: '${steps.s}'}",
        "parts/frozen.yaml",
    )
    name = language.write(
        """
        steps:
          - {name: hold, wait: {message: go-on}}
          - {name: call, workflow: parts/frozen.yaml}
        outputs: {s: "${steps.call.s}"}
        """
    )
    run_id = language.start(name)
    language.until(run_id, "waiting")
    language.write("steps: [{name: s, type: script, code: 1/0}]", "parts/frozen.yaml")
    (language.root / name).unlink()
    language.client.send(run_id, None, topic="go-on")
    assert language.client.result(run_id, timeout=30) == {"s": "old"}


def test_a_python_workflow_is_a_step(language: Language) -> None:
    folder = language.root / "workflows" / "pages"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(
        "from dbos import DBOS\n"
        "@DBOS.step()\n"
        "def double(n): return n * 2\n"
        "@DBOS.workflow()\n"
        "def pages_workflow(config):\n"
        "    if config['n'] < 0:\n"
        "        raise ValueError('n is negative')\n"
        "    return {'n': double(config['n'])}\n"
        "@DBOS.workflow()\n"
        "async def other_workflow(n, note='none'): return [n, note]\n"
        "@DBOS.workflow(name='pages.third')\n"
        "def third(n): return -n\n"
    )
    run = language.run(
        """
        steps:
          - {name: good, workflow: pages_workflow, inputs: {n: 4}}
          - {name: short, workflow: pages, inputs: {n: 5}}
          - {name: other, workflow: other_workflow, inputs: {n: 6}}
          - {name: third, workflow: pages.third, inputs: {n: 7}}
          - {name: unfit, workflow: other_workflow, inputs: {m: 6}, on_error: skip}
          - {name: bad, workflow: pages_workflow, inputs: {n: -1}, on_error: skip}
        outputs: {good: "${steps.good}", short: "${steps.short}", other: "${steps.other}", third: "${steps.third}"}
        """
    )
    assert run.status == "succeeded", run.error
    assert run.outputs == {"good": {"n": 8}, "short": {"n": 10}, "other": [6, "none"], "third": -7}
    steps = language.steps(run)
    assert "it takes: n, note" in str((steps["unfit"].error or {})["hint"])
    assert (steps["bad"].error or {})["message"] == "n is negative"
    child = steps["good"].child_run_id
    assert child
    assert [step.path for step in language.client.steps(child)] == ["double"]


def test_waiting_for_a_time(language: Language) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat(timespec="milliseconds")
    started = time.time()
    run = language.run(
        """
        inputs: {soon: string, pause: 300ms}
        steps:
          - {name: for, wait: {for: "${pause}"}}
          - {name: until, type: wait, until: "${soon}"}
          - {name: past, wait: {until: "2020-01-01T00:00:00Z"}}
          - {name: expression, wait: {until: soon}}
          - {name: wrong, wait: {until: run.name}, on_error: skip}
        """,
        {"soon": soon},
    )
    assert run.status == "succeeded", run.error
    steps = language.steps(run)
    assert (steps["for"].seconds or 0) >= 0.3
    assert time.time() - started >= 1.5
    assert [steps[name].status for name in ("until", "past", "expression", "wrong")] == [
        *["succeeded"] * 3,
        "failed",
    ]
    assert language.client.events(run.id)["waiting_for"] is None


def test_waiting_for_a_message(language: Language) -> None:
    run_id = language.start(
        """
        inputs: {topic: answer}
        steps:
          - {name: early, wait: {message: early}}
          - {name: ask, wait: {message: "${topic}-1", timeout: 1m}, output: said}
          - name: items
            foreach: {items: [x, y], max_concurrent: 2}
            steps: [{name: get, wait: {message: "item-${item}"}}]
          - {name: late, wait: {message: never, timeout: 300ms}, on_error: {fallback: [{name: no, type: script,
             inputs: {e: "${error.type}"}, code: result = e}]}}
        outputs: {early: "${steps.early}", said: "${said}", items: "${steps.items}", late: "${steps.late}"}
        """
    )
    language.client.send(run_id, 1, topic="early")
    waiting = language.until(run_id, "waiting")
    assert waiting.waiting_for
    assert waiting.waiting_for["path"] in {"early", "ask"}
    language.until(run_id, "waiting")
    language.kurt.json("workflows", "send", run_id, "--topic", "answer-1", "--data", '{"yes": ["${x}", 1]}')
    language.client.send(run_id, "why", topic="item-y")
    language.client.send(run_id, "ex", topic="item-x")
    run = language.client.wait(run_id, timeout=60)
    assert run.status == "succeeded", run.error
    assert run.outputs == {
        "early": 1,
        "said": {"yes": ["${x}", 1]},
        "items": ["ex", "why"],
        "late": "StepTimeoutError",
    }
    assert language.client.events(run_id)["waiting_for"] is None


def test_a_name_that_no_workflow_has_is_a_fault_of_the_file(language: Language) -> None:
    folder = language.root / "workflows" / "mapping"
    folder.mkdir(parents=True)
    (folder / "workflow.py").write_text(
        "raise RuntimeError('validating imports nothing')\n\n@DBOS.workflow(name='other_name')\ndef mapping_workflow(): ...\n"
    )
    text = "steps:\n  - {workflow: maping}\n  - {workflow: other_name}\n  - {type: cli, command: workflows run mappin}\n"
    with pytest.raises(DefinitionError) as caught:
        language.start(text)
    faults = [(fault.line, fault.column, fault.message) for fault in caught.value.faults]
    assert faults == [
        (2, 16, "there is no workflow named 'maping'"),
        (4, 26, "there is no workflow named 'mappin'"),
    ]
    assert caught.value.faults[0].hint == "did you mean `mapping`?"
    shown = language.here("workflows", "validate", language.write(text, "names.yaml"), code=2)
    assert "there is no workflow named 'mappin'" in shown.stderr
