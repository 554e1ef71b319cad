"""A project whose workflow asks the fake model server for each row."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.support.cli import Kurt
from tests.support.environment import child_environment

MODULE = """
import asyncio

from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep
from kurt.llm.budget import Budget
from kurt.llm.limits import RateLimit
from kurt.llm.retry import RetryPolicy


class Out(BaseModel):
    answer: str
    score: int


def make(name, budget, rpm=None):
    return LLMStep(name=name, input_columns=["content"], prompt_template="Tell of {{content}}", output_schema=Out,
                   model="openai/fake", concurrency={concurrency}, params={{"timeout": {timeout}}}, budget=budget,
                   rate_limit=RateLimit(rpm) if rpm else None,
                   retry=RetryPolicy(attempts=3, reasks=1, first_delay=0.05))


def limit(usd, on_spent, scope):
    return Budget(usd=usd, on_spent=on_spent, scope=scope) if usd else None


def table(count):
    return [{{"content": f"<{{number}}>"}} for number in range(count)]


def summary(table, name="ask"):
    return {{
        "states": {{row["content"]: row[name + "_status"] for row in table if row[name + "_status"] != "success"}},
        "errors": {{row["content"]: row[name + "_error"] for row in table if row[name + "_error"]}},
        "rows": len(table),
    }}


@DBOS.workflow()
def asking_workflow(count, usd=0.0, on_spent="fail", scope="step", rpm=0):
    return summary(make("ask", limit(usd, on_spent, scope), rpm).run(table(count)))


@DBOS.workflow()
async def asking_async(count):
    return summary(await make("ask", None).run_async(table(count)))


@DBOS.workflow()
def asking_twice(count, usd=0.0, scope="run"):
    step = make("ask", limit(usd, "fail", scope))
    return [summary(step.run(table(count))), summary(make("more", step.budget).run(table(count)), "more")]


@DBOS.workflow()
async def asking_together(count, usd=0.0, scope="run"):
    budget = limit(usd, "fail", scope)
    both = [make(name, budget).run_async(table(count)) for name in ("ask", "more")]
    return [len(found) for found in await asyncio.gather(*both)]
"""


def furnish(
    kurt: Kurt, url: str, *, concurrency: int = 10, timeout: float = 5.0, prices: str = "", more: str = ""
) -> None:
    """Put the workflows `asking...` into a project and let their model be the server.

    Args:
        kurt: the commands of the project.
        url: the server's address.
        concurrency: calls at once.
        timeout: seconds for a call.
        prices: dollars per million tokens of prompt and answer, as `1/2`; unknown by default.
        more: lines of the project's settings.
    """
    folder = kurt.project / "workflows" / "asking"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(MODULE.format(concurrency=concurrency, timeout=timeout))
    own = f'LLM.PRICES="openai/fake={prices}"\n' if prices else ""
    configure(kurt, f'LLM.BASE_URL="{url}"\n{own}{more}')
    kurt.environ["OPENAI_API_KEY"] = "a-key"


def configure(kurt: Kurt, lines: str) -> None:
    """Add lines to the project's settings."""
    with Path(kurt.project, "kurt.config").open("a") as config:
        config.write(f"\n{lines}\n")


class ServerProcess:
    """The fake model server as a process of its own; a context manager.

    Attributes:
        url: its address for `LLM.BASE_URL`.

    Args:
        home: the home folder that it sees.
        latency: seconds that each answer takes.
    """

    def __init__(self, home: Path, latency: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kurt.testing.model_server", "--latency", str(latency)],
            env=child_environment(home),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def counts(self) -> dict[str, int]:
        """How many calls arrived and were answered, and the tokens of the answers."""
        return self._get("counts")

    def log(self) -> list[dict[str, Any]]:
        """All calls that arrived, in their order."""
        return self._get("log")

    def _get(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/kurt/{what}", timeout=10) as answer:
            return json.load(answer)
