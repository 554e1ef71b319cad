"""`dspy` steps where something is missing, belongs to somebody else, takes too long, or is in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.testing.faults import hang
from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt
from tests.support.models import configure
from tests.support.processes import Spawned
from tests.support.waiting import wait_until

ASK = """
name: ask
inputs: {word: a}
steps:
  - {name: s, type: dspy, signature: "word -> reply", cache: true, inputs: {word: "${word}"}, timeout: TIMEOUT}
outputs: {reply: "${steps.s.reply}"}
"""

WORKFLOW = """
from dbos import DBOS

from kurt.core.completion import Terms, calls_here
from kurt.llm.adapters.dspy import DspyEngine, load_dspy, settings_for


@DBOS.step()
async def summarise(text: str) -> str:
    dspy = load_dspy()
    engine = DspyEngine(await calls_here(Terms(step="summarise")))
    with dspy.context(**settings_for(dspy, engine)):
        prediction = await dspy.ChainOfThought("text -> summary").acall(text=text)
    return prediction.summary


@DBOS.workflow()
async def summary_workflow(text: str) -> str:
    return await summarise(text)
"""


@pytest.fixture
def server(kurt: Kurt) -> Iterator[ModelServer]:
    with ModelServer() as made:
        configure(kurt, f'LLM.BASE_URL="{made.url}"\nLLM.MODEL="openai/fake"\nLLM.PRICES="openai/fake=1/2"')
        kurt.environ["OPENAI_API_KEY"] = "a-key"
        yield made


def write(project: Path, timeout: str = "60s") -> str:
    (project / "ask.yaml").write_text(ASK.replace("TIMEOUT", timeout))
    return "ask.yaml"


def test_without_dspy_a_file_is_refused_with_the_command_that_installs_it(
    kurt: Kurt, project: Path, tmp_path: Path, server: ModelServer
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text("import sys\nsys.modules['dspy'] = None\n")
    without = {"PYTHONPATH": str(tmp_path / "without")}
    found = kurt("workflows", "validate", write(project), code=2, env=without)
    assert "ask.yaml:5:21: a step of type `dspy` needs DSPy, which is not installed" in found.stderr
    assert "hint: run: pip install 'kurt[dspy]'" in found.stderr
    kurt("workflows", "run", "ask.yaml", code=2, env=without)
    assert kurt.json("workflows", "list") == []
    assert server.arrivals == []


def test_no_answer_is_shared_between_tenants(kurt: Kurt, project: Path, server: ModelServer) -> None:
    file = write(project)
    for workspace in ("red", "blue", "red"):
        done = kurt.json("--workspace", workspace, "workflows", "run", file)
        assert done["outputs"] == {"reply": "mock_reply"}
    assert len(server.arrivals) == 2  # the third run is the first one's tenant again: its step is kept
    kurt.json("--workspace", "red", "workflows", "run", file, "--no-cache")
    assert len(server.arrivals) == 3


def test_a_step_that_takes_too_long_ends_its_call(kurt: Kurt, project: Path, server: ModelServer) -> None:
    server.script("slow", hang(300))
    file = write(project, timeout="4s")  # it takes some time to load DSPy where much else is at work
    done = kurt("workflows", "run", file, "--input", "word=slow", "--format", "json", code=1)
    assert done.json()["error"]["type"] == "StepTimeoutError"


def test_a_run_can_be_cancelled_in_the_middle_of_a_call(
    kurt: Kurt, spawn_kurt: Callable[..., Spawned], project: Path, server: ModelServer
) -> None:
    server.script("slow", hang(60))
    spawn_kurt("workflows", "run", write(project), "--input", "word=slow", "--run-id", "held")
    wait_until(lambda: len(server.arrivals) == 1, 30, what="the call")
    kurt("workflows", "cancel", "held")
    status: Any = lambda: kurt.json("workflows", "status", "held")["status"]  # noqa: E731 - one look
    wait_until(lambda: status() == "cancelled", 20, what="the end of the run")


def test_dspy_in_a_step_of_a_python_workflow(kurt: Kurt, project: Path, server: ModelServer) -> None:
    folder = project / "workflows" / "summary"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(WORKFLOW)
    done = kurt.json("workflows", "run", "summary", "--input", "text=Long ago")
    assert done["outputs"] == "mock_summary"
    (row,) = kurt.json("workflows", "stats", done["run_id"])["groups"]
    assert (row["step"], row["calls"]) == ("summarise", 1)
    assert (row["tokens_in"], row["tokens_out"]) == (
        server.arrivals[0].tokens_in,
        server.arrivals[0].tokens_out,
    )
