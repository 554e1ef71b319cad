"""Which engine gets a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.content.identity import CMS, FILE, source_type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kurt.config import Settings

    from .config import FetchConfig
    from .engines import Engine


class Engines:
    """The engines of a run, each made when it is first needed.

    Args:
        config: how documents are to be had.
        settings: keys of services, and where the project is.
    """

    def __init__(self, config: FetchConfig, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._made: dict[str, Engine] = {}

    def name_for(self, uri: str) -> str:
        """The engine for an address; what is no web page has its own, whatever was chosen for pages."""
        kind = source_type_of(uri)
        if kind in {FILE, CMS}:
            return kind
        return "http" if self._config.engine in {"auto", FILE, CMS} else self._config.engine

    def check(self, uris: Iterable[str]) -> None:
        """Refuse what cannot work before anything is asked for: the engine that was chosen for pages, if there are any.

        Raises:
            CredentialsError: it needs a key that is not set.
            UsageError: it needs a library that is not installed.
        """
        chosen = self._config.engine
        if any(self.name_for(uri) == chosen for uri in uris):
            self.get(chosen)

    def get(self, name: str) -> Engine:
        """An engine by its name.

        Raises:
            CredentialsError: it needs a key that is not set.
            UsageError: it needs a library that is not installed.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Engine:
        if name == FILE:
            from .engine_file import FileEngine  # noqa: PLC0415 - each loads what it needs

            return FileEngine(self._config, self._settings)
        if name == CMS:
            from .engine_cms import CmsEngine  # noqa: PLC0415 - as above

            return CmsEngine(self._config, self._settings)
        if name == "playwright":
            from .engine_browser import BrowserEngine  # noqa: PLC0415 - as above

            return BrowserEngine(self._config, self._settings)
        if name != "http":
            from .engine_services import ServiceEngine  # noqa: PLC0415 - as above

            return ServiceEngine(name, self._config, self._settings)
        from .engine_http import HttpEngine  # noqa: PLC0415 - as above

        return HttpEngine(self._config)

    async def close(self) -> None:
        """Close all that were made."""
        for engine in self._made.values():
            await engine.close()
