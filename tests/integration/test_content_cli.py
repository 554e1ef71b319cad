"""`kurt content list`, `get`, `search`, `delete`, `stats` on both back ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kurt.cli.main import cli
from kurt.config import Settings
from kurt.content.documents import Fetched, Found, mark_gone, record_failed, record_fetched, upsert_found
from kurt.content.files import Stored, write_document
from kurt.content.markdown import content_hash
from kurt.content.search import Text, current_model, index, store_vectors
from kurt.core.embeddings import embedding_to_bytes, generate_embeddings
from kurt.core.tenancy import tenant
from kurt.db.sessions import dispose_engines, managed_session

KEYS = "https://example.com/guides/keys"
GONE = "https://example.com/gone"
LOST = "https://example.com/lost"
NOTE = "file:notes/a.md"

Run = Callable[..., Result]


def store(settings: Settings, uri: str, title: str, text: str) -> str:
    """A fetched document with its file, passages and vector; its id."""
    with managed_session(settings) as session:
        connection = session.connection()
        identity = upsert_found(connection, [Found(uri, title=title)])[uri].id
        path = write_document(settings.sources_dir, Stored(uri, text, title=title))
        hashed = content_hash(text)
        record_fetched(connection, [Fetched(identity, path, hashed, len(text))])
        index(connection, [Text(identity, title, text)])
        [vector] = generate_embeddings([text])
        store_vectors(connection, current_model(), {hashed: embedding_to_bytes(vector)})
    return identity


@pytest.fixture
def run(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`run("list", code=0)`: a verb of `kurt content` in this process, in a project of the back end."""
    monkeypatch.chdir(database.root)
    if not database.is_sqlite:
        monkeypatch.setenv("DATABASE_URL", database.database_url)

    def call(*argv: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["content", *argv], prog_name="kurt")
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}"
        return result

    yield call
    dispose_engines()


@pytest.fixture
def ids(run: Run, database: Settings) -> dict[str, str]:
    """Documents in every state: by URI, their ids."""
    with tenant():
        store(database, KEYS, "Managing keys", "# Keys\n\nTo rotate a key, run `kurt keys rotate`.\n")
        with managed_session(database) as session:
            connection = session.connection()
            found = upsert_found(
                connection, [Found(one) for one in (KEYS, GONE, LOST)] + [Found(NOTE, "file")]
            )
            mark_gone(connection, [found[GONE].id], "HTTP 410")
            record_failed(connection, {found[LOST].id: "HTTP 500"})
    return {uri: reference.id for uri, reference in found.items()}


def value(result: Result) -> Any:
    return json.loads(result.stdout)


def uris(result: Result) -> list[str]:
    return [row["uri"] for row in value(result)]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [NOTE, GONE, KEYS, LOST]),
        (["--status", "error", "--status", "gone"], [GONE, LOST]),
        (["--with-status", "fetched"], [KEYS]),
        (["--include", "*/guides/*"], [KEYS]),
        (["--include", "https://*", "--exclude", "re:(gone|lost)$"], [KEYS]),
        (["--source-type", "file"], [NOTE]),
        (["--file-ext", "md"], [NOTE]),
        (["--url-contains", "GUIDES"], [KEYS]),
        (["--has-content"], [KEYS]),
        (["--no-content", "--limit", "1"], [NOTE]),
        (["--limit", "0"], [NOTE, GONE, KEYS, LOST]),
        (["--min-size", "10000"], []),
    ],
)
def test_list(run: Run, ids: dict[str, str], options: list[str], found: list[str]) -> None:
    assert uris(run("list", *options, "--format", "json")) == found


def test_people_see_states_errors_and_titles(run: Run, ids: dict[str, str]) -> None:
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "URI", "TITLE", "FETCHED", "AT"]
    assert any("error" in line and "HTTP 500" in line for line in lines)
    assert any("fetched" in line and "Managing keys" in line for line in lines)
    assert "--limit 0" in run("list", "--limit", "4").stderr
    assert run("list", "--include", "nothing").stdout.strip() == "no documents"


