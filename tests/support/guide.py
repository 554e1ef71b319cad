"""The code blocks of the founding guide, read from where it lies beside the project; nothing is copied from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
_TRANSACTION = "from kurt_new.core import transaction\n"


def blocks() -> list[str]:
    """All blocks in their order."""
    if not SEEDS.is_dir():
        pytest.skip(f"the founding documents are not beside this project (looked for {SEEDS})")
    (document,) = SEEDS.glob("000_*.txt")
    return [match["code"] for match in _BLOCK.finditer(document.read_text(encoding="utf-8"))]


def block(number: int) -> str:
    """One block with what stands in place of that which DBOS 3 and pandas 3 removed."""
    code = blocks()[number]
    if "@DBOS.transaction()" in code:
        code = with_import(code.replace("@DBOS.transaction()", "@transaction()"), _TRANSACTION)
    if "pd.read_json(" in code:
        code = re.sub(r"pd\.read_json\((\w+)", r"pd.read_json(io.StringIO(\1)", code)
        code = with_import(code, "import io\n")
    return re.sub(r"\bdatabase_url=", "system_database_url=", code)


def with_import(code: str, line: str) -> str:
    """The code with one more import, below one from `__future__`."""
    future = re.search(r"^from __future__ .*\n", code, re.MULTILINE)
    at = future.end() if future else 0
    return f"{code[:at]}{line}{code[at:]}"


def completed(code: str, before: str, lines: str) -> str:
    """A fragment with lines of the test's own put before one of its lines."""
    assert before in code
    return code.replace(before, f"{lines}{before}", 1)


def without_fixture(code: str, name: str) -> str:
    """The code without one of its fixtures, for which the testing kit has another."""
    found, count = re.subn(
        rf"@pytest\.fixture\ndef {name}\(.*?(?=^@pytest\.fixture|\Z)", "", code, flags=re.M | re.S
    )
    assert count == 1
    return found


def execute(*numbers: int, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Execute blocks one after another; their names."""
    found = {"__name__": "guide", **(names or {})}
    for number in numbers:
        run_code(block(number), found, f"block {number}")
    return found


def run_code(code: str, names: dict[str, Any], where: str) -> None:
    """Execute code in a namespace."""
    exec(compile(code, f"<the guide, {where}>", "exec"), names)
