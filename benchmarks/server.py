"""The fake model server as a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass

from benchmarks.measure import python
from benchmarks.workspace import Bench


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    Attributes:
        url: its address for `LLM.BASE_URL`.
    """

    url: str

    def arrived(self) -> int:
        """Calls that have reached it."""
        address = f"{self.url.removesuffix('/v1')}/kurt/counts"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["arrived"]


@contextlib.contextmanager
def model_server(bench: Bench, *, latency: float = 0.0) -> Generator[Server]:
    """A server that takes so many seconds for each answer, while the block runs."""
    process = subprocess.Popen(
        python("-m", "kurt.testing.model_server", "--latency", str(latency)),
        cwd=bench.root,
        env=bench.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Server(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.communicate()
