"""What a report finds, and how it is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from kurt.content.markdown import content_hash
from kurt.content.report.charts import bars
from kurt.content.report.duplicates import near_duplicates, repeated_paragraphs
from kurt.content.report.findings import Findings, Material, findings, short_names
from kurt.content.report.links import follow
from kurt.content.report.pages import Page, date_of, page_of, section_of
from kurt.content.report.writing import html_report, markdown_report
from kurt.db.models import Document
from kurt.llm.embeddings import lexical_vectors

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = " ".join(f"word{number}" for number in range(300))
OTHER = " ".join(f"other{number}" for number in range(300))


def document(uri: str, text: str, **facts: Any) -> Document:
    facts = {
        "id": uri,
        "uri": uri,
        "state": "fetched",
        "title": uri,
        "content_hash": content_hash(text),
        **facts,
    }
    return Document(**facts)


def page(uri: str, text: str = TEXT, **facts: Any) -> Page:
    return page_of(document(uri, text, **facts), text)


def found_in(texts: dict[str, str], *, gone: tuple[str, ...] = (), **facts: Any) -> Findings:
    documents = [document(uri, text, **facts) for uri, text in texts.items()]
    documents += [document(uri, "", state="gone", error="HTTP 410") for uri in gone]
    pages = [page_of(one, texts[one.uri]) for one in documents if one.uri in texts]
    return findings(Material(documents, pages, {}, None, lambda uri: False, NOW, 365))


def test_a_page_is_read() -> None:
    text = "# One\n\nSee [two](two.md 'Two') and ![x](x.png), [three](<b c>).\n\n```sh\n# no [link](y)\n```\n\n## Three\n"
    read = page("file:docs/a.md", text, title=None, published="2026-02", last_modified="2020-01-01")
    assert (read.title, read.has_title, read.section) == ("a.md", False, "docs")
    assert (read.words, read.headings, read.links) == (7, 2, ("two.md", "b c"))
    assert read.dated == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026", "2026-01-01T00:00:00+00:00"),
        ("2026-11-21T10:00:00+02:00", "2026-11-21T08:00:00+00:00"),
        ("Sat, 21 Nov 2026 07:00:00 GMT", "2026-11-21T07:00:00+00:00"),
        ("21 November 2026", "2026-11-21T00:00:00+00:00"),
        ("Nov 1, 2026", "2026-11-01T00:00:00+00:00"),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(text: str | None, date: str | None) -> None:
    read = date_of(text)
    assert (read.isoformat() if read else None) == date


@pytest.mark.parametrize(
    ("text", "facts", "date"),
    [
        ("x\n\n*This page last modified on [2017-02-02 23:55:23](https://e.com) UTC*", {}, "2017-02-02"),
        (
            "Updated: 3 March 2020\n\nx",
            {"published": "2019-01-01", "last_modified": "2026-01-01"},
            "2020-03-03",
        ),
        ("Last reviewed May 4, 2018", {"published": "2019-01-01"}, "2019-01-01"),
        ("The file was changed. In 2017-02-02 it was not.", {"last_modified": "2026-01-02"}, "2026-01-02"),
        ("x", {}, "2025-06-07"),
    ],
)
def test_when_a_page_was_changed(text: str, facts: dict[str, str], date: str) -> None:
    read = page_of(document("file:a.md", text, **facts), text, datetime(2025, 6, 7, tzinfo=UTC))
    assert read.dated is not None
    assert read.dated.date().isoformat() == date


def test_pages_belong_to_sections() -> None:
    uris = [
        "https://example.com/a",
        "https://example.com/a/b/c",
        "file:a.md",
        "file:a/b/c.md",
        "file:///x/y/z.md",
    ]
    assert [section_of(uri) for uri in uris] == ["example.com", "example.com/a", ".", "a/b", "/x/y"]
    assert short_names(["/x/a/b", "/x/c"]) == {"/x/a/b": "a/b", "/x/c": "c"}
    assert short_names(["/x/docs", "/x/docs/guide", "a"]) == {
        "/x/docs": "docs",
        "/x/docs/guide": "docs/guide",
        "a": "a",
    }


def test_pages_with_the_same_wording_are_pairs() -> None:
    half = " ".join(TEXT.split()[:200] + OTHER.split()[:100])
    pages = [
        page("a", TEXT),
        page("b", TEXT + " more"),
        page("c", OTHER),
        page("d", half),
        page("e", "too short"),
    ]
    found = [(pair.first.uri, pair.second.uri) for pair in near_duplicates(pages, {})]
    assert found[0] == ("b", "a")
    assert set(found) == {("b", "a")} | {pair for pair in found if "d" in pair}
    assert not any({"a", "c"} == set(pair) or "e" in pair for pair in found)
    [first, *_] = near_duplicates(pages, {})
    assert first.alike > 0.98
    assert first.contained == 1.0
    assert first.near is None


def test_a_page_that_stands_in_a_longer_one_is_found() -> None:
    [pair] = near_duplicates([page("short", TEXT), page("long", f"{TEXT} {OTHER}")], {})
    assert (pair.first.uri, pair.second.uri) == ("long", "short")
    assert pair.contained == 1.0


def test_near_vectors_are_compared_word_by_word() -> None:
    words = TEXT.split()
    changed = " ".join(f"zz{index}" if index % 14 == 0 else word for index, word in enumerate(words))
    pages = [page("a", TEXT), page("b", changed), page("c", OTHER)]
    made = lexical_vectors([TEXT, changed, OTHER])
    vectors = {one.content_hash: vector for one, vector in zip(pages, made, strict=True)}
    [pair] = near_duplicates(pages, vectors)
    assert {pair.first.uri, pair.second.uri} == {"a", "b"}
    assert pair.near is not None
    assert pair.near > 0.9


def test_hundreds_of_pages_with_the_same_frame_are_compared_in_time() -> None:
    frame = " ".join(f"menu{number}" for number in range(200))
    pages = [page(str(n), f"{frame} {' '.join(f'w{n}x{i}' for i in range(300))}") for n in range(300)]
    assert near_duplicates(pages, {}) == []


def test_paragraphs_on_many_pages() -> None:
    note = "This feature is only there for customers with a contract, so ask your contact first."
    pages = [page(str(n), f"{TEXT}{n}\n\n{note}\n\nshort one") for n in range(3)] + [page("x", OTHER)]
    assert [(found.text, len(found.pages)) for found in repeated_paragraphs(pages)] == [(note, 3)]


def test_links_between_pages_are_followed() -> None:
    base = "https://example.com/docs/"
    pages = [
        page(
            f"{base}a",
            "[b](b) [b](b#x) [gone](/gone) [bad](bad) [out](https://other.example/) [m](mailto:x@y) [?](no)",
        ),
        page(f"{base}b", "[self](b) [](#x)"),
        page(f"{base}lonely", ""),
    ]
    states = {one.uri: "fetched" for one in pages} | {
        "https://example.com/gone": "gone",
        f"{base}bad": "error",
    }
    found = follow(pages, states, lambda uri: False)
    assert found.internal == 2
    assert [(one.target, one.why) for one in found.broken] == [
        ("/gone", "the page is gone"),
        ("bad", "the page cannot be fetched"),
    ]
    assert [one.uri for one in found.orphans] == [f"{base}a", f"{base}lonely"]


def test_links_between_files_are_followed() -> None:
    pages = [
        page(
            "file:docs/a.md",
            "[b](guide/b%20c.md#x) [up](../top.md) [no](none.md) [img](x.png) [out](../../../etc)",
        ),
        page("file:docs/guide/b c.md", "[back](../a.md)"),
        page("file:///srv/x/y.md", "[z](../z.md)"),
    ]
    states = {one.uri: "fetched" for one in pages}
    there = {"file:top.md", "file:docs/x.png"}
    found = follow(pages, states, there.__contains__)
    assert [(one.page.uri, one.target) for one in found.broken] == [
        ("file:docs/a.md", "none.md"),
        ("file:///srv/x/y.md", "../z.md"),
    ]
    assert found.internal == 2


def test_all_findings() -> None:
    old = (NOW - timedelta(days=400)).isoformat()
    found = found_in(
        {"https://e.com/a/1": TEXT, "https://e.com/a/2": TEXT, "https://e.com/": "few words"},
        gone=("https://e.com/x",),
        published=old,
    )
    assert found.to_json() == {
        "documents": 4, "pages": 3, "words": 602, "near_duplicates": 1, "repeated_paragraphs": 0, "stale": 3, "undated": 0,
        "thin": 1, "long": 0, "without_headings": 0, "without_title": 0, "broken_links": 0, "orphans": 0, "failed": 1,
    }  # fmt: skip
    assert found.sections == [("e.com/a", 2, 600), ("e.com", 1, 2)]
    assert dict(found.ages)["< 2 years"] == 3
    assert found.median_words == 300
    assert found.states == {"fetched": 3, "gone": 1}


class Checker(HTMLParser):
    """Notes what is opened and not closed, and every attribute that could run a script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br", "rect"}:
            self.open.append(tag)
        self.faults += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        self.faults += [
            str(value) for name, value in attrs if name == "href" and str(value).startswith("java")
        ]
        if tag == "script":
            self.faults.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if self.open.pop() != tag:
            self.faults.append(f"</{tag}>")


