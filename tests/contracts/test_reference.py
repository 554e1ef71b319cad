"""Generated reference pages are up to date, and each command explains itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import ValidationError, validate
from jsonschema.validators import validator_for

from kurt.cli.main import cli
from kurt.engine.cases.jsonschema import case_schema
from kurt.engine.language.source import read_source
from scripts import language_reference, reference
from tests.support import docs_runner
from tests.support.environment import child_environment

pytestmark = pytest.mark.conventions

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SCHEMA = ROOT / "docs" / "reference" / "kurt-workflow.schema.json"


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, click.Command]:
    """Every command that ships, by its full name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("nowhere"))
        return {path: command for path, command, _ in reference.walk(cli, "kurt", None)}


def test_the_reference_is_up_to_date(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.reference", "--check"],
        cwd=ROOT,
        env=child_environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_has_a_one_line_help(commands: dict[str, click.Command]) -> None:
    silent = [path for path, command in commands.items() if not command.get_short_help_str(limit=200).strip()]
    assert not silent


def test_every_command_has_an_example(commands: dict[str, click.Command]) -> None:
    leaves = {path: command for path, command in commands.items() if not isinstance(command, click.Group)}
    assert len(leaves) > 20
    bare = [path for path, command in leaves.items() if path not in f"{command.help}\n{command.epilog}"]
    assert not bare, f"no example in the help of {bare}"


def test_every_option_has_a_help(commands: dict[str, click.Command]) -> None:
    silent = [
        f"{path} {option.opts[-1]}"
        for path, command in commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]
    assert not silent


def test_long_options_use_hyphens(commands: dict[str, click.Command]) -> None:
    odd = [
        f"{path} {name}"
        for path, command in commands.items()
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if "_" in name
    ]
    assert not odd


def test_the_schema_is_a_schema_and_accepts_the_files_of_the_documentation() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = validator_for(schema)
    validator.check_schema(schema)
    documents = [document for page in PAGES for document in workflow_files(page, tests=False)]
    assert len(documents) > 5
    for document in documents:
        errors = list(validator(schema).iter_errors(document))
        assert not errors, f"{document['name']}: {[error.message for error in errors]}"


def test_the_schema_of_test_files_accepts_those_of_the_documentation() -> None:
    schema = case_schema()
    validator_for(schema).check_schema(schema)
    documents = [document for page in PAGES for document in workflow_files(page, tests=True)]
    assert documents
    for document in documents:
        errors = list(validator_for(schema)(schema).iter_errors(document))
        assert not errors, f"{document}: {[error.message for error in errors]}"


def workflow_files(page: Path, *, tests: bool) -> list[dict[str, Any]]:
    """The workflow files, or test files, that a page shows, unless it brings kinds of its own or shows a wrong file."""
    blocks = docs_runner.blocks(page.read_text(encoding="utf-8"))
    if any((block.title or "").startswith("steps/") for block in blocks):
        return []
    shown = [
        block
        for block in blocks
        if (block.title or "").startswith("workflows/") and (block.title or "").endswith((".yaml", ".yml"))
    ]
    wanted = [block for block in shown if (".test." in (block.title or "")) is tests]
    right = [
        block for block in wanted if not any(word in (block.title or "") for word in ("wrong", "mistaken"))
    ]
    return [read_source(block.body, block.title or "").value for block in right]  # `on` is a key, not true


def test_every_key_of_the_language_is_explained_and_used_by_an_example_that_runs() -> None:
    language = language_reference.load()
    assert not language.missing_examples(), "add them to a file in docs/workflows/examples"
    page = (ROOT / "docs" / "workflows" / "reference.md").read_text(encoding="utf-8")
    sections = page.split("\n## ")[1:]
    assert [section.title for section in language.sections()] == [text.splitlines()[0] for text in sections]
    for section, text in zip(language.sections(), sections, strict=True):
        assert section.intro, f"{section.id} says nothing of itself"
        entries = {entry.split("`")[1]: entry for entry in text.split("\n### ")[1:]}
        assert list(entries) == list(section.fields)
        for key, entry in entries.items():
            assert "```yaml" in entry, f"{section.id}.{key} has no example"
            assert len(entry.split("\n\n")[1]) > 5, f"{section.id}.{key} is not explained"


def test_a_key_without_example_is_noticed() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["color"] = {"type": "string"}
    schema["$defs"]["RetryPolicy"]["properties"]["luck"] = {"type": "number"}
    missing = language_reference.Language(schema, {}).missing_examples()
    assert missing == ["file.color", "RetryPolicy.luck"]


def test_the_schema_refuses_an_unknown_key() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    with pytest.raises(ValidationError):
        validate({"name": "x", "stepz": []}, schema)
