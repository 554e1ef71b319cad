"""The kinds of CMS that there are, found by name; each is imported when it is used."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kurt.errors import UsageError
from kurt.integrations.cms.access import DEFAULT_INSTANCE, Access, Needs, access_to

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.integrations.cms.types import CmsAdapter
    from kurt.integrations.web.client import WebClient

PLATFORMS = {
    "contentful": "Contentful",
    "ghost": "Ghost",
    "notion": "Notion",
    "sanity": "Sanity",
    "strapi": "Strapi",
    "webflow": "Webflow",
    "wordpress": "WordPress",
}
"""Names of the kinds and of their classes, in modules of the same name."""


def access(platform: str, instance: str | None, settings: Settings) -> Access:
    """Where a CMS is and how to get in; asks nobody.

    Args:
        platform: its kind.
        instance: its name in the project; `default` where there is one only.
        settings: the project's settings.

    Raises:
        UsageError: there is no such kind.
        ConfigError: a setting is missing.
        CredentialsError: the key is missing.
    """
    needs: Needs = _module(platform).NEEDS
    return access_to(settings, platform, instance or DEFAULT_INSTANCE, needs)


def adapter(platform: str, instance: str | None, settings: Settings, client: WebClient) -> CmsAdapter:
    """A CMS of the project; errors as for `access`.

    Args:
        platform: its kind.
        instance: its name in the project; `default` where there is one only.
        settings: the project's settings.
        client: sends the requests.
    """
    return getattr(_module(platform), PLATFORMS[platform])(access(platform, instance, settings), client)


def _module(platform: str) -> Any:
    if platform not in PLATFORMS:
        close = get_close_matches(platform.lower(), PLATFORMS, n=1)
        known = ", ".join(PLATFORMS)
        raise UsageError(
            f"there is no kind of CMS {platform!r}",
            hint=f"did you mean {close[0]}?" if close else f"there are: {known}",
        )
    return import_module(f"kurt.integrations.cms.{platform}")
