"""Two runs in two tenants at the same time: their listings, figures, stored answers and budgets never cross."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt

MODULE = """
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep, step_log
from kurt.llm.budget import Budget


class Out(BaseModel):
    answer: str


@DBOS.workflow()
def shared_workflow(topic, count, tokens=None):
    budget = None if tokens is None else Budget(tokens=tokens, scope="workspace", on_spent="partial")
    step = LLMStep(name="ask", input_columns=["content"], prompt_template="Tell of {content}", output_schema=Out,
                   model="openai/fake", concurrency=5, cache=True, budget=budget)
    step_log(f"asking about {topic}")
    table = step.run([{"content": f"<{topic} {number}>"} for number in range(count)])
    return [row["ask_status"] for row in table]
"""

COUNT = 30


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(latency=0.05, keep_bodies=False) as server:
        yield server


@pytest.fixture
def asking(kurt: Kurt, project: Path, server: ModelServer, url: str | None) -> Kurt:
    """The project with a workflow that asks the server, keeps its answers, and may have a budget of its workspace."""
    del url  # it has told the commands where the database is
    folder = project / "workflows" / "shared"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(MODULE)
    with (project / "kurt.config").open("a") as config:
        config.write(f'\nLLM.BASE_URL="{server.url}"\nLLM.PRICES="openai/fake=1000/2000"\n')
    kurt.environ["OPENAI_API_KEY"] = "a-key"
    return kurt


def words(workspace: str, topic: str, run_id: str, *more: str) -> list[str]:
    inputs = ["--input", f"topic={topic}", "--input", f"count={COUNT}", *more]
    return ["--workspace", workspace, "workflows", "run", "shared", *inputs, "--run-id", run_id]


def scoped(kurt: Kurt, workspace: str, *given: str) -> Any:
    return kurt.json("--workspace", workspace, "workflows", *given)


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_nothing_of_one_tenant_is_seen_or_paid_by_the_other(asking: Kurt, server: ModelServer) -> None:
    both = [asking.spawn(*words(name, "tea", f"run-{name}")) for name in ("ann", "bob")]
    assert [process.wait(60) for process in both] == [0, 0], [process.stderr for process in both]

    assert server.counts()["arrived"] == 2 * COUNT  # the same questions: nobody got the other's answers
    for name, other in (("ann", "bob"), ("bob", "ann")):
        assert [run["run_id"] for run in scoped(asking, name, "list")] == [f"run-{name}"]
        total = scoped(asking, name, "stats")["total"]
        assert (total["calls"], total["succeeded"], total["cache_hits"]) == (COUNT, COUNT, 0)
        for command in ("status", "steps", "events", "logs", "stats"):
            asking("--workspace", name, "workflows", command, f"run-{other}", code=3)
        asking("--workspace", name, "workflows", "stream", f"run-{other}", "logs", code=3)
    groups = asking.json("workflows", "stats", "--by", "workspace")["groups"]
    assert sorted((group["workspace"], group["calls"]) for group in groups) == [
        ("ann", COUNT),
        ("bob", COUNT),
    ]
    assert sum(group["tokens_in"] for group in groups) == server.counts()["tokens_in"]

    again = asking.json(*words("ann", "tea", "again"))
    assert again["outputs"] == ["success"] * COUNT
    assert server.counts()["arrived"] == 2 * COUNT
    assert scoped(asking, "ann", "stats", "again")["total"]["cache_hits"] == COUNT

    spent = groups[0]["tokens_in"] + groups[0]["tokens_out"]
    limit = ["--input", f"tokens={spent}"]
    refused = asking.json(*words("ann", "snow", "refused", *limit))
    assert set(refused["outputs"]) == {"skipped"}
    assert server.counts()["arrived"] == 2 * COUNT
    fresh = asking.json(*words("cy", "snow", "fresh", *limit))
    assert fresh["outputs"].count("success") > 0
