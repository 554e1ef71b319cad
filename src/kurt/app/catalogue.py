"""The workflows that a project can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.config import Settings


SUFFIXES = (".yaml", ".yml")
"""How the names of workflow files end."""


def runnable(settings: Settings) -> list[dict[str, Any]]:
    """Files of the `workflows/` folder and Python workflows, by name: `{name, kind, source}`."""
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - scans modules

    found = [
        {"name": path.stem, "kind": "yaml", "source": str(path.relative_to(settings.root))}
        for path in sorted(settings.workflows_dir.glob("*"))
        if path.suffix in SUFFIXES and not path.stem.endswith(".test") and path.is_file()
    ]
    found += [
        {"name": module.name, "kind": "python", "source": module.module}
        for module in WorkflowRegistry(settings).modules()
    ]
    return found
