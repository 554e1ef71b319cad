"""What happens when a step fails: attempts, skipping, fallbacks, handlers of the workflow."""

from __future__ import annotations

from typing import Any

from kurt.runtime.runs import Step
from tests.support.language import Language, language

__all__ = ["language"]


def error(step: Step) -> dict[str, Any]:
    return step.error or {}


def test_a_failed_step_fails_the_run_and_nothing_after_it_begins(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: good, type: python, call: "probe:mark", args: [fail-good]}
          - {name: bad, type: script, code: "raise ValueError('no way')"}
          - {name: after, type: python, call: "probe:mark", args: [fail-after]}
        """
    )
    assert run.status == "failed"
    assert run.error
    assert run.error["type"] == "ValueError"
    assert "step 'bad' failed: no way" in run.error["message"]
    assert language.states(run) == {"good": "succeeded", "bad": "failed"}
    assert (language.marks("fail-good"), language.marks("fail-after")) == (1, 0)


def test_retry_waits_and_counts(language: Language) -> None:
    run = language.run(
        """
        steps:
          - name: works
            type: python
            call: "probe:flaky"
            args: [retry-works, 2]
            retry: {max_attempts: 3, delay: 200ms, backoff: fixed, jitter: false}
          - name: grows
            type: python
            call: "probe:flaky"
            args: [retry-grows, 9]
            retry: {max_attempts: 4, delay: 100ms, backoff: exponential, max_delay: 250ms, jitter: false}
            on_error: skip
          - name: short
            type: python
            call: "probe:flaky"
            args: [retry-short, 2]
            retry: {delay: 10ms}
          - {name: word, type: python, call: "probe:flaky", args: [retry-word, 1], on_error: retry}
        outputs: {works: "${steps.works}", word: "${steps.word}"}
        """
    )
    assert run.status == "succeeded", run.error
    assert run.outputs == {"works": 3, "word": 2}
    steps = language.steps(run)
    assert (steps["works"].status, steps["works"].attempt) == ("succeeded", 3)
    assert (steps["works"].seconds or 0) >= 0.4
    assert (steps["grows"].status, steps["grows"].attempt) == ("failed", 4)
    assert (steps["grows"].seconds or 0) >= 0.1 + 0.2 + 0.25
    assert language.marks("retry-grows") == 4
    assert language.marks("retry-short") == 3, "three attempts by default"
    log = language.log(run)
    assert "[works] failed: RuntimeError: retry-works fails, call 1, next attempt in 0.2 s" in log
    assert "[works] started, attempt 3" in log
    assert "[grows] failed: RuntimeError: retry-grows fails, call 4\n" in log


def test_retry_when_looks_at_the_error(language: Language) -> None:
    run = language.run(
        """
        inputs: {hopeless: 3}
        steps:
          - name: exit
            type: run
            command: "echo x >> exit-runs; exit 3"
            retry: {max_attempts: 5, delay: 10ms, when: error.exit_code != hopeless}
            on_error: skip
          - name: type
            type: python
            call: "probe:broken"
            args: [when-type]
            retry: {max_attempts: 3, delay: 10ms, when: "error.type == 'ValueError' and contains(error.message, 'broken')"}
            on_error: skip
          - name: wrong
            type: python
            call: "probe:broken"
            args: [when-wrong]
            retry: {max_attempts: 3, delay: 10ms, when: error.reason.code == 503}
            on_error: skip
          - name: status
            type: python
            call: "probe:broken"
            args: [when-status]
            retry: {max_attempts: 3, delay: 10ms, when: "error.status in [429, 503] or error.exit_code == 2"}
            on_error: {fallback: [{name: told, type: script, inputs: {s: "${error.status}"}, code: "result = [s]"}]}
        outputs: {told: "${steps.status}"}
        """
    )
    assert run.outputs == {"told": [None]}, run.error
    steps = language.steps(run)
    assert (language.root / "exit-runs").read_text() == "x\n"
    assert language.marks("when-type") == 3
    assert language.marks("when-wrong") == language.marks("when-status") == 1
    wrong = error(steps["wrong"])
    assert wrong["type"] == "ExpressionError", "a condition that cannot be computed is an error"
    assert "the step itself failed: when-wrong is broken" in wrong["message"]
    assert wrong["failure"]["type"] == "ValueError"


def test_skip_gives_null_and_is_counted(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: bad, type: script, code: 1/0, on_error: skip, output: value}
          - {name: block, on_error: skip, parallel: [{name: in, type: script, code: 1/0}]}
          - {name: after, type: script, inputs: {v: "${value ?? 'null'}", b: "${steps.block}"}, code: "result = [v, b]"}
        outputs: {after: "${steps.after}"}
        """
    )
    assert run.outputs == {"after": ["null", None]}
    assert run.summary == {"skipped_failures": 2}
    listed = language.client.list(name=run.name)
    assert [one.summary for one in listed] == [run.summary]


