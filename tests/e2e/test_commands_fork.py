"""`kurt workflows fork`: a new run from a step of another; nothing that was finished is paid for again."""

from __future__ import annotations

from typing import Any

import pytest

from kurt.errors import ConflictError, InputError, NotFoundError
from kurt.runtime.runs import Run
from tests.support.language import Language, language

__all__ = ["language"]


def step(name: str, mark: str, value: str = "1", more: str = "") -> str:
    """A step that leaves a mark."""
    return f"{{name: {name}, type: python, call: 'probe:mark', args: ['{mark}', {value}]{more}}}"


def broken(name: str, mark: str, more: str = "") -> str:
    """A step that fails until it is mended."""
    return f"{{name: {name}, type: python, call: 'probe:broken', args: ['{mark}']{more}}}"


def fork(language: Language, run: Run, start: str | None, **inputs: Any) -> Run:
    texts = [f"{name}={value}" for name, value in inputs.items()]
    forked = language.client.fork(run.id, start=start, inputs=texts)
    assert forked.run_id != run.id
    return language.client.wait(forked.run_id, timeout=60)


def counts(language: Language, prefix: str) -> dict[str, int]:
    """How often each step with this prefix was called."""
    folder = language.root / "marks"
    return {file.name.removeprefix(prefix): file.stat().st_size for file in folder.glob(f"{prefix}*")}


def test_from_a_step_of_a_list(language: Language) -> None:
    run = language.run(
        f"""
        name: listed
        inputs: {{n: 1, word: x}}
        steps:
          - {step("a", "li-a", '"${n}"')}
          - {{name: say, type: emit, stream: said, value: "a"}}
          - {step("b", "li-b", '"${steps.a} ${n} ${word}"')}
          - {{name: tell, type: emit, event: told, value: "${{steps.b}}"}}
        finally: [{step("f", "li-f")}]
        outputs: {{b: "${{steps.b}}"}}
        """
    )
    assert run.outputs == {"b": "1 1 x"}
    same = fork(language, run, "b")
    assert (same.status, same.outputs, same.forked_from, same.name) == (
        "succeeded",
        run.outputs,
        run.id,
        "listed",
    )
    assert counts(language, "li-") == {"a": 1, "b": 2, "f": 2}
    other = fork(language, run, "b", n=5, word="y")
    assert other.outputs == {"b": "1 5 y"}, "what stands before the step is as it was"
    whole = fork(language, run, None, n=7)
    assert whole.outputs == {"b": "7 7 x"}
    assert counts(language, "li-") == {"a": 2, "b": 4, "f": 4}
    assert language.client.get(run.id).outputs == {"b": "1 1 x"}, "the other run stays as it was"
    assert language.client.events(other.id)["told"] == "1 5 y"
    assert language.client.stream(other.id, "said").items == ["a"]
    assert [one.id for one in language.client.list(forked_from=run.id)] == [whole.id, other.id, same.id]
    with pytest.raises(InputError):
        language.client.fork(run.id, start="b", inputs=["nope=1"])
    with pytest.raises(NotFoundError) as caught:
        language.client.fork(run.id, start="nowhere")
    assert caught.value.hint == "it has come to: a, say, b, tell, "[:-2]


def test_from_a_fan_out_finished_items_are_kept(language: Language) -> None:
    for kind in ("one", "two"):
        body = [broken("s", f"fo-{kind}-${{item}}")]
        if kind == "two":
            body.append(step("t", f"fo-{kind}-t-${{item}}", '"${steps.s}"'))
        language.mend(f"fo-{kind}-1", f"fo-{kind}-3")
        run = language.run(
            f"""
            inputs: {{end: x}}
            steps:
              - name: items
                foreach: {{items: [1, 2, 3], key: "k${{item}}", on_item_error: collect}}
                steps: [{", ".join(body)}]
              - {step("after", f"fo-{kind}-after", '["${steps.items}", "${end}"]')}
            outputs: {{after: "${{steps.after}}"}}
            """
        )
        language.mend(f"fo-{kind}-2")
        forked = fork(language, run, "items")
        values = [f"fo-{kind}-{n} works" for n in (1, 2, 3)]
        assert forked.outputs == {"after": [values, "x"]}
        expected = {"1": 1, "2": 2, "3": 1, "after": 2}
        if kind == "two":
            expected |= {"t-1": 1, "t-2": 1, "t-3": 1}
        assert counts(language, f"fo-{kind}-") == expected
        steps = language.steps(forked)
        assert steps["items[k1].s"].value == values[0], "kept items are shown with the new run"
        later = fork(language, forked, "after", end="y")
        assert later.outputs == {"after": [values, "y"]}
        assert counts(language, f"fo-{kind}-") == expected | {"after": 3}
        edited = fork(language, forked, "items", end="z")
        assert edited.outputs == {"after": [values, "z"]}
        assert language.marks(f"fo-{kind}-1") == 2, "with other inputs every item is repeated"