def test_a_page_that_holds_many_others_has_one_row() -> None:
    parts = {f"https://e.com/{n}": " ".join(f"part{n}x{i}" for i in range(100)) for n in range(5)}
    found = found_in({**parts, "https://e.com/all": "\n\n".join(parts.values())})
    assert len(found.duplicates) == 5
    text = markdown_report(found, "x")
    assert text.count("| [https://e.com/all](<https://e.com/all>) | 5 shorter pages, such as ") == 1
    assert "| [https://e.com/all](<https://e.com/all>) | [" not in text


HOSTILE = '<script>alert(1)</script> | [x](javascript:y) "q" `c` *b* \n# h'


def test_the_report_is_written_as_markdown_and_html() -> None:
    texts = {f"https://e.com/{number}": TEXT for number in range(12)} | {"https://e.com/<b>": "few"}
    found = found_in(texts, gone=("https://e.com/gone",))
    text, html = markdown_report(found, "My docs"), html_report(found, "My docs")
    assert text.startswith("# My docs\n\n2026-11-21 00:00 UTC\n")
    assert "| pairs of near-duplicates | 66 |" in text
    assert "and 41 more" in text
    assert "| [https://e.com/1](<https://e.com/1>) |" in text
    assert all(heading in html for heading in re.findall(r"^## (.+)$", text, re.MULTILINE))
    assert html.count("<svg") == 2
    checked = Checker(html)
    assert (checked.open, checked.faults) == ([], [])
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_titles_of_strangers_do_no_harm() -> None:
    found = found_in({"https://e.com/a": TEXT, "https://e.com/b": TEXT}, title=HOSTILE)
    html = html_report(found, HOSTILE)
    checked = Checker(html)
    assert (checked.open, checked.faults) == ([], [])
    text = markdown_report(found, HOSTILE)
    assert "<script>" not in text.replace("\\<", "")
    assert "](javascript" not in text.replace("\\]", "")


