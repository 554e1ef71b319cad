"""Documents that are no web pages of our own fetching: files, PDF, services, items of a CMS."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kurt.errors import CredentialsError
from kurt.workflows.fetch import run_fetch
from kurt.workflows.fetch.conversions import convert
from tests.support.site import Page, Site, page

PLAIN = {"embed": False}


def body(project: Path, row: dict[str, Any]) -> str:
    return (project / "sources" / row["path"]).read_text().split("---\n", 2)[2].strip()


def pdf_of(*lines: str, title: str = "Tea") -> bytes:
    """A PDF with one page."""
    text = "BT /F1 12 Tf 72 720 Td 14 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>",
        f"<</Length {len(text)}>>stream\n{text}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        f"<</Title({title})/Author(Ann Leaf)/CreationDate(D:20260102030405Z)>>",
    ]
    out, offsets = io.BytesIO(b""), list[int]()
    out.write(b"%PDF-1.4\n")
    for number, one in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj{one}endobj\n".encode())
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write("".join(f"{offset:010} 00000 n \n" for offset in offsets).encode())
    out.write(f"trailer<</Size {len(objects) + 1}/Root 1 0 R/Info 6 0 R>>startxref\n{start}\n%%EOF".encode())
    return out.getvalue()


def test_files_of_the_project_are_read(tmp_kurt_project: Path) -> None:
    folder = tmp_kurt_project / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(
        "---\ntitle: Tea time\nauthor: [Ann, Bob]\ndate: 2026-01-02\n---\n# Tea\n\nGreen.\n"
    )
    (folder / "b.txt").write_text("Black tea.")
    (folder / "c.html").write_text(page("White tea"))
    (folder / "d.pdf").write_bytes(pdf_of("Tea is made of leaves.", "And of water."))
    cells = [
        {"cell_type": "markdown", "source": ["# Notebook\n", "Text"]},
        {"cell_type": "code", "source": "print(1)"},
    ]
    notebook = {"cells": cells, "metadata": {"kernelspec": {"language": "python"}}}
    (folder / "e.ipynb").write_text(json.dumps(notebook))
    result = run_fetch(
        config={
            "files": [f"notes/{name}" for name in ("a.md", "b.txt", "c.html", "d.pdf", "e.ipynb")],
            **PLAIN,
        }
    )
    rows = {row["uri"].removeprefix("file:notes/"): row for row in result["rows"]}
    assert {row["status"] for row in rows.values()} == {"fetched"}
    assert rows["a.md"]["title"] == "Tea time"
    assert body(tmp_kurt_project, rows["a.md"]) == "# Tea\n\nGreen."
    assert body(tmp_kurt_project, rows["b.txt"]) == "Black tea."
    assert "paragraph 1 about White tea" in body(tmp_kurt_project, rows["c.html"])
    assert body(tmp_kurt_project, rows["d.pdf"]) == "Tea is made of leaves.\nAnd of water."
    assert rows["d.pdf"]["title"] == "Tea"
    assert body(tmp_kurt_project, rows["e.ipynb"]) == "# Notebook\nText\n\n```python\nprint(1)\n```"


def test_a_notebook_that_cannot_be_read_says_why(tmp_kurt_project: Path) -> None:
    (tmp_kurt_project / "a.ipynb").write_text("{bad")
    (tmp_kurt_project / "b.ipynb").write_text('{"cells": [{}]}')
    result = run_fetch(config={"files": ["a.ipynb", "b.ipynb"], **PLAIN})
    broken, shapeless = (row["error"] for row in result["rows"])
    assert broken.startswith("the notebook cannot be read: it is no JSON: Expecting property name")
    assert shapeless == "the notebook cannot be read: it is not made of cells with their kinds"


def test_a_file_that_is_as_it_was_is_not_read_again(tmp_kurt_project: Path) -> None:
    file = tmp_kurt_project / "a.md"
    file.write_text("Green.")
    run_fetch(config={"file": "a.md", **PLAIN})
    again = run_fetch(config={"file": "a.md", "refetch": True, **PLAIN})
    assert again["document_status"] == "unchanged"
    file.write_text("Black.")
    assert run_fetch(config={"refetch": True, **PLAIN})["document_status"] == "fetched"
    file.unlink()
    assert run_fetch(config={"refetch": True, **PLAIN})["document_status"] == "gone"


def test_files_elsewhere_are_none_of_the_project(tmp_kurt_project: Path) -> None:
    outside = tmp_kurt_project.parent / "outside.md"
    outside.write_text("secret")
    (tmp_kurt_project / "link.md").symlink_to(outside)
    (tmp_kurt_project / ".env").write_text("KEY=secret")
    for name in (
        str(outside),
        "../outside.md",
        "link.md",
        ".env",
        "file:///etc/hostname",
        "file://host/a.md",
    ):
        result = run_fetch(config={"file": name, **PLAIN})
        assert result["error_count"] == 1, name
        assert result["rows"][0]["path"] is None


def test_a_pdf_of_a_site_is_read(tmp_kurt_project: Path) -> None:
    with Site({"/tea.pdf": Page(pdf_of("Tea is made of leaves."), "application/octet-stream")}) as site:
        result = run_fetch(f"{site.url}/tea.pdf", {"allow_private": True, **PLAIN})
    assert result["title"] == "Tea"
    assert body(tmp_kurt_project, result["rows"][0]) == "Tea is made of leaves."


def test_markdown_and_text_of_a_site_are_taken_as_they_are(tmp_kurt_project: Path) -> None:
    text = "# Tea\n\n* green\n"
    pages = {"/a.md": Page(text.encode(), "text/plain"), "/b": Page(b"Black", "text/plain; charset=ascii")}
    with Site(pages) as site:
        result = run_fetch([f"{site.url}/a.md", f"{site.url}/b"], {"allow_private": True, **PLAIN})
    assert [body(tmp_kurt_project, row) for row in result["rows"]] == [text.strip(), "Black"]


def test_fragments_keep_their_structure() -> None:
    import base64

    text = '<p>See <a href="/x">x</a></p><pre><code class="language-sh">ls\npwd</code></pre><script>no()</script>'
    data = base64.b64encode(text.encode()).decode()
    found = convert({"kind": "fragment", "data": data, "url": "https://tea.example/a", "charset": "utf-8"})
    assert found["markdown"] == "See [x](https://tea.example/x)\n\n```sh\nls\npwd\n```\n"


SEEN: list[tuple[str, dict[str, str], Any]] = []


def answering(answer: Any, status: int = 200) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        SEEN.append((request.path, dict(request.headers), await request.json()))
        return web.json_response(answer, status=status)

    return handle


FACTS = {"title": "Tea", "language": "en", "sourceURL": "https://tea.example/", "statusCode": 200}
SERVICES: dict[str, tuple[str, Any, Any]] = {
    "firecrawl": (
        "/v2/scrape",
        {"success": True, "data": {"markdown": "# Tea\n\nGreen", "metadata": FACTS}},
        {"success": False, "error": "no such page"},
    ),
    "tavily": (
        "/extract",
        {
            "results": [{"url": "https://tea.example/", "title": "Tea", "raw_content": "# Tea\n\nGreen"}],
            "failed_results": [],
        },
        {"results": [], "failed_results": [{"url": "https://tea.example/", "error": "no such page"}]},
    ),
    "jina": (
        "/",
        {"code": 200, "data": {"title": "Tea", "url": "https://tea.example/", "content": "# Tea\n\nGreen"}},
        {"code": 422, "data": None, "message": "no such page"},
    ),
}


@pytest.fixture(autouse=True)
def _forget() -> None:
    SEEN.clear()


def use(monkeypatch: pytest.MonkeyPatch, project: Path, name: str, site: Site) -> None:
    monkeypatch.setenv(f"{name.upper()}_API_KEY", "the-key")
    config = project / "kurt.config"
    config.write_text(config.read_text() + f'FETCH.{name.upper()}_BASE_URL="{site.url}"\n')


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_service_reads_pages(name: str, tmp_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, answer, _ = SERVICES[name]
    with Site({path: answering(answer)}) as site:
        use(monkeypatch, tmp_project, name, site)
        result = run_here(tmp_project, {"url": "https://tea.example/", "engine": name, **PLAIN})
    assert (result["title"], result["error"]) == ("Tea", None)
    assert body(tmp_project, result["rows"][0]) == "# Tea\n\nGreen"
    where, headers, sent = SEEN[0]
    assert (where, headers["Authorization"]) == (path, "Bearer the-key")
    assert "https://tea.example/" in json.dumps(sent)


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_service_may_fail(name: str, tmp_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, failure = SERVICES[name]
    with Site({path: answering(failure)}) as site:
        use(monkeypatch, tmp_project, name, site)
        result = run_here(tmp_project, {"url": "https://tea.example/", "engine": name, **PLAIN})
    assert "no such page" in result["error"]


def test_a_key_that_is_refused_is_shown_once(tmp_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Site({"/v2/scrape": answering({"error": "Unauthorized"}, 401)}) as site:
        use(monkeypatch, tmp_project, "firecrawl", site)
        urls = [f"https://tea.example/{number}" for number in range(9)]
        config = {"urls": urls, "engine": "firecrawl", "concurrency": 2, **PLAIN}
        rows = run_here(tmp_project, config)["rows"]
    assert {(row["status"], row["code"]) for row in rows} == {("error", "credentials")}
    assert "FIRECRAWL_API_KEY" in rows[0]["error"]
    assert len(SEEN) <= 2  # what was on its way at the same time


def test_a_service_without_a_key_is_not_asked(tmp_project: Path) -> None:
    with pytest.raises(CredentialsError) as raised:
        run_here(tmp_project, {"url": "https://tea.example/", "engine": "tavily", **PLAIN})
    assert "TAVILY_API_KEY" in str(raised.value.hint)


def test_private_addresses_are_not_given_to_services(
    tmp_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Site({"/": answering({})}) as site:
        use(monkeypatch, tmp_project, "jina", site)
        result = run_here(tmp_project, {"url": "http://10.0.0.1/secret", "engine": "jina", **PLAIN})
    assert "not a public address" in result["error"]
    assert SEEN == []


def run_here(project: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Run with settings as they are now: DBOS is launched after them."""
    from kurt.core import destroy_dbos, init_dbos

    init_dbos(project)
    try:
        return run_fetch(config=config)
    finally:
        destroy_dbos()


def test_an_item_of_a_cms_is_read(tmp_project: Path) -> None:
    post = {
        "id": 7,
        "title": {"rendered": "Tea"},
        "content": {"rendered": "<h2>Kinds</h2><p>Green and black.</p>"},
        "link": "https://tea.example/tea",
        "status": "publish",
        "modified_gmt": "2026-01-02T03:04:05",
        "date_gmt": "2026-01-01T03:04:05",
    }

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(post)

    with Site({"/wp-json/wp/v2/posts/7": handle}) as site:
        config = tmp_project / "kurt.config"
        config.write_text(config.read_text() + f'CMS.WORDPRESS.DEFAULT.URL="{site.url}"\n')
        from kurt.content.documents import upsert_found
        from kurt.content.rows import Found
        from kurt.db import managed_session

        with managed_session() as session:
            upsert_found(session.connection(), [Found("cms://wordpress/default/posts/7", "cms")])
        result = run_here(tmp_project, {"source_type": "cms", "allow_private": True, **PLAIN})
    assert (result["title"], result["error"]) == ("Tea", None)
    assert body(tmp_project, result["rows"][0]) == "## Kinds\n\nGreen and black."
