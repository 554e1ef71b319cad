"""`kurt workflows retry` and `fork` of runs with blocks that were tried several times."""

from __future__ import annotations

from typing import Any

from kurt.runtime.runs import Run
from tests.support.language import Language, language

__all__ = ["language"]


def step(name: str, mark: str, value: str = "1", more: str = "") -> str:
    """A step that leaves a mark."""
    return f"{{name: {name}, type: python, call: 'probe:mark', args: ['{mark}', {value}]{more}}}"


def broken(name: str, mark: str, more: str = "") -> str:
    """A step that fails until it is mended."""
    return f"{{name: {name}, type: python, call: 'probe:broken', args: ['{mark}']{more}}}"


def retry(language: Language, run: Run, *mended: str) -> Run:
    """Mend what was broken, retry, wait."""
    language.mend(*mended)
    assert language.client.retry(run.id).run_id == run.id
    return language.client.wait(run.id, timeout=60)


def fork(language: Language, run: Run, start: str, **inputs: Any) -> Run:
    texts = [f"{name}={value}" for name, value in inputs.items()]
    forked = language.client.fork(run.id, start=start, inputs=texts)
    return language.client.wait(forked.run_id, timeout=60)


def counts(language: Language, prefix: str) -> dict[str, int]:
    """How often each step with this prefix was called."""
    folder = language.root / "marks"
    return {file.name.removeprefix(prefix): file.stat().st_size for file in folder.glob(f"{prefix}*")}


