"""The workflow files that the founding documents show run as they are written there.

The examples are read from the documents where these lie beside the project, and nothing is copied from them. What they
call from outside is stood in for by servers on loopback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kurt.testing.dspy_answers import written as said
from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt
from tests.support.models import configure
from tests.support.reddit import post, stand_in
from tests.support.site import Site, page

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)

POSTS = [
    post("What is ${durable} 'execution'?", votes=3, comments=1),
    post("Why?", votes=1, group="sqlite"),
]

SIGNATURES = '''
import dspy


class AnalyzeQuestions(dspy.Signature):
    """Group the questions."""

    questions: list[dict] = dspy.InputField()
    clusters: list[str] = dspy.OutputField()
'''
CLUSTERS = ["of durable execution"]


def examples() -> list[str]:
    """The workflow files in the founding document about workflows."""
    (document,) = SEEDS.glob("001_*.txt")
    return _BLOCK.findall(document.read_text(encoding="utf-8"))


@pytest.fixture
def stand_ins(project: Path, kurt: Kurt) -> Kurt:
    if not SEEDS.is_dir():
        pytest.skip(f"the founding documents are not beside this project (looked for {SEEDS})")
    (project / "signatures.py").write_text(SIGNATURES, encoding="utf-8")
    return kurt


def run(
    kurt: Kurt, number: int, replaced: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]], list[Any]]:
    """Check and run an example: its run, its steps as they are written, and their values.

    Args:
        kurt: runs commands.
        number: which example.
        replaced: what stands in for parts of its text; without, it is run as it stands.
    """
    text = examples()[number]
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    written = yaml.safe_load(text)
    file = kurt.project / f"example-{number}.yaml"
    file.write_text(text, encoding="utf-8")
    assert kurt.json("workflows", "validate", file.name) == []
    done = kurt.json("workflows", "run", file.name)
    assert (done["name"], done["status"]) == (written["name"], "succeeded")
    steps = kurt.json("workflows", "steps", done["run_id"], "--values")
    own = steps[: len(written["steps"])]  # those of runs that they started follow
    assert [step["status"] for step in own] == ["succeeded"] * len(written["steps"])
    return done, written["steps"], [step["value"] for step in own]


def test_the_first_example(stand_ins: Kurt) -> None:
    with Site({"/": page("A page")}) as site:
        address = f'"{site.url}/"\n      allow_private: true'  # the example's own server is not on loopback
        done, _, _ = run(stand_ins, 0, {'"https://example.com"': address})
    steps = stand_ins.json("workflows", "steps", done["run_id"])
    fetched = stand_ins.json("workflows", "status", steps[0]["child_run_id"])["outputs"]
    assert (fetched["title"], fetched["uri"], fetched["success_count"]) == ("A page", f"{site.url}/", 1)


def test_the_second_example(stand_ins: Kurt) -> None:
    with stand_in(POSTS) as reddit, ModelServer(answer=lambda *_: said({"clusters": CLUSTERS})) as model:
        stand_ins.environ["KURT_REDDIT__BASE_URL"] = reddit.url
        stand_ins.environ["OPENAI_API_KEY"] = "a-key"
        configure(stand_ins, f'LLM.BASE_URL="{model.url}"\nLLM.MODEL="openai/fake"')
        done, (_, _, write), (questions, answer, written) = run(stand_ins, 1)
    assert questions[0]["title"] == "What is ${durable} 'execution'?"
    (arrival,) = model.arrivals
    assert "What is ${durable} 'execution'?" in arrival.prompt
    assert stand_ins.json("workflows", "stats", done["run_id"])["total"]["tokens_in"] == arrival.tokens_in
    assert answer == {"clusters": CLUSTERS}
    output = write["args"]["output"]
    assert written["path"].endswith(output)
    assert stand_ins.json("workflows", "read", output) == answer


def test_the_document_has_no_other_example(stand_ins: Kurt) -> None:
    del stand_ins
    assert len(examples()) == 2
