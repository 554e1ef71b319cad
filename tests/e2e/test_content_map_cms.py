"""`kurt content map --cms`: keys, settings, changes, and a worker that must see the key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from tests.support.cli import Kurt
from tests.support.cms_worlds import KEY, Entry, World, world_of
from tests.support.site import Handler, Page, Site

COMMAND = ("content", "map", "--cms", "ghost", "--allow-private")


@pytest.fixture
def world(project: Path) -> Iterator[tuple[World, Site]]:
    """A Ghost that the project's settings name, without its key."""
    made = world_of("ghost", ("posts", "pages"))
    with Site() as site:
        made.serve(site)
        with (project / "kurt.config").open("a") as file:
            file.write(made.settings.format(url=site.url) + "\n")
        yield made, site


def test_without_the_key_nothing_is_started(kurt: Kurt, world: tuple[World, Site]) -> None:
    refused = kurt(*COMMAND, code=4)
    assert "the key of ghost is not set: GHOST_KEY" in refused.stderr
    assert "hint: add the line GHOST_KEY=... to" in refused.stderr
    assert kurt.json("workflows", "list") == []
    assert world[1].hits == []


def test_the_key_of_the_shell_is_enough_in_the_foreground(kurt: Kurt, world: tuple[World, Site]) -> None:
    result = kurt.json(*COMMAND, env={"GHOST_KEY": KEY})
    assert (result["discovery_url"], result["total"]) == ("cms://ghost/default", 5)
    refused = kurt(*COMMAND, "--background", env={"GHOST_KEY": KEY}, code=4)
    assert "is set in this shell only, where a worker cannot see it" in refused.stderr


def test_a_key_that_is_refused_is_named(kurt: Kurt, project: Path, world: tuple[World, Site]) -> None:
    site = world[1]
    site.pages = dict.fromkeys(site.pages, Page(b"{}", "application/json", status=401))
    refused = kurt(*COMMAND, env={"GHOST_KEY": KEY}, code=4)
    assert "ghost says that a key is not accepted: GHOST_KEY" in refused.stderr
    assert "hint: write a valid GHOST_KEY=... into .env" in refused.stderr
    (project / ".env").write_text(f"GHOST_KEY={KEY}\n")
    queued = kurt.json(*COMMAND, "--background")
    kurt("workflows", "wait", queued["workflow_id"], code=4)


def test_in_the_background(kurt: Kurt, project: Path, world: tuple[World, Site]) -> None:
    (project / ".env").write_text(f"GHOST_KEY={KEY}\n")
    queued = kurt.json(*COMMAND, "--background")
    run = kurt.json("workflows", "wait", queued["workflow_id"])
    assert (run["status"], run["outputs"]["rows_written"]) == ("succeeded", 5)


def test_changes_and_a_full_sync(kurt: Kurt, project: Path, world: tuple[World, Site]) -> None:
    (project / ".env").write_text(f"GHOST_KEY={KEY}\n")
    ghost, site = world
    kurt(*COMMAND)
    ghost.remove("1")
    ghost.put("6", Entry("posts", "Six", "2026-06-01T00:00:00.000Z"))
    site.forget()
    changes = kurt.json(*COMMAND)
    assert (changes["documents_discovered"], changes["documents_gone"]) == (1, 0)
    assert all("filter=updated_at" in path for path in site.paths())
    full = kurt.json(*COMMAND, "--full")
    assert (full["total"], full["documents_gone"]) == (5, 1)


def test_an_instance_has_settings_of_its_own(kurt: Kurt, project: Path, world: tuple[World, Site]) -> None:
    config = project / "kurt.config"
    config.write_text(config.read_text().replace("CMS.GHOST.URL", "CMS.GHOST.BLOG.URL"))
    (project / ".env").write_text(f"GHOST_BLOG_KEY={KEY}\n")
    done = kurt("content", "map", "--cms", "ghost:blog", "--allow-private", "--dry-run")
    assert "discovered  cms://ghost/blog/posts/1  Title & 1" in done.lines
    refused = kurt(*COMMAND, code=2)
    assert "CMS.GHOST.DEFAULT.URL is not set" in refused.stderr


def test_an_unknown_kind(kurt: Kurt) -> None:
    refused = kurt("content", "map", "--cms", "gost", code=2)
    assert "there is no kind of CMS 'gost'" in refused.stderr
    assert "did you mean ghost?" in refused.stderr


def test_from_a_workflow_file(kurt: Kurt, project: Path, world: tuple[World, Site]) -> None:
    (project / ".env").write_text(f"GHOST_KEY={KEY}\n")
    step = "{cms_platform: ghost, allow_private: true}"
    text = f"name: sync\nsteps:\n  - name: map\n    type: workflow\n    workflow: map\n    inputs: {step}\n    output: found\n"
    (project / "sync.yaml").write_text(text + 'outputs: {total: "${found.total}"}\n')
    assert kurt.json("workflows", "run", "sync.yaml")["outputs"] == {"total": 5}


def test_the_texts_of_items_are_fetched(kurt: Kurt, project: Path, world: tuple[World, Site]) -> None:
    (project / ".env").write_text(f"GHOST_KEY={KEY}\n")
    ghost, site = world
    for number in (1, 4):
        ghost.entries[
            str(number)
        ].body = f"<h2>Part {number}</h2><p>Some <b>words</b> about number {number}.</p>"
    ghost.serve(site)
    kurt(*COMMAND, "--include", "*/1", "--include", "*/4")
    result = kurt.json("content", "fetch", "--allow-private")
    assert (result["success_count"], result["error_count"]) == (2, 0)
    texts = "".join((project / "sources" / row["path"]).read_text() for row in result["rows"])
    assert "Some **words** about number 1." in texts
    assert "## Part 4" in texts
    assert "author: Ann Author" in texts


def test_a_listing_that_is_killed_goes_on(
    kurt: Kurt, project: Path, world: tuple[World, Site], wait_until: Callable[..., Any]
) -> None:
    (project / ".env").write_text(f"GHOST_KEY={KEY}\n")
    ghost, site = world
    for number in range(10, 90):
        ghost.put(str(number), Entry("posts", f"T {number}", f"2026-04-01T10:{number % 60:02d}:00.000Z"))
    ghost.serve(site)
    listing = cast("Handler", site.pages["/ghost/api/content/posts/"])

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return await listing(request)

    site.pages["/ghost/api/content/posts/"] = slow
    running = kurt.spawn(*COMMAND)
    wait_until(lambda: len(site.hits) > 15, 60)
    running.kill()
    (run,) = kurt.json("workflows", "list")
    done = kurt.json("workflows", "resume", run["run_id"])
    assert (done["status"], done["outputs"]["total"]) == ("succeeded", 85)
    asked = Counter(site.paths())
    assert sum(asked.values()) - len(asked) <= 1
