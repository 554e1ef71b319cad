"""Rows through Kurt and through other tools that send tables to models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases.rows import CONCURRENCY, LATENCY, ROWS, measured_rows
from benchmarks.registry import Figure, benchmark
from benchmarks.server import Server, model_server
from benchmarks.workspace import KURT, REPOSITORY, Bench

PEERS = {"curator": ("Bespoke Curator", "bespokelabs.curator"), "docetl": ("DocETL", "docetl")}
"""Tools by name: what people call them, and the module by which they are found."""

INTERPRETER = "BENCH_PEERS"
"""Variable that names the Python in whose environment they are; their pins fit beside few others."""

WORKFLOW = """
from dbos import DBOS
from pydantic import BaseModel

from kurt.core import LLMStep


class Out(BaseModel):
    answer: str
    score: int


step = LLMStep(name="ask", input_columns=["content"], prompt_template="Tell of {{content}}", output_schema=Out,
               model="openai/fake", concurrency={concurrency})


@DBOS.workflow()
def batch_workflow(count):
    return len(step.run([{{"content": number}} for number in range(count)]))
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool came to.

    Attributes:
        wall: milliseconds on the clock for a row.
        cpu: milliseconds of processor time for a row.
        repeats: calls made twice because the process was killed halfway.
    """

    wall: float
    cpu: float
    repeats: int


@benchmark("peers")
def peers(bench: Bench) -> list[Figure]:
    """1,000 rows of 20 ms calls, and the same killed halfway: Kurt beside Bespoke Curator and DocETL, where installed."""
    interpreter = os.environ.get(INTERPRETER, sys.executable)
    with model_server(bench, latency=LATENCY) as server:
        found = {"kurt": _kurt(bench, server)}
        for tool, (shown, module) in PEERS.items():
            if _is_installed(interpreter, module):
                found[tool] = _peer(bench, server, interpreter, tool)
            else:
                said = f"{shown} is not installed in {interpreter}; {INTERPRETER} may name another Python"
                print(f"peers: {said}", file=sys.stderr, flush=True)
    repeats = Figure(
        what="calls repeated after kill -9 in 1,000 rows",
        value=found["kurt"].repeats,
        unit="calls",
        budget=CONCURRENCY,
        detail={tool: result.repeats for tool, result in found.items()},
    )
    return [repeats, *(one for tool in found if tool != "kurt" for one in _ratios(found, tool))]


def _ratios(found: dict[str, Result], tool: str) -> list[Figure]:
    kurt, other = found["kurt"], found[tool]
    pairs = {"wall": (kurt.wall, other.wall), "CPU": (kurt.cpu, other.cpu)}
    return [
        Figure(
            what=f"1,000 rows, {what} of a row",
            value=mine / theirs,
            unit="x",
            budget=1.0,
            against=PEERS[tool][0],
            detail={"kurt_ms": mine, f"{tool}_ms": theirs},
        )
        for what, (mine, theirs) in pairs.items()
    ]


def _kurt(bench: Bench, server: Server) -> Result:
    found = measured_rows(bench, server)
    bench.write("workflows/batch/__init__.py", "")
    bench.write("workflows/batch/workflow.py", WORKFLOW.format(concurrency=CONCURRENCY))
    start = [KURT, "workflows", "run", "batch", "--input", f"count={ROWS}", "--run-id", "killed"]
    repeats = _killed(bench, server, start, [KURT, "workflows", "resume", "killed"])
    return Result(1000 / found["rows_per_s"], found["cpu_ms_per_row"], repeats)


def _peer(bench: Bench, server: Server, interpreter: str, tool: str) -> Result:
    def words(folder: str) -> list[str]:
        script = str(REPOSITORY / "benchmarks" / "peers.py")
        return [interpreter, script, tool, server.url, str(ROWS), str(CONCURRENCY), str(bench.root / folder)]

    before = server.arrived()
    found = json.loads(_done(bench, words(tool), home=tool).splitlines()[-1])
    if found["rows"] != ROWS or server.arrived() - before < ROWS:
        raise RuntimeError(f"{tool} gave {found['rows']} rows by {server.arrived() - before} calls")
    repeats = _killed(bench, server, words(f"{tool}-killed"), words(f"{tool}-killed"), home=f"{tool}-killed")
    return Result(found["wall_s"] * 1000 / ROWS, found["cpu_s"] * 1000 / ROWS, repeats)


def _killed(bench: Bench, server: Server, start: list[str], again: list[str], *, home: str = ".") -> int:
    """Kill a batch when half of its calls have arrived, let it go on; the calls that were made twice."""
    before = server.arrived()
    with subprocess.Popen(
        start,
        cwd=bench.root,
        env=_environ(bench, home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while server.arrived() - before < ROWS // 2:
            if process.poll() is not None:
                raise RuntimeError(f"{start} ended with {process.returncode} before it could be killed")
            time.sleep(0.002)
        process.kill()
    _done(bench, again, home=home)
    return server.arrived() - before - ROWS


def _done(bench: Bench, words: list[str], *, home: str = ".") -> str:
    done = subprocess.run(
        words, cwd=bench.root, env=_environ(bench, home), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _environ(bench: Bench, home: str) -> dict[str, str]:
    """The environment of a process with a home folder of its own: some tools keep answers there."""
    folder = bench.root / home
    folder.mkdir(exist_ok=True)
    return {**bench.environ, "HOME": str(folder)}


def _is_installed(interpreter: str, module: str) -> bool:
    code = f"import importlib.util as u; raise SystemExit(u.find_spec({module.partition('.')[0]!r}) is None)"
    return (
        Path(interpreter).exists() and not subprocess.run([interpreter, "-c", code], check=False).returncode
    )
