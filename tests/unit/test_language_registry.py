"""Step kinds: Kurt's own, those of packages, those of a project."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from textwrap import dedent

import pytest

from kurt.engine import registry
from kurt.engine.language.parser import check_file
from kurt.engine.registry import BUILT_IN, GROUP, kinds
from kurt.errors import ConflictError, DefinitionError

KIND = """
from kurt.engine.kinds import Fields, StepKind

class GreetFields(Fields):
    name: str
    times: int = 1

class {cls}(StepKind):
    type = "{type}"
    Model = GreetFields

    def execute(self, fields, context):
        return fields.name
"""


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports from a project is gone afterwards."""
    monkeypatch.setattr(registry, "_found", {})
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.split(".")[0] in ("steps", "helper"):
            del sys.modules[name]


def add_kind(root: Path, file: str, kind: str, *, extra: str = "") -> None:
    """A file in the project's `steps/` folder that defines a kind."""
    folder = root / "steps"
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(extra + KIND.format(cls=kind.title(), type=kind))


def test_the_table_is_what_the_distribution_declares() -> None:
    declared = {
        point.name: point.value
        for point in entry_points(group=GROUP)
        if point.dist and point.dist.name == "kurt"
    }
    assert declared == dict(BUILT_IN)


def test_every_built_in_kind_has_its_type() -> None:
    found = kinds(None)
    assert {kind: found[kind].kind.type for kind in BUILT_IN} == {kind: kind for kind in BUILT_IN}
    assert {found[kind].origin for kind in BUILT_IN} == {"kurt"}


def test_kinds_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("LOUD = True\n")
    add_kind(tmp_path, "greet.py", "greet", extra="from helper import LOUD\n")
    add_kind(tmp_path, "bow.py", "bow", extra="from steps.greet import Greet\n")
    add_kind(tmp_path, "_private.py", "private")
    found = kinds(tmp_path)
    assert found["greet"].origin == "steps/greet.py"
    assert found["greet"].kind.__module__ == "steps.greet"
    assert "bow" in found
    assert "private" not in found
    assert found.get("nope") is None
    assert set(found) == {*BUILT_IN, "greet", "bow"}
    assert len(found) == len(BUILT_IN) + 2


def test_its_fields_are_checked_like_those_of_the_others(tmp_path: Path) -> None:
    add_kind(tmp_path, "greet.py", "greet")
    file = tmp_path / "flow.yaml"
    file.write_text("steps:\n  - {type: greet, name: a, tims: 2}\n  - {type: greeet}\n")
    faults = check_file(file, root=tmp_path, kinds=kinds(tmp_path))
    assert [(fault.line, fault.message) for fault in faults][1:] == [
        (2, "unknown key `tims` in a `greet` step"),
        (3, "unknown step kind 'greeet'"),
    ]


def test_an_edited_file_is_loaded_again(tmp_path: Path) -> None:
    add_kind(tmp_path, "greet.py", "greet")
    first = kinds(tmp_path)["greet"].kind
    assert kinds(tmp_path) is kinds(tmp_path)
    add_kind(tmp_path, "greet.py", "greet", extra="X = 1\n")
    os.utime(tmp_path / "steps" / "greet.py", ns=(1, 1))
    assert kinds(tmp_path)["greet"].kind is not first


def test_two_projects_do_not_mix(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        add_kind(tmp_path / name, "greet.py", name)
    assert "one" in kinds(tmp_path / "one")
    assert set(kinds(tmp_path / "two")) == {*BUILT_IN, "two"}


@pytest.mark.parametrize(
    ("kind", "origin"), [("cli", "kurt"), ("greet", "steps/a_greet.py"), ("foreach", "one of Kurt's blocks")]
)
def test_duplicates_are_refused_with_both_origins(tmp_path: Path, kind: str, origin: str) -> None:
    add_kind(tmp_path, "a_greet.py", "greet")
    add_kind(tmp_path, "b_greet.py", kind)
    with pytest.raises(ConflictError, match=origin) as caught:
        kinds(tmp_path)["other"]
    assert "steps/b_greet.py" in caught.value.message
    assert "b_greet.py" in (caught.value.hint or "")


def test_duplicates_are_a_fault_of_the_file_that_uses_them(tmp_path: Path) -> None:
    add_kind(tmp_path, "greet.py", "run")
    file = tmp_path / "flow.yaml"
    file.write_text("steps:\n  - {type: other}\n")
    messages = [fault.message for fault in check_file(file, root=tmp_path, kinds=kinds(tmp_path))]
    assert any("two step kinds have the type 'run'" in message for message in messages)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\ndef broken(:\n", 2, "SyntaxError"),
        ("x = 1\n\nraise OSError('no')\n", 3, "OSError: no"),
        ("import nothing_like_this\n", 1, "ModuleNotFoundError"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path: Path, text: str, line: int, message: str) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "bad.py").write_text(text)
    with pytest.raises(DefinitionError) as caught:
        kinds(tmp_path)["other"]
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == ("steps/bad.py", line)
    assert message in fault.message
    file = tmp_path / "flow.yaml"
    file.write_text("steps:\n  - {type: other}\n")
    assert fault in check_file(file, root=tmp_path, kinds=kinds(tmp_path))


def test_kinds_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper.py").write_text(KIND.format(cls="Wave", type="wave"))
    monkeypatch.syspath_prepend(str(tmp_path))
    points = EntryPoints(
        [EntryPoint("wave", "helper:Wave", GROUP), EntryPoint("cli", BUILT_IN["cli"], GROUP)]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points.select(group=group))
    found = kinds(None)
    assert (found["wave"].origin, found["wave"].kind.type) == ("helper:Wave", "wave")


def test_a_file_of_built_in_kinds_scans_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "bad.py").write_text("raise OSError\n")
    monkeypatch.setattr(registry, "_installed", lambda: pytest.fail("scanned"))
    found = kinds(tmp_path)
    assert found["run"].type == "run"
    file = tmp_path / "flow.yaml"
    file.write_text("steps: [{type: run, command: [a]}, {wait: {for: 1s}}]\n")
    assert check_file(file, root=tmp_path, kinds=found) == []


def test_reading_a_file_loads_nothing_of_the_engine(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("steps: [{type: run, command: [a]}, {type: script, code: x}]\n")
    code = dedent("""
        import sys
        from pathlib import Path
        from kurt.engine.language.parser import load_workflow
        from kurt.engine.registry import kinds
        load_workflow(Path("flow.yaml"), root=Path("."), kinds=kinds(Path(".")))
        heavy = {"dbos", "sqlalchemy", "pandas", "rich", "click", "jsonschema_rs", "alembic", "jinja2", "psycopg"}
        print(sorted(heavy & set(sys.modules)))
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
