"""Fetching as people and workflow files start it: in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Kurt
from tests.support.site import Site, page
from tests.support.waiting import wait_until

WORKFLOW = """
name: reading
inputs:
  site: {type: string, required: true}
steps:
  - name: page
    type: workflow
    workflow: fetch
    output: page
    inputs:
      url: ${site}/green
      allow_private: true
  - name: both
    type: workflow
    workflow: fetch
    output: both
    inputs:
      documents: [{"uri": "${site}/black"}, {"uri": "${site}/white"}]
      allow_private: true
outputs:
  title: ${page.title}
  path: ${page.path}
  count: ${both.success_count}
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({f"/{name}": page(f"{name.title()} tea") for name in ("green", "black", "white")}) as site:
        yield site


def test_a_workflow_file_uses_what_was_fetched(kurt: Kurt, project: Path, site: Site) -> None:
    (project / "workflows" / "reading.yaml").write_text(WORKFLOW)
    ended = kurt.json("workflows", "run", "reading", "--input", f"site={site.url}")
    assert ended["outputs"]["title"] == "Green tea"
    assert ended["outputs"]["count"] == 2
    assert (project / "sources" / ended["outputs"]["path"]).is_file()


def test_a_run_in_the_background_is_done_by_a_worker(kurt: Kurt, project: Path, site: Site) -> None:
    queued = kurt.json("content", "fetch", "--url", f"{site.url}/green", "--allow-private", "--background")
    run = queued["workflow_id"] if "workflow_id" in queued else queued["run_id"]
    wait_until(lambda: kurt.json("workflows", "status", run)["status"] == "succeeded", 40)
    listed = kurt.json("content", "list")
    assert [row["title"] for row in listed] == ["Green tea"]
    hits = kurt.json("content", "search", "green tea")
    assert "Green tea" in json.dumps(hits)


def test_people_see_how_far_it_is(kurt: Kurt, site: Site) -> None:
    result = kurt(
        "content", "fetch", "--url", f"{site.url}/green", "--url", f"{site.url}/black", "--allow-private"
    )
    assert "2 documents: 2 fetched, 0 errors" in result.stdout
    assert "fetch_documents" in result.stderr
    assert "2 of 2" in result.stderr


def test_a_fetch_of_which_nothing_came_fails(kurt: Kurt, site: Site) -> None:
    kurt("content", "fetch", "--url", f"{site.url}/none", "--allow-private", code=1)


def test_settings_of_the_project_stand_in_for_options(kurt: Kurt, project: Path, site: Site) -> None:
    config = project / "kurt.config"
    config.write_text(config.read_text() + 'FETCH.ENGINE="jina"\n')
    words = ("content", "fetch", "--url", f"{site.url}/green", "--allow-private")
    assert "JINA_API_KEY" in kurt(*words, code=4).stderr
    assert kurt.json(*words, "--engine", "http")["success_count"] == 1
