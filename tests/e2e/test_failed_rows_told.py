"""A run that went on without some of its rows says so wherever its state is shown, and its log says which and why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cli import Kurt

MODULE = """
from pathlib import Path

from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep, step_log, track_step


class Out(BaseModel):
    reply: str


def ask(prompt: str):
    if prompt.startswith("bad") and not Path("mended").exists():
        raise ValueError("never heard of " + prompt)
    return {"reply": prompt}, {"model": "m-2026"}


step = LLMStep(name="ask", input_columns=["text"], prompt_template="{text}", output_schema=Out, llm_fn=ask)


@DBOS.workflow()
def twice_workflow(batches: list):
    with track_step("look"):
        step_log("looked around")
    found = [step.run([{"text": text} for text in batch]) for batch in batches]
    return {"batches": len(found)}
"""
OUTER = """
name: outer
steps:
  - {name: inner, workflow: twice, inputs: {batches: [[bad, b]]}}
  - {name: later, workflow: twice, inputs: {batches: [[c]]}}
"""


@pytest.fixture(autouse=True)
def module(kurt: Kurt) -> None:
    folder = kurt.project / "workflows" / "twice"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(MODULE)
    (kurt.project / "workflows" / "outer.yaml").write_text(OUTER)


def told(kurt: Kurt, run_id: str) -> list[dict[str, Any]]:
    """The summaries that the listing and the state of a run give."""
    listed = [run for run in kurt.json("workflows", "list") if run["run_id"] == run_id]
    return [run["summary"] for run in [*listed, kurt.json("workflows", "status", run_id)]]


def test_rows_that_failed_are_counted_over_all_calls_of_a_step_until_they_are_mended(kurt: Kurt) -> None:
    batches = "batches=[[a, bad 1, bad 2], [bad 3, c], [d]]"
    kurt("workflows", "run", "twice", "--input", batches, "--run-id", "partly")
    assert told(kurt, "partly") == [{"rows": 5, "rows_failed": 3}] * 2
    assert "succeeded (3 of 5 rows failed)" in kurt("workflows", "list").stdout
    (kurt.project / "mended").touch()
    kurt("workflows", "retry", "partly", "--failed-rows")
    assert told(kurt, "partly") == [{}] * 2


def test_rows_that_failed_in_a_child_are_those_of_the_run(kurt: Kurt) -> None:
    kurt("workflows", "run", "workflows/outer.yaml", "--run-id", "outer")
    for summary in told(kurt, "outer"):
        assert (summary["rows"], summary["rows_failed"]) == (2, 1)


def test_the_log_of_a_python_workflow_holds_its_steps_its_lines_and_its_failed_rows(kurt: Kurt) -> None:
    kurt("workflows", "run", "twice", "--input", "batches=[[a, bad]]", "--run-id", "logged")
    lines = [line.split(" ", 1)[1] for line in kurt("workflows", "logs", "logged").stdout.splitlines()]
    assert lines[:1] == ["INFO  [look] started"]
    assert "INFO  [look] looked around" in lines
    assert lines[2].startswith("INFO  [look] succeeded in ")
    assert lines[3] == "INFO  [ask] started"
    assert "ERROR [ask] row 1 failed: ValueError: never heard of bad" in lines
    assert lines[-1].endswith("2 of 2 items done, 1 failed")
