"""CMSs: each adapter against a server that answers as its interface is documented, and maps of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from kurt.config import load_settings
from kurt.db import managed_session
from kurt.db.models import Document
from kurt.errors import ConfigError, CredentialsError, DataError, KurtError, NotFoundError, UsageError
from kurt.integrations.cms.registry import PLATFORMS, access, adapter
from kurt.integrations.cms.types import CmsAdapter, CmsItem, CmsPage
from kurt.integrations.web.client import Limits, WebClient
from kurt.integrations.web.errors import UnreachableError
from kurt.workflows.map import run_map
from tests.support.cms_worlds import KEY, SETTINGS, Entry, World, world_of
from tests.support.site import Page, Site

KINDS = {
    "wordpress": ("posts", "pages"),
    "ghost": ("posts", "pages"),
    "strapi": ("articles", "articles"),
    "sanity": ("post", "author"),
    "contentful": ("blogPost", "page"),
    "notion": ("page", "page"),
    "webflow": ("blog", "team"),
}
TELLS_OF_DELETIONS = {"contentful", "notion", "webflow"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


@pytest.fixture(params=sorted(PLATFORMS))
def world(request: pytest.FixtureRequest, site: Site, tmp_project: Path) -> World:
    made = world_of(request.param, KINDS[request.param])
    made.serve(site)
    set_up(tmp_project, site, made)
    return made


def set_up(project: Path, site: Site, world: World, key: str | None = KEY) -> None:
    with (project / "kurt.config").open("a") as file:
        file.write(world.settings.format(url=site.url) + "\n")
    if world.secret is not None and key is not None:
        (project / ".env").write_text(f"{world.secret}={key}\n")


@pytest.fixture
async def cms(world: World) -> AsyncIterator[CmsAdapter]:
    async with WebClient(allow_private=True, limits=Limits(attempts=1)) as client:
        yield adapter(world.platform, None, load_settings(), client)


async def everything(cms: CmsAdapter, since: str | None = None) -> tuple[list[CmsItem], CmsPage]:
    """All items of a listing, and its last part."""
    items: list[CmsItem] = []
    page: str | None = None
    while True:
        part = await cms.changes(since, page)
        items += part.items
        page = part.next_page
        if page is None:
            return items, part


def changed(world: World, site: Site) -> None:
    """One item is edited, one is new."""
    kind = KINDS[world.platform][0]
    world.put("2", Entry(kind, "Title 2, edited", "2026-04-01T08:00:00.000Z"))
    world.put("6", Entry(kind, "Title 6", "2026-04-02T08:00:00.000Z"))
    world.serve(site)


async def test_all_items_are_listed(world: World, cms: CmsAdapter) -> None:
    items, last = await everything(cms)
    assert {(item.id, item.kind, item.title) for item in items} == {
        (name, one.kind, one.title) for name, one in world.entries.items()
    }
    assert len(items) == len(world.entries)
    assert last.complete
    assert last.position
    if world.platform != "contentful":
        assert {str(item.updated)[:19] for item in items} == {
            one.updated[:19] for one in world.entries.values()
        }


async def test_only_what_has_changed_is_listed_afterwards(world: World, cms: CmsAdapter, site: Site) -> None:
    _, last = await everything(cms)
    changed(world, site)
    items, again = await everything(cms, last.position)
    found = {item.id: item.title for item in items}
    assert (found["2"], found["6"]) == ("Title 2, edited", "Title 6")
    if world.platform != "webflow":  # which lists everything each time
        assert not {"1", "3"} & set(found)
        assert not again.complete
    items, _ = await everything(cms, again.position)
    assert {item.id for item in items} <= {"6"} or world.platform == "webflow"


async def test_a_refused_key(world: World, site: Site, tmp_project: Path) -> None:
    if world.secret is None:
        site.pages = dict.fromkeys(site.pages, Page(b"{}", "application/json", status=403))
    else:
        (tmp_project / ".env").write_text(f"{world.secret}=wrong\n")
    async with WebClient(allow_private=True) as client:
        one = adapter(world.platform, None, load_settings(), client)
        with pytest.raises(CredentialsError) as caught:
            await one.changes(None, None)
    assert caught.value.exit_code == 4
    assert "_TOKEN=" in str(caught.value.hint) or "_KEY=" in str(caught.value.hint)


async def test_what_is_no_json_is_an_error(world: World, cms: CmsAdapter, site: Site) -> None:
    site.pages = dict.fromkeys(site.pages, Page(b"<html>busy</html>"))
    with pytest.raises(DataError, match="no JSON"):
        await cms.changes(None, None)


@pytest.mark.parametrize("platform", ["strapi", "notion"])  # one is asked by GET, one by POST
async def test_a_cms_that_does_not_answer_is_looked_for_in_the_settings(
    platform: str, tmp_project: Path
) -> None:
    with Site() as ended:
        set_up(tmp_project, ended, world_of(platform, KINDS[platform]))
    async with WebClient(allow_private=True, limits=Limits(attempts=1)) as client:
        with pytest.raises(UnreachableError) as caught:
            await adapter(platform, None, load_settings(), client).changes(None, None)
    assert f"CMS.{platform.upper()}" in str(caught.value.hint)


async def test_what_is_not_there_is_not_found(world: World, cms: CmsAdapter) -> None:
    with pytest.raises(NotFoundError):
        await cms.fetch(KINDS[world.platform][0], "99")


def spans(text: str, **notes: bool) -> dict[str, Any]:
    return {"type": "text", "plain_text": text, "annotations": notes, "href": None}


def paragraph(text: str) -> dict[str, Any]:
    return {
        "nodeType": "paragraph",
        "content": [{"nodeType": "text", "value": text, "marks": []}],
        "data": {},
    }


BODIES: dict[str, Any] = {
    "wordpress": "<p>A <b>word</b></p>",
    "ghost": "<p>A <b>word</b></p>",
    "webflow": "<p>A <b>word</b></p>",
    "strapi": "# Head\n\nA **word**",
    "sanity": [
        {"_type": "block", "style": "h1", "children": [{"text": "Head", "marks": []}]},
        {
            "_type": "block",
            "style": "normal",
            "children": [{"text": "A ", "marks": []}, {"text": "word", "marks": ["strong"]}],
        },
    ],
    "contentful": {
        "nodeType": "document",
        "data": {},
        "content": [
            {"nodeType": "heading-1", "data": {}, "content": paragraph("Head")["content"]},
            {
                "nodeType": "paragraph",
                "data": {},
                "content": [
                    {"nodeType": "text", "value": "A ", "marks": []},
                    {"nodeType": "text", "value": "word", "marks": [{"type": "bold"}]},
                ],
            },
        ],
    },
    "notion": [
        {"id": "b1", "type": "heading_1", "heading_1": {"rich_text": [spans("Head")]}, "has_children": False},
        {
            "id": "b2",
            "type": "paragraph",
            "paragraph": {"rich_text": [spans("A "), spans("word", bold=True)]},
            "has_children": False,
        },
        {"id": "b3", "type": "unsupported", "unsupported": {}, "has_children": False},
    ],
}


async def test_an_item_with_its_text(world: World, cms: CmsAdapter, site: Site) -> None:
    kind = KINDS[world.platform][0]
    world.put("1", Entry(kind, "The title", "2026-03-01T10:00:00.000Z", BODIES[world.platform]))
    world.serve(site)
    found = await cms.fetch(kind, "1")
    assert (found.item.id, found.item.kind, found.item.title) == ("1", kind, "The title")
    if world.platform in {"wordpress", "ghost", "webflow"}:
        assert (found.html, found.markdown) == ("<p>A <b>word</b></p>", None)
    else:
        assert (found.html, found.markdown) == (None, "# Head\n\nA **word**")
    assert found.author == (None if world.platform in {"notion", "webflow"} else "Ann Author")


async def test_sanity_in_more_than_one_part(site: Site, tmp_project: Path) -> None:
    world = world_of("sanity", KINDS["sanity"])
    for number in range(10, 450):
        world.put(str(number), Entry("post", f"T {number}", "2026-03-09T10:00:00.000Z"))
    world.serve(site)
    set_up(tmp_project, site, world)
    async with WebClient(allow_private=True) as client:
        items, _ = await everything(adapter("sanity", None, load_settings(), client))
    assert len({item.id for item in items}) == len(items) == 445
    assert items[0].url == "https://s.example.com/1"


async def test_blocks_below_blocks_of_notion(site: Site, tmp_project: Path) -> None:
    world = world_of("notion", KINDS["notion"])
    inner = [
        {
            "id": "c",
            "type": "bulleted_list_item",
            "bulleted_list_item": {"rich_text": [spans("inner")]},
            "has_children": False,
        }
    ]
    outer = {
        "id": "7",
        "type": "bulleted_list_item",
        "bulleted_list_item": {"rich_text": [spans("outer")]},
        "has_children": True,
    }
    child = {"id": "8", "type": "child_page", "child_page": {"title": "Other"}, "has_children": True}
    world.put("6", Entry("page", "Nested", "2026-03-01T10:00:00.000Z", [outer, child, outer]))
    world.put("7", Entry("page", "", "2026-03-01T10:00:00.000Z", inner))
    world.serve(site)
    set_up(tmp_project, site, world)
    async with WebClient(allow_private=True) as client:
        found = await adapter("notion", None, load_settings(), client).fetch("page", "6")
    assert (
        found.markdown == "- outer\n  - inner\n\n- outer\n  - inner"
        or found.markdown == "- outer\n  - inner\n- outer\n  - inner"
    )
    assert not [path for path in site.paths() if path.startswith("/v1/blocks/8")]


class TestAccess:
    @pytest.mark.parametrize(
        "platform", [name for name, (_, secret, _) in SETTINGS.items() if secret and name != "strapi"]
    )
    def test_a_missing_key(self, platform: str, tmp_project: Path, site: Site) -> None:
        set_up(tmp_project, site, world_of(platform, KINDS[platform]), key=None)
        with pytest.raises(CredentialsError) as caught:
            access(platform, None, load_settings())
        assert caught.value.exit_code == 4
        assert f"{SETTINGS[platform][1]}=... to" in str(caught.value.hint)

    @pytest.mark.parametrize("platform", [name for name in PLATFORMS if name != "notion"])
    def test_nothing_says_where_it_is(self, platform: str, tmp_project: Path) -> None:
        (tmp_project / ".env").write_text(
            "".join(f"{name.upper()}_{end}=x\n" for name in PLATFORMS for end in ("TOKEN", "KEY"))
        )
        with pytest.raises(ConfigError, match="nothing says where") as caught:
            access(platform, "prod", load_settings())
        assert f"CMS.{platform.upper()}." in str(caught.value.hint)

    def test_settings_and_keys_of_an_instance_come_first(self, tmp_project: Path) -> None:
        lines = ["CMS.SANITY.PROJECT_ID=all", "CMS.SANITY.PROD.PROJECT_ID=own", "CMS.SANITY.DATASET=shared"]
        (tmp_project / "kurt.config").write_text("\n".join(lines))
        (tmp_project / ".env").write_text("SANITY_TOKEN=all\nSANITY_PROD_TOKEN=own\n")
        settings = load_settings()
        prod, other = access("sanity", "prod", settings), access("sanity", "test", settings)
        assert (prod.values["PROJECT_ID"], prod.values["DATASET"], prod.secret) == ("own", "shared", "own")
        assert (other.values["PROJECT_ID"], other.secret) == ("all", "all")

    def test_an_unknown_kind(self, tmp_project: Path) -> None:
        with pytest.raises(UsageError, match="no kind of CMS 'wordpres'") as caught:
            access("wordpres", None, load_settings())
        assert caught.value.hint == "did you mean wordpress?"


class TestMap:
    @pytest.fixture(autouse=True)
    def _launched(self, world: World, dbos_launched: Any) -> None:
        """After the settings were written: an executor reads them when it is launched."""

    def run(self, world: World, **more: Any) -> dict[str, Any]:
        return run_map({"cms_platform": world.platform, "allow_private": True, **more})

    def states(self) -> dict[str, str]:
        with managed_session() as session:
            return {one.uri.rpartition("/")[2]: one.state for one in session.exec(select(Document)).all()}

    def test_items_become_documents(self, world: World) -> None:
        result = self.run(world)
        assert (result["discovery_method"], result["discovery_url"]) == (
            "cms",
            f"cms://{world.platform}/default",
        )
        assert (result["total"], result["rows_written"]) == (5, 5)
        kind = KINDS[world.platform][0]
        row = next(row for row in result["rows"] if row["uri"] == f"cms://{world.platform}/default/{kind}/1")
        assert (row["title"], row["source_type"], row["status"]) == ("Title & 1", "cms", "discovered")

    def test_the_next_run_asks_for_changes(self, world: World, site: Site) -> None:
        self.run(world)
        changed(world, site)
        result = self.run(world)
        statuses = {row["uri"].rpartition("/")[2]: row["status"] for row in result["rows"]}
        assert (statuses["2"], statuses["6"]) == ("changed", "discovered")
        assert (result["documents_discovered"], result["documents_changed"]) == (1, 1)
        assert result["documents_gone"] == 0
        assert set(self.states().values()) == {"discovered"}

    def test_what_is_removed_is_gone(self, world: World, site: Site) -> None:
        self.run(world)
        if world.platform == "notion":
            world.put("3", Entry("page", "Title 3", "2026-05-01T10:00:00.000Z", draft=True))
        else:
            world.remove("3")
        world.serve(site)
        result = self.run(world)
        assert result["documents_gone"] == (1 if world.platform in TELLS_OF_DELETIONS else 0)
        self.run(world, full_sync=True)
        assert {name for name, state in self.states().items() if state == "gone"} == {"3"}

    def test_patterns_the_limit_and_dry_runs(self, world: World) -> None:
        dry = self.run(world, dry_run=True)
        assert (dry["total"], dry["rows_written"], self.states()) == (5, 0, {})
        some = self.run(world, include_patterns="*/1, */2")
        assert sorted(self.states()) == ["1", "2"]
        assert some["total"] == 2
        limited = self.run(world, max_pages=3)
        assert (limited["total"], limited["truncated"]) == (3, True)
        assert self.run(world)["total"] == 5  # none of these has moved the position of the whole

    def test_a_refused_key_fails_the_run(self, world: World, site: Site) -> None:
        site.pages = dict.fromkeys(site.pages, Page(b"{}", "application/json", status=401))
        with pytest.raises(KurtError, match=r"a key is (not accepted|needed)"):
            self.run(world)
