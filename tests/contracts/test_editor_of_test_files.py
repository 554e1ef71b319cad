"""An editor with the YAML extension completes and explains the keys of a test file, by the schema that `kurt init` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kurt.engine.cases.jsonschema import case_schema
from tests.support.yaml_editor import VARIABLE, Editor, language_server

ROOT = Path(__file__).parents[2]
DEFINITIONS = {"": case_schema(), **case_schema()["$defs"]}

PLACES = {
    "": "cases: [{name: a}]\n|",
    "CaseSpec": "cases:\n  - name: a\n    |",
    "MockSpec": "cases:\n  - name: a\n    mocks:\n      |",
    "ModelMock": "mocks:\n  models:\n    - answer: a\n      |",
    "StepMock": "mocks:\n  steps:\n    fetch:\n      |",
    "Failure": "mocks:\n  models:\n    - error:\n        |",
    "Expectation": "cases:\n  - name: a\n    expect:\n      |",
    "StepExpectation": "cases:\n  - name: a\n    expect:\n      steps:\n        fetch:\n          |",
}
"""Where the keys of a definition are written, `|` being the cursor."""


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    program = language_server()
    if program is None:
        pytest.skip(
            "asks the YAML language server of editors, which is not installed: "
            f"npm install -g yaml-language-server, or name it in {VARIABLE}"
        )
    with Editor(program, ROOT / "docs" / "reference" / "kurt-test.schema.json") as editor:
        yield editor


def test_every_definition_has_its_place() -> None:
    # What is in `attempts` of a mocked step cannot be offered: a mock may be any mapping, with keys of these names too.
    assert PLACES.keys() == DEFINITIONS.keys() - {"Outcome"}


@pytest.mark.parametrize("name", PLACES)
def test_every_key_is_offered_with_what_it_means(editor: Editor, name: str) -> None:
    before, _, after = PLACES[name].partition("|")
    editor.show("new.yaml", f"{before}{after}\n")
    editor.faults("new.yaml")  # it has read the file
    offers = editor.offers("new.yaml", before.count("\n"), len(before.rpartition("\n")[2]))
    written = set(re.findall(r"^[ -]*(\w+):", before, re.MULTILINE)) | ({"cases"} if not name else set())
    wanted = DEFINITIONS[name]["properties"].keys() - written
    assert wanted <= offers.keys()
    assert all(offers[key] for key in wanted), "a key is offered without a word on it"


def test_what_is_wrong_is_underlined_and_what_is_right_is_not(editor: Editor) -> None:
    page = (ROOT / "docs" / "workflows" / "testing.md").read_text(encoding="utf-8")
    (text,) = re.findall(r'```yaml title="workflows/titles.test.yaml"\n(.*?)```', page, re.DOTALL)
    editor.show("right.yaml", text.partition("\n")[2])  # without the line that names the schema
    assert editor.faults("right.yaml") == []
    editor.show("wrong.yaml", "cases:\n  - {name: a, inputs: {}, expects: {}}\n  - {name: b, timeout: []}\n")
    assert len(editor.faults("wrong.yaml")) == 2
