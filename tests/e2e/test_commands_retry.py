"""`kurt workflows retry` calls exactly what failed, and what depends on it, again; the run keeps its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kurt.errors import ConflictError
from kurt.runtime.runs import Run
from tests.support.language import Language, language

__all__ = ["language"]


def step(name: str, mark: str, value: str = "1", more: str = "") -> str:
    """A step that leaves a mark."""
    return f"{{name: {name}, type: python, call: 'probe:mark', args: ['{mark}', {value}]{more}}}"


def broken(name: str, mark: str, more: str = "") -> str:
    """A step that fails until it is mended."""
    return f"{{name: {name}, type: python, call: 'probe:broken', args: ['{mark}']{more}}}"


def retry(language: Language, run: Run | str, *mended: str) -> Run:
    """Mend what was broken, retry, wait."""
    run_id = run if isinstance(run, str) else run.id
    language.mend(*mended)
    again = language.client.retry(run_id)
    assert again.run_id == run_id
    return language.client.wait(run_id, timeout=60)


def counts(language: Language, prefix: str) -> dict[str, int]:
    """How often each step with this prefix was called."""
    folder = language.root / "marks"
    return {file.name.removeprefix(prefix): file.stat().st_size for file in folder.glob(f"{prefix}*")}


def check(language: Language, prefix: str, expected: Mapping[str, int]) -> None:
    assert counts(language, prefix) == expected


def test_in_a_list_the_failed_step_and_what_follows(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - {step("a", "seq-a", "7")}
          - {broken("b", "seq-b", ", retry: {max_attempts: 2, delay: 10ms}")}
          - {step("c", "seq-c", '"${steps.a}"')}
        on_error: [{step("e", "seq-e")}]
        finally: [{step("f", "seq-f")}]
        outputs: {{c: "${{steps.c}}", attempt: "${{run.attempt}}"}}
        """
    )
    check(language, "seq-", {"a": 1, "b": 2, "e": 1, "f": 1})
    still = retry(language, run)
    assert (still.id, still.status) == (run.id, "failed")
    check(language, "seq-", {"a": 1, "b": 4, "e": 2, "f": 2})
    done = retry(language, run, "seq-b")
    assert (done.id, done.status, done.outputs, done.error) == (
        run.id,
        "succeeded",
        {"c": 7, "attempt": 3},
        None,
    )
    check(language, "seq-", {"a": 1, "b": 5, "c": 1, "e": 2, "f": 3})
    assert language.steps(run)["b"].attempt == 1
    with pytest.raises(ConflictError, match="nothing in the run"):
        language.client.retry(run.id)


def test_items_of_one_step(language: Language) -> None:
    text = f"""
        inputs: {{ns: {{type: list, default: [a, b, c, d]}}, mode: string}}
        steps:
          - name: items
            foreach: {{items: "${{ns}}", key: "${{item}}", max_concurrent: 1, on_item_error: collect}}
            steps: [{broken("s", "it-${item}")}]
          - {step("after", "it-after", '"${steps.items}"')}
        outputs: {{items: "${{steps.items}}", after: "${{steps.after}}"}}
        """
    language.mend("it-a", "it-c")
    run = language.run(text, {"mode": "x"})
    assert (run.status, run.summary) == ("succeeded", {"items_failed": 2, "items": 4})
    check(language, "it-", {"a": 1, "b": 1, "c": 1, "d": 1, "after": 1})
    done = retry(language, run, "it-d")
    assert (done.status, done.summary) == ("succeeded", {"items_failed": 1, "items": 4})
    check(language, "it-", {"a": 1, "b": 2, "c": 1, "d": 2, "after": 2})
    done = retry(language, run, "it-b")
    check(language, "it-", {"a": 1, "b": 3, "c": 1, "d": 2, "after": 3})
    values = [f"it-{name} works" for name in "abcd"]
    assert (done.outputs, done.summary) == ({"items": values, "after": values}, {})


