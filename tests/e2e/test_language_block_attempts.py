"""`retry`, `timeout`, `env` and `limits` of blocks."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.language import Language, language
from tests.support.waiting import wait_until

__all__ = ["language"]


HOLD = """
import time

from probe import _add


def hold(name, times):
    number = _add(name)
    if number <= times:
        time.sleep(300)
    return number
"""


def step(name: str, mark: str, value: str = "1", more: str = "") -> str:
    """A step that leaves a mark."""
    return f"{{name: {name}, type: python, call: 'probe:mark', args: ['{mark}', {value}]{more}}}"


def flaky(name: str, mark: str, failures: int, more: str = "") -> str:
    """A step that fails so many times."""
    return f"{{name: {name}, type: python, call: 'probe:flaky', args: ['{mark}', {failures}]{more}}}"


def test_every_kind_of_block_is_tried_again_as_a_whole(language: Language) -> None:
    language.write(
        f"steps: [{step('a', 'kinds-file-a')}, {flaky('b', 'kinds-file', 1)}]\noutputs: {{b: '${{steps.b}}'}}",
        "parts/tried.yaml",
    )
    run = language.run(
        f"""
        steps:
          - name: both
            parallel: [{step("left", "kinds-left")}, {flaky("right", "kinds-right", 2)}]
            retry: {{max_attempts: 4, delay: 10ms, jitter: false}}
            output: both
          - name: choice
            switch: {{on: "1 + 1", cases: {{2: [{step("x", "kinds-x")}, {flaky("y", "kinds-y", 1)}]}}}}
            on_error: retry
            retry: {{delay: 10ms}}
          - {{name: file, workflow: parts/tried.yaml, retry: {{max_attempts: 2, delay: 10ms}}}}
          - name: ask
            wait: {{message: never, timeout: 300ms}}
            retry: {{max_attempts: 2, when: "error.type == 'StepTimeoutError'", delay: 10ms}}
            on_error: skip
          - {step("after", "kinds-after", '"${both}"')}
        outputs: {{both: "${{both}}", choice: "${{steps.choice}}", file: "${{steps.file}}", after: "${{steps.after}}"}}
        """
    )
    assert run.status == "succeeded", run.error
    both = {"left": 1, "right": 3}
    assert run.outputs == {"both": both, "choice": 2, "file": {"b": 2}, "after": both}
    marks = {
        name: language.marks(f"kinds-{name}")
        for name in ("left", "right", "x", "y", "file-a", "file", "after")
    }
    assert marks == {"left": 3, "right": 3, "x": 2, "y": 2, "file-a": 2, "file": 2, "after": 1}
    steps = language.steps(run)
    assert [(steps[path].status, steps[path].attempt) for path in ("both", "choice", "file", "ask")] == [
        ("succeeded", 3),
        ("succeeded", 2),
        ("succeeded", 2),
        ("failed", 2),
    ]
    assert sorted(steps) == [
        *("after", "ask", "both", "both.left", "both.right", "choice", "choice.x", "choice.y", "file"),
    ]
    assert "[both] failed: RuntimeError: kinds-right fails, call 2, next attempt in 0.0 s" in language.log(
        run
    )


def test_items_that_succeeded_are_not_called_again(language: Language) -> None:
    for kind, body in (("one", "[{0}]"), ("two", "[{0}, {1}]")):
        steps = body.format(
            "{name: s, type: python, call: 'probe:flaky', args: ['kept-"
            + kind
            + "-${item.name}', '${item.failures}']}",
            "{name: t, type: python, call: 'probe:mark', args: ['kept-"
            + kind
            + "-t-${item.name}', '${steps.s}']}",
        )
        run = language.run(
            f"""
            steps:
              - name: items
                foreach: {{items: [{{name: a, failures: 0}}, {{name: b, failures: 2}}, {{name: c, failures: 1}}], key: "${{item.name}}"}}
                retry: {{max_attempts: 3, delay: 10ms}}
                steps: {steps}
            outputs: {{items: "${{steps.items}}"}}
            """
        )
        assert run.status == "succeeded", run.error
        assert run.outputs == {"items": [1, 3, 2]}
        assert [language.marks(f"kept-{kind}-{name}") for name in "abc"] == [1, 3, 2]
        assert "[items[a].s] kept from an earlier attempt" in language.log(run) or kind == "two"
    assert [language.marks(f"kept-two-t-{name}") for name in "abc"] == [1, 1, 1]


def test_the_last_failure_is_that_of_the_step_and_when_decides(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - name: block
            parallel: [{flaky("bad", "last-bad", 9)}]
            retry: {{max_attempts: 3, delay: 10ms, when: "contains(error.message, 'call 1')"}}
        on_error: [{step("e", "last-e", '"${error.step} ${error.type}"')}]
        """
    )
    assert run.status == "failed"
    assert run.error
    assert run.error["type"] == "RuntimeError"
    assert language.marks("last-bad") == 2
    assert language.steps(run)["on_error.e"].value == "block.bad RuntimeError"


