"""One run in words, as `kurt workflows status` prints it."""

from __future__ import annotations

import pytest

from kurt.cli.workflows.views import run_lines


@pytest.mark.parametrize(("status", "told"), [("interrupted", True), ("stuck", True), ("running", False)])
def test_a_run_that_nobody_executes_tells_what_takes_it_up(status: str, told: bool) -> None:
    lines = run_lines({"run_id": "r1", "name": "flow", "status": status})
    assert ("to go on:     kurt workflows resume r1" in lines) == told
