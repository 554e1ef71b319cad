"""`kurt content report`: what is worth knowing of all documents, in two files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import command
from kurt.cli.content_documents import filter_options
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.types import Json

_STALE = 365


def _lines(result: dict[str, Any]) -> list[str]:
    """The numbers that ask for work, and where the report is."""
    told = ("near_duplicates", "stale", "broken_links", "orphans", "thin", "failed")
    numbers = ", ".join(f"{name.replace('_', ' ')} {result[name]:,}" for name in told if result[name])
    return [
        f"pages {result['pages']:,}, words {result['words']:,}; {numbers or 'nothing to do'}",
        f"report: {result['markdown']} and {result['html']}",
    ]


@command(
    "report",
    view=_lines,
    epilog="kurt content report\nkurt content report --output reports/docs --stale-days 180 --include '*/docs/*'",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report"),
    metavar="FILE",
    help="Name of the two files without .md and .html.  [default: report]",
)
@click.option("--title", default="Content report", help="Heading of the report.  [default: Content report]")
@click.option(
    "--stale-days",
    type=click.IntRange(1, 100_000),
    default=_STALE,
    metavar="N",
    help=f"Days after which a page counts as stale.  [default: {_STALE}]",
)
@filter_options()
def report_cmd(output: Path, title: str, stale_days: int, **given: Any) -> Json:
    """Write a report about all documents, as Markdown and as HTML with charts.

    Near-duplicates, stale and thin pages, links that lead nowhere, pages that nobody links to, repeated paragraphs.
    It reads what was fetched, and uses neither the network nor a model.
    """
    from kurt.app.content_report import write_report
    from kurt.app.documents import filter_of

    return write_report(
        current().settings(), filter_of(given), output=output, title=title, stale_days=stale_days
    )
