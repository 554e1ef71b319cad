"""A project's own modules are what their files say now."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kurt.project_code import load_file

PROGRAM = """
    import importlib, json, os, sys
    from kurt.project_code import load_file, make_importable

    root, = sys.argv[1:]
    make_importable(root)
    seen = []
    for mark in "ab":
        for name in ("alone.py", "pack/__init__.py", "pack/inner.py"):
            path = os.path.join(root, name)
            with open(path, "w") as file:
                file.write(f"mark = {mark!r}\\n")
            os.utime(path, (1_700_000_000, 1_700_000_000))  # as old, to the second, and as long as the other
        for name in ("alone", "pack", "pack.inner"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        seen.append([importlib.import_module(name).mark for name in ("alone", "pack", "pack.inner")])
    print(json.dumps(seen))
"""


def run(program: str, *arguments: str) -> str:
    """What a new interpreter prints that does write byte code."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    env = {"PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


def test_an_edit_that_changes_neither_size_nor_second_is_seen(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    assert json.loads(run(PROGRAM, str(tmp_path))) == [["a"] * 3, ["b"] * 3]
    assert not list(tmp_path.rglob("*.pyc"))


def test_an_installed_package_goes_before_a_bare_folder(tmp_path: Path) -> None:
    (tmp_path / "click").mkdir()
    program = """
        import sys
        from kurt.project_code import make_importable
        make_importable(sys.argv[1])
        import click
        print(click.__file__)
    """
    assert "site-packages" in run(program, str(tmp_path))


def test_what_is_installed_in_the_project_keeps_its_byte_code(tmp_path: Path) -> None:
    package = tmp_path / ".venv" / "lib" / "site-packages" / "installed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from installed import inner\n")
    (package / "inner.py").touch()
    program = """
        import sys
        from kurt.project_code import make_importable
        make_importable(sys.argv[1])
        sys.path.append(sys.argv[1] + "/.venv/lib/site-packages")
        import installed
        print(installed.inner.__cached__)
    """
    assert Path(run(program, str(tmp_path)).strip()).is_file()


def test_half_a_module_does_not_stay_behind(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("mark = 1\nraise RuntimeError('half way')\n")
    with pytest.raises(RuntimeError, match="half way"):
        load_file("kurt_test_broken", str(file))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kurt_test_broken")
