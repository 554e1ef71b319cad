"""Graphs of the shipped workflows in their pages of the documentation; written by `python -m scripts.reference`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
_GRAPH = re.compile(r"(<!-- graph -->\n).*?(<!-- end of graph -->)", re.DOTALL)


def template_pages() -> dict[str, Callable[[], str]]:
    """The pages by their paths, with what makes their texts."""
    from kurt.app.scaffold.library import LIBRARY

    names = sorted(folder.name for folder in LIBRARY.iterdir() if (folder / "workflows").is_dir())
    return {f"docs/templates/{name}.md": partial(template_page, name) for name in names}


def template_page(name: str) -> str:
    """A template's page, with the graph of its workflow as it is now.

    Raises:
        ValueError: the page has no place for it.
    """
    text = (ROOT / "docs" / "templates" / f"{name}.md").read_text(encoding="utf-8")
    if not _GRAPH.search(text):
        raise ValueError(
            f"docs/templates/{name}.md has no place for the graph: <!-- graph --> <!-- end of graph -->"
        )
    drawn = f"\n```mermaid\n{graph(name)}\n```\n\n"
    return _GRAPH.sub(lambda match: f"{match[1]}{drawn}{match[2]}", text)


def graph(name: str) -> str:
    """The graph of a template as Mermaid."""
    from kurt.app.scaffold.library import copied
    from kurt.engine.language.parser import load_workflow
    from kurt.engine.registry import kinds
    from kurt.engine.views.graph import draw

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = list(copied(name, name))
        for path, text in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        loaded = load_workflow(root / files[0][0], root=root, kinds=kinds(None))
        return draw(loaded.definition, "mermaid").rstrip()
