"""`kurt content list`, `get`, `search`, `delete`, `stats`: documents that are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.output import hint_line
from kurt.cli.session import current
from kurt.cli.table import Column, Table

if TYPE_CHECKING:
    from kurt.types import Json

_LIMIT = 100
_STATES = ("discovered", "fetched", "error", "gone")
_SOURCES = ("url", "file", "cms")
_MODES = ("both", "words", "meaning")


def filter_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that say which documents are meant."""
    options = [
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="Only URIs that fit: a glob, or re:EXPRESSION.",
        ),
        click.option("--exclude", multiple=True, metavar="PATTERN", help="No URIs that fit."),
        click.option(
            "--url-contains", metavar="TEXT", help="Only URIs with this text in them, whatever the case."
        ),
        click.option("--file-ext", metavar="EXT", help="Only URIs that end so, such as md."),
        click.option(
            "--source-type", multiple=True, type=click.Choice(_SOURCES), help="Only documents from there."
        ),
        click.option(
            "--status",
            "--with-status",
            "status",
            multiple=True,
            type=click.Choice(_STATES),
            help="Only documents that have come so far.",
        ),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def documents_table(documents: list[dict[str, Any]]) -> Table:
    """Documents as a table; why one failed stands in the place of its title."""
    columns = [
        Column("id"),
        Column("status", "state"),
        Column("uri", shrink=True),
        Column("title", shrink=True),
        Column("fetched_at", "time"),
    ]
    rows = [
        [one["id"], one["status"], one["uri"], one["error"] or one["title"], one["fetched_at"]]
        for one in documents
    ]
    return Table(columns, rows, empty="no documents")


@command(
    "list",
    view=documents_table,
    epilog="kurt content list\nkurt content list --status error\nkurt content list --include '*/guides/*' --format jsonl",
)
@filter_options()
@click.option(
    "--has-content/--no-content", default=None, help="Only documents whose text is here, or is not here."
)
@click.option("--min-size", type=click.IntRange(0), metavar="BYTES", help="Only texts of this size at least.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=_LIMIT,
    metavar="N",
    help=f"At most N; 0 for all.  [default: {_LIMIT}]",
)
def list_cmd(**given: Any) -> Outcome:
    """List documents: what is here, what failed, and why."""
    from kurt.app.documents import filter_of, list_documents

    found = list_documents(current().settings(), filter_of(given))
    full = given["limit"] and len(found) == given["limit"]
    return Outcome(found, closing=[hint_line("there may be more: --limit 0")] if full else [])


def document_lines(document: dict[str, Any]) -> list[str]:
    """One document: its facts, then its text."""
    facts = [(name, value) for name, value in document.items() if name != "content" and value is not None]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name.replace('_', ' '):<{width}}  {value}" for name, value in facts]
    return [*lines, "", document["content"]] if document["content"] else lines


def _text_view(result: Any) -> Any:
    return result if isinstance(result, str) else document_lines(result)


@command(
    "get", view=_text_view, epilog="kurt content get 0f115d\nkurt content get https://example.com/ --text"
)
@click.argument("document", metavar="ID|URI")
@click.option("--text", is_flag=True, help="Only its Markdown.")
def get_cmd(document: str, text: bool) -> Json:
    """Show one document with its text."""
    from kurt.app.documents import get_document

    found = get_document(current().settings(), document)
    if not text:
        return found
    if found["content"] is None:
        from kurt.errors import ConflictError

        raise ConflictError(
            f"{found['uri']} has not been fetched yet", hint=f"kurt content fetch {found['id']}"
        )
    return found["content"]


def answer_lines(answer: dict[str, Any]) -> list[str]:
    """What was found: title, address and passage of each."""
    lines: list[str] = []
    for number, hit in enumerate(answer["hits"], 1):
        title = hit["title"] or hit["uri"]
        heading = f" > {hit['heading']}" if hit["heading"] and hit["heading"] != hit["title"] else ""
        lines += [f"{number}. {title}{heading}", f"   {hit['uri']}  ({' and '.join(hit['found_by'])})"]
        lines += [f"   {hit['passage']}"] if hit["passage"] else []
    return lines or ["nothing was found"]


@command(
    "search",
    view=answer_lines,
    epilog="kurt content search 'how do I rotate keys'\nkurt content search --mode words '\"exact phrase\"'",
)
@click.argument("question", nargs=-1, required=True)
@click.option(
    "--mode",
    type=click.Choice(_MODES),
    default="both",
    help="By words, by meaning (vectors), or both merged.  [default: both]",
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=10, metavar="N", help="At most N.  [default: 10]"
)
@filter_options()
def search_cmd(question: tuple[str, ...], mode: str, limit: int, **given: Any) -> Outcome:
    """Search the texts of documents.

    Shows title, address and the passage that fits best. Without a model that is set (EMBEDDING.MODEL), vectors are
    lexical: they find texts with the same words and parts of words, not with the same meaning.
    """
    from kurt.app.documents import filter_of, search_documents

    answer = search_documents(
        current().settings(), " ".join(question), mode=mode, filters=filter_of(given), limit=limit
    )
    return Outcome(answer, closing=[hint_line(answer["note"])] if answer["note"] else [])


def _deleted_lines(result: dict[str, Any]) -> list[str]:
    verb = "would delete" if result["dry_run"] else "deleted"
    shown = [f"{verb}  {row['id']}  {row['uri']}" for row in result["rows"]]
    noun = "document" if result["total"] == 1 else "documents"
    return [*shown, f"{verb} {result['total']:,} {noun}"]


@command(
    "delete",
    view=_deleted_lines,
    epilog="kurt content delete 0f115d\nkurt content delete --status gone --dry-run\nkurt content delete --all",
)
@click.argument("documents", nargs=-1, metavar="[ID|URI]...")
@filter_options()
@click.option("--all", "everything", is_flag=True, help="All documents.")
@click.option("--dry-run", is_flag=True, help="Only tell which would be deleted.")
def delete_cmd(documents: tuple[str, ...], everything: bool, dry_run: bool, **given: Any) -> Json:
    """Delete documents with their texts.

    Ids and filters together mean those of the ids that fit. A page that is still on its site is found again by the next map.
    """
    from kurt.app.documents import delete_documents, filter_of

    return delete_documents(
        current().settings(), documents, filter_of(given), everything=everything, dry_run=dry_run
    )


def _stats_lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"documents        {facts['total']:,}"]
    lines += [f"  {state:<14} {count:,}" for state, count in facts["by_state"].items() if count]
    lines += [f"from {kind:<11} {count:,}" for kind, count in facts["by_source_type"].items()]
    lines += [f"with text        {facts['with_content']:,} ({facts['bytes']:,} bytes)"]
    if facts["not_indexed"]:
        lines.append(f"not searchable   {facts['not_indexed']:,}")
    lines += [f"vectors          {count:,} by {model}" for model, count in facts["vectors"].items()]
    for name in ("oldest_fetch", "newest_fetch"):
        if facts[name]:
            lines.append(f"{name.replace('_', ' '):<16} {facts[name]}")
    lines += [f"error            {one['count']:,} x {one['error']}" for one in facts["errors"]]
    return lines


@command("stats", view=_stats_lines, epilog="kurt content stats\nkurt content stats --format json")
def stats_cmd() -> Json:
    """Count documents, texts, vectors and errors."""
    from kurt.app.documents import statistics

    return statistics(current().settings())
