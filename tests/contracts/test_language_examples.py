"""The examples of the founding documents, where these lie beside the project, are valid as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kurt.engine.language.jsonschema import workflow_schema
from kurt.engine.language.parser import load_workflow
from kurt.engine.language.source import read_source
from kurt.engine.registry import kinds

SHARED = Path(__file__).parents[2].parent / "shared"
SIGNATURES = '''
import dspy


class AnalyzeQuestions(dspy.Signature):
    """What the example's own project would have."""

    questions: list[dict] = dspy.InputField()
    clusters: list[str] = dspy.OutputField()
'''


def examples() -> list[str]:
    """The workflow files in the documents."""
    documents = [*sorted((SHARED / "seeds").glob("001*.txt")), SHARED / "design" / "workflow-language.md"]
    texts = [path.read_text(encoding="utf-8") for path in documents if path.is_file()]
    return [block for text in texts for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.mark.skipif(not examples(), reason="the founding documents are not here")
def test_examples_are_valid_as_written(tmp_path: Path) -> None:
    (tmp_path / "signatures.py").write_text(SIGNATURES)
    known = kinds(tmp_path)
    validator = Draft202012Validator(workflow_schema(known))
    assert len(examples()) >= 3
    for number, text in enumerate(examples()):
        path = tmp_path / f"example{number}.yaml"
        path.write_text(text, encoding="utf-8")
        workflow = load_workflow(path, root=tmp_path, kinds=known)
        assert workflow.warnings == ()
        assert workflow.definition.steps
        assert list(validator.iter_errors(read_source(text).value)) == []
