"""`llms.txt`: a site's own Markdown list of the pages that matter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kurt.errors import DataError
from kurt.integrations.web.markup import absolute, plain, root_name

MAX_BYTES = 5_000_000
"""Bytes of a list."""

# No nested repetition: a line of a stranger must not take more than its length.
_LINK = re.compile(r"\[([^\[\]\n]{0,300})\]\(\s*<?([^()\s<>]{1,2048})>?[^()\n]{0,300}\)")


@dataclass(frozen=True, slots=True)
class LlmsLink:
    """A page that the list names.

    Attributes:
        url: its address, absolute.
        title: the text of the link.
    """

    url: str
    title: str | None


def parse_llms_txt(body: bytes, *, url: str) -> list[LlmsLink]:
    """The links of a list, each address once, in its order.

    Args:
        body: its bytes.
        url: where it was found; relative addresses start there.

    Raises:
        DataError: it is something else, such as the page that a site shows in place of a missing one.
    """
    data = plain(body, limit=MAX_BYTES)
    if root_name(data):
        raise DataError(f"{url} is no llms.txt: it is HTML or XML")
    found: dict[str, LlmsLink] = {}
    for match in _LINK.finditer(data.decode("utf-8-sig", "replace")):
        address = absolute(url, match[2])
        if address is not None:
            found.setdefault(address, LlmsLink(address, " ".join(match[1].split()) or None))
    return list(found.values())
