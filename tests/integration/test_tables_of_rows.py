"""Tables of every make inside a workflow: odd cells, odd names, odd indexes, none, one and many rows; also after a crash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TID253 - a test of it
import polars as pl
import pyarrow as pa
import pytest
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep, run_workflow


class Out(BaseModel):
    status: str
    idx: int
    error: float | None = None
    ok: bool = True
    state: str = "mine"
    value: list[int] = []


def answer(prompt: str) -> Out:
    if "bad" in prompt:
        raise ValueError("no answer")
    return Out(status=prompt, idx=len(prompt), value=[1, 2])


odd = LLMStep(
    name="odd",
    input_columns=["text", "number"],
    prompt_template='{{"t": "{text}"}} {number}',
    output_schema=Out,
    llm_fn=answer,
)
NAMES = ["text", "number", "status", "idx", "error", "ok", "state", "value", "odd_status", "odd_error"]
KINDS = ["pandas", "polars", "arrow", "rows"]
MANY = 20_000


def table(kind: str, length: int) -> Any:
    """A table with an empty cell, one that says it is bad, braces, and numbers of which one is none."""
    texts: list[str | None] = ["a", "bad", None, "{text} {{0}}"][:length]
    numbers = [1.5, 2.0, float("nan"), 4.0][:length]
    if kind == "pandas":
        return pd.DataFrame({"text": texts, "number": numbers}, index=[7, 7, 8, 7][:length])
    if kind == "polars":
        return pl.DataFrame(
            {"text": texts, "number": numbers}, schema={"text": pl.String, "number": pl.Float64}
        )
    if kind == "arrow":
        return pa.table({"text": pa.array(texts, pa.string()), "number": pa.array(numbers, pa.float64())})
    return [{"text": text, "number": number} for text, number in zip(texts, numbers, strict=True)]


def rows_of(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, pd.DataFrame):
        return found.astype(object).where(found.notna(), None).to_dict("records")
    if isinstance(found, pl.DataFrame):
        return found.to_dicts()
    return found.to_pylist() if isinstance(found, pa.Table) else found


@DBOS.workflow(name="tables.odd")
def odd_workflow(kind: str, length: int) -> dict[str, Any]:
    given = table(kind, length)
    found = odd.run(given)
    assert type(found) is type(given)
    if kind == "pandas":
        assert list(found.index) == list(given.index)
    rows = rows_of(found)
    columns = (
        list(rows[0])
        if kind == "rows" and rows
        else list(getattr(found, "column_names", None) or getattr(found, "columns", []))
    )
    return {
        "columns": columns,
        "states": [row["odd_status"] for row in rows],
        "errors": [row["odd_error"] for row in rows],
        "answers": [row["status"] for row in rows],
        "lengths": [None if row["idx"] is None else int(row["idx"]) for row in rows],
        "values": [None if row["value"] is None else list(row["value"]) for row in rows],
    }


EXPECTED = {
    "columns": NAMES,
    "states": ["success", "error", "success", "success"],
    "errors": [None, "no answer", None, None],
    "answers": ['{"t": "a"} 1.5', None, '{"t": ""} ', '{"t": "{text} {{0}}"} 4.0'],
    "lengths": [14, None, 10, 25],
    "values": [[1, 2], None, [1, 2], [1, 2]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_odd_cells_and_names_are_kept_apart_from_what_is_stored_of_rows(
    kind: str, tmp_kurt_project: Path
) -> None:
    assert run_workflow(odd_workflow, kind, 4) == EXPECTED


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_and_no_row(kind: str, tmp_kurt_project: Path) -> None:
    one = run_workflow(odd_workflow, kind, 1)
    assert (one["states"], one["answers"], one["columns"]) == (["success"], ['{"t": "a"} 1.5'], NAMES)
    none = run_workflow(odd_workflow, kind, 0)
    assert none["states"] == []
    assert none["columns"] == ([] if kind == "rows" else NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_crash_the_table_is_the_same(
    kind: str, tmp_kurt_project: Path, crash_after: Callable[..., Any]
) -> None:
    assert crash_after("odd[2]", odd_workflow, kind, 4).resume() == EXPECTED


MEMORY = """
import pathlib
import resource
import sys

import pandas as pd
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep, destroy_dbos, init_dbos, run_workflow


class Out(BaseModel):
    status: str
    length: int


async def answer(prompt):
    return Out(status="x" * 600, length=len(prompt))


step = LLMStep(name="many", input_columns=["text"], prompt_template="{text}", output_schema=Out, llm_fn=answer, concurrency=50)


@DBOS.workflow()
def many_workflow(count):
    found = step.run(pd.DataFrame({"text": [f"text {number}" for number in range(count)]}))
    return int((found["many_status"] == "success").sum())


def peak():
    # On Linux what getrusage says begins with the peak of the process that started this one.
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 // 1024


init_dbos(queues=())
for count in map(int, sys.argv[1:]):
    assert run_workflow(many_workflow, count) == count
    print(peak())
destroy_dbos()
"""


@pytest.mark.timeout(240)
def test_memory_stays_flat_over_many_rows(tmp_project: Path) -> None:
    (tmp_project / "many.py").write_text(MEMORY)
    done = subprocess.run(
        [sys.executable, "many.py", "2000", str(MANY)],
        cwd=tmp_project,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    few, many = map(int, done.stdout.split())
    assert many < 300, f"{many} MB for {MANY} rows, {few} MB for 2,000"