def test_a_broken_pattern_is_a_usage_error(run: Run) -> None:
    assert "re:(" in run("list", "--include", "re:(", code=2).stderr


@pytest.mark.parametrize("by", ["id", "beginning", "uri", "another spelling"])
def test_get(run: Run, ids: dict[str, str], database: Settings, by: str) -> None:
    name = {"id": ids[KEYS], "beginning": ids[KEYS][:8], "uri": KEYS}.get(by, f"{KEYS}?utm_source=x#top")
    found = value(run("get", name, "--format", "json"))
    assert (found["uri"], found["status"], found["title"]) == (KEYS, "fetched", "Managing keys")
    assert found["content"].startswith("# Keys\n")
    assert (database.root / found["path"]).is_file()
    assert found["fetched_at"].endswith("Z")


def test_get_shows_facts_and_text_or_text_alone(run: Run, ids: dict[str, str]) -> None:
    shown = run("get", ids[KEYS]).stdout
    assert "Managing keys" in shown
    assert "To rotate a key" in shown
    assert run("get", ids[KEYS], "--text").stdout.startswith("# Keys\n")


def test_get_tells_what_is_missing(run: Run, ids: dict[str, str], database: Settings) -> None:
    assert "no document" in run("get", "nothing", code=3).stderr
    assert value(run("get", ids[LOST], "--format", "json"))["content"] is None
    assert f"kurt content fetch {ids[LOST]}" in run("get", ids[LOST], "--text", code=1).stderr
    for path in database.sources_dir.rglob("*.md"):
        path.unlink()
    assert "is gone" in run("get", ids[KEYS], code=3).stderr


def test_search_shows_title_address_and_passage_and_says_that_vectors_are_lexical(
    run: Run, ids: dict[str, str]
) -> None:
    result = run("search", "how", "do", "I", "rotate", "keys")
    assert result.stdout.splitlines() == [
        "1. Managing keys > Keys",
        f"   {KEYS}  (words and meaning)",
        "   To rotate a key, run `kurt keys rotate`.",
    ]
    assert "lexical" in result.stderr
    assert "EMBEDDING.MODEL" in result.stderr
    answer = value(run("search", "rotate keys", "--format", "json"))
    assert (answer["mode"], answer["lexical"], answer["model"]) == ("both", True, "lexical/hashing-v1")
    assert "lexical" in answer["note"]
    [hit] = answer["hits"]
    assert hit["id"] == ids[KEYS]
    assert hit["found_by"] == ["words", "meaning"]


def test_search_by_words_has_no_vectors(run: Run, ids: dict[str, str]) -> None:
    answer = value(run("search", "--mode", "words", '"rotate a key"', "--format", "json"))
    assert (answer["model"], answer["note"], len(answer["hits"])) == (None, None, 1)
    assert run("search", "--mode", "words", "zebra").stdout.strip() == "nothing was found"
    assert value(run("search", "key", "--exclude", "*/guides/*", "--format", "json"))["hits"] == []


def test_search_without_documents_says_what_to_do(run: Run, database: Settings) -> None:
    assert "kurt content map" in run("search", "x").stderr
    with tenant(), managed_session(database) as session:
        upsert_found(session.connection(), [Found(KEYS)])
    assert "kurt content fetch" in run("search", "x").stderr
    assert "nothing to search for" in run("search", " ", code=2).stderr


