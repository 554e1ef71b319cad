"""The report as a Markdown file and as an HTML file that needs nothing else."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from kurt.content.report.charts import bars
from kurt.content.report.texts import Cell, Link, Section, page_rows, sections, summary

if TYPE_CHECKING:
    from kurt.content.report.findings import Findings

_BARS: Final = 20
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --bar: #3b6ea8; --work: #b4571c; }
@media (prefers-color-scheme: dark) { :root { --bar: #6ea3dc; --work: #e59a5f; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; min-width: 4rem; }
.numbers { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); padding: 0; }
.numbers li { background: var(--soft); border-radius: 6px; list-style: none; padding: .7rem 1rem; }
.numbers b { display: block; font-size: 1.5rem; } .numbers .work b { color: var(--work); }
svg { height: auto; max-width: 100%; } svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
svg rect { fill: var(--bar); }
"""
_WORK: Final = ' class="work"'
_IN_LINKS: Final = "/:?&=#%+,;@!$'()*~._- "
_ALWAYS: Final = 3  # the first numbers count, the others ask for work


def markdown_report(found: Findings, title: str) -> str:
    """The report as Markdown."""
    lines = [f"# {_plain(title)}", "", f"{found.now:%Y-%m-%d %H:%M} UTC", "", "| | |", "| --- | ---: |"]
    lines += [f"| {name} | {value:,} |" for name, value in summary(found)]
    lines += ["", "## Where the words are", "", "| section | pages | words |", "| --- | ---: | ---: |"]
    lines += [f"| {_plain(name)} | {pages:,} | {words:,} |" for name, pages, words in found.sections]
    lines += ["", "## How old the pages are", "", "| age | pages |", "| --- | ---: |"]
    lines += [f"| {_plain(name)} | {count:,} |" for name, count in found.ages]
    for section in [*sections(found), page_rows(found.pages)]:
        lines += ["", *_markdown_section(section)]
    return "\n".join(lines) + "\n"


def html_report(found: Findings, title: str) -> str:
    """The report as HTML, with its charts."""
    words = bars("Words by section", [(name, words) for name, _, words in found.sections[:_BARS]], "words")
    ages = bars("Pages by age", found.ages, "pages")
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p><time datetime="{found.now:%Y-%m-%dT%H:%MZ}">{found.now:%Y-%m-%d %H:%M} UTC</time></p>',
        '<ul class="numbers">',
        *(
            f"<li{_WORK if value and number >= _ALWAYS else ''}><b>{value:,}</b>{escape(name)}</li>"
            for number, (name, value) in enumerate(summary(found))
        ),
        "</ul>",
        f"<h2>Where the words are</h2>\n<figure>{words}</figure>",
        f"<h2>How old the pages are</h2>\n<figure>{ages}</figure>",
        *(_html_section(section) for section in [*sections(found), page_rows(found.pages)]),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}<style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(body)}\n</body>\n</html>\n"
    )


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
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    if section.said:
        parts.append(f"<p>{escape(section.said)}</p>")
    if section.columns:
        head = "".join(f"<th>{escape(column)}</th>" for column in section.columns)
        rows = "\n".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in section.rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>")
    if section.more:
        parts.append(f"<p>and {section.more:,} more</p>")
    return "\n".join(parts)


def _html_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        shown = f"{escape(cell.text)}<br><small>{escape(cell.uri)}</small>"
        if cell.uri.startswith(("http://", "https://", "file:///")):
            shown = f'<a href="{escape(cell.uri)}">{escape(cell.text)}</a>'
        return f"<td>{shown}</td>"
    if isinstance(cell, int):
        return f'<td class="number">{cell:,}</td>'
    return f"<td>{escape(cell)}</td>"
