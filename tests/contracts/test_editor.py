"""An editor with the YAML extension completes and explains every key of a workflow file.

Asked is the language server of that extension, with the JSON Schema that `kurt init` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts import language_reference
from scripts.language_reference import BLOCKS, EXAMPLES, STEP, Section, Use
from tests.support.yaml_editor import VARIABLE, Editor, language_server

ROOT = Path(__file__).parents[2]
LANGUAGE = language_reference.load()
SECTIONS = {section.id: section for section in LANGUAGE.sections()}

PLACES = {
    "file": "name: x\nsteps: []\n|",
    "InputSpec": "inputs:\n  a:\n    default: 5\n    |",
    "Defaults": "defaults:\n  |",
    STEP: "steps:\n  - type: run\n    |",
    "RetryPolicy": "defaults:\n  retry:\n    |",
    "ErrorHandling": "steps:\n  - type: run\n    on_error:\n      |",
    "LimitsSpec": "limits:\n  |",
    "CacheSpec": "steps:\n  - type: run\n    cache:\n      |",
    "BudgetSpec": "budget:\n  |",
    "ScheduleSpec": "schedule:\n  timezone: UTC\n  |",
    "DebounceSpec": "debounce:\n  |",
    "NotifySpec": "notify:\n  - x-a: 1\n    |",
    "dspy.SignatureMapping": "steps:\n  - type: dspy\n    signature:\n      |",
    "dspy.SignatureField": "steps:\n  - type: dspy\n    signature:\n      inputs:\n        a:\n          |",
    "foreach": "steps:\n  - foreach:\n      |",
    "switch": "steps:\n  - switch:\n      |",
    "wait": "steps:\n  - wait:\n      |",
    "approval": "steps:\n  - approval:\n      |",
}
"""Where the keys of a section are written, `|` being the cursor; kinds and notifiers stand for themselves."""

DIARY = """
from pydantic import Field
from kurt.engine.kinds import Fields
from kurt.engine.notifiers.base import Notifier

class DiaryFields(Fields):
    page: str = Field(description="Where it is written.")

class Diary(Notifier):
    type = "diary"
    Model = DiaryFields

    def send(self, fields, notice, context):
        return fields.page
"""

_OUTSIDE = {
    "foreach": {"foreach", "steps", "collect"},
    "switch": {"switch"},
    "wait": {"wait"},
    "approval": {"approval"},
}
"""Keys of a block that stand beside the mapping in which its others do."""


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    program = language_server()
    if program is None:
        pytest.skip(
            "asks the YAML language server of editors, which is not installed: "
            f"npm install -g yaml-language-server, or name it in {VARIABLE}"
        )
    with Editor(program, ROOT / "docs" / "reference" / "kurt-workflow.schema.json") as editor:
        for file in sorted(EXAMPLES.glob("*.yaml")):
            editor.show(file.name, file.read_text(encoding="utf-8"))
        yield editor


def place_of(section: Section) -> str:
    """A file with the cursor where the section's keys are written."""
    if section.id in PLACES:
        return PLACES[section.id]
    notifier = section.id.removeprefix("notify.")
    if notifier != section.id:
        return f"notify:\n  - type: {notifier}\n    |"
    return f"steps:\n  - type: {section.id}\n    |"


@cache
def all_uses() -> dict[tuple[str, str], Use]:
    """A use of each key in an example."""
    return LANGUAGE.uses()


def plain(text: str) -> str:
    """Letters and digits alone: the server marks some of the others."""
    return re.sub(r"\W+", " ", text.replace("\\", ""))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_offered_with_what_it_means(editor: Editor, section: str) -> None:
    before, _, after = place_of(SECTIONS[section]).partition("|")
    editor.show("new.yaml", f"{before}{after}\n")
    editor.faults("new.yaml")  # it has read the file
    offers = editor.offers("new.yaml", before.count("\n"), len(before.rpartition("\n")[2]))
    wanted = SECTIONS[section].fields.keys() - _OUTSIDE.get(section, set())
    written = set(re.findall(r"^[ -]*(\w+):", before, re.MULTILINE))
    assert wanted - written <= offers.keys()
    assert all(offers[key] for key in wanted - written), "a key is offered without a word on it"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_explained_where_the_pointer_rests(editor: Editor, section: str) -> None:
    uses = all_uses()
    for key, field in SECTIONS[section].fields.items():
        use = uses[section, key]
        shown = editor.explanation(use.file, use.line, use.column + 1)
        described, _ = LANGUAGE.resolve(field)
        text = plain(str(field.get("description") or described.get("description")))
        assert text.strip() in plain(shown), f"{section}.{key} in {use.file}:{use.line + 1}: {shown}"


@pytest.mark.parametrize("file", sorted(file.name for file in EXAMPLES.glob("*.yaml")))
def test_nothing_is_underlined_in_what_is_right(editor: Editor, file: str) -> None:
    assert editor.faults(file) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepz: []\nsteps: [{type: run, command: x}]", "stepz is not allowed"),
        ("steps:\n  - {type: run, comand: x}", "comand"),
        ("steps:\n  - {type: http, url: x, redirects: many}", "Incorrect type"),
        ("steps:\n  - {type: run, command: x, retry: {max_attempts: 0}}", "below the minimum"),
        ("steps:\n  - {type: run, command: x}\nnotify:\n  - {type: slack, ulr: x}", "url"),
    ],
)
def test_what_is_wrong_is_underlined(editor: Editor, text: str, words: str) -> None:
    editor.show("wrong.yaml", text + "\n")
    assert words in " ".join(editor.faults("wrong.yaml"))


@pytest.mark.usefixtures("editor")
def test_the_first_line_of_a_file_names_the_schema_of_its_project(project: Path) -> None:
    """As `kurt init` writes it, and with the notifiers and kinds of the project once it is written again."""
    from kurt.app import files
    from kurt.config import load_settings

    (project / "notifiers").mkdir()
    (project / "notifiers" / "diary.py").write_text(DIARY)
    line = "# yaml-language-server: $schema=../kurt-workflow.schema.json\n"
    text = f"{line}stepz: 1\nsteps: [{{type: run, command: x}}]\nnotify:\n  - type: diary\n    \n"
    program = language_server()
    assert program is not None
    with Editor(program, None, project / "workflows") as editor:
        editor.show("new.yaml", text)
        assert "stepz is not allowed" in " ".join(editor.faults("new.yaml"))
        assert "page" not in editor.offers("new.yaml", 5, 4)
    schema = files.schema(load_settings(project, environ={}))
    (project / "kurt-workflow.schema.json").write_text(json.dumps(schema))
    with Editor(program, None, project / "workflows") as editor:
        editor.show("new.yaml", text)
        assert "stepz is not allowed" in " ".join(editor.faults("new.yaml"))
        assert editor.offers("new.yaml", 5, 4)["page"] == "Where it is written."


def test_the_blocks_of_the_reference_are_those_of_the_language() -> None:
    from kurt.engine.language.schema import BLOCK_KINDS

    assert set(BLOCKS) == set(BLOCK_KINDS)