def test_items_that_were_not_begun_run_too(language: Language) -> None:
    for kind, body in (("one", "[{0}]"), ("two", "[{1}, {0}]")):
        steps = body.format(broken("s", f"nb-{kind}-${{item}}"), step("t", f"nb-{kind}-t-${{item}}"))
        language.mend(f"nb-{kind}-a", f"nb-{kind}-c")
        run = language.run(
            f"""
            steps:
              - name: items
                foreach: {{items: [a, b, c], key: "${{item}}", max_concurrent: 1}}
                steps: {steps}
            outputs: {{items: "${{steps.items}}"}}
            """
        )
        assert run.status == "failed"
        assert language.marks(f"nb-{kind}-c") == 0
        done = retry(language, run, f"nb-{kind}-b")
        assert done.status == "succeeded", done.error
        assert [language.marks(f"nb-{kind}-{name}") for name in "abc"] == [1, 2, 1], kind
    assert [language.marks(f"nb-two-t-{name}") for name in "abc"] == [1, 1, 1]


def test_inside_items_of_several_steps(language: Language) -> None:
    language.mend("deep-a", "deep-in-b-2", "deep-in-a-1", "deep-in-a-2")
    run = language.run(
        f"""
        steps:
          - name: outer
            foreach: {{items: [a, b], key: "${{item}}", as: letter, on_item_error: collect}}
            steps:
              - {step("first", "deep-first-${letter}")}
              - name: inner
                foreach: {{items: [1, 2], key: "${{n}}", as: n, on_item_error: collect}}
                steps:
                  - {step("pre", "deep-pre-${letter}-${n}")}
                  - {broken("in", "deep-in-${letter}-${n}")}
              - {broken("last", "deep-${letter}")}
            collect: ["${{steps.inner}}", "${{steps.last}}"]
          - {step("after", "deep-after", '"${steps.outer}"')}
        outputs: {{all: "${{steps.after}}"}}
        """
    )
    assert run.summary == {"items_failed": 1, "items": 2}
    before = {
        "first-a": 1, "first-b": 1, "pre-a-1": 1, "pre-a-2": 1, "pre-b-1": 1, "pre-b-2": 1,
        "in-a-1": 1, "in-a-2": 1, "in-b-1": 1, "in-b-2": 1, "a": 1, "b": 1, "after": 1,
    }  # fmt: skip
    check(language, "deep-", before)
    done = retry(language, run, "deep-b", "deep-in-b-1")
    check(language, "deep-", before | {"in-b-1": 2, "b": 2, "after": 2})
    inner = [[f"deep-in-{letter}-{n} works" for n in "12"] for letter in "ab"]
    assert done.outputs == {"all": [[inner[0], "deep-a works"], [inner[1], "deep-b works"]]}
    assert done.summary == {}


