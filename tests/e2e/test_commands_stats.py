"""`kurt workflows stats`, and the flags that show one tenant's runs and calls alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kurt.config import load_settings
from kurt.core.llm_tracer import LLMTracer
from kurt.core.tracing import TraceRow, TraceWriter
from tests.support.cli import Kurt
from tests.support.environment import child_environment

FILE = "name: none\nsteps: [{name: s, type: emit, stream: x, value: 1}]\n"


@pytest.fixture
def runs(kurt: Kurt, project: Path) -> dict[str, str]:
    """Two runs in two workspaces, each with calls of models."""
    (project / "workflows" / "none.yaml").write_text(FILE)
    words = ("workflows", "run", "workflows/none.yaml")
    found = {
        "w1": kurt.json("--workspace", "w1", "--user", "ann", *words)["run_id"],
        "w2": kurt.json(*words, "--workspace", "w2")["run_id"],
    }
    writer = TraceWriter(load_settings(project, environ={}))
    for workspace, run_id in found.items():
        for number in range(2):
            writer.finished_sync(
                TraceRow(
                    run_id=run_id, step="extract", row=number, state="succeeded", started_at=time.time(),
                    request_model="openai/m", response_model="m", tokens_in=1000, tokens_out=50,
                    cost=0.0125, currency="USD", latency_ms=1500.0, workspace_id=workspace,
                    prompt="what?", response="this",
                )
            )  # fmt: skip
        writer.finished_sync(
            TraceRow(
                run_id=run_id, step="extract", state="failed", attempt=7, started_at=time.time(),
                request_model="openai/m", error_type="rate_limited", workspace_id=workspace,
            )
        )  # fmt: skip
    writer.finished_sync(
        TraceRow(
            run_id=found["w2"], step="judge", state="succeeded", started_at=time.time(), tokens_in=5,
            tokens_out=5, workspace_id="w2", prompt="what?", response="this",
        )
    )  # fmt: skip
    writer.close()
    return found


def test_the_calls_of_a_run(kurt: Kurt, runs: dict[str, str]) -> None:
    found = kurt.json("workflows", "stats", runs["w2"])
    assert found["run_id"] == runs["w2"]
    assert found["by"] == ["step", "model"]
    total = found["total"]
    assert (total["calls"], total["succeeded"], total["failed"], total["unpriced"]) == (4, 3, 1, 1)
    assert (total["tokens_in"], total["tokens_out"], total["cost"]) == (2005, 105, 0.025)
    assert [(group["step"], group["model"], group["calls"]) for group in found["groups"]] == [
        ("extract", "openai/m", 3),
        ("judge", None, 1),
    ]
    (only,) = kurt.json("workflows", "stats", runs["w2"], "--by", "run", "--step", "judge")["groups"]
    assert (only["run"], only["calls"], only["cost"]) == (runs["w2"], 1, None)
    assert kurt.json("workflows", "stats", "--since", "2h", "--until", "1h")["total"]["calls"] == 0


def test_stats_for_people(kurt: Kurt, runs: dict[str, str]) -> None:
    lines = kurt("workflows", "stats", runs["w2"]).lines
    assert lines[0].split() == [
        "STEP",
        "MODEL",
        "CALLS",
        "FAILED",
        "CACHED",
        "TOKENS",
        "IN",
        "TOKENS",
        "OUT",
        "SECONDS",
        "COST",
        "$",
    ]
    assert lines[1].split() == ["extract", "openai/m", "3", "1", "0", "2000", "100", "1.50", "0.0250"]
    assert lines[2].split() == ["judge", "-", "1", "0", "0", "5", "5", "1", "unpriced"]
    assert lines[3].split() == ["total", "4", "1", "0", "2005", "105", "1.50", "0.0250", "+", "1", "unpriced"]
    assert kurt("workflows", "stats", "--step", "none").lines == ["no calls of models"]


def test_one_tenant_never_sees_anothers(kurt: Kurt, runs: dict[str, str]) -> None:
    assert kurt.json("workflows", "stats")["total"]["calls"] == 7
    assert kurt.json("--workspace", "w1", "workflows", "stats")["total"]["calls"] == 3
    assert kurt.json("workflows", "stats", "--workspace", "w2")["total"]["calls"] == 4
    assert kurt.json("workflows", "stats", "--user", "nobody")["total"]["calls"] == 0
    listed = kurt.json("--workspace", "w1", "workflows", "list")
    assert [(run["run_id"], run["user_id"], run["workspace_id"]) for run in listed] == [
        (runs["w1"], "ann", "w1")
    ]
    assert [run["run_id"] for run in kurt.json("--user", "ann", "workflows", "list")] == [runs["w1"]]
    for words in (["status"], ["steps"], ["logs"], ["stats"], ["events"], ["result"], ["retry"], ["delete"]):
        kurt("--workspace", "w1", "workflows", *words, runs["w2"], code=3)
    assert len(kurt.json("workflows", "list")) == 2


@pytest.mark.parametrize("words", [("workflows", "delete"), ("gc", "--keep-count", "0")])
def test_a_deleted_run_leaves_what_it_cost_and_nothing_that_was_said(
    kurt: Kurt, project: Path, runs: dict[str, str], words: tuple[str, ...]
) -> None:
    kurt("--workspace", "w1", *words, *([runs["w1"]] if words[1] == "delete" else []))
    assert [run["run_id"] for run in kurt.json("workflows", "list")] == [runs["w2"]]
    found = LLMTracer(load_settings(project, environ={})).query()
    said = {(trace["run_id"], trace["prompt"], trace["response"]) for trace in found}
    assert said == {
        (runs["w1"], None, None),
        (runs["w2"], "what?", "this"),
        (runs["w2"], None, None),  # the call that failed
    }
    assert kurt.json("workflows", "stats")["total"]["calls"] == 7


def test_stats_load_neither_dbos_nor_sqlalchemy(home: Path, project: Path, runs: dict[str, str]) -> None:
    code = (
        "import atexit, sys; heavy = {'dbos', 'sqlalchemy', 'sqlmodel', 'pydantic', 'asyncio'}\n"
        "atexit.register(lambda: sys.stderr.write(repr(sorted(heavy & set(sys.modules)))))\n"
        f"sys.argv = ['kurt', 'workflows', 'stats', {runs['w1']!r}]\n"
        "from kurt.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=child_environment(home), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]"
