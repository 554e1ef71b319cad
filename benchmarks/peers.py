"""The same rows through other tools: `python peers.py curator|docetl URL COUNT CONCURRENCY FOLDER`.

Needs nothing of Kurt, so that it runs in an environment of theirs. Each tool keeps what it has in FOLDER, and goes on from
there when it is started again. Prints a line of JSON: rows that came out, seconds, processor seconds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL = "gpt-4o-mini"
PLENTY = 1_000_000_000


def prepare(url: str) -> None:
    """Keep both from asking the network for prices and vocabularies, and from telling it anything."""
    found = importlib.util.find_spec("litellm")
    assert found is not None
    assert found.submodule_search_locations is not None
    vocabularies = Path(found.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"
    os.environ |= {
        "OPENAI_API_KEY": "none",
        "OPENAI_API_BASE": url,
        "TIKTOKEN_CACHE_DIR": str(vocabularies),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "TELEMETRY_ENABLED": "false",
    }


def curator(url: str, count: int, concurrency: int, folder: Path) -> Callable[[], int]:
    """Bespoke Curator."""
    from bespokelabs import curator as library  # pyright: ignore[reportMissingImports] - only where it is installed
    from pydantic import BaseModel

    class Out(BaseModel):
        answer: str
        score: int

    class Ask(library.LLM):  # pyright: ignore[reportUntypedBaseClass] - as above
        response_format = Out

        def prompt(self, row: dict[str, Any]) -> str:
            return f"Tell of {row['content']}"

        def parse(self, row: dict[str, Any], response: Out) -> dict[str, Any]:
            return {"content": row["content"], "answer": response.answer, "score": response.score}

    step = Ask(
        model_name=MODEL,
        backend="openai",
        backend_params={
            "base_url": url,
            "max_concurrent_requests": concurrency,
            "max_requests_per_minute": PLENTY,
            "max_tokens_per_minute": PLENTY,
        },
    )
    table = [{"content": f"<{number}>"} for number in range(count)]
    return lambda: len(step(table, working_dir=str(folder)).dataset)


def docetl(_url: str, count: int, concurrency: int, folder: Path) -> Callable[[], int]:
    """DocETL."""
    from docetl.runner import DSLRunner  # pyright: ignore[reportMissingImports] - only where it is installed

    folder.mkdir(exist_ok=True)
    source, result = folder / "in.json", folder / "out.json"
    source.write_text(json.dumps([{"content": f"<{number}>"} for number in range(count)]))
    ask = {
        "name": "ask",
        "type": "map",
        "prompt": "Tell of {{ input.content }}",
        "output": {"schema": {"answer": "string", "score": "integer"}, "mode": "structured_output"},
    }
    output = {"type": "file", "path": str(result), "intermediate_dir": str(folder / "kept")}
    config = {
        "datasets": {"rows": {"type": "file", "path": str(source)}},
        "default_model": f"openai/{MODEL}",
        "operations": [ask],
        "pipeline": {
            "steps": [{"name": "all", "input": "rows", "operations": ["ask"]}],
            "output": output,
        },
    }
    runner = DSLRunner(config, max_threads=concurrency)

    def work() -> int:
        runner.load_run_save()
        return len(json.loads(result.read_text()))

    return work


def main(tool: str, url: str, count: str, concurrency: str, folder: str) -> None:
    prepare(url)
    work = {"curator": curator, "docetl": docetl}[tool](url, int(count), int(concurrency), Path(folder))
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work()
    measured = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps({"rows": rows, **measured}))


if __name__ == "__main__":
    main(*sys.argv[1:])
