"""The cases that each template brings pass in a copy of it, as its user would run them."""

from __future__ import annotations

import pytest

from kurt.app.scaffold.library import LIBRARY
from tests.support.cli import Kurt

NAMES = sorted(folder.name for folder in LIBRARY.iterdir() if (folder / "workflows").is_dir())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("template", NAMES)
def test_the_cases_of_a_template_pass(kurt: Kurt, template: str) -> None:
    if template == "aeo-pipeline":
        pytest.importorskip("dspy", reason="the extra dspy is not installed")
    kurt("workflows", "new", "copy", "--template", template)
    done = kurt("workflows", "test", "copy", "--jobs", "2", limit=280)
    assert "FAIL" not in done.stdout
    assert done.stdout.count("  ok  ") >= 3
    assert "no case runs" not in done.stdout + done.stderr  # each step is run by one of them
