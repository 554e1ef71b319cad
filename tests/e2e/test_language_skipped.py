"""A step that is skipped sets nothing that was set before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Kurt

FILE = """
name: skipped
inputs: {mode: fast}
steps:
  - {name: quick, type: script, when: mode == 'fast', code: "result = 'quick'", output: answer}
  - {name: slow, type: script, when: mode == 'slow', code: "result = 'slow'", output: answer}
  - {name: block, when: "false", output: answer, parallel: [{name: a, type: script, code: "result = 1"}]}
  - {name: never, type: script, when: "false", code: "result = 1", output: other}
outputs: {answer: "${answer}", other: "${other}", slow: "${steps.slow}"}
"""


@pytest.mark.parametrize(("mode", "answer", "slow"), [("fast", "quick", None), ("slow", "slow", "slow")])
def test_a_skipped_step_leaves_the_variable_alone(
    kurt: Kurt, project: Path, mode: str, answer: str, slow: str | None
) -> None:
    (project / "skipped.yaml").write_text(FILE)
    run = kurt.json("workflows", "run", "skipped.yaml", "--input", f"mode={mode}")
    assert run["outputs"] == {"answer": answer, "other": None, "slow": slow}