def test_a_report_about_nothing_says_so() -> None:
    found = found_in({})
    assert found.to_json()["pages"] == 0
    assert "| pages | 0 |" in markdown_report(found, "x")
    assert Checker(html_report(found, "x")).open == []


def test_bars_have_names_numbers_and_lengths() -> None:
    drawn = bars("Words & more", [("a" * 50, 10), ("b", 5), ("<c>", 0)], "words")
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    assert widths == [380.0, 190.0]
    assert "&lt;c&gt;" in drawn
    assert 'aria-label="Words &amp; more"' in drawn
    assert f"<title>{'a' * 50}</title>" in drawn


def test_a_report_about_nothing_says_what_to_do_and_what_failed() -> None:
    found = found_in({}, gone=("https://e.com/gone",))
    for text in (markdown_report(found, "x"), html_report(found, "x")):
        assert "kurt content fetch" in text
        assert "HTTP 410" in text
        assert "Near-duplicates" not in text
        assert "<svg" not in text


def test_numbers_lead_to_the_parts_that_tell_of_them() -> None:
    html = html_report(found_in({f"https://e.com/{number}": TEXT for number in range(3)}), "x")
    targets = re.findall(r'<li[^>]*><a href="#([^"]+)">', html)
    assert {"near-duplicates", "all-pages"} <= set(targets)
    assert all(f'<h2 id="{target}">' in html for target in targets)


def test_addresses_tell_pages_with_one_title_apart_and_long_ones_are_cut() -> None:
    long = "https://e.com/" + "very-long-" * 40
    html = html_report(found_in({long + "a": TEXT, long + "b": TEXT}, title="Same " * 60), "x")
    shown = re.sub(r"<[^>]+>", " ", html.partition("Near-duplicates</h2>")[2])
    assert re.search(r"…\S+-a\b", shown)
    assert re.search(r"…\S+-b\b", shown)
    assert max(map(len, shown.split())) <= 100
    assert f'href="{long}a"' in html
    assert "vectors" not in shown
