"""`kurt content fetch`: each option does what it says, with real DBOS and a site on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from kurt.content.documents import upsert_found
from kurt.content.rows import Found
from kurt.db import managed_session
from kurt.testing import assert_cli_failure, assert_cli_success, assert_output_contains, invoke_cli
from kurt.workflows.fetch.cli import fetch_cmd
from tests.support.site import Page, Site, page
from tests.support.waiting import wait_until

NAMES = ("green", "black", "white")


@pytest.fixture
def site(tmp_project: Path, dbos_launched: Any) -> Iterator[Site]:
    """A site all of whose pages are known documents."""
    pages = {f"/{name}": page(f"{name.title()} tea") for name in NAMES}
    with Site({**pages, "/robots.txt": Page(b"User-agent: *\nDisallow: /white", "text/plain")}) as site:
        with managed_session() as session:
            upsert_found(session.connection(), [Found(f"{site.url}/{name}") for name in NAMES])
        yield site


class Fetch:
    """Runs the command, with the addresses of the site allowed."""

    def __init__(self, runner: CliRunner, site: Site) -> None:
        self._runner = runner
        self.site = site

    def __call__(self, *args: str, code: int = 0) -> dict[str, Any]:
        words = ["--allow-private", "--ignore-robots", "--no-embed", *args, "--format", "json"]
        result = invoke_cli(self._runner, fetch_cmd, words)
        assert_cli_success(result) if code == 0 else assert_cli_failure(result, code)
        return json.loads(result.stdout)

    def statuses(self, *args: str, code: int = 0) -> dict[str, str]:
        """States by name."""
        return {row["uri"].rpartition("/")[2]: row["status"] for row in self(*args, code=code)["rows"]}

    def ids(self) -> dict[str, str]:
        """Ids of the known pages by name."""
        with managed_session() as session:
            rows = session.connection().execute(text("SELECT uri, id FROM documents")).all()
        return {row[0].rpartition("/")[2]: row[1] for row in rows}


@pytest.fixture
def fetch(cli_runner: CliRunner, site: Site) -> Fetch:
    return Fetch(cli_runner, site)


ALL = dict.fromkeys(NAMES, "fetched")


def test_without_a_choice_all_that_have_no_text_are_fetched(fetch: Fetch) -> None:
    assert fetch.statuses() == ALL
    assert fetch.statuses() == {}


def test_ids_may_be_arguments_or_a_list(fetch: Fetch) -> None:
    ids = fetch.ids()
    assert fetch.statuses(ids["green"]) == {"green": "fetched"}
    assert fetch.statuses("--ids", f"{ids['black']},{ids['white']}") == {
        "black": "fetched",
        "white": "fetched",
    }


def test_arguments_may_be_beginnings_of_ids_and_addresses(fetch: Fetch) -> None:
    assert fetch.statuses(fetch.ids()["green"][:10], f"{fetch.site.url}/black") == {
        "green": "fetched",
        "black": "fetched",
    }


@pytest.mark.parametrize("names", [["no-such-id"], ["--file", "no-such-file.md"]])
def test_what_is_not_there_is_told(fetch: Fetch, names: list[str]) -> None:
    before = len(fetch.ids())
    result = fetch(*names, code=3)
    assert "there is no" in result["rows"][0]["error"]
    assert len(fetch.ids()) == before
    assert fetch(*names, fetch.ids()["green"])["success_count"] == 1  # what is there is fetched all the same


def test_a_file_has_one_address(fetch: Fetch, tmp_project: Path) -> None:
    (tmp_project / "notes").mkdir()
    (tmp_project / "tea.md").write_text("# Tea\n\nIs green.\n")
    result = fetch("--file", "notes/../tea.md", "--file", "file:./tea.md", "--files", "tea.md")
    assert [row["uri"] for row in result["rows"]] == ["file:tea.md"]


def test_urls(fetch: Fetch) -> None:
    url = fetch.site.url
    assert fetch.statuses("--url", f"{url}/green") == {"green": "fetched"}
    assert fetch.statuses("--urls", f"{url}/black, {url}/white") == {"black": "fetched", "white": "fetched"}


def test_files(fetch: Fetch, tmp_project: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_project / f"{name}.md").write_text(f"# {name}")
    assert fetch("--file", "a.md")["title"] == "a"
    assert fetch("--files", "b.md,c.md")["success_count"] == 2


def test_include_and_exclude(fetch: Fetch) -> None:
    assert fetch.statuses("--include", "*/green") == {"green": "fetched"}
    assert fetch.statuses("--exclude", "*/black", "--exclude", "*/green") == {"white": "fetched"}


def test_with_status(fetch: Fetch) -> None:
    fetch("--include", "*/green")
    fetch.site.pages["/black"] = Page(status=403)
    fetch("--include", "*/black", code=1)
    assert fetch.statuses("--with-status", "fetched") == {"green": "unchanged"}
    fetch.site.pages["/black"] = page("Black tea")
    assert fetch.statuses("--with-status", "error") == {"black": "fetched"}


def test_limit(fetch: Fetch) -> None:
    assert fetch("--limit", "2")["total"] == 2


def test_url_contains(fetch: Fetch) -> None:
    assert fetch.statuses("--url-contains", "GREE") == {"green": "fetched"}


def test_file_ext_and_source_type(fetch: Fetch, tmp_project: Path) -> None:
    (tmp_project / "a.md").write_text("# a")
    with managed_session() as session:
        upsert_found(session.connection(), [Found("file:a.md", "file")])
    assert fetch("--file-ext", "md", "--dry-run")["rows"][0]["uri"] == "file:a.md"
    assert fetch("--source-type", "file")["rows"][0]["uri"] == "file:a.md"


def test_engine(fetch: Fetch, cli_runner: CliRunner) -> None:
    words = ["--engine", "jina", "--include", "*/green", "--allow-private"]
    result = invoke_cli(cli_runner, fetch_cmd, words)
    assert_cli_failure(result, 4)
    assert "JINA_API_KEY" in result.output
    assert fetch.site.hits == []


def test_refetch_and_full(fetch: Fetch) -> None:
    fetch()
    fetch.site.forget()
    assert set(fetch.statuses("--refetch").values()) == {"unchanged"}
    assert fetch.site.paths(200) == []
    assert set(fetch.statuses("--full").values()) == {"unchanged"}
    assert len(fetch.site.paths(200)) == 3


def test_robots(fetch: Fetch, cli_runner: CliRunner) -> None:
    result = invoke_cli(cli_runner, fetch_cmd, ["--allow-private", "--no-embed", "--format", "json"])
    assert_cli_success(result)
    errors = [row["error"] for row in json.loads(result.stdout)["rows"] if row["error"]]
    assert len(errors) == 1
    assert "--ignore-robots" in errors[0]


def test_private_addresses(fetch: Fetch, cli_runner: CliRunner) -> None:
    result = invoke_cli(cli_runner, fetch_cmd, ["--format", "json"])
    assert_cli_failure(result, 1)
    assert "--allow-private" in result.stdout
    assert fetch.site.hits == []


def test_concurrency_and_delay(fetch: Fetch) -> None:
    fetch("--concurrency", "1", "--delay", "0.15")
    times = [hit.time for hit in fetch.site.hits]
    assert all(later - earlier >= 0.15 for earlier, later in pairwise(times))


def test_embed(fetch: Fetch, cli_runner: CliRunner) -> None:
    def vectors() -> int:
        with managed_session() as session:
            return session.connection().execute(text("SELECT count(*) FROM content_vectors")).scalar_one()

    fetch("--include", "*/green")
    assert vectors() == 0
    result = invoke_cli(cli_runner, fetch_cmd, ["--allow-private", "--ignore-robots"])
    assert_cli_success(result)
    assert vectors() == 2


def test_dry_run(fetch: Fetch) -> None:
    result = fetch("--dry-run")
    assert result["dry_run"] is True
    assert {row["status"] for row in result["rows"]} == {"planned"}
    assert fetch.site.hits == []


def test_background_runs_are_executed(fetch: Fetch) -> None:
    queued = fetch("--background", "--priority", "3")
    assert queued["status"] == "queued"
    query = text("SELECT status, priority FROM workflow_status WHERE workflow_uuid = :id")

    def row() -> Any:
        with managed_session() as session:
            return session.connection().execute(query, {"id": queued["workflow_id"]}).one()

    wait_until(lambda: row()[0] == "SUCCESS")
    assert row()[1] == 3
    assert set(fetch.statuses("--refetch").values()) == {"unchanged"}


def test_people_see_a_line_a_document(fetch: Fetch, cli_runner: CliRunner) -> None:
    result = invoke_cli(cli_runner, fetch_cmd, ["--allow-private", "--ignore-robots", "--no-embed"])
    assert_cli_success(result)
    assert_output_contains(result, "3 documents: 3 fetched, 0 errors")
    assert_output_contains(result, f"fetched     {fetch.site.url}/green")


@pytest.mark.parametrize(
    "args",
    [
        ["--limit", "0"],
        ["--with-status", "nonsense"],
        ["--engine", "nonsense"],
        ["--include", "re:("],
        ["--delay", "-1"],
        ["--url", "tea.example"],
        ["--urls", "https://tea.example/,ftp://tea.example/"],
        ["--file", "/etc/passwd"],
        ["--files", "a.md,../b.md"],
        ["file://host/a.md"],
    ],
)
def test_wrong_options_are_refused(fetch: Fetch, cli_runner: CliRunner, args: list[str]) -> None:
    assert_cli_failure(invoke_cli(cli_runner, fetch_cmd, args), 2)
    assert fetch.site.hits == []
