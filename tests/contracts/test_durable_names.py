"""Names that are stored in databases outlive a release: one that disappears strands the work of an earlier one.

`durable_names.json` is the record. Names are added to it and never taken out, unless a migration rewrites what is stored.
"""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest

from kurt.engine.language.schema import BLOCK_KINDS
from kurt.runtime import names, serializer

pytestmark = pytest.mark.conventions

ROOT = Path(__file__).parents[2]
RECORD = json.loads(Path(__file__).with_name("durable_names.json").read_text(encoding="utf-8"))


def current() -> dict[str, list[str]]:
    """The durable names of this version, by the same groups as in the record."""
    constants = {
        name: value for name, value in vars(names).items() if name.isupper() and not name.startswith("_")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "constants": sorted(f"{name}={value}" for name, value in constants.items() if isinstance(value, str)),
        "events": sorted(names.EVENT_KEYS),
        "streams": sorted(names.STREAM_KEYS),
        "serializers": [serializer.NAME],
        "block kinds": sorted(BLOCK_KINDS),
        "step kinds": sorted(project.get("entry-points", {}).get("kurt.steps", {})),
        "workflow modules": sorted(project.get("entry-points", {}).get("kurt.workflows", {})),
        "steps of workflow modules": sorted(module_names()),
    }


def module_names() -> set[str]:
    """Durable names of the workflows, steps and transactions of the modules that Kurt brings."""
    found: set[str] = set()
    for path in (ROOT / "src" / "kurt" / "workflows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found |= {name for one in node.decorator_list if (name := durable_name(one, node.name))}
    return found


def durable_name(decorator: ast.expr, function: str) -> str | None:
    """The name under which a decorator stores a function; None for a decorator that stores nothing."""
    if not isinstance(decorator, ast.Call):
        return None
    called = ast.unparse(decorator.func)
    if called not in {"DBOS.step", "DBOS.workflow", "transaction"}:
        return None
    given = [
        word.value.value
        for word in decorator.keywords
        if word.arg == "name" and isinstance(word.value, ast.Constant)
    ]
    return str(given[0]) if given else function


@pytest.mark.parametrize("group", RECORD)
def test_no_recorded_name_has_disappeared(group: str) -> None:
    gone = set(RECORD[group]) - set(current()[group])
    assert not gone, f"{group}: runs that are stored somewhere still use {sorted(gone)}"


@pytest.mark.parametrize("group", RECORD)
def test_every_name_is_recorded(group: str) -> None:
    new = set(current()[group]) - set(RECORD[group])
    assert not new, f"{group}: add {sorted(new)} to tests/contracts/durable_names.json"


def test_the_record_has_every_group() -> None:
    assert set(RECORD) == set(current())


def test_a_run_id_sorts_by_time_and_fits_a_file_name() -> None:
    ids = [names.new_run_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(each) == 26 and each.isalnum() and each == each.lower() for each in ids)
    assert [each[:9] for each in ids] == sorted(each[:9] for each in ids)