def test_an_attempt_that_takes_too_long_is_ended_with_all_that_it_started(language: Language) -> None:
    pids = language.root / "pids"
    language.write(
        """
        steps:
          - name: sleepers
            foreach: {items: [1, 2], key: "${item}"}
            steps:
              - {name: nap, type: script, code: "result = 1"}
              - {name: sleep, type: run, command: [sh, -c, "echo $$ >> pids; sleep 300"]}
        """,
        "parts/sleep.yaml",
    )
    run = language.run(
        """
        steps:
          - name: block
            timeout: 1500ms
            retry: {max_attempts: 2, delay: 10ms, when: "error.type == 'StepTimeoutError'"}
            parallel:
              - {name: other, workflow: parts/sleep.yaml}
              - {name: own, type: run, command: [sh, -c, "echo $$ >> pids; sleep 300"]}
        """
    )
    assert run.status == "failed"
    assert run.error
    assert run.error["type"] == "StepTimeoutError"
    assert "1.5 s" in run.error["message"]
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) == 6
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 3)
    assert language.steps(run)["block"].attempt == 2
    assert not [
        child for child in language.client.list(parent=run.id) if child.status in {"running", "queued"}
    ]


def test_env_and_limits_of_blocks_are_defaults_for_what_is_inside(language: Language) -> None:
    language.write(
        """
        env: {FILE: called}
        steps:
          - {name: p, type: run, command: [sh, -c, "echo $FILE $A $B $C"]}
          - {name: m, type: script, code: "import resource as r; result = r.getrlimit(r.RLIMIT_AS)[0] // 10**8"}
        outputs: {p: "${steps.p.stdout}", m: "${steps.m}"}
        """,
        "parts/env.yaml",
    )
    outputs = language.outputs(
        """
        inputs: {word: w}
        env: {FILE: caller, A: file, B: file, C: file}
        limits: {memory: 2GB, cpu: 100s}
        steps:
          - name: outer
            env: {A: "outer ${word}", B: outer}
            limits: {memory: 1GB}
            parallel:
              - name: inner
                env: {B: inner}
                retry: {max_attempts: 2}
                foreach: {items: [1, 2]}
                steps:
                  - {name: one, type: run, command: [sh, -c, "echo $A, $B, $C"], env: {C: "own ${item}"}}
                  - {name: two, type: script, code: "import resource as r; result = [r.getrlimit(r.RLIMIT_AS)[0] // 10**8, r.getrlimit(r.RLIMIT_CPU)[0] // 10]"}
                collect: ["${steps.one.stdout}", "${steps.two}"]
              - {name: plain, type: run, command: [sh, -c, "echo $A, $B, $C"]}
              - {name: file, workflow: parts/env.yaml, env: {FILE: hidden}, limits: {memory: 512MB}}
          - {name: outside, type: run, command: [sh, -c, "echo $A, $B"]}
        outputs: {inner: "${steps.outer.inner}", plain: "${steps.outer.plain.stdout}", file: "${steps.outer.file}", outside: "${steps.outside.stdout}"}
        """
    )
    limits = [10, 10]
    assert outputs == {
        "inner": [[f"outer w, inner, own {n}", limits] for n in (1, 2)],
        "plain": "outer w, outer, file",
        "file": {"p": "called outer w outer", "m": 5},
        "outside": "file, file",
    }


def test_a_cancelled_run_goes_on_with_the_attempt_it_was_at(language: Language) -> None:
    (language.root / "holding.py").write_text(HOLD)
    run_id = language.start(
        f"""
        steps:
          - name: block
            timeout: 2s
            retry: {{max_attempts: 2, delay: 10ms}}
            switch:
              on: "'go'"
              cases:
                go:
                  - {step("first", "resumed-first")}
                  - {{name: hold, type: python, call: "holding:hold", args: [resumed-hold, 2]}}
        outputs: {{block: "${{steps.block}}"}}
        """
    )
    wait_until(lambda: language.marks("resumed-hold") == 2, 20)
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    before = time.time()
    language.client.resume(run_id)
    run = language.client.wait(run_id, timeout=60)
    assert (run.status, run.outputs) == ("succeeded", {"block": 3}), run.error
    assert language.marks("resumed-first") == 2, "one for each attempt"
    assert language.steps(run)["block"].attempt == 2
    assert time.time() - before < 20