def test_branches_of_parallel(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - name: both
            parallel:
              - {step("good", "par-good")}
              - {broken("bad", "par-bad")}
              - name: items
                foreach: {{items: [1, 2]}}
                steps: [{step("x", "par-x-${item}")}]
              - name: nested
                switch:
                  on: "'go'"
                  cases:
                    go: [{step("one", "par-one")}, {broken("two", "par-two")}, {step("three", "par-three")}]
          - {step("after", "par-after")}
        """
    )
    assert run.status == "failed"
    check(language, "par-", {"good": 1, "bad": 1, "x-1": 1, "x-2": 1, "one": 1, "two": 1})
    done = retry(language, run, "par-bad", "par-two")
    assert done.status == "succeeded", done.error
    check(
        language,
        "par-",
        {"good": 1, "bad": 2, "x-1": 1, "x-2": 1, "one": 1, "two": 2, "three": 1, "after": 1},
    )


def test_graphs_also_inside_items(language: Language) -> None:
    graph = """
              - {a}
              - {b}
              - {c}
              - name: d
                needs: [b]
                foreach: {{items: [1, 2]}}
                steps: [{d}]
              - {e}
        """
    for where in ("top", "item"):
        language.mend()
        filled = graph.format(
            a=step("a", f"gr-{where}-a", more=", needs: []"),
            b=broken("b", f"gr-{where}-b", ", needs: []"),
            c=step("c", f"gr-{where}-c", more=", needs: [a]"),
            d=step("d", f"gr-{where}-d-${{item}}"),
            e=step("e", f"gr-{where}-e", more=", needs: [c]"),
        )
        if where == "top":
            text = f"steps:\n{filled}\noutputs: {{d: '${{steps.d}}'}}"
        else:
            text = (
                "steps:\n          - name: items\n            foreach: {items: [z], on_item_error: collect}\n"
                f"            steps:\n{filled}"
            )
        run = language.run(text)
        assert (run.status == "failed") == (where == "top")
        first = counts(language, f"gr-{where}-")
        assert first["b"] == 1
        assert "d-1" not in first
        done = retry(language, run, f"gr-{where}-b")
        assert done.status == "succeeded", done.error
        check(language, f"gr-{where}-", {"a": 1, "b": 2, "c": 1, "d-1": 1, "d-2": 1, "e": 1})


def test_the_failed_block_of_a_graph_and_not_what_stands_beside_it(language: Language) -> None:
    language.mend("gb-1")
    run = language.run(
        f"""
        steps:
          - name: block
            needs: []
            foreach: {{items: [1, 2], key: "${{item}}"}}
            steps: [{broken("s", "gb-${item}")}, {step("t", "gb-t-${item}")}]
          - {step("beside", "gb-beside", more=", needs: []")}
          - {step("join", "gb-join", more=", needs: [block, beside]")}
        """
    )
    assert run.status == "failed"
    done = retry(language, run, "gb-2")
    assert done.status == "succeeded", done.error
    check(language, "gb-", {"1": 1, "2": 2, "t-1": 1, "t-2": 1, "beside": 1, "join": 1})


def test_inside_another_file(language: Language) -> None:
    language.write(
        f"""
        inputs: {{n: 1}}
        steps:
          - {step("one", "sub-one-${n}")}
          - {broken("two", "sub-two-${n}")}
        outputs: {{two: "${{steps.two}}"}}
        """,
        "parts/sub.yaml",
    )
    language.mend("sub-two-1")
    run = language.run(
        f"""
        steps:
          - {{name: first, workflow: parts/sub.yaml, inputs: {{n: 1}}}}
          - {{name: second, workflow: parts/sub.yaml, inputs: {{n: 2}}}}
          - {step("after", "sub-after")}
        outputs: {{a: "${{steps.first.two}}", b: "${{steps.second.two}}"}}
        """
    )
    assert run.status == "failed"
    done = retry(language, run, "sub-two-2")
    assert done.outputs == {"a": "sub-two-1 works", "b": "sub-two-2 works"}
    check(language, "sub-", {"one-1": 1, "two-1": 1, "one-2": 1, "two-2": 2, "after": 1})


def test_failures_that_were_skipped_and_those_that_a_fallback_made_good(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - {step("a", "fs-a")}
          - {broken("saved", "fs-saved", ", on_error: {fallback: spare}")}
          - {step("spare", "fs-spare")}
          - {broken("inline", "fs-inline", ", on_error: {fallback: [" + step("x", "fs-x") + "]}")}
          - {{name: block, parallel: [{broken("y", "fs-y")}], on_error: {{fallback: [{step("z", "fs-z")}]}}}}
          - {step("b", "fs-b")}
          - {broken("skipped", "fs-skipped", ", on_error: skip")}
          - {step("c", "fs-c")}
        """
    )
    assert (run.status, run.summary) == ("succeeded", {"skipped_failures": 1})
    ones = dict.fromkeys(("a", "saved", "spare", "inline", "x", "y", "z", "b", "skipped", "c"), 1)
    check(language, "fs-", ones)
    done = retry(language, run, "fs-skipped", "fs-saved", "fs-inline", "fs-y")
    assert (done.status, done.summary) == ("succeeded", {})
    check(language, "fs-", ones | {"skipped": 2, "c": 2})
    with pytest.raises(ConflictError, match="nothing in the run"):
        language.client.retry(run.id)


