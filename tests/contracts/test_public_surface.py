"""What other people's code imports: recorded, sorted, importable, and cheap where it says so."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import kurt
from tests.support.environment import child_environment

pytestmark = pytest.mark.conventions

RECORD: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("public_surface.json").read_text(encoding="utf-8")
)
HEAVY = {
    "dbos",
    "sqlalchemy",
    "pandas",
    "pydantic",
    "rich",
    "yaml",
    "asyncio",
    "aiohttp",
    "alembic",
    "jinja2",
}


@pytest.mark.parametrize("module", RECORD)
def test_the_public_names_are_the_recorded_ones(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == RECORD[module], (
        f"`{module}.__all__` has changed; removing a name breaks other people's code, a new one is added to "
        "tests/contracts/public_surface.json"
    )


@pytest.mark.parametrize("module", RECORD)
def test_every_public_name_can_be_imported_and_is_listed_by_dir(module: str) -> None:
    found = importlib.import_module(module)
    for name in RECORD[module]:
        assert getattr(found, name) is not None
        assert name in dir(found)


@pytest.mark.parametrize("module", RECORD)
def test_an_unknown_name_is_an_attribute_error_that_names_the_module(module: str) -> None:
    with pytest.raises(AttributeError, match=rf"{module}.*no_such_name"):
        importlib.import_module(module).no_such_name  # noqa: B018 - the look-up is the test


def test_importing_the_packages_loads_nothing_heavy(home: Path) -> None:
    code = f"import sys, {', '.join(RECORD)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(home), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_module_can_be_imported_on_its_own() -> None:
    found = [
        info.name
        for info in pkgutil.walk_packages(kurt.__path__, "kurt.")
        if not _runs_when_imported(info.name)
    ]
    assert len(found) > 50
    for name in found:
        importlib.import_module(name)


def _runs_when_imported(name: str) -> bool:
    """Modules that are programs: Alembic's environment and revisions, and `python -m` entries."""
    return ".migrations." in name or name.endswith("__main__")
