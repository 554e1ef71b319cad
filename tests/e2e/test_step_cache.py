"""`cache` of a step: what a later run does not do again, what it says of that, and what makes it do it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt
from tests.support.model_files import Asking
from tests.support.processes import Spawned

DOCUMENTS = 200


@pytest.fixture
def asking(kurt: Kurt) -> Iterator[Asking]:
    with ModelServer(keep_bodies=False) as server:
        yield Asking(kurt, server, f'EMBEDDING.MODEL="openai/vectors"\nEMBEDDING.BASE_URL="{server.url}"\n')


PIPELINE = """
name: flow
steps:
  - {name: read, type: python, call: "documents:read", isolate: false, output: documents}
  - name: summaries
    type: llm
    items: "${documents}"
    as: document
    prompt: "Summarise: ${document.text}"
    schema: {type: object, properties: {title: {type: string}}, required: [title]}
    concurrency: 20
    cache: 30d
  - {name: vectors, type: embed, items: "${documents}", text: "${item.text}", cache: true}
  - name: topics
    foreach: {items: "${documents[0:5] ?? documents}", as: document, key: "${document.name}"}
    steps:
      - {name: topic, type: llm, prompt: "Topic of ${document.text}", cache: true}
  - {name: report, type: llm, prompt: "Report on ${steps.summaries}", cache: {ttl: 1d}}
outputs: {titles: "${steps.summaries}", vectors: "${steps.vectors}", report: "${steps.report}"}
""".replace('"${documents[0:5] ?? documents}"', '["${documents[0]}", "${documents[1]}"]')

READ = """
from pathlib import Path

def read():
    return [{"name": file.name, "text": file.read_text()} for file in sorted(Path("documents").glob("*.md"))]
"""


def test_an_unchanged_pipeline_over_200_documents_makes_no_calls_again_and_says_so(asking: Asking) -> None:
    folder = asking.project / "documents"
    folder.mkdir()
    for number in range(DOCUMENTS):
        (folder / f"{number:03}.md").write_text(f"document <{number}> of many")
    (asking.project / "documents.py").write_text(READ)
    first = asking.outputs(PIPELINE, "--run-id", "first")
    batches = DOCUMENTS // 100
    assert len(asking.server.arrivals) == DOCUMENTS + batches + 2 + 1
    asking.server.reset()

    again = asking.run("--run-id", "second")
    assert asking.server.arrivals == []
    kept = 2 * DOCUMENTS + 2 + 1
    assert f"run second succeeded ({kept} cached, 0 model calls)" in again.stderr
    assert "step summaries cached" in again.stderr
    assert f"{DOCUMENTS} of {DOCUMENTS} items done, {DOCUMENTS} cached" in again.stderr
    second = asking.status("second")
    assert second["summary"] == {"cached": kept, "model_calls": 0}
    assert asking.kurt.json("workflows", "stats", "second")["total"].get("calls", 0) == 0
    states = {path: step["status"] for path, step in asking.steps("second").items()}
    assert {name: states[name] for name in ("read", "summaries", "vectors", "report")} == {
        "read": "succeeded",
        "summaries": "cached",
        "vectors": "cached",
        "report": "cached",
    }
    log = asking.kurt("workflows", "logs", "second").stdout
    assert f"[summaries] {DOCUMENTS} rows, {DOCUMENTS} cached, 0 model calls" in log
    assert asking.kurt.json("workflows", "wait", "second")["outputs"] == first

    (folder / "007.md").write_text("another text <7>")
    third = asking.run("--run-id", "third", "--format", "json").json()
    asked = sorted(one.prompt for one in asking.server.arrivals)
    assert asked[0].startswith("Report on ")
    assert asked[1:] == ["Summarise: another text <7>", "another text <7>"]
    assert third["summary"] == {"cached": kept - 3, "model_calls": 3}


WORK = """
name: flow
inputs: {number: 1, other: 1}
env: {FILE: marks}
secrets: [TOKEN]
steps:
  - name: work
    type: run
    command: [sh, -c, 'echo "$NUMBER" >> "$FILE"; echo "done $NUMBER $TOKEN"']
    env: {NUMBER: "${number}"}
    cache: CACHE
