"""Each option that chooses documents, with each command that has it, on documents that real runs have found and fetched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kurt.cli.main import cli
from kurt.db.sessions import dispose_engines
from tests.support.cli import Kurt
from tests.support.site import Page, Site, page

GREEN, BLACK, NOTE = "green", "black", "note"

CHOICES: dict[str, tuple[list[str], set[str]]] = {
    "all": ([], {GREEN, BLACK, NOTE}),
    "include": (["--include", "*/green"], {GREEN}),
    "include an expression": (["--include", "re:(green|note)"], {GREEN, NOTE}),
    "exclude": (["--exclude", "*/green", "--exclude", "*/black"], {NOTE}),
    "url-contains": (["--url-contains", "BLACK"], {BLACK}),
    "file-ext": (["--file-ext", "md"], {NOTE}),
    "source-type": (["--source-type", "url"], {GREEN, BLACK}),
    "status": (["--status", "fetched", "--source-type", "file"], {NOTE}),
    "with-status": (["--with-status", "fetched", "--exclude", "*note*"], {GREEN, BLACK}),
}
"""Options, and which of the fetched documents they mean."""


@pytest.fixture(scope="module")
def fetched(_template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three fetched documents, one that is gone, one that failed, and one that was only found."""
    folder = tmp_path_factory.mktemp("corpus")
    project = folder / "project"
    shutil.copytree(_template, project)
    (project / "notes").mkdir()
    (project / "notes" / "note.md").write_text("# A note\n\nThis note is about tea.\n")
    kurt = Kurt(project, home, folder)
    pages = {f"/{name}": page(f"{name.title()} tea") for name in (GREEN, BLACK)}
    with Site({**pages, "/broken": Page(status=400)}) as site:
        urls = ",".join(f"{site.url}/{name}" for name in (GREEN, BLACK, "gone", "broken"))
        kurt("content", "map", "--folder", "notes", "--respect-robots")
        kurt("content", "fetch", "--urls", urls, "--allow-private", "--embed", "--respect-robots")
        kurt("content", "fetch", "--file", "notes/note.md", "--no-embed")
        (project / "notes" / "later.md").write_text("# Later\n")
        kurt("content", "map", "--folder", "notes")
    return project


class Corpus:
    """`kurt` in this process, on a copy of those documents."""

    def __init__(self, project: Path) -> None:
        self.project = project

    def __call__(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, words, prog_name="kurt")
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}"
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--format", "json").stdout)


@pytest.fixture
def corpus(fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Corpus]:
    project = tmp_path / "copy"
    shutil.copytree(fetched, project)
    monkeypatch.chdir(project)
    yield Corpus(project)
    dispose_engines()


def names(rows: list[dict[str, str]]) -> set[str]:
    return {row["uri"].rpartition("/")[2].removesuffix(".md") for row in rows}


def test_list_search_delete_and_report_choose_alike(corpus: Corpus) -> None:
    for what, (options, expected) in CHOICES.items():
        listed = names(corpus.json("content", "list", "--has-content", *options))
        found = names(corpus.json("content", "search", "tea", *options)["hits"])
        report = corpus.json("content", "report", "--output", "chosen", *options)
        assert (what, listed, found, report["pages"]) == (what, expected, expected, len(expected))
        if options:
            planned = corpus.json("content", "delete", "--dry-run", *options)
            assert names(planned["rows"]) >= expected, what
            assert planned["deleted"] == 0
    assert names(corpus.json("content", "list", "--no-content")) == {"gone", "broken", "later"}


def test_states_sizes_and_limits(corpus: Corpus) -> None:
    for state, expected in (("gone", "gone"), ("error", "broken"), ("discovered", "later")):
        assert names(corpus.json("content", "list", "--status", state)) == {expected}
    assert names(corpus.json("content", "list", "--min-size", "200")) == {GREEN, BLACK}
    assert len(corpus.json("content", "list", "--limit", "2")) == 2
    assert len(corpus.json("content", "list", "--limit", "0")) == 6
    assert len(corpus.json("content", "search", "tea", "--limit", "1")["hits"]) == 1
    stats = corpus.json("content", "stats")
    assert stats["by_state"] == {"discovered": 1, "fetched": 3, "error": 1, "gone": 1}
    assert stats["vectors"] == {"lexical/hashing-v1": 2}  # the note has none: --no-embed


def test_ways_to_search(corpus: Corpus) -> None:
    words = corpus.json("content", "search", "--mode", "words", "about note tea")
    assert {tuple(hit["found_by"]) for hit in words["hits"]} == {("words",)}
    meaning = corpus.json("content", "search", "--mode", "meaning", "green tea")
    assert names(meaning["hits"]) == {GREEN, BLACK}
    both = corpus.json("content", "search", "--mode", "both", "green tea")
    assert both["hits"][0]["found_by"] == ["words", "meaning"]


def test_what_a_report_is_called_and_what_counts_as_stale(corpus: Corpus) -> None:
    old = corpus.project / "notes" / "note.md"
    os.utime(old, (old.stat().st_atime, old.stat().st_mtime - 10 * 86400))
    options = ("--output", "out/docs", "--title", "Our <docs>")
    assert corpus.json("content", "report", *options, "--stale-days", "20")["stale"] == 0
    made = corpus.json("content", "report", *options, "--stale-days", "5")
    assert (made["stale"], made["html"]) == (1, "out/docs.html")
    assert "Our &lt;docs&gt;" in (corpus.project / "out" / "docs.html").read_text()


def test_get_and_delete_one_and_all(corpus: Corpus) -> None:
    uri = "file:notes/note.md"
    assert corpus("content", "get", uri, "--text").stdout == "# A note\n\nThis note is about tea.\n"
    identity = corpus.json("content", "get", uri)["id"]
    assert corpus.json("content", "delete", identity[:12])["deleted"] == 1
    assert corpus("content", "get", uri, code=3).stderr.count("hint:") == 1
    assert corpus.json("content", "delete", "--all")["deleted"] == 5
    assert [path for path in (corpus.project / "sources").rglob("*.md") if path.name != "README.md"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list", "--status", "nonsense"], 2, "is not one of"),
        (["list", "--include", "re:["], 2, "write a glob such as"),
        (["get", "nothing"], 3, "see `kurt content list`"),
        (["search"], 2, "--help"),
        (["search", "tea", "--limit", "0"], 2, "1<=x<=1000"),
        (["delete"], 2, "name their ids, or a filter, or --all"),
        (["delete", "nothing"], 3, "see `kurt content list`"),
        (["report", "--output", "kurt.config/report"], 1, "name another place with --output"),
        (["stats", "more"], 2, "--help"),
        (["fetch", "--engine", "jina", "--url", "https://tea.example/"], 4, "JINA_API_KEY"),
        (["fetch", "--url", "tea.example"], 2, "write it with its scheme"),
        (["fetch", "--file", "../elsewhere.md"], 2, "kurt content map --folder PATH"),
        (["fetch", "--include", "re:("], 2, "write a glob such as"),
        (["fetch", "--url", "http://127.0.0.1:9/"], 1, "--allow-private"),
        (["map", "http://127.0.0.1:9/"], 1, "--allow-private"),
        (["map", "tea.example"], 2, "write it with its scheme"),
        (["map", "--cms", "nonsense"], 2, "wordpress"),
    ],
)
def test_what_is_wrong_is_told_with_the_remedy(kurt: Kurt, words: list[str], code: int, said: str) -> None:
    done = kurt("content", *words, code=code)
    assert said in done.stderr + done.stdout