def test_a_fallback_runs_once_and_not_in_its_own_place(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: bad, type: python, call: "probe:broken", args: [fall-bad], output: value,
             retry: {max_attempts: 2, delay: 10ms}, on_error: {fallback: spare}}
          - {name: spare, type: python, call: "probe:mark", args: [fall-spare, "${error.type}: ${error.message}"], output: spared}
          - {name: fine, type: script, code: result = 1, on_error: {fallback: unused}}
          - {name: unused, type: python, call: "probe:mark", args: [fall-unused]}
          - name: inline
            type: script
            code: 1/0
            on_error:
              fallback:
                - {name: one, type: python, call: "probe:mark", args: [fall-one, 2]}
                - {name: two, type: script, inputs: {n: "${steps.one}", e: "${error.type}"}, code: "result = [n, e]"}
          - {name: chain, type: script, code: 1/0, on_error: {fallback: link}}
          - {name: link, type: script, code: 1/0, on_error: {fallback: end}}
          - {name: end, type: script, code: result = 'end'}
          - {name: block, parallel: [{type: script, code: 1/0}], on_error: {fallback: [{type: script, code: result = 'block'}]}}
        outputs: {value: "${value}", spared: "${spared ?? null}", spare: "${steps.spare ?? null}", bad: "${steps.bad}",
                  inline: "${steps.inline}", chain: "${steps.chain}", block: "${steps.block}"}
        """
    )
    assert run.status == "succeeded", run.error
    text = "ValueError: fall-bad is broken"
    assert run.outputs == {
        "value": text, "spared": text, "spare": text, "bad": text,
        "inline": [2, "ZeroDivisionError"], "chain": "end", "block": "block",
    }  # fmt: skip
    counted = {name: language.marks(f"fall-{name}") for name in ("bad", "spare", "unused", "one")}
    assert counted == {"bad": 2, "spare": 1, "unused": 0, "one": 1}


def test_a_fallback_may_fail_and_may_stand_in_items(language: Language) -> None:
    run = language.run(
        """
        steps:
          - name: items
            foreach: {items: [1, 0], key: "${item}"}
            steps:
              - {name: div, type: script, inputs: {n: "${item}"}, code: result = 6 // n, on_error: {fallback: spare}}
              - {name: spare, type: script, inputs: {n: "${item}"}, code: result = 100 + n}
            output: items
          - name: inline
            foreach: {items: [1, 0]}
            steps:
              - name: div
                type: script
                inputs: {n: "${item}"}
                code: result = 6 // n
                on_error: {fallback: [{type: script, inputs: {n: "${item}"}, code: result = 200 + n}]}
            output: inline
          - {name: bad, type: script, code: 1/0, on_error: {fallback: [{name: worse, type: script, code: "raise KeyError('x')"}]}}
        outputs: {items: "${items}"}
        """
    )
    assert run.status == "failed"
    steps = language.steps(run)
    assert run.error
    assert run.error["type"] == "KeyError"
    assert steps["items"].status == steps["inline"].status == "succeeded"
    assert steps["items[0].spare"].value == 100
    assert error(steps["bad.worse"])["type"] == "KeyError"


def test_on_error_and_finally_of_the_workflow(language: Language) -> None:
    text = """
        name: handlers
        inputs: {bad: true}
        steps:
          - {name: first, type: script, code: result = 'one', output: one}
          - {name: div, type: script, inputs: {bad: "${bad}"}, code: result = 1 / (not bad)}
        on_error:
          - {name: tell, type: python, call: "probe:mark", args: ["tell-${error.step}", "${one} ${error.type}: ${error.message}"]}
          - {name: also, type: script, inputs: {t: "${steps.tell}"}, code: result = t}
        finally:
          - {name: tidy, type: python, call: "probe:mark", args: ["tidy-${error.type ?? 'none'}", "${one}"]}
          - {name: wrong, type: script, code: 1/0}
          - {name: never, type: python, call: "probe:mark", args: [never]}
        outputs: {div: "${steps.div}"}
        """
    failed = language.run(text)
    assert failed.status == "failed"
    assert failed.error
    assert failed.error["type"] == "ZeroDivisionError"
    assert (
        language.marks("tell-div"),
        language.marks("tidy-ZeroDivisionError"),
        language.marks("never"),
    ) == (1, 1, 0)
    steps = language.steps(failed)
    assert steps["on_error.tell"].value.startswith("one ZeroDivisionError: ")
    assert error(steps["finally.wrong"])["type"] == "ZeroDivisionError"
    assert "[finally" in language.log(failed)
    good = language.run(text, {"bad": False})
    assert (good.status, good.outputs) == ("succeeded", {"div": 1.0})
    assert (language.marks("tell-div"), language.marks("tidy-none")) == (1, 1)


def test_outputs_that_cannot_be_made_fail_the_run(language: Language) -> None:
    run = language.run(
        """
        steps: [{name: row, type: script, code: "result = {'a': 1}"}]
        outputs: {b: "${steps.row.b}"}
        on_error: [{type: python, call: "probe:mark", args: [outputs-error]}]
        """
    )
    assert run.status == "failed"
    assert run.error
    assert "no key 'b'" in run.error["message"]
    assert language.marks("outputs-error") == 1


def test_defaults_hold_for_steps_that_say_nothing_else(language: Language) -> None:
    run = language.run(
        """
        defaults: {timeout: 400ms, retry: {max_attempts: 2, delay: 10ms}, on_error: skip, env: {A: default, B: default}}
        env: {B: file}
        steps:
          - {name: env, type: run, command: 'echo "$A $B"'}
          - {name: slow, type: script, code: "open('slow-runs', 'a').write('x'); import time; time.sleep(30)"}
          - {name: own, type: script, code: "import time; time.sleep(0.6); result = 1", timeout: 20s}
          - {name: flaky, type: python, call: "probe:flaky", args: [defaults-flaky, 1], timeout: 20s}
          - {name: more, type: python, call: "probe:flaky", args: [defaults-more, 3], timeout: 20s, retry: {max_attempts: 4}}
          - {name: block, parallel: [{name: in, type: script, code: "import time; time.sleep(0.6); result = 2", timeout: 20s}]}
          - {name: fail, type: script, code: 1/0, on_error: fail, retry: {max_attempts: 1}}
        """
    )
    steps = language.steps(run)
    assert steps["env"].value["stdout"] == "default file"
    assert (language.root / "slow-runs").read_text() == "xx"
    assert error(steps["slow"])["type"] == "StepTimeoutError"
    assert (steps["own"].value, steps["flaky"].value, steps["more"].value) == (1, 2, 4)
    assert steps["block"].status == "succeeded"
    assert (steps["fail"].status, steps["fail"].attempt, run.status) == ("failed", 1, "failed")
