"""The report as a Markdown file and as an HTML file that needs nothing else."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from kurt.content.report.charts import bars
from kurt.content.report.texts import NOTHING, TOLD_IN, Cell, Link, Section, page_rows, sections, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.content.report.findings import Findings

_BARS: Final = 20
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --bar: #3b6ea8; --work: #b4571c; }
@media (prefers-color-scheme: dark) { :root { --bar: #6ea3dc; --work: #e59a5f; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; min-width: 50%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: anywhere; min-width: 4rem; } td.page, td.text { min-width: 11rem; max-width: 28rem; }
tbody tr:hover { background: var(--soft); } small { opacity: .75; }
a { color: var(--bar); } .numbers { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); padding: 0; }
.numbers li { background: var(--soft); border-radius: 6px; list-style: none; padding: .7rem 1rem; }
.numbers b { display: block; font-size: 1.5rem; } .numbers .work b { color: var(--work); }
.numbers a { color: inherit; text-decoration: none; } .numbers a:hover { text-decoration: underline; }
figure { margin: 0; overflow-x: auto; } svg { height: auto; min-width: 34rem; max-width: 100%; } svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
svg rect { fill: var(--bar); }
"""
_WORK: Final = ' class="work"'
_NUMBER: Final = ' class="number"'
_TEXT: Final = ' class="text"'
_SHORT: Final = 40
_TITLE: Final = 120
_ADDRESS: Final = 100
_IN_LINKS: Final = "/:?&=#%+,;@!$'()*~._- "
_ALWAYS: Final = 3  # the first numbers count, the others ask for work


def markdown_report(found: Findings, title: str) -> str:
    """The report as Markdown."""
    lines = [f"# {_plain(title)}", "", f"{found.now:%Y-%m-%d %H:%M} UTC", "", "| | |", "| --- | ---: |"]
    lines += [f"| {name} | {value:,} |" for name, value in summary(found)]
    if not found.pages:
        failed = [section for section in sections(found) if section.rows]
        return (
            "\n".join([*lines, "", NOTHING, *(x for one in failed for x in ("", *_markdown_section(one)))])
            + "\n"
        )
    lines += ["", "## Where the words are", "", "| section | pages | words |", "| --- | ---: | ---: |"]
    lines += [f"| {_plain(name)} | {pages:,} | {words:,} |" for name, pages, words in found.sections]
    lines += ["", "## How old the pages are", "", "| age | pages |", "| --- | ---: |"]
    lines += [f"| {_plain(name)} | {count:,} |" for name, count in found.ages]
    for section in [*sections(found), page_rows(found.pages)]:
        lines += ["", *_markdown_section(section)]
    return "\n".join(lines) + "\n"


def html_report(found: Findings, title: str) -> str:
    """The report as HTML, with its charts."""
    parts = [*sections(found), page_rows(found.pages)]
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p><time datetime="{found.now:%Y-%m-%dT%H:%MZ}">{found.now:%Y-%m-%d %H:%M} UTC</time></p>',
        *([] if found.pages else ["<p>" + re.sub("`(.+?)`", r"<code>\1</code>", escape(NOTHING)) + "</p>"]),
        *(_html_numbers(found, parts) + _html_charts(found) if found.pages else []),
        *(_html_section(section) for section in parts if found.pages or section.rows),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}<style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(body)}\n</body>\n</html>\n"
    )


def _html_numbers(found: Findings, parts: Sequence[Section]) -> list[str]:
    """The numbers at the head; those that ask for work lead to the part that tells of it."""
    there = {section.heading for section in parts}
    shown: list[str] = []
    for number, (name, value) in enumerate(summary(found)):
        text = f"<b>{value:,}</b>{escape(name)}"
        heading = TOLD_IN.get(name)
        if value and heading in there:
            text = f'<a href="#{_anchor(str(heading))}">{text}</a>'
        shown.append(f"<li{_WORK if value and number >= _ALWAYS else ''}>{text}</li>")
    return ['<ul class="numbers">', *shown, "</ul>"]


def _html_charts(found: Findings) -> list[str]:
    words = bars("Words by section", [(name, words) for name, _, words in found.sections[:_BARS]], "words")
    ages = bars("Pages by age", found.ages, "pages")
    charts = (("Where the words are", words), ("How old the pages are", ages))
    return [f"<h2>{heading}</h2>\n<figure>{chart}</figure>" for heading, chart in charts if chart]


def _anchor(heading: str) -> str:
    """A part's name for links to it."""
    return re.sub(r"\W+", "-", heading.lower())


def _markdown_section(section: Section) -> list[str]:
    lines = [f"## {section.heading}", "", *([section.said, ""] if section.said else [])]
    if section.columns:
        numbers = [
            all(isinstance(row[at], int) for row in section.rows) for at in range(len(section.columns))
        ]
        lines.append("| " + " | ".join(section.columns) + " |")
        lines.append("| " + " | ".join("---:" if number else "---" for number in numbers) + " |")
        lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in section.rows]
    return (
        [*lines, "", f"and {section.more:,} more"]
        if section.more
        else lines[: len(lines) - (not section.columns)]
    )


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f"[{_plain(cell.text)}](<{quote(cell.uri, safe=_IN_LINKS)}>)"
    return f"{cell:,}" if isinstance(cell, int) else _plain(cell)


def _plain(text: str) -> str:
    """A text that Markdown takes for nothing but text, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _html_section(section: Section) -> str:
    parts = [f'<h2 id="{_anchor(section.heading)}">{escape(section.heading)}</h2>']
    if section.said:
        parts.append(f"<p>{escape(section.said)}</p>")
    if section.columns:
        numbers = [
            all(isinstance(row[at], int) for row in section.rows) for at in range(len(section.columns))
        ]
        head = "".join(
            f"<th{_NUMBER if number else ''}>{escape(column)}</th>"
            for column, number in zip(section.columns, numbers, strict=True)
        )
        rows = "\n".join(f"<tr>{_html_row(row)}</tr>" for row in section.rows)
        parts.append(
            f'<div class="table"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'
        )
    if section.more:
        parts.append(f"<p>and {section.more:,} more</p>")
    return "\n".join(parts)


def _html_row(row: Sequence[Cell]) -> str:
    titles = [cell.text for cell in row if isinstance(cell, Link)]
    return "".join(_html_cell(cell, alone=len(titles) == len(set(titles))) for cell in row)


def _html_cell(cell: Cell, *, alone: bool) -> str:
    """A cell; a page's address stands below its title where that cannot be followed, or does not tell two pages apart."""
    if isinstance(cell, int):
        return f"<td{_NUMBER}>{cell:,}</td>"
    if isinstance(cell, str):
        return f"<td{_TEXT if len(cell) > _SHORT else ''}>{escape(cell)}</td>"
    shown = escape(_shortened(cell.text, _TITLE))
    can_be_followed = cell.uri.startswith(("http://", "https://", "file:///"))
    if can_be_followed:
        shown = f'<a href="{escape(cell.uri)}" title="{escape(cell.uri)}">{shown}</a>'
    if not (can_be_followed and alone) and cell.text != cell.uri:
        shown += f'<br><small title="{escape(cell.uri)}">{escape(_shortened(cell.uri, _ADDRESS))}</small>'
    return f'<td class="page">{shown}</td>'


def _shortened(text: str, width: int) -> str:
    """A text with its middle left out where it is too long: addresses differ at their ends."""
    if len(text) <= width:
        return text
    return f"{text[: width // 2 - 1]}…{text[-(width // 2) :]}"
