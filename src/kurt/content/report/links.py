"""Where links between documents lead: to nothing, or past pages that nobody links to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit

from kurt.content.identity import FILE, URL, canonical_url, file_uri, source_type_of
from kurt.content.rows import ERROR, GONE
from kurt.errors import DataError

if TYPE_CHECKING:
    from kurt.content.report.pages import Page

_START: Final = frozenset({"", "index", "index.html", "index.md", "readme.md", "README.md"})


@dataclass(frozen=True, slots=True)
class Broken:
    """A link that leads nowhere.

    Attributes:
        page: where it stands.
        target: what it says.
        uri: what it means.
        why: what is wrong with the target.
    """

    page: Page
    target: str
    uri: str
    why: str


@dataclass(frozen=True, slots=True)
class Links:
    """What was found of links.

    Attributes:
        internal: how many lead to other documents.
        broken: those that lead nowhere.
        orphans: pages that no other page links to, where pages link to each other at all.
    """

    internal: int
    broken: tuple[Broken, ...]
    orphans: tuple[Page, ...]


def follow(pages: Sequence[Page], states: Mapping[str, str], exists: Callable[[str], bool]) -> Links:
    """Look where the links of all pages lead, without the network.

    Args:
        pages: all pages.
        states: of all documents, by URI.
        exists: whether there is a file, by its URI.
    """
    broken: list[Broken] = []
    linked: set[str] = set()
    internal = 0
    for page in pages:
        for target in dict.fromkeys(page.links):
            uri = _resolved(page.uri, target)
            if uri is None or uri == page.uri:
                continue
            why = _fault(uri, states, exists)
            if why is not None:
                broken.append(Broken(page, target, uri, why))
            elif uri in states:
                internal += 1
                linked.add(uri)
    orphans = [page for page in pages if internal and page.uri not in linked and not _is_start(page.uri)]
    return Links(internal, tuple(broken), tuple(orphans))


def _resolved(base: str, target: str) -> str | None:
    """The URI that a link leads to; None for what is no document: mail, another site, a place on the page."""
    if target.startswith(("#", "?")):
        return None
    if source_type_of(base) == URL:
        try:
            uri = canonical_url(urljoin(base, target))
        except (DataError, ValueError):
            return None
        return uri if urlsplit(uri).netloc == urlsplit(base).netloc else None
    if source_type_of(base) != FILE or urlsplit(target).scheme or target.startswith("/"):
        return None
    outside = base.startswith("file:///")
    folder = PurePosixPath(unquote(base.removeprefix("file://" if outside else "file:"))).parent
    path = _joined(folder, unquote(target.partition("#")[0].partition("?")[0]))
    if path is None:
        return None
    root = "/nowhere" if outside else "/"  # relative paths are the project's, whatever its folder is
    return file_uri(path, root)


def _joined(folder: PurePosixPath, target: str) -> str | None:
    """A path without `..`; None where it leads out of the project."""
    parts = list(folder.parts)
    for part in PurePosixPath(target).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return str(PurePosixPath(*parts))


def _fault(uri: str, states: Mapping[str, str], exists: Callable[[str], bool]) -> str | None:
    """Why a link leads nowhere; None where it leads somewhere, or nobody knows."""
    state = states.get(uri)
    if state == GONE:
        return "the page is gone"
    if state == ERROR:
        return "the page cannot be fetched"
    if state is None and source_type_of(uri) == FILE and not exists(uri):
        return "there is no such file"
    return None


def _is_start(uri: str) -> bool:
    return uri.rpartition("/")[2] in _START or "/" not in uri.removeprefix("file:")
