"""The workflow files that the founding documents show run as they are written there.

The examples are read from the documents where these lie beside the project, and nothing is copied from them. What they
call from outside is stood in for by commands and a step kind of the test's own project.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli import Kurt

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)

CONTENT = """
import click
from kurt.cli.command import group

@group("content")
def content():
    "Content, as far as the example needs it."

@content.command("fetch")
@click.option("--url", required=True)
def fetch(url):
    "Pretend to fetch a page."
    return {"url": url, "title": "A page", "content": "words"}
"""

INTEGRATIONS = """
from kurt.cli.command import group

@group("integrations")
def integrations():
    "Integrations, as far as the example needs them."

@integrations.group("research")
def research():
    "Research."

@research.command("reddit")
def reddit():
    "Pretend to look for questions."
    return [{"question": "What is ${durable} 'execution'?", "score": 3}, {"question": "Why?", "score": 1}]
"""

DSPY = '''
from typing import Any

from kurt.engine.kinds import Fields, StepContext, StepKind


class DspyFields(Fields):
    signature: str
    inputs: dict[str, Any] = {}


class Dspy(StepKind):
    """Stands in for a model: says what it was asked."""

    type = "dspy"
    Model = DspyFields

    def execute(self, fields: DspyFields, context: StepContext) -> Any:
        return {"signature": fields.signature, "asked": fields.inputs}
'''


def examples() -> list[str]:
    """The workflow files in the founding document about workflows."""
    (document,) = SEEDS.glob("001_*.txt")
    return _BLOCK.findall(document.read_text(encoding="utf-8"))


@pytest.fixture
def stand_ins(project: Path, kurt: Kurt) -> Kurt:
    if not SEEDS.is_dir():
        pytest.skip(f"the founding documents are not beside this project (looked for {SEEDS})")
    for name, code in (
        ("commands/content.py", CONTENT),
        ("commands/integrations.py", INTEGRATIONS),
        ("steps/dspy.py", DSPY),
    ):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(code, encoding="utf-8")
    return kurt


def run(kurt: Kurt, number: int) -> tuple[dict[str, Any], list[dict[str, Any]], list[Any]]:
    """Check and run an example as it stands: its run, its steps as they are written, and their values."""
    text = examples()[number]
    written = yaml.safe_load(text)
    file = kurt.project / f"example-{number}.yaml"
    file.write_text(text, encoding="utf-8")
    assert kurt.json("workflows", "validate", file.name) == []
    done = kurt.json("workflows", "run", file.name)
    assert (done["name"], done["status"]) == (written["name"], "succeeded")
    steps = kurt.json("workflows", "steps", done["run_id"], "--values")
    assert [step["status"] for step in steps] == ["succeeded"] * len(written["steps"])
    return done, written["steps"], [step["value"] for step in steps]


def test_the_first_example(stand_ins: Kurt) -> None:
    _, (step,), (fetched,) = run(stand_ins, 0)
    assert fetched == {**step["args"], "title": "A page", "content": "words"}


def test_the_second_example(stand_ins: Kurt) -> None:
    _, (_, asked, write), (questions, answer, written) = run(stand_ins, 1)
    assert questions[0]["question"] == "What is ${durable} 'execution'?"
    assert answer == {"signature": asked["signature"], "asked": {"questions": questions}}
    output = write["args"]["output"]
    assert written["path"].endswith(output)
    assert stand_ins.json("workflows", "read", output) == answer


def test_the_document_has_no_other_example(stand_ins: Kurt) -> None:
    del stand_ins
    assert len(examples()) == 2
