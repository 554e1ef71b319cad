"""`approval` blocks are checked with their file; what is asked is put in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from kurt.runtime import wait_words
from tests.support.definitions import faults_in


def step(approval: str, more: str = "") -> str:
    """A file of one step."""
    return f"secrets: [TOKEN]\nsteps:\n  - {{name: a, approval: {approval}{more}}}\n"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (step("{}"), "`message` is missing", "add, for example"),
        (step("3"), "`approval` must be a mapping", "approval: {message: ...}"),
        (step("{mesage: x}"), "unknown key `mesage` in `approval`", "did you mean `message`?"),
        (
            step("{message: x, on_timeout: maybe, timeout: 1h}"),
            "must be 'fail', 'approve'",
            "write one of them",
        ),
        (step("{message: x, on_timeout: reject}"), "has no meaning without a `timeout`", "timeout: 2d"),
        (step("{message: x, timeout: soon}"), "'soon' is not a duration", "30s"),
        (step("{message: x}", ", message: y"), "`message` stands beside `approval`", "below `approval`"),
        (step("x", ", env: {A: b}"), "`env` has no meaning for an `approval` block", "starts no process"),
        (step("{message: '${nobody}'}"), "unknown name `nobody`", "in scope are"),
        (step("'${env.TOKEN}'"), "`env.TOKEN` is secret", "only in the fields"),
        (step("{message: x, fields: {by: a}}"), "a field cannot be named `by`", "rename it"),
        (
            step("{message: x, fields: {n: {type: int, default: a}}}"),
            "must be a whole number",
            "change the default",
        ),
        (step("{message: x, fields: {n: {type: int, default: '${x}'}}}"), "unknown name `x`", "in scope"),
        (step("{message: x, fields: {n: {typ: int}}}"), "none of the keys of an input", "type: object"),
        (
            step("{message: x, timeout: 1h, on_timeout: approve, fields: {n: {type: int, required: true}}}"),
            "approves without a value for the field `n`",
            "give `n` a default",
        ),
    ],
)
def test_what_is_wrong_with_an_approval(tmp_path: Path, text: str, message: str, hint: str) -> None:
    faults = [fault for fault in faults_in(tmp_path, text) if fault.severity == "error"]
    assert len(faults) == 1, faults
    assert message in faults[0].message
    assert hint in (faults[0].hint or "")
    assert faults[0].line == 3


@pytest.mark.parametrize(
    "text",
    [
        step("'Really?'", ", timeout: 2d, on_timeout: skip, fields: {n: 1}"),
        step(
            "{message: 'In ${run.name}?', fields: {n: {type: int, default: '${run.attempt}'}}, on_reject: continue}"
        ),
        "steps: [{name: a, type: approval, message: x}]",
    ],
)
def test_what_is_right_with_an_approval(tmp_path: Path, text: str) -> None:
    assert faults_in(tmp_path, text) == []


def test_the_command_names_what_must_be_given() -> None:
    fields = {
        "a": {"type": "int", "required": True},
        "b": {"default": 1},
        "c": {"required": True, "default": 2},
    }
    wait = {"kind": "approval", "path": "items[it's].ok", "message": "Two\nlines?", "fields": fields}
    assert wait_words.text_of(wait) == "approval: Two lines?"
    assert wait_words.command_of(wait, "r1", alone=True) == "kurt workflows approve r1 --input a=..."
    named = wait_words.command_of(wait, "r1", alone=False)
    assert named == "kurt workflows approve r1 --step 'items[it'\"'\"'s].ok' --input a=..."


def test_waits_of_earlier_releases_are_read() -> None:
    for event, kind, text in (
        ({"path": "a", "topic": "go", "until": 1.0}, "message", "a message on 'go'"),
        ({"path": "a", "topic": None, "until": 0.0}, "time", "a time: 1970-01-01T00:00:00Z"),
    ):
        (wait,) = wait_words.waits_of(event)
        assert wait_words.kind_of(wait) == kind
        assert wait_words.text_of(wait) == text
    assert wait_words.waits_of(None) == []
