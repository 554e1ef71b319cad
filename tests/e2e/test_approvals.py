"""`approval` blocks with the real engine: several at once, everywhere in a file, answered in every way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.command import Command
from tests.support.language import Language, language
from tests.support.waiting import wait_until

__all__ = ["language"]

ONE = """
    inputs: {title: Hello}
    steps:
      - {name: draft, type: python, call: "probe:mark", args: ["NAME-draft", "${title}"]}
      - name: review
        approval:
          message: "Publish ${steps.draft}?"
          fields:
            channel: {type: string, enum: [blog, newsletter], required: true}
            title: {type: string, default: "${steps.draft}"}
            urgent: false
        output: answer
      - {name: after, type: python, call: "probe:mark", args: ["NAME-after", "${answer}"]}
    outputs: {answer: "${answer}"}
    """


@pytest.fixture
def here(language: Language) -> Command:
    return language.here


def asked(language: Language, run_id: str, *paths: str) -> list[dict[str, Any]]:
    """The questions of a run, once it asks at all of these paths."""

    found: list[dict[str, Any]] = []

    def waits() -> bool:
        found[:] = [one for one in language.client.get(run_id).waits if one["kind"] == "approval"]
        return {one["path"] for one in found} == set(paths)

    try:
        wait_until(waits, 30, what=f"questions at {paths}")
    except AssertionError as error:
        error.add_note(f"it asks at {[one['path'] for one in found]}; {language.client.get(run_id)}")
        raise
    return found


def test_an_answer_has_typed_fields(language: Language, here: Command) -> None:
    run_id = language.start(ONE.replace("NAME", "typed"))
    run = language.until(run_id, "waiting")
    (wait,) = asked(language, run_id, "review")
    assert run.waiting_for == wait
    assert (wait["message"], wait["path"], wait["until"]) == ("Publish Hello?", "review", None)
    assert wait["fields"]["title"] == {"type": "string", "default": "Hello"}
    wrong = ["--input", "channel=x", "--input", "urgent=perhaps", "--input", "titel=a"]
    shown = here("workflows", "approve", run_id, *wrong, code=2).stderr
    for part in (
        "3 inputs are wrong",
        "`channel` must be one of",
        "`urgent` must be",
        "did you mean `title`?",
    ):
        assert part in shown
    assert "--input channel=..." in here("workflows", "approve", run_id, code=2).stderr
    given = here.json(
        "workflows", "approve", run_id, "--input", "channel=blog", "--comment", "good", "--by", "ana"
    )
    fields = {"channel": "blog", "title": "Hello", "urgent": False}
    assert given.pop("at").endswith("Z")
    answer = {"approved": True, "by": "ana", "comment": "good", "timed_out": False}
    assert given == {"run_id": run_id, "step": "review", **answer, "fields": fields}
    outputs = language.client.result(run_id, timeout=30)
    assert outputs["answer"].pop("at")
    assert outputs["answer"] == {**answer, **fields}
    assert language.steps(run_id)["review"].value["channel"] == "blog"
    error = here("workflows", "approve", run_id, "--format", "json", code=1).error()
    assert error["code"] == "conflict"
    assert "it was approved by ana at" in error["message"]
    assert "approved by ana: good" in language.log(run_id)


def test_a_rejection_fails_the_step_or_is_its_answer(language: Language, here: Command) -> None:
    run_id = language.start(
        """
        steps:
          - {name: soft, approval: {message: "Go on?", fields: {why: {type: string, required: true}}, on_reject: continue}}
          - {name: hard, approval: "Really?", on_error: {fallback: [{name: other, type: script, code: 'result = error["type"] + " " + error["by"]', inputs: {error: "${error}"}}]}}
          - {name: last, approval: "Last one?"}
          - {name: never, type: python, call: "probe:mark", args: [reject-never]}
        outputs: {soft: "${steps.soft}"}
        finally:
          - {name: keep, type: python, call: "probe:mark", args: [reject-finally, "${steps.hard ?? null}"]}
        """
    )
    asked(language, run_id, "soft")
    assert (
        "No such option '--input'" in here("workflows", "reject", run_id, "--input", "why=x", code=2).stderr
    )
    here("workflows", "reject", run_id, "--by", "bo", "--comment", "no time")
    asked(language, run_id, "hard")
    soft = language.steps(run_id)["soft"].value
    assert (soft["approved"], soft["by"], soft["comment"], soft["why"]) == (False, "bo", "no time", None)
    here("workflows", "reject", run_id, "--by", "bo")
    asked(language, run_id, "last")
    assert language.steps(run_id)["hard.other"].value == "Rejected bo"
    here("workflows", "reject", run_id, "--comment", "too late")
    run = language.client.wait(run_id, timeout=30)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["type"] == "Rejected"
    assert run.error["message"].endswith(": too late")
    assert run.waits == []
    assert language.marks("reject-never") == 0
    # Asked once more: the answer before does not count.
    language.client.retry(run_id)
    asked(language, run_id, "last")
    language.client.approve(run_id)
    assert language.client.wait(run_id, timeout=30).status == "succeeded"
    assert language.marks("reject-never") == 1


EVERYWHERE = """
    steps:
      - {name: first, type: python, call: "probe:mark", args: [everywhere-first]}
      - name: both
        parallel:
          - {name: left, approval: "Left?"}
          - {name: right, approval: {message: "Right?", fields: {n: 1}}}
          - {name: beside, type: python, call: "probe:mark", args: [everywhere-beside, 1]}
      - name: items
        foreach: {items: [a, b], as: letter, key: "${letter}", max_concurrent: 2}
        steps: [{name: ok, approval: "Item ${letter}?"}, {name: then, type: python, call: "probe:mark", args: ["everywhere-${letter}", "${letter}"]}]
      - {name: other, workflow: asks-other.yaml}
      - {name: a, needs: [], approval: "A?"}
      - {name: b, needs: [a], type: python, call: "probe:mark", args: [everywhere-b, "${steps.a.by}"]}
      - {name: c, needs: [], approval: "C?"}
    outputs: {right: "${steps.both.right.n}", items: "${steps.items}", other: "${steps.other.word}", b: "${steps.b}", c: "${steps.c.approved}"}
    """


def test_approvals_are_asked_everywhere(language: Language, here: Command) -> None:
    language.write(
        """
        steps:
          - {name: inner, approval: {message: "Inner?", fields: {word: {type: string, required: true}}}}
        outputs: {word: "${steps.inner.word}"}
        """,
        "asks-other.yaml",
    )
    run_id = language.start(EVERYWHERE)
    waits = asked(language, run_id, "a", "c", "both.left", "both.right")
    assert len({wait["run_id"] for wait in waits}) == 4, "each in a child of its own"
    error = here("workflows", "approve", run_id, "--format", "json", code=2).error()
    assert error["message"].endswith("asks for 4 approvals: say which one")
    shown = here("workflows", "status", run_id).stdout
    for path in ("a", "c", "both.left", "both.right"):
        assert f"kurt workflows approve {run_id} --step {path}\n" in shown
    here("workflows", "approve", run_id, "--step", "c")
    here("workflows", "approve", run_id, "--step", "c", code=1)
    assert (
        "did you mean `both.left`?"
        in here("workflows", "approve", run_id, "--step", "both.lef", code=3).stderr
    )
    here("workflows", "approve", run_id, "--step", "both.right", "--input", "n=5")
    here("workflows", "approve", run_id, "--step", "a", "--by", "ana")
    asked(language, run_id, "both.left")
    wait_until(lambda: language.marks("everywhere-b") == 1, 20, what="the step that needs nothing else")
    here("workflows", "approve", run_id)
    asked(language, run_id, "items[a].ok", "items[b].ok")
    here("workflows", "approve", run_id, "--step", "items[b].ok")
    here("workflows", "approve", run_id, "--step", "items[a].ok")
    (inner,) = asked(language, run_id, "other.inner")
    error = here("workflows", "approve", inner["run_id"], "--format", "json", code=1).error()
    assert error["hint"] == f"kurt workflows approve {run_id}"
    here("workflows", "approve", run_id, "--input", "word=yes")
    outputs = {"right": 5, "items": ["a", "b"], "other": "yes", "b": "ana", "c": True}
    assert language.client.result(run_id, timeout=60) == outputs
    assert language.marks("everywhere-first") == language.marks("everywhere-a") == 1


@pytest.mark.parametrize(
    ("on_timeout", "status", "expected"),
    [
        ("fail", "failed", "StepTimeoutError"),
        ("approve", "succeeded", {"approved": True, "n": 7}),
        ("reject", "failed", "Rejected"),
        ("skip", "succeeded", None),
    ],
)
def test_without_an_answer_in_time(language: Language, on_timeout: str, status: str, expected: Any) -> None:
    run = language.run(
        f"""
        steps:
          - {{name: ask, approval: {{message: "?", fields: {{n: 7}}, timeout: 1s, on_timeout: {on_timeout}}}, output: answer}}
        outputs: {{answer: "${{answer}}"}}
        """
    )
    assert run.status == status
    if status == "failed":
        assert run.error is not None
        assert run.error["type"] == expected
    elif expected is None:
        assert run.outputs == {"answer": None}
        assert language.states(run) == {"ask": "skipped"}
    else:
        answer = run.outputs["answer"]
        assert answer["timed_out"]
        assert {key: answer[key] for key in expected} == expected


def test_a_fork_keeps_an_answer_or_asks_for_its_own(language: Language, here: Command) -> None:
    run_id = language.start(ONE.replace("NAME", "forked"))
    asked(language, run_id, "review")
    # While it waits: the other run has a question of its own.
    early = here.json("workflows", "fork", run_id, "--from", "review", "--background")["run_id"]
    asked(language, early, "review")
    language.client.approve(run_id, fields={"channel": "blog"}, by="ana")
    assert language.client.wait(run_id, timeout=30).status == "succeeded"
    assert language.client.get(early).status == "waiting"
    language.client.approve(early, fields={"channel": "newsletter"}, by="bo")
    assert language.client.result(early, timeout=30)["answer"]["channel"] == "newsletter"
    assert language.marks("forked-draft") == 1
    # After it: what comes behind the answer takes it over, the question itself is asked anew.
    behind = here.json("workflows", "fork", run_id, "--from", "after", "--background")["run_id"]
    assert language.client.result(behind, timeout=30)["answer"]["by"] == "ana"
    anew = here.json("workflows", "fork", run_id, "--from", "review", "--background")["run_id"]
    asked(language, anew, "review")
    language.client.cancel(anew)
    error = here("workflows", "approve", anew, "--input", "channel=blog", "--format", "json", code=1).error()
    assert "over (cancelled)" in error["message"]


def test_a_cancelled_run_goes_on_with_its_question(language: Language, here: Command) -> None:
    run_id = language.start(ONE.replace("NAME", "again"))
    (first,) = asked(language, run_id, "review")
    language.client.cancel(run_id)
    language.until(run_id, "cancelled")
    assert language.client.get(run_id).waits == []
    language.client.resume(run_id)
    (second,) = asked(language, run_id, "review")
    assert first["ask"] == second["ask"], "it is the same question"
    language.client.approve(run_id, fields={"channel": "blog"})
    assert language.client.wait(run_id, timeout=30).status == "succeeded"
    assert (language.marks("again-draft"), language.marks("again-after")) == (1, 1)


def test_an_approval_may_be_asked_several_times(language: Language) -> None:
    run_id = language.start(
        """
        steps:
          - {name: ask, approval: "Now?", retry: {max_attempts: 3, delay: 100ms, when: error.type == 'Rejected'}}
        outputs: {by: "${steps.ask.by}"}
        """
    )
    asks: set[str] = set()
    for who in ("ana", "bo", "cem"):
        wait_until(lambda: [one for one in language.client.get(run_id).waits if one["ask"] not in asks], 30)
        (wait,) = language.client.get(run_id).waits
        asks.add(wait["ask"])
        assert wait["path"] == "ask"
        (language.client.approve if who == "cem" else language.client.reject)(run_id, by=who)
    assert language.client.result(run_id, timeout=30) == {"by": "cem"}


def test_a_default_that_does_not_fit_fails_the_step(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: draft, type: script, code: 'result = "a long title"'}
          - {name: ask, approval: {message: "?", fields: {title: {type: string, max: 5, default: "${steps.draft}"}}}}
        """
    )
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["type"] == "FieldError"
    assert "`title` must have at most 5 characters" in run.error["message"]


def test_the_plan_and_the_graph_show_what_is_asked(language: Language, here: Command) -> None:
    file = language.write(ONE.replace("NAME", "plan"))
    shown = here("workflows", "run", file, "--dry-run").stdout
    assert "review: approval: Publish ${steps.draft}?, asks for channel, title, urgent" in shown
    assert "review<br/>approval: Publish" in here("workflows", "graph", file).stdout
