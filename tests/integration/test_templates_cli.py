"""`kurt workflows templates`, and copies of templates: which files they are, under which names, and that nothing is ever
overwritten.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kurt.app.scaffold.library import LIBRARY
from tests.support.command import Command

NAMES = sorted(folder.name for folder in LIBRARY.iterdir())


@pytest.fixture
def run(project: Path) -> Command:
    return Command(project)


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not {".kurt", "__pycache__"} & set(path.parts)
    }


def test_the_list_names_all_with_what_they_need(run: Command) -> None:
    found = run.json("workflows", "templates")
    assert sorted(row["name"] for row in found) == NAMES
    assert found[0]["name"] == "quickstart"
    assert found[0]["needs"] == []
    for row in found:
        assert row["command"] == f"kurt workflows new {row['name']} --template {row['name']}"
        assert row["files"][0] == f"workflows/{row['name']}.yaml"
        assert len(row["description"]) > 20
    shown = run("workflows", "templates")
    assert "quickstart" in shown.stdout
    assert shown.stderr == "hint: kurt workflows new NAME --template TEMPLATE\n"


@pytest.mark.parametrize("template", NAMES)
def test_a_copy_has_its_own_name_everywhere_and_no_faults(run: Command, project: Path, template: str) -> None:
    before = files(project)
    result = run("workflows", "new", "my-own", "--template", template)
    added = files(project) - before
    assert sorted(result.stdout.split()[1::2]) == sorted(added)
    assert {"workflows/my-own.yaml", "workflows/my-own.test.yaml"} <= added
    assert run.json("workflows", "validate", "workflows/my-own.yaml") == []
    for path in added:
        text = (project / path).read_text()
        assert f"workflows/{template}." not in text, path
        assert f"templates/{template}." not in text, path
    assert "\nname: my-own\n" in (project / "workflows/my-own.yaml").read_text()


def test_without_a_name_it_has_that_of_the_template(run: Command, project: Path) -> None:
    (project / "workflows/quickstart.yaml").unlink()
    written = run.json("workflows", "new", "--template", "quickstart")
    assert written[0] == {"path": "workflows/quickstart.yaml", "action": "create"}


@pytest.mark.parametrize("name", ["digest", "digest.yaml", "workflows/digest.yaml"])
def test_a_name_with_and_without_folder_and_suffix(run: Command, project: Path, name: str) -> None:
    run("workflows", "new", name, "--template", "quickstart")
    assert (project / "workflows/digest.yaml").is_file()


@pytest.mark.parametrize("name", ["77", "true", "1e999", "2026-11-21", "my.digest"])
def test_a_name_that_is_something_else_in_yaml(run: Command, project: Path, name: str) -> None:
    run("workflows", "new", name, "--template", "quickstart")
    run("workflows", "new", f"{name}1.yaml")
    for file in (f"{name}.yaml", f"{name}1.yaml"):
        assert run.json("workflows", "validate", f"workflows/{file}") == []


def test_nothing_is_overwritten(run: Command, project: Path) -> None:
    (project / "templates").mkdir()
    (project / "templates/digest.md.j2").write_text("mine")
    before = files(project)
    result = run("workflows", "new", "digest", "--template", "aeo-pipeline", code=1)
    assert result.stderr.startswith("error: templates/digest.md.j2 exists already\n")
    assert files(project) == before
    taken = run("workflows", "new", "quickstart", "--template", "quickstart", code=1)
    assert "there is a workflow 'quickstart' already" in taken.stderr


def test_a_dry_run_writes_nothing(run: Command, project: Path) -> None:
    before = files(project)
    assert run.json("workflows", "new", "digest", "--template", "quickstart", "--dry-run")
    assert files(project) == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ("x", "--template", "quickstar"),
            3,
            "there is no template 'quickstar'\nhint: did you mean `quickstart`?",
        ),
        (("x", "--template", "../library"), 3, "there is no template '../library'"),
        (("x/y", "--template", "quickstart"), 2, "'x/y.yaml' is no name of a workflow file"),
        ((), 2, "the workflow needs a name"),
        (("x.test", "--template", "quickstart"), 2, "is the name of a test file, that of the workflow 'x'"),
        (("x.test.yaml",), 2, "hint: kurt workflows new x.yaml"),
    ],
)
def test_mistakes(run: Command, words: tuple[str, ...], code: int, message: str) -> None:
    assert message in run("workflows", "new", *words, code=code).stderr