outputs: {said: "${steps.work.stdout}"}
"""


def marks(asking: Asking) -> list[str]:
    file = asking.project / "marks"
    return file.read_text().split() if file.exists() else []


def work(asking: Asking, cache: str, *words: str, **inputs: Any) -> Any:
    return asking.outputs(WORK.replace("CACHE", cache), *words, inputs=inputs)["said"]


def test_any_kind_of_step_is_kept_by_its_inputs(asking: Asking) -> None:
    (asking.project / ".env").write_text("TOKEN=s3cr3t-token\n")
    assert work(asking, "true", number=1) == "done 1 ***"
    assert work(asking, "true", number=1, other=2) == "done 1 ***"
    assert marks(asking) == ["1"]
    work(asking, "true", number=2)
    assert marks(asking) == ["1", "2"]
    work(asking, "true", "--no-cache", number=2)
    assert marks(asking) == ["1", "2", "2"]
    work(asking, "true", "--workspace", "w2", number=2)
    assert marks(asking) == ["1", "2", "2", "2"]
    stored = repr(asking.stored("SELECT * FROM step_cache"))
    assert "s3cr3t" not in stored
    assert "done 2" in stored
    removed = asking.kurt("gc", "--cache").stdout
    assert "3 kept values" in removed
    assert asking.stored("SELECT count(*) FROM step_cache") == [(0,)]


def test_a_key_a_time_and_a_change_of_the_step_decide_too(asking: Asking) -> None:
    (asking.project / ".env").write_text("TOKEN=t0ken-t0ken\n")
    key = '{key: "${other}", ttl: 10m}'
    work(asking, key, number=1)
    work(asking, key, number=2)
    assert marks(asking) == ["1"]
    work(asking, key, number=3, other=2)
    assert marks(asking) == ["1", "3"]
    asking.write(WORK.replace("CACHE", key).replace("done", "did"))
    asking.run("--input", "number=4")
    assert marks(asking) == ["1", "3", "4"]
    work(asking, "1ms", number=5)
    work(asking, "1ms", number=5)
    assert marks(asking)[3:] == ["5", "5"]
    work(asking, "false", number=5)
    assert marks(asking)[3:] == ["5", "5", "5"]
    asking.kurt("gc")
    assert asking.stored("SELECT count(*) FROM step_cache") == [(3,)]


ASK = (
    'name: flow\nsteps: [{name: ask, type: llm, prompt: "x", cache: true}]\noutputs: {said: "${steps.ask}"}\n'
)


def test_another_model_is_asked_and_a_worker_keeps_too(
    asking: Asking, spawn_kurt: Callable[..., Spawned], project: Path
) -> None:
    asking.outputs(ASK)
    asking.outputs(ASK)
    assert len(asking.server.arrivals) == 1
    config = project / "kurt.config"
    config.write_text(config.read_text().replace("openai/fake", "openai/newer"))
    asking.outputs(ASK)
    assert [one.model for one in asking.server.arrivals] == ["fake", "newer"]
    (project / ".env").write_text("OPENAI_API_KEY=a-key\n")
    spawn_kurt("worker", "start")
    run = asking.kurt.json("workflows", "run", "flow.yaml", "--background")["run_id"]
    done = asking.kurt.json("workflows", "wait", run, "--timeout", "60s", limit=90)
    assert done["summary"] == {"cached": 1, "model_calls": 0}
    assert len(asking.server.arrivals) == 2


ODD = r"""
name: flow
steps:
  - {name: odd, type: script, code: 'result = {"text": "nul \\0 and \\ud800", "number": 1.5}', cache: true}
  - {name: ask, type: llm, items: [a, b, c], prompt: "<${item}>", cache: 1h}
outputs: {text: "${steps.odd.number}", rows: "${steps.ask}"}
"""


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
@pytest.mark.usefixtures("url")
def test_values_are_kept_on_postgres(asking: Asking) -> None:
    first = asking.outputs(ODD, "--run-id", "first")
    assert asking.outputs(ODD, "--run-id", "second") == first
    assert len(asking.server.arrivals) == 3
    assert asking.status("second")["summary"] == {"cached": 4, "model_calls": 0}
    assert {path: step["status"] for path, step in asking.steps("second").items()} == {
        "odd": "cached",
        "ask": "cached",
    }
    assert "4 kept values" in asking.kurt("gc", "--cache").stdout
    asking.outputs(ODD)
    assert len(asking.server.arrivals) == 6


MIXED = """
name: flow
steps:
  - name: all
    parallel:
      - name: items
        foreach: {items: [1, 2]}
        steps:
          - {name: kept, type: llm, prompt: "kept ${item}", cache: true}
          - {name: fresh, type: llm, prompt: "fresh ${item}"}
      - {name: rows, type: llm, items: [1, 2, 3], prompt: "rows ${item}"}
      - {name: file, workflow: other.yaml}
"""
OTHER = """
name: other
steps:
  - {name: kept, type: embed, items: [1, 2, 3], cache: true}
  - {name: fresh, type: llm, prompt: fresh}
"""


def test_counts_of_parts_of_a_run_are_those_of_the_run(asking: Asking) -> None:
    asking.write(OTHER, "other.yaml")
    asking.write(MIXED)
    assert asking.run("--run-id", "first", "--format", "json").json()["summary"] == {}
    asking.server.reset()
    second = asking.run("--run-id", "second", "--format", "json").json()
    assert second["summary"] == {"cached": 2 + 3, "model_calls": 2 + 3 + 1}
    assert len(asking.server.arrivals) == 6
