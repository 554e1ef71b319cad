"""Text of programs on its way to a terminal: what would steer the terminal is left out, colours may stay."""

from __future__ import annotations

import re

_COLOUR = r"\x1b\[[0-9;:]*m"
_SEQUENCE = re.compile(
    rf"(?P<colour>{_COLOUR})"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # moves of the cursor, clearing, modes
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, the clipboard, links
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_RESET = "\x1b[0m"
_ENDS = (_RESET, "\x1b[m")


def plain(text: str) -> str:
    """The text without any control sequence or control character; tabs and line feeds stay."""
    return text if _is_plain(text) else _SEQUENCE.sub("", text)


def harmless(text: str) -> str:
    """One line whose only control sequences are colours and styles, which end with the line."""
    if _is_plain(text):
        return text
    kept = _SEQUENCE.sub(lambda match: match["colour"] or "", text)
    last = kept.rfind("\x1b[")
    return kept if last < 0 or kept.startswith(_ENDS, last) else f"{kept}{_RESET}"


def _is_plain(text: str) -> bool:
    return text.isprintable() or _SEQUENCE.search(text) is None
