"""A project whose workflow asks the fake model server for each row."""

from __future__ import annotations

from pathlib import Path

from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt

MODULE = """
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep
from kurt.llm.budget import Budget
from kurt.llm.retry import RetryPolicy


class Out(BaseModel):
    answer: str
    score: int


def make(budget):
    return LLMStep(name="ask", input_columns=["content"], prompt_template="Tell of {{content}}", output_schema=Out,
                   model="openai/fake", concurrency={concurrency}, params={{"timeout": {timeout}}}, budget=budget,
                   retry=RetryPolicy(attempts=3, reasks=1, first_delay=0.05))


@DBOS.workflow()
def asking_workflow(count, usd=0.0, on_spent="fail"):
    budget = Budget(usd=usd, on_spent=on_spent) if usd else None
    table = make(budget).run([{{"content": f"<{{number}}>"}} for number in range(count)])
    return {{
        "states": {{row["content"]: row["ask_status"] for row in table if row["ask_status"] != "success"}},
        "errors": {{row["content"]: row["ask_error"] for row in table if row["ask_error"]}},
        "rows": len(table),
    }}
"""


def furnish(
    kurt: Kurt, server: ModelServer, *, concurrency: int = 10, timeout: float = 5.0, prices: str = ""
) -> None:
    """Put the workflow `asking` into a project and let its model be the server.

    Args:
        kurt: the commands of the project.
        server: the server.
        concurrency: calls at once.
        timeout: seconds for a call.
        prices: dollars per million tokens of prompt and answer, as `1/2`; unknown by default.
    """
    folder = kurt.project / "workflows" / "asking"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(MODULE.format(concurrency=concurrency, timeout=timeout))
    with Path(kurt.project, "kurt.config").open("a") as config:
        config.write(f'\nLLM.BASE_URL="{server.url}"\n')
        if prices:
            config.write(f'LLM.PRICES="openai/fake={prices}"\n')
    kurt.environ["OPENAI_API_KEY"] = "a-key"
