"""Which workflow module code belongs to: its settings count for the steps that it makes."""

from __future__ import annotations

import inspect
import re

_MODULE = re.compile(r"(?:.+\.)?workflows\.(\w+)(?:\..+)?")
_OWN = ("kurt.core.", "kurt.testing.")


def calling_module() -> str | None:
    """The workflow module that called Kurt: `extract` for code in `workflows/extract/`; None for other code."""
    frame = inspect.currentframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith(_OWN):
            found = _MODULE.fullmatch(name)
            return found[1] if found else None
        frame = frame.f_back
    return None