def test_search_falls_back_to_words_where_the_model_fails(
    run: Run, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KURT_EMBEDDING_MODEL", "openai/text-embedding-3-small")
    answer = value(run("search", "key", "--format", "json"))
    assert (answer["mode"], len(answer["hits"])) == ("words", 1)
    assert answer["note"].startswith("found by words only: ")
    failed = run("search", "key", "--mode", "meaning", code=4)
    assert failed.stdout == ""


def test_delete_removes_rows_texts_and_what_searches_know(
    run: Run, ids: dict[str, str], database: Settings
) -> None:
    planned = value(run("delete", KEYS, "--dry-run", "--format", "json"))
    assert (planned["dry_run"], planned["deleted"], planned["total"]) == (True, 0, 1)
    assert len(uris(run("list", "--format", "json"))) == 4
    done = value(run("delete", KEYS, ids[GONE], "--format", "json"))
    assert (done["dry_run"], done["deleted"]) == (False, 2)
    assert uris(run("list", "--format", "json")) == [NOTE, LOST]
    assert not list(database.sources_dir.rglob("*.md"))
    assert value(run("search", "key", "--format", "json"))["hits"] == []
    assert value(run("stats", "--format", "json"))["vectors"] == {}


def test_delete_by_filters_and_all(run: Run, ids: dict[str, str]) -> None:
    assert "deleted 1 document\n" in run("delete", "--status", "gone").stdout
    assert value(run("delete", ids[KEYS], "--status", "error", "--format", "json"))["total"] == 0
    assert "--all" in run("delete", code=2).stderr
    assert "no document" in run("delete", ids[KEYS], "nothing", code=3).stderr
    assert len(uris(run("list", "--format", "json"))) == 3
    assert value(run("delete", "--all", "--format", "json"))["deleted"] == 3


def test_stats(run: Run, ids: dict[str, str]) -> None:
    facts = value(run("stats", "--format", "json"))
    assert facts["by_state"] == {"discovered": 1, "fetched": 1, "error": 1, "gone": 1}
    assert (facts["with_content"], facts["not_indexed"]) == (1, 0)
    assert facts["vectors"] == {"lexical/hashing-v1": 1}
    shown = run("stats").stdout
    assert "documents        4" in shown
    assert "1 x HTTP 500" in shown


def test_a_workspace_is_one_of_its_own(run: Run, ids: dict[str, str], database: Settings) -> None:
    theirs = ("--workspace", "acme", "--format", "json")
    assert uris(run("list", *theirs)) == []
    run("get", ids[KEYS], *theirs, code=3)
    with tenant(workspace_id="acme"):
        other = store(database, KEYS, "Theirs", "their key")
    assert other != ids[KEYS]
    assert value(run("get", KEYS, *theirs))["content"] == "their key\n"
    assert [hit["title"] for hit in value(run("search", "key", *theirs))["hits"]] == ["Theirs"]
    assert value(run("delete", "--all", *theirs))["deleted"] == 1
    assert len(uris(run("list", "--format", "json"))) == 4
    assert value(run("get", KEYS, "--format", "json"))["content"].startswith("# Keys")


def test_report_writes_two_files_and_its_numbers(run: Run, ids: dict[str, str], database: Settings) -> None:
    many = " ".join(f"word{number}" for number in range(300))
    with tenant():
        store(
            database,
            "https://example.com/guides/copy",
            "A copy",
            "# Keys\n\nSee [this](/gone).\n\n" + many,
        )
        store(database, "https://example.com/guides/again", "Again", "# Keys\n\n" + many)
    made = value(run("report", "--output", "reports/all", "--title", "My docs", "--format", "json"))
    assert (made["markdown"], made["html"]) == ("reports/all.md", "reports/all.html")
    assert (made["documents"], made["pages"], made["failed"]) == (6, 3, 2)
    assert (made["near_duplicates"], made["broken_links"]) == (1, 1)
    text = (database.root / made["markdown"]).read_text()
    assert text.startswith("# My docs\n")
    assert "| https://example.com/gone | the page is gone | 1 | A copy |" in text
    assert "lexical/hashing-v1" in text
    assert "<svg" in (database.root / made["html"]).read_text()
    assert sorted(path.name for path in (database.root / "reports").iterdir()) == ["all.html", "all.md"]


def test_report_is_about_what_the_filters_mean(run: Run, ids: dict[str, str]) -> None:
    shown = run("report", "--status", "fetched", "--output", "r.md").stdout
    assert shown.splitlines() == ["pages 1, words 9; thin 1", "report: r.md and r.html"]


def test_report_tells_where_it_cannot_be_written(run: Run, ids: dict[str, str], database: Settings) -> None:
    (database.root / "taken").write_text("a file")
    failed = run("report", "--output", "taken/report", code=1)
    assert "cannot be written" in failed.stderr
    assert "--output" in failed.stderr
