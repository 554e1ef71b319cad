"""The Markdown of a document: its one form, its hash, and its front matter."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from kurt.types import JsonObject

_FENCE: Final = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_MOST: Final = 64 * 1024
_HEADING: Final = re.compile(r"^ {0,3}#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


def clean(markdown: str) -> str:
    """The text as it is stored: line ends of Unix, no byte order mark, no NUL, one line end at the end."""
    text = markdown.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").removeprefix("\ufeff")
    return f"{text.strip(chr(10)).rstrip()}\n" if text.strip() else ""


def content_hash(markdown: str) -> str:
    """SHA-256 of the text, the same whatever its line ends, trailing spaces and composition of letters."""
    lines = unicodedata.normalize("NFC", clean(markdown)).split("\n")
    text = "\n".join(line.rstrip() for line in lines)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def front_matter(text: str) -> tuple[JsonObject, str]:
    """The facts at the head of a file between `---` lines, and the text after them; no facts where they are not YAML.

    Dates are texts. Anchors and aliases are not followed, so that a few lines cannot stand for gigabytes.
    """
    head = (
        _FENCE.match(text.removeprefix("\ufeff").replace("\r\n", "\n"))
        if text[:4].strip("\ufeff")[:3] == "---"
        else None
    )
    if head is None:
        return {}, text
    body = head.string[head.end() :]
    return _facts(head[1]), body.lstrip("\n")


def with_front_matter(facts: JsonObject, markdown: str) -> str:
    """A file of facts and text; facts that are None are left out."""
    import yaml  # noqa: PLC0415 - the hash needs none

    given = {name: value for name, value in facts.items() if value is not None}
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C is six times as fast
    head = yaml.dump(given, Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return f"---\n{head}---\n\n{clean(markdown)}"


def first_heading(markdown: str) -> str | None:
    """The text of the first heading of the first level."""
    found = _HEADING.search(markdown)
    return found[1].strip() if found else None


def _facts(text: str) -> JsonObject:
    import yaml  # noqa: PLC0415 - files without facts need none

    if len(text) > _MOST:
        return {}
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_loader())):
            return {}
        found: Any = yaml.load(text, Loader=_loader())  # noqa: S506 - it is the safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return cast("JsonObject", _plain(found)) if isinstance(found, dict) else {}


def _loader() -> Any:
    import yaml  # noqa: PLC0415 - see above

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _plain(value: Any) -> Any:
    """The value as JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
