"""`kurt content`: find, fetch, list and search documents."""

from __future__ import annotations

from kurt.cli.command import group
from kurt.cli.lazy import Lazy

COMMANDS: dict[str, Lazy] = {
    "map": Lazy(
        "kurt.workflows.map.cli:map_cmd", "Find the documents of a site, a folder or a CMS, and note them."
    ),
}
"""The commands; each help line is the command's own."""


@group("content", lazy=COMMANDS, epilog="kurt content map --folder ./notes")
def content_group() -> None:
    """Find, fetch, list and search documents."""