def test_retry_goes_on_with_the_last_attempt_and_allows_as_many_again(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - {step("a", "rt-a")}
          - name: block
            retry: {{max_attempts: 2, delay: 10ms}}
            parallel:
              - {step("good", "rt-good")}
              - {{name: chain, switch: {{on: "'x'", cases: {{x: [{step("one", "rt-one")}, {broken("two", "rt-two")}]}}}}}}
          - {step("b", "rt-b", '"${steps.block.chain}"')}
        outputs: {{b: "${{steps.b}}"}}
        """
    )
    assert run.status == "failed"
    assert counts(language, "rt-") == {"a": 1, "good": 2, "one": 2, "two": 2}
    still = retry(language, run)
    assert still.status == "failed"
    # First the last attempt goes on, then there is one more.
    assert counts(language, "rt-") == {"a": 1, "good": 3, "one": 3, "two": 4}
    done = retry(language, run, "rt-two")
    assert (done.status, done.outputs) == ("succeeded", {"b": "rt-two works"}), done.error
    assert counts(language, "rt-") == {"a": 1, "good": 3, "one": 3, "two": 5, "b": 1}
    assert language.steps(run)["block"].attempt == 3


def test_retry_of_an_attempt_that_took_too_long(language: Language) -> None:
    language.write(
        "steps:\n  - {name: nap, type: run, command: [sh, -c, 'echo x >> naps; test -e awake || sleep 300']}\n",
        "parts/nap.yaml",
    )
    run = language.run(
        f"""
        steps:
          - name: block
            timeout: 2s
            parallel:
              - {step("good", "rl-good")}
              - {{name: file, workflow: parts/nap.yaml}}
          - {step("b", "rl-b")}
        """
    )
    assert run.error
    assert run.error["type"] == "StepTimeoutError"
    (language.root / "awake").touch()
    done = retry(language, run)
    assert done.status == "succeeded", done.error
    assert counts(language, "rl-") == {"good": 1, "b": 1}
    assert (language.root / "naps").read_text() == "x\nx\n"


def test_retry_of_items_that_a_tried_block_lived_with(language: Language) -> None:
    for kind in ("one", "two"):
        body = [broken("s", f"ri-{kind}-${{item}}")]
        if kind == "two":
            body.append(step("t", f"ri-{kind}-t-${{item}}"))
        language.mend(f"ri-{kind}-a")
        run = language.run(
            f"""
            steps:
              - name: items
                retry: {{max_attempts: 2, delay: 10ms}}
                foreach: {{items: [a, b], key: "${{item}}", on_item_error: collect}}
                steps: [{", ".join(body)}]
                collect: "${{steps.s}}"
              - {step("after", f"ri-{kind}-after", '"${steps.items}"')}
            outputs: {{after: "${{steps.after}}"}}
            """
        )
        assert (run.status, run.summary) == ("succeeded", {"items_failed": 1, "items": 2})
        done = retry(language, run, f"ri-{kind}-b")
        assert done.outputs == {"after": [f"ri-{kind}-{name} works" for name in "ab"]}
        assert done.summary == {}
        found = counts(language, f"ri-{kind}-")
        assert (found["a"], found["b"], found["after"]) == (1, 2, 2)


def test_retry_of_items_of_a_tried_block_that_failed(language: Language) -> None:
    language.mend("rf-a")
    run = language.run(
        f"""
        steps:
          - name: items
            retry: {{max_attempts: 2, delay: 10ms}}
            foreach: {{items: [a, b, c], key: "${{item}}", max_concurrent: 1}}
            steps: [{step("p", "rf-p-${item}")}, {broken("s", "rf-${item}")}]
        outputs: {{items: "${{steps.items}}"}}
        """
    )
    assert run.status == "failed"
    assert counts(language, "rf-") == {"a": 1, "b": 2, "p-a": 1, "p-b": 2}
    done = retry(language, run, "rf-b", "rf-c")
    assert done.outputs == {"items": [f"rf-{name} works" for name in "abc"]}
    assert counts(language, "rf-") == {"a": 1, "b": 3, "c": 1, "p-a": 1, "p-b": 2, "p-c": 1}


def test_fork(language: Language) -> None:
    language.mend("fk-1")
    run = language.run(
        f"""
        inputs: {{word: w}}
        steps:
          - {step("a", "fk-a")}
          - name: items
            retry: {{max_attempts: 2, delay: 10ms, when: "true"}}
            foreach: {{items: [1, 2], key: "k${{item}}", max_concurrent: 1}}
            steps: [{{name: f, type: python, call: "probe:flaky", args: ["fk-f-${{item}}-${{run.id}}", "${{item - 1}}"]}}]
          - name: pairs
            retry: {{max_attempts: 2, delay: 10ms}}
            foreach: {{items: [1, 2], key: "k${{item}}"}}
            steps: [{step("t", "fk-t-${item}", '"${word}"')}, {step("u", "fk-u-${item}", '"${word}"')}]
          - {step("z", "fk-z", '["${steps.pairs}", "${word}"]')}
        outputs: {{z: "${{steps.z}}"}}
        """.replace("${item - 1}", "${item}").replace(
            '"${item}"]}]\n          - name: pairs', "0]}]\n          - name: pairs"
        )
    )
    assert run.outputs == {"z": [["w", "w"], "w"]}, run.error
    ones = {"a": 1, "t-1": 1, "t-2": 1, "u-1": 1, "u-2": 1, "z": 1}

    def marks() -> dict[str, int]:
        return {name: count for name, count in counts(language, "fk-").items() if not name.startswith("f-")}

    assert marks() == ones
    assert fork(language, run, "z").outputs == run.outputs
    assert marks() == ones | {"z": 2}
    assert fork(language, run, "pairs").outputs == run.outputs, "finished items are kept"
    assert marks() == ones | {"z": 3}
    assert fork(language, run, "pairs[k2].u").outputs == run.outputs
    assert marks() == ones | {"u-2": 2, "z": 4}
    assert fork(language, run, "pairs", word="v").outputs == {"z": [["v", "v"], "v"]}
    assert marks() == {"a": 1, "t-1": 2, "t-2": 2, "u-1": 2, "u-2": 3, "z": 5}
    assert fork(language, run, "items").outputs == run.outputs
    assert marks() == {"a": 1, "t-1": 3, "t-2": 3, "u-1": 3, "u-2": 4, "z": 6}


def test_fork_inside_a_block_that_was_tried_twice(language: Language) -> None:
    run = language.run(
        f"""
        steps:
          - name: items
            retry: {{max_attempts: 3, delay: 10ms}}
            foreach: {{items: [[a, 0], [b, 1]], key: "${{item[0]}}", max_concurrent: 1}}
            steps: [{{name: s, type: python, call: "probe:flaky", args: ["fi-${{item[0]}}", "${{item[1]}}"]}}]
          - name: block
            retry: {{max_attempts: 3, delay: 10ms}}
            switch:
              on: "'x'"
              cases:
                x:
                  - {step("one", "fi-one")}
                  - {{name: two, type: python, call: "probe:flaky", args: [fi-two, 1]}}
                  - {step("three", "fi-three")}
        outputs: {{items: "${{steps.items}}", block: "${{steps.block}}"}}
        """
    )
    assert run.outputs == {"items": [1, 2], "block": 1}, run.error
    before = {"a": 1, "b": 2, "one": 2, "two": 2, "three": 1}
    assert counts(language, "fi-") == before
    assert fork(language, run, "block.two").status == "succeeded"
    assert counts(language, "fi-") == before | {"two": 3, "three": 2}
    forked = fork(language, run, "items[a].s")
    assert forked.outputs == {"items": [2, 2], "block": 1}
    assert counts(language, "fi-") == {"a": 2, "b": 2, "one": 3, "two": 4, "three": 3}


def test_run_attempt_is_the_same_everywhere_and_rises_with_retry(language: Language) -> None:
    language.write(
        f"""
        steps:
          - {step("in", "ra-file", '"${run.attempt}"')}
          - {broken("b", "ra-b")}
          - {step("then", "ra-then", '"${run.attempt}"')}
        outputs: {{attempts: ["${{steps.in}}", "${{steps.then}}"]}}
        """,
        "parts/attempt.yaml",
    )
    run = language.run(
        f"""
        defaults: {{retry: {{max_attempts: 2, delay: 10ms, when: "run.attempt > 1"}}}}
        steps:
          - {step("before", "ra-before", '"${run.attempt}"')}
          - name: block
            parallel:
              - {{name: file, workflow: parts/attempt.yaml}}
              - name: items
                foreach: {{items: [x], key: "${{item}}", on_item_error: collect}}
                steps: [{broken("c", "ra-c")}, {step("d", "ra-d", '"${run.attempt}"')}]
          - {step("after", "ra-after", '"${run.attempt}"')}
        outputs: {{all: ["${{steps.before}}", "${{steps.block.file.attempts}}", "${{steps.block.items}}", "${{steps.after}}", "${{run.attempt}}"]}}
        """
    )
    assert run.status == "failed"
    assert (language.marks("ra-b"), language.marks("ra-c")) == (1, 1)
    again = retry(language, run)
    assert again.status == "failed"
    assert language.marks("ra-c") == 3, "retry.when sees the new attempt inside an item too"
    done = retry(language, run, "ra-b", "ra-c")
    assert done.outputs == {"all": [1, [1, 3], [3], 3, 3]}, done.error
