"""What engines need, without loading them."""

from __future__ import annotations

from importlib.util import find_spec

from kurt.errors import UsageError

KEYS = {"firecrawl": "FIRECRAWL_API_KEY", "tavily": "TAVILY_API_KEY", "jina": "JINA_API_KEY"}
"""Names of the keys of services, by engine."""


def key_of(engine: str) -> str | None:
    """The name of the key that an engine needs, None where it needs none."""
    return KEYS.get(engine)


def check_library(engine: str) -> None:
    """Refuse an engine whose library is not installed.

    Raises:
        UsageError: naming the command that installs it.
    """
    if engine == "playwright" and find_spec("playwright") is None:
        raise UsageError(
            "the engine playwright needs a library that is not installed", hint="pip install 'kurt[js]'"
        )
