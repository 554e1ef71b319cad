"""From the bytes of a page to its document."""

from __future__ import annotations

import pytest

from kurt.workflows.fetch import extract_page
from kurt.workflows.fetch.charsets import decode
from kurt.workflows.fetch.metadata import moment_of
from kurt.workflows.fetch.pages import NoTextError
from kurt.workflows.fetch.subtrees import Structure, structure_in
from tests.support.site import page

URL = "https://tea.example/guides/green"

HEAD = """<meta property="og:title" content="Green tea"><meta name="author" content="By Ann Leaf">
<meta property="article:published_time" content="2026-03-04T05:06:07+00:00"><meta name="description" content="All of it.">
<link rel="canonical" href="/guides/green">"""

DOCS = """<div class="highlight-python3"><div class="highlight"><pre><span>def brew(leaf):</span>
    <span>return leaf * 2</span></pre></div></div>
<h2>Times<a class="headerlink" href="#times">¶</a></h2>
<table><thead><tr><th>Tea</th><th>Minutes</th></tr></thead>
<tbody><tr><td>Green</td><td>2</td></tr><tr><td>Black</td><td>4</td></tr></tbody></table>
<p>See <a href="../black">how black tea is made</a>, which takes longer, or <a href="#top">go up</a>.</p>"""


def extract(text: str | bytes, **options: str) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    return extract_page(data, url=URL, **options).markdown


def test_the_main_text_comes_without_what_is_around_it() -> None:
    found = extract(page("Green tea"))
    assert "paragraph 3 about Green tea" in found
    assert "All rights reserved" not in found
    assert "About" not in found


def test_an_article_that_is_cut_into_boxes_is_kept_whole() -> None:
    """The first box alone is taken for the text; what stands beside the article is left out all the same."""
    boxes = "".join(
        f'<div class="grid"><div class="body article-body">{"".join(f"<p>{line}</p>" for line in lines)}</div><aside>Buy tea!</aside></div>'
        for lines in (
            [
                f"In box {box} stands sentence {number}, which is long enough to count as one."
                for number in range(count)
            ]
            for box, count in enumerate((12, 3, 6, 4))
        )
    )
    beside = "".join(
        f"<p>Story {number} is another one, and not a part of this article.</p>" for number in range(20)
    )
    found = extract(f"<main><article><h1>Tea</h1>{boxes}</article></main><div class='more'>{beside}</div>")
    assert all(f"In box {box} stands sentence 0" in found for box in range(4))
    assert "another one" not in found


def test_code_tables_headings_and_links_are_kept() -> None:
    found = extract(page("Brewing", more=DOCS))
    assert "```python\ndef brew(leaf):\n    return leaf * 2\n```" in found
    assert "| Green | 2 |" in found
    assert "## Times\n" in found
    assert "[how black tea is made](https://tea.example/black)" in found
    assert "#top" not in found
    assert structure_in(found) == Structure(fences=1, tables=1, headings=2)


@pytest.mark.parametrize(
    ("url", "target", "found"),
    [
        (URL, "black", "https://tea.example/guides/black"),
        (URL, "/white#how", "https://tea.example/white#how"),
        (URL, "mailto:a@tea.example", "mailto:a@tea.example"),
        ("file:notes/a.html", "b.html", "b.html"),
    ],
)
@pytest.mark.parametrize("more", ["", DOCS])
def test_links_lead_from_the_document(url: str, target: str, found: str, more: str) -> None:
    text = page("Tea", more=f'<p>A paragraph with <a href="{target}">a link</a> to something else.</p>{more}')
    assert f"[a link]({found})" in extract_page(text.encode(), url=url).markdown


@pytest.mark.parametrize("more", ["", DOCS])
def test_links_that_do_something_are_text(more: str) -> None:
    text = page(
        "Tea", more=f'<p>A paragraph with <a href="javascript:alert(1)">a link</a> to something.</p>{more}'
    )
    assert "javascript" not in extract(text)