def test_a_fallback_that_failed_is_tried_again_with_its_step(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - {broken("s", "ff-s", ", on_error: {fallback: [" + broken("t", "ff-t") + "]}")}
          - {step("after", "ff-after")}
        """
    )
    assert run.status == "failed"
    assert retry(language, run, "ff-t").status == "succeeded"
    check(language, "ff-", {"s": 2, "t": 2, "after": 1})


def test_what_depends_on_a_repeated_item_gets_new_values(language: Language) -> None:
    """Items of several steps are child runs: those that come later must not be taken from the first time."""
    language.mend("dep-1")
    run = language.run(
        f"""
        steps:
          - name: get
            foreach: {{items: [1, 2], key: "${{item}}", on_item_error: collect}}
            steps: [{broken("s", "dep-${item}")}]
          - name: use
            foreach: {{items: "${{steps.get}}", as: got}}
            steps:
              - {step("t", "dep-t-${index}", '"${got}"')}
              - {{name: u, type: script, inputs: {{v: "${{steps.t}}"}}, code: "result = v if isinstance(v, str) else 'none'"}}
          - {{name: call, workflow: parts/dep.yaml, inputs: {{v: "${{steps.use}}"}}}}
        outputs: {{use: "${{steps.use}}", call: "${{steps.call.v}}"}}
        """
        if language.write(
            "inputs: {v: {type: any}}\nsteps: [{type: script, code: ''}]\noutputs: {v: '${v}'}\n",
            "parts/dep.yaml",
        )
        else ""
    )
    assert run.outputs == {"use": ["dep-1 works", "none"], "call": ["dep-1 works", "none"]}
    done = retry(language, run, "dep-2")
    values = ["dep-1 works", "dep-2 works"]
    assert done.outputs == {"use": values, "call": values}
    check(language, "dep-", {"1": 1, "2": 2, "t-0": 2, "t-1": 2})


def test_a_message_that_did_not_come_is_waited_for_again(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - {step("a", "msg-a")}
          - {{name: ask, wait: {{message: go, timeout: 2s}}}}
          - {step("b", "msg-b", '"${steps.ask}"')}
        outputs: {{b: "${{steps.b}}"}}
        """
    )
    assert run.error
    assert run.error["type"] == "StepTimeoutError"
    language.client.retry(run.id)
    language.client.send(run.id, "now", topic="go")
    done = language.client.wait(run.id, timeout=60)
    assert (done.status, done.outputs) == ("succeeded", {"b": "now"}), done.error
    check(language, "msg-", {"a": 1, "b": 1})


def test_a_python_workflow(language: Language) -> None:
    folder = language.root / "workflows" / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflow.py").write_text(
        "from dbos import DBOS\n"
        "import sys; sys.path.insert(0, '.')\n"
        "import probe\n"
        "@DBOS.step()\n"
        "def first(): return probe.mark('py-first', 1)\n"
        "@DBOS.step()\n"
        "def second(): return probe.broken('py-second')\n"
        "@DBOS.workflow()\n"
        "def rows_workflow(): return [first(), second(), first()]\n"
    )
    run = language.client.wait(language.client.submit("rows").run_id, timeout=60)
    assert run.status == "failed", run.outputs
    done = retry(language, run, "py-second")
    assert done.outputs == [1, "py-second works", 1]
    check(language, "py-", {"first": 2, "second": 2})


@pytest.mark.parametrize("state", ["waiting", "cancelled", "succeeded"])
def test_only_runs_with_failures_can_be_retried(language: Language, state: str) -> None:
    run_id = language.start("steps: [{name: w, wait: {message: go}}]")
    language.until(run_id, "waiting")
    if state == "cancelled":
        language.client.cancel(run_id)
        language.until(run_id, "cancelled")
    if state == "succeeded":
        language.client.send(run_id, None, topic="go")
        language.until(run_id, "succeeded")
    error: dict[str, Any] = language.here(
        "workflows", "retry", run_id, "--background", "--format", "json", code=1
    ).error()
    verb = {"waiting": "follow", "cancelled": "resume", "succeeded": "fork"}[state]
    assert (error["code"], error["hint"]) == ("conflict", f"kurt workflows {verb} {run_id}")
    if state == "waiting":
        language.client.cancel(run_id)


def test_in_the_foreground(language: Language) -> None:
    run = language.run(
        f"steps: [{step('a', 'fg-a')}, {broken('b', 'fg-b')}, {step('c', 'fg-c')}]\noutputs: {{c: '${{steps.c}}'}}"
    )
    failed = language.kurt("workflows", "retry", run.id, code=1)
    assert f"hint: kurt workflows retry {run.id}" in failed.stderr
    language.mend("fg-b")
    done = language.kurt.json("workflows", "retry", run.id)
    assert (done["run_id"], done["status"], done["outputs"]) == (run.id, "succeeded", {"c": 1})
    check(language, "fg-", {"a": 1, "b": 3, "c": 1})
