"""Workflows that send rows to a function in place of a model, which leaves a mark before and after each call."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

MODULE = """
import asyncio
import os
import time
from pathlib import Path

from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep

MARKS = Path({marks!r})


class Out(BaseModel):
    status: str = ""
    length: int = 0


def mark(what, prompt):
    file = os.open(MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{{what}} {{prompt}}\\n".encode())
    os.close(file)


def answer(prompt):
    if (MARKS.parent / f"fail-{{prompt}}").exists():
        raise ValueError(f"no answer to {{prompt}}")
    mark("end", prompt)
    return Out(status=prompt, length=len(prompt)), {{"tokens_in": 2, "tokens_out": 1, "cost": 0.5}}


def call(prompt):
    mark("begin", prompt)
    time.sleep({seconds})
    return answer(prompt)


async def call_async(prompt):
    mark("begin", prompt)
    await asyncio.sleep({seconds})
    return answer(prompt)


def make(function):
    return LLMStep(name="ask", input_columns=["content"], prompt_template="{{content}}", output_schema=Out,
                   llm_fn=function, concurrency={concurrency})


step, step_async = make(call), make(call_async)


def table(count):
    return [{{"content": f"row{{number}}"}} for number in range(count)]


def summary(rows):
    assert all(row["status"] == row["content"] for row in rows if row["ask_status"] == "success")
    return {{"rows": len(rows), "good": sum(row["ask_status"] == "success" for row in rows),
            "errors": [row["ask_error"] for row in rows if row["ask_error"]]}}


@DBOS.step()
def after(count):
    mark("after", count)
    return count


@DBOS.workflow()
def rows_workflow(count):
    found = summary(step.run(table(count)))
    after(found["good"])
    return found


@DBOS.workflow()
async def rows_async(count):
    found = summary(await step_async.run_async(table(count)))
    after(found["good"])
    return found


@DBOS.workflow()
async def rows_twice(count):
    first, second = await asyncio.gather(step_async.run_async(table(count)), step.run_async(table(count)))
    return {{"rows": len(first) + len(second)}}
"""


def furnish(project: Path, *, seconds: float = 0.0, concurrency: int = 10) -> Path:
    """Put the workflows `rows` and `rows_async` into a project; the file of marks.

    Args:
        project: the project's folder.
        seconds: how long a call takes.
        concurrency: calls at once.
    """
    marks = project / "marks"
    folder = project / "workflows" / "rows"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "workflow.py").write_text(
        MODULE.format(marks=str(marks), seconds=seconds, concurrency=concurrency)
    )
    return marks


def counted(marks: Path, what: str) -> Counter[str]:
    """How often each call has begun, or ended."""
    if not marks.exists():
        return Counter()
    lines = (line.split(" ", 1) for line in marks.read_text().splitlines())
    return Counter(rest for first, rest in lines if first == what)


def traces(project: Path, url: str | None = None) -> list[dict[str, Any]]:
    """All rows of `llm_traces` of a project, on SQLite without an address."""
    query = "SELECT * FROM llm_traces ORDER BY started_at"
    if url is not None:
        with psycopg.connect(url) as server, server.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode()).fetchall()
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def copied(template: Path, project: Path) -> Path:
    """A copy of a project, for tests that share one."""
    shutil.copytree(template, project)
    return project
