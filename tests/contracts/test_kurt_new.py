"""`kurt_new.a.b` is the module `kurt.a.b`. Each case is a fresh interpreter: order of imports is what matters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import child_environment


def run(code: str, home: Path, *options: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *(options or ("-c", code))]
    return subprocess.run(
        argv, env=child_environment(home), cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "code",
    [
        "import kurt_new.errors, kurt.errors; assert kurt_new.errors is kurt.errors",
        "import kurt.errors, kurt_new.errors; assert kurt_new.errors is kurt.errors",
        "import kurt_new.engine.kinds as a; import kurt.engine.kinds as b; assert a is b",
        "import kurt.engine.kinds as b; import kurt_new.engine.kinds as a; assert a is b",
        "from kurt_new.engine import kinds; from kurt.engine.kinds import StepKind; assert kinds.StepKind is StepKind",
        "from kurt.errors import KurtError; from kurt_new.errors import KurtError as same; assert same is KurtError",
        "import kurt, kurt_new; assert kurt_new is kurt and kurt_new.__version__ == kurt.__version__",
        "import importlib; a = importlib.import_module('kurt_new.config'); import kurt.config as b; assert a is b",
    ],
)
def test_both_names_give_one_module(code: str, home: Path) -> None:
    done = run(code, home)
    assert done.returncode == 0, done.stderr


def test_a_module_keeps_its_own_name_and_spec(home: Path) -> None:
    done = run(
        "import kurt_new.engine.kinds as m, sys;"
        "print(m.__name__, m.__spec__.name, m.__loader__ is m.__spec__.loader, m.StepKind.__module__);"
        "print(sys.modules['kurt_new.engine'] is sys.modules['kurt.engine'])",
        home,
    )
    assert done.stdout == "kurt.engine.kinds kurt.engine.kinds True kurt.engine.kinds\nTrue\n", done.stderr


def test_loads_only_what_is_asked_for(home: Path) -> None:
    done = run("import kurt_new, sys; print([n for n in sys.modules if n.startswith('kurt.')])", home)
    assert done.stdout == "[]\n", done.stderr


def test_an_unknown_module_is_an_import_error_under_the_name_that_was_asked_for(home: Path) -> None:
    for name in ("kurt_new.nosuch", "kurt_new.errors.nosuch", "kurt_new.nosuch.deeper"):
        done = run(f"import {name}", home)
        assert "ModuleNotFoundError" in done.stderr
        assert "kurt_new" in done.stderr.splitlines()[-1]


def test_an_error_of_the_real_module_comes_through(home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('broken on purpose')\n")
    done = run(f"import kurt; kurt.__path__.append({str(tmp_path)!r}); import kurt_new.broken", home)
    assert done.stderr.splitlines()[-1] == "RuntimeError: broken on purpose"


def test_patching_one_name_patches_the_other(home: Path) -> None:
    done = run(
        "from unittest.mock import patch; import kurt.errors\n"
        "with patch('kurt_new.errors.KurtError') as mocked: assert kurt.errors.KurtError is mocked",
        home,
    )
    assert done.returncode == 0, done.stderr


def test_threads_that_import_both_names_get_one_module(home: Path) -> None:
    done = run(
        "import kurt_new, threading, importlib\n"
        "names = ['kurt_new.engine.kinds', 'kurt.engine.kinds'] * 8\n"
        "found = []\n"
        "threads = [threading.Thread(target=lambda n=n: found.append(importlib.import_module(n))) for n in names]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "assert len(found) == 16 and len(set(map(id, found))) == 1",
        home,
    )
    assert done.returncode == 0, done.stderr


def test_runs_as_a_program(home: Path, tmp_path: Path) -> None:
    old = run("", home, "-m", "kurt_new", "--version", cwd=tmp_path)
    new = run("", home, "-m", "kurt", "--version", cwd=tmp_path)
    assert (old.returncode, old.stdout) == (new.returncode, new.stdout) == (0, old.stdout), old.stderr
