"""The layers of the architecture hold, and the contracts that say so catch what they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

pytestmark = pytest.mark.skipif(
    not LINT.exists(), reason="import-linter is not installed (`make check` installs it)"
)


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "HOME": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package in which a test plants a fault."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(root: Path, path: str, code: str) -> None:
    file = root / "src" / "kurt" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in file.parents:
        if folder.name == "kurt":
            break
        (folder / "__init__.py").touch()
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{code}\n")


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "code", "contract"),
    [
        ("db/planted.py", "import kurt.engine.kinds", "Layers only point down"),
        ("helpers.py", "", "Layers only point down"),
        ("engine/planted.py", "import dbos", "DBOS is reached through the runtime and the core"),
        ("cli/main.py", "import rich", "The root of the command line stays light"),
        (
            "cli/main.py",
            "def late() -> None:\n    import kurt.engine.language.schema",
            "The root of the command line stays light",
        ),
    ],
)
def test_a_planted_fault_is_caught(copy: Path, path: str, code: str, contract: str) -> None:
    plant(copy, path, code)
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout


def test_a_workflow_module_that_imports_another_is_caught(copy: Path) -> None:
    plant(copy, "workflows/one/workflow.py", "")
    plant(copy, "workflows/two/workflow.py", "import kurt.workflows.one.workflow")
    assert "Workflow modules meet in tables, not in imports BROKEN" in lint(copy).stdout


def test_a_workflow_module_upside_down_is_caught(copy: Path) -> None:
    plant(copy, "workflows/one/workflow.py", "")
    plant(copy, "workflows/one/models.py", "import kurt.workflows.one.workflow")
    assert "A workflow module has one shape BROKEN" in lint(copy).stdout


def test_a_cycle_is_caught(copy: Path) -> None:
    plant(copy, "core/one.py", "import kurt.core.two")
    plant(copy, "core/two.py", "import kurt.core.one")
    assert "No cycles between siblings BROKEN" in lint(copy).stdout
