"""Turning pages into Markdown: text against articles whose text is known, structure against pages of documentation."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import Bench

ARTICLES = "BENCH_AEB"
"""Variable with the folder of the article extraction benchmark: `ground-truth.json` and `html/ID.html.gz`."""

DOCS = "BENCH_DOCS"
"""Variable with a folder of documentation, a folder in it for each manual, such as those of Debian's packages."""

PER_MANUAL = 30
SHINGLE = 4
MAINS = (
    "//*[@role='main']",
    "//main",
    "//div[@id='page-content']",
    "//div[@id='content']",
    "//div[@class='fancy']",
    "//div[@id='bd']/div[@id='yui-main']/div",
    "//body/div[contains('refentry section chapter sect1 sect2 article preface appendix', @class) and @class!='']",
)
"""Where generators of documentation put the text, most reliable first."""

NO_TEXT = ".//nav | .//script | .//style | .//*[contains(@class, 'headerlink')]"
HEADINGS = ".//h1 | .//h2 | .//h3 | .//h4 | .//h5 | .//h6"
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
FENCE = re.compile(r"^[ >]*(`{3,})[^\n`]*\n(.*?)^[ >]*\1[ ]*$", re.MULTILINE | re.DOTALL)
RULE = re.compile(r"^[ >]*\|?[ ]*:?-+:?[ ]*(\|[ ]*:?-+:?[ ]*)*\|?[ ]*$", re.MULTILINE)
WORD = re.compile(r"\w+")


@benchmark("extract-articles")
def extract_articles(bench: Bench) -> list[Figure]:
    """F1 of the Markdown of pages on the article extraction benchmark: runs of four words, a mean over the pages."""
    del bench
    folder = _folder(ARTICLES)
    if folder is None:
        return []
    truth: dict[str, Any] = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    started = time.process_time()
    found = {
        name: _markdown(gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()), page["url"])
        for name, page in truth.items()
    }
    spent = time.process_time() - started
    scores = [_overlap(truth[name]["articleBody"], LINK.sub(r"\1", text)) for name, text in found.items()]
    precision, recall = (sum(score[part] for score in scores) / len(scores) for part in (0, 1))
    return [
        Figure(
            what=f"F1 of the text of {len(truth)} articles",
            value=2 * precision * recall / (precision + recall),
            unit="",
            budget=0.955,
            more=True,
            against="what people took for the article",
            detail={"precision": precision, "recall": recall, "pages_per_cpu_s": len(truth) / spent},
        )
    ]


@benchmark("extract-docs")
def extract_docs(bench: Bench) -> list[Figure]:
    """Code, tables and headings that the Markdown of documentation pages keeps, of those in the main part of each."""
    del bench
    folder = _folder(DOCS)
    if folder is None:
        return []
    kept, wanted, pages = Counter[str](), Counter[str](), 0
    for path in _sample(folder):
        body = path.read_bytes()
        structure = _structure_of(body)
        if structure is None:
            continue
        pages += 1
        has = _structure_in(_markdown(body, f"https://docs.example.com/{path.relative_to(folder)}"))
        for name in ("code", "tables", "headings"):
            there = getattr(structure, name)
            wanted[name] += there.total()
            kept[name] += (there & getattr(has, name)).total()
    budgets = {"code": 0.95, "tables": 0.93, "headings": 0.92}
    return [
        Figure(
            what=f"{what} kept on {pages} documentation pages",
            value=kept[name] / max(wanted[name], 1),
            unit="",
            budget=budgets[name],
            more=True,
            against="the main part of each page",
            detail={"kept": kept[name], "wanted": wanted[name]},
        )
        for name, what in (("code", "blocks of code"), ("tables", "tables"), ("headings", "headings"))
    ]


def _folder(variable: str) -> Path | None:
    """The folder that a variable names; None, and a line that says so, where there is none."""
    given = os.environ.get(variable)
    if given and Path(given).is_dir():
        return Path(given)
    print(f"  not measured: the data is not there, {variable} names no folder", file=sys.stderr)
    return None


def _markdown(body: bytes, url: str) -> str:
    from kurt.errors import KurtError
    from kurt.workflows.fetch import extract_page

    try:
        return extract_page(body, url=url).markdown
    except KurtError:
        return ""


def _overlap(wanted: str, got: str) -> tuple[float, float]:
    """Precision and recall of runs of words."""
    want, have = _runs(wanted), _runs(got)
    hit = (want & have).total()
    return (hit / have.total() if have else float(not want), hit / want.total() if want else float(not have))


def _runs(text: str) -> Counter[tuple[str, ...]]:
    words = WORD.findall(text)
    return Counter(tuple(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1)) if words)


def _sample(folder: Path) -> Iterable[Path]:
    """Pages that stand equally far apart in each manual."""
    for manual in sorted(path for path in folder.iterdir() if path.is_dir()):
        pages = sorted(path for path in manual.rglob("*.html") if path.is_file())
        yield from pages[:: max(1, len(pages) // PER_MANUAL)][:PER_MANUAL]


@dataclass(frozen=True, slots=True)
class Structure:
    """What a page has besides prose, each by its words, run together: signs differ from format to format.

    Attributes:
        code: blocks of several lines.
        tables: tables of data, by their first rows.
        headings: headings.
    """

    code: Counter[str]
    tables: Counter[str]
    headings: Counter[str]


def _structure_of(body: bytes) -> Structure | None:
    """The structure of the main part of a page; None where it is not known which part that is."""
    from lxml import html

    from kurt.workflows.fetch.charsets import decode

    tree = html.document_fromstring(decode(body))
    main = next((found[0] for path in MAINS if (found := tree.xpath(path))), None)
    if main is None:
        return None
    for element in main.xpath(NO_TEXT):
        element.drop_tree()
    return Structure(
        code=_counted(text for pre in main.iter("pre") if _is_code(text := pre.text_content())),
        tables=_counted(row for table in main.iter("table") if (row := _first_row(table))),
        headings=_counted(heading.text_content() for heading in main.xpath(HEADINGS)),
    )


def _is_code(text: str) -> bool:
    """Whether a block has several lines, and is no column of line numbers."""
    return "\n" in text.strip() and not all(word.isdecimal() for word in text.split())


def _first_row(table: Any) -> str:
    """The first row of a table of data; empty for one that only arranges what is in it."""
    rows = [list(row.iterchildren("td", "th")) for row in table.iter("tr")]
    arranges = table.xpath(".//table | .//pre")
    if arranges or len(rows) < 2 or max(map(len, rows)) < 2:
        return ""
    texts = (" ".join(cell.text_content() for cell in row) for row in rows)
    return next((text for text in texts if WORD.search(text)), "")


def _structure_in(markdown: str) -> Structure:
    code = [found[2] for found in FENCE.finditer(markdown)]
    lines = LINK.sub(r"\1", FENCE.sub("", markdown)).splitlines()
    return Structure(
        code=_counted(text for text in code if _is_code(text)),
        tables=_counted(
            _row_around(lines, at) for at, line in enumerate(lines) if "|" in line and RULE.match(line)
        ),
        headings=_counted(line for line in lines if line.startswith("#")),
    )


def _row_around(lines: list[str], rule: int) -> str:
    """The first row of a table that has words."""
    above = lines[rule - 1] if rule else ""
    return above if WORD.search(above) else "".join(lines[rule + 1 : rule + 2])


def _counted(texts: Iterable[str]) -> Counter[str]:
    words = ("".join(WORD.findall(text)).replace("_", "") for text in texts)
    return Counter(word for word in words if word)
