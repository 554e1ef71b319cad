"""`kurt content`: find, fetch, list and search documents."""

from __future__ import annotations

from kurt.cli.command import group
from kurt.cli.lazy import Lazy

_DOCUMENTS = "kurt.cli.content_documents"

COMMANDS: dict[str, Lazy] = {
    "map": Lazy(
        "kurt.workflows.map.cli:map_cmd", "Find the documents of a site, a folder or a CMS, and note them."
    ),
    "list": Lazy(f"{_DOCUMENTS}:list_cmd", "List documents: what is here, what failed, and why."),
    "get": Lazy(f"{_DOCUMENTS}:get_cmd", "Show one document with its text."),
    "search": Lazy(f"{_DOCUMENTS}:search_cmd", "Search the texts of documents."),
    "report": Lazy(
        "kurt.cli.content_report:report_cmd",
        "Write a report about all documents, as Markdown and as HTML with charts.",
    ),
    "delete": Lazy(f"{_DOCUMENTS}:delete_cmd", "Delete documents with their texts."),
    "stats": Lazy(f"{_DOCUMENTS}:stats_cmd", "Count documents, texts, vectors and errors."),
    "fetch": Lazy(
        "kurt.workflows.fetch.cli:fetch_cmd",
        "Get the texts of documents as Markdown, and make them searchable.",
    ),
}
"""The commands; each help line is the command's own."""


@group(
    "content",
    lazy=COMMANDS,
    epilog="kurt content map --folder ./notes\nkurt content list\nkurt content search 'how do I rotate keys'",
)
def content_group() -> None:
    """Find, fetch, list and search documents."""
