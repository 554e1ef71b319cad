"""Finding notifiers: Kurt's own, those of installed packages, and those in a project's `notifiers/` folder."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kurt.engine.notifiers.base import Notifier, NotifierInfo
from kurt.engine.plugin_files import plugin_classes, plugin_stamp
from kurt.errors import ConflictError

GROUP = "kurt.notifiers"
OWN = "kurt"
FOLDER = "notifiers"

BUILT_IN: Mapping[str, str] = {
    "command": "kurt.engine.notifiers.command:CommandNotifier",
    "email": "kurt.engine.notifiers.email:EmailNotifier",
    "slack": "kurt.engine.notifiers.slack:SlackNotifier",
    "webhook": "kurt.engine.notifiers.webhook:WebhookNotifier",
}
"""Kurt's own notifiers by type, as the entry points of the distribution declare them."""


class Notifiers(Mapping[str, NotifierInfo]):
    """The notifiers of a project by type, loaded when they are asked for.

    Looking up one of Kurt's own loads that one only; anything else loads all.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._loaded: dict[str, NotifierInfo] = {}
        self._all: dict[str, NotifierInfo] | None = None

    def __getitem__(self, name: str) -> NotifierInfo:
        if name in self._loaded:
            return self._loaded[name]
        if name in BUILT_IN:
            info = self._loaded[name] = NotifierInfo(name, _load(BUILT_IN[name]), OWN)
            return info
        return self._everything()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._everything())

    def __len__(self) -> int:
        return len(self._everything())

    def _everything(self) -> dict[str, NotifierInfo]:
        if self._all is None:
            found: dict[str, NotifierInfo] = {}
            for info in [*_installed(), *_of_project(self._root)]:
                _add(found, info)
            self._all = found
            self._loaded.update(found)
        return self._all


def notifiers(project_root: Path | None) -> Notifiers:
    """The notifiers that a project can use; kept until a file of its `notifiers/` folder changes.

    Args:
        project_root: the project's root, None outside of one.

    Looking one up may raise:
        ConflictError: two have one type.
        DefinitionError: a file of the folder cannot be loaded.
    """
    stamp = plugin_stamp(project_root, FOLDER)
    known = _found.get(project_root)
    if known is None or known[0] != stamp:
        known = _found[project_root] = (stamp, Notifiers(project_root))
    return known[1]


_found: dict[Path | None, tuple[tuple[tuple[str, int], ...], Notifiers]] = {}


def _load(target: str) -> type[Notifier]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _installed() -> Iterator[NotifierInfo]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs 15 ms, seldom needed

    for name, target in BUILT_IN.items():
        yield NotifierInfo(name, _load(target), OWN)
    for point in entry_points(group=GROUP):
        if BUILT_IN.get(point.name) != point.value:
            origin = point.dist.name if point.dist else point.value
            yield NotifierInfo(point.name, _load(point.value), origin)


def _of_project(root: Path | None) -> Iterator[NotifierInfo]:
    found = plugin_classes(root, FOLDER, Notifier, "the notifier")
    return (NotifierInfo(notifier.type, notifier, origin) for notifier, origin in found)


def _add(found: dict[str, NotifierInfo], info: NotifierInfo) -> None:
    other = found.get(info.type)
    if other is not None:
        raise ConflictError(
            f"two notifiers have the type {info.type!r}: one of {other.origin}, one of {info.origin}",
            hint=f"change `type` in {info.origin}",
        )
    found[info.type] = info