def test_from_one_item_and_from_a_step_of_it(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - name: simple
            foreach: {{items: [1, 2], key: "k${{item}}"}}
            steps: [{step("s", "ot-s-${item}", '"${item}"')}]
          - name: deep
            foreach: {{items: [1, 2], key: "k${{item}}"}}
            steps: [{step("t", "ot-t-${item}")}, {step("u", "ot-u-${item}")}]
          - {step("after", "ot-after", '["${steps.simple}", "${steps.deep}"]')}
        outputs: {{after: "${{steps.after}}"}}
        """
    )
    everything = {"s-1": 1, "s-2": 1, "t-1": 1, "t-2": 1, "u-1": 1, "u-2": 1, "after": 1}
    assert counts(language, "ot-") == everything
    assert fork(language, run, "deep[k2].u").outputs == run.outputs
    assert counts(language, "ot-") == everything | {"u-2": 2, "after": 2}
    assert fork(language, run, "deep[k2]").outputs == run.outputs
    assert counts(language, "ot-") == everything | {"u-2": 3, "t-2": 2, "after": 3}
    assert fork(language, run, "simple[k1].s").outputs == run.outputs
    assert counts(language, "ot-") == {"s-1": 2, "s-2": 1, "t-1": 2, "t-2": 3, "u-1": 2, "u-2": 4, "after": 4}


def test_from_a_step_of_a_graph(language: Language) -> None:
    run = language.run(
        f"""
        inputs: {{n: 1}}
        steps:
          - {step("a", "fg-a", more=", needs: []")}
          - name: block
            needs: [a]
            foreach: {{items: [1, 2]}}
            steps: [{step("x", "fg-x-${item}", '"${n}"')}]
          - {step("c", "fg-c", more=", needs: []")}
          - {step("d", "fg-d", '["${steps.block}", "${steps.c}"]', ", needs: [block, c]")}
        outputs: {{d: "${{steps.d}}"}}
        """
    )
    ones = {"a": 1, "x-1": 1, "x-2": 1, "c": 1, "d": 1}
    assert counts(language, "fg-") == ones
    assert fork(language, run, "c").outputs == {"d": [[1, 1], 1]}
    assert counts(language, "fg-") == ones | {"c": 2, "d": 2}
    assert fork(language, run, "block", n=3).outputs == {"d": [[3, 3], 1]}
    assert counts(language, "fg-") == ones | {"c": 2, "x-1": 2, "x-2": 2, "d": 3}


def test_children_of_every_kind_are_taken_over(language: Language) -> None:
    language.write(
        f"inputs: {{n: 1}}\nsteps:\n  - {step('in', 'ch-in')}\n"
        f"  - {{name: loop, foreach: {{items: [1, 2]}}, steps: [{step('p', 'ch-p-${item}')}, {step('q', 'ch-q-${item}')}]}}\n"
        "outputs: {n: '${n}'}\n",
        "parts/ch.yaml",
    )
    run = language.run(
        f"""
        inputs: {{n: 1}}
        steps:
          - {{name: call, workflow: parts/ch.yaml, inputs: {{n: "${{n}}"}}}}
          - name: both
            parallel:
              - {step("x", "ch-x")}
              - name: nested
                foreach: {{items: [a, b], key: "${{item}}"}}
                steps:
                  - {step("y", "ch-y-${item}")}
                  - {{name: deep, parallel: [{{name: z, foreach: {{items: [1]}}, steps: [{step("w", "ch-w-${letter ?? item}")}]}}]}}
          - {broken("end", "ch-end")}
        outputs: {{all: ["${{steps.call.n}}", "${{steps.both}}", "${{steps.end}}"]}}
        """
    )
    assert run.status == "failed"
    first = counts(language, "ch-")
    language.mend("ch-end")
    forked = fork(language, run, "end")
    assert forked.status == "succeeded", forked.error
    nested = [{"z": [1]}, {"z": [1]}]
    assert forked.outputs == {"all": [1, {"x": 1, "nested": nested}, "ch-end works"]}
    assert counts(language, "ch-") == first | {"end": 2}
    assert set(language.steps(forked)) == set(language.steps(run))
    child = language.steps(forked)["call"].child_run_id
    assert child
    assert child.startswith(f"{forked.id}.")
    assert set(language.states(child)) == {"in", "loop", "loop[0].p", "loop[0].q", "loop[1].p", "loop[1].q"}
    language.client.delete(run.id)
    (language.root / "mended" / "ch-end").unlink()
    again = fork(language, forked, "both.nested[a].deep")
    assert again.status == "failed"
    language.mend("ch-end")
    language.client.retry(again.id)
    assert language.client.wait(again.id, timeout=60).outputs == forked.outputs
    assert counts(language, "ch-")["y-a"] == 1, "what was copied from a run that is gone"


def test_of_a_run_that_is_still_at_work(language: Language) -> None:
    run_id = language.start(
        f"""
        inputs: {{topic: go}}
        steps:
          - {step("a", "wk-a")}
          - {{name: hold, wait: {{message: "${{topic}}"}}}}
          - {step("b", "wk-b")}
        """
    )
    waiting = language.until(run_id, "waiting")
    forked = language.client.fork(run_id, start="hold", inputs=["topic=other"]).run_id
    language.until(forked, "waiting")
    language.client.send(forked, None, topic="other")
    assert language.client.wait(forked, timeout=60).status == "succeeded"
    assert language.client.get(run_id).status == waiting.status == "waiting"
    assert counts(language, "wk-") == {"a": 1, "b": 1}
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    done = language.client.fork(run_id, start="hold", inputs=["topic=third"]).run_id
    language.client.send(done, None, topic="third")
    assert language.client.wait(done, timeout=60).status == "succeeded"


def test_a_python_workflow(language: Language) -> None:
    folder = language.root / "workflows" / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflow.py").write_text(
        "from dbos import DBOS\n"
        "import sys; sys.path.insert(0, '.')\n"
        "import probe\n"
        "@DBOS.step()\n"
        "def first(): return probe.mark('pf-first', 1)\n"
        "@DBOS.step()\n"
        "def second(): return probe.mark('pf-second', 2)\n"
        "@DBOS.workflow()\n"
        "def part(n): return n\n"
        "@DBOS.workflow()\n"
        "def rows_workflow(): return [first(), part(3), second()]\n"
    )
    run = language.client.wait(language.client.submit("rows").run_id, timeout=60)
    assert run.outputs == [1, 3, 2]
    assert fork(language, run, "second").outputs == [1, 3, 2]
    assert counts(language, "pf-") == {"first": 1, "second": 2}
    with pytest.raises(ConflictError, match="cannot be edited"):
        language.client.fork(run.id, start="second", inputs=["n=1"])


def test_on_the_command_line(language: Language) -> None:
    steps = ", ".join([step("a", "cl-a"), step("b", "cl-b", '"${n}"')])
    run = language.run(f"inputs: {{n: 1}}\nsteps: [{steps}]\noutputs: {{b: '${{steps.b}}'}}")
    here = language.kurt.json("workflows", "fork", run.id, "--from", "b", "--input", "n=2")
    assert (here["status"], here["outputs"], here["forked_from"]) == ("succeeded", {"b": 2}, run.id)
    submitted = language.here.json("workflows", "fork", run.id, "--from", "b", "--background")
    assert submitted["run_id"] not in {run.id, here["run_id"]}
    assert language.client.result(submitted["run_id"], timeout=30) == {"b": 1}
    assert counts(language, "cl-") == {"a": 1, "b": 3}
    error = language.here(
        "workflows", "fork", run.id, "--from", "c", "--background", "--format", "json", code=3
    ).error()
    assert error["hint"] == "it has come to: a, b"
    child_id = f"{run.id}.0123456789abcdef"
    assert language.here("workflows", "fork", child_id, "--background", code=3).stdout == ""


def test_children_are_steered_with_their_run(language: Language) -> None:
    language.write("steps: [{name: bad, type: script, code: 1/0}]", "parts/bad.yaml")
    run = language.run("steps: [{name: call, workflow: parts/bad.yaml, on_error: skip}]")
    child = language.steps(run)["call"].child_run_id
    assert child
    for verb in ("retry", "fork", "resume", "delete"):
        options = ["--background"] if verb in {"retry", "fork", "resume"} else []
        error = language.here("workflows", verb, child, *options, "--format", "json", code=1).error()
        assert error["hint"] == f"kurt workflows {verb} {run.id}", verb
    assert language.client.get(child).status == "failed"