def test_code_beside_line_numbers_is_code() -> None:
    numbered = (
        '<table class="highlighttable"><tr><td><pre>1\n2</pre></td><td><pre class="language-sh">ls\npwd</pre></td>'
        "</tr></table>"
    )
    assert "```sh\nls\npwd\n```" in extract(page("Shell", more=numbered))


def test_what_a_page_says_about_itself() -> None:
    found = extract_page(page("Green", head=HEAD).encode(), url=URL)
    assert (
        found.title,
        found.author,
        found.published,
        found.language,
        found.description,
        found.canonical,
    ) == (
        "Green tea",
        "Ann Leaf",
        "2026-03-04T05:06:07+00:00",
        "en",
        "All of it.",
        URL,
    )


def test_structured_data_of_articles_is_read() -> None:
    data = """{"@context": "https://schema.org", "@graph": [{"@type": "NewsArticle", "headline": "Tea news",
        "datePublished": "2026-01-02", "author": [{"name": "Ann"}, {"name": "Bob"}]}]}"""
    found = extract_page(
        page("Tea", head=f'<script type="application/ld+json">{data}</script>').encode(), url=URL
    )
    assert (found.title, found.author, found.published) == ("Tea news", "Ann; Bob", "2026-01-02")


def test_structured_data_that_is_broken_is_left_out() -> None:
    deep = "[" * 50_000
    for data in ("{not json", deep, '{"@graph": 7, "author": {"name": {"name": 3}}}'):
        head = f'<script type="application/ld+json">{data}</script>'
        assert extract_page(page("Tea", head=head).encode(), url=URL).title == "Tea"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02", "2026-01-02"),
        ("2026/1/2", "2026-01-02"),
        ("20260102", "2026-01-02T00:00:00"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-13-45", None),
        ("yesterday", None),
    ],
)
def test_moments(text: str, moment: str | None) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252"]
)
def test_text_is_read_whatever_its_encoding(encoding: str) -> None:
    text = page("Thé glacé", "Il faut goûter le thé à l'été: c'est déjà très bon, où que vous soyez. " * 5)
    assert "goûter le thé à l'été" in extract(text.encode(encoding))


@pytest.mark.parametrize("declared", ["utf-16", "shift_jis", "no-such-charset", "ascii"])
def test_a_wrong_word_of_the_server_does_no_harm(declared: str) -> None:
    text = page("Tee", "Grüner Tee wird nicht geröstet, sondern gedämpft, und schmeckt süßlich. " * 5)
    assert "gedämpft" in extract(text.encode(), charset=declared)


def test_the_word_of_the_page_is_heard_before_that_of_the_server() -> None:
    text = '<meta charset="koi8-r"><p>Зелёный чай</p>'
    assert "Зелёный чай" in decode(text.encode("koi8-r"), "iso-8859-5")


def test_bytes_that_fit_nowhere_are_replaced() -> None:
    assert "tea" in decode(b"<html lang=de> tea \x81\x8d\xff" * 3, "ascii")


@pytest.mark.parametrize("data", [b"", b"   ", b"<html></html>", b"\x00\x01\x02" * 100, b"<" * 1000])
def test_pages_without_text_are_told(data: bytes) -> None:
    with pytest.raises(NoTextError):
        extract_page(data, url=URL)


def test_deep_nesting_is_survived() -> None:
    deep = "<div>" * 20_000 + "<p>" + "Tea is a drink that is made of leaves and of water. " * 20
    assert isinstance(_outcome(deep), str)
    tables = "<table><tr><td>" * 3_000 + "x <pre>a\nb</pre>"
    assert isinstance(_outcome(page("Tea", more=tables)), str)


def _outcome(text: str) -> str:
    try:
        return extract(text)
    except NoTextError as error:
        return str(error)


def test_the_same_bytes_give_the_same_page() -> None:
    data = page("Brewing", more=DOCS, head=HEAD).encode()
    assert extract_page(data, url=URL) == extract_page(data, url=URL)
