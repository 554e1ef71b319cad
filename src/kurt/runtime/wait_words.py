"""The waits of a run as the database holds them, and in words. Loads neither SQLAlchemy nor DBOS."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kurt.types import JsonObject

APPROVAL, MESSAGE, TIME, TURN = "approval", "message", "time", "turn"
"""Kinds of waits, in the order in which they are shown."""

_OWN = frozenset({"waits", "resting", "token"})


def waits_of(event: Any) -> list[JsonObject]:
    """All waits of which the event `waiting_for` tells, those for people first."""
    if not isinstance(event, dict):
        return []
    waits = event.get("waits")
    return list(waits) if isinstance(waits, list) else [event]


def shown(wait: Any) -> Any:
    """A wait without what only Kurt itself asks of it."""
    return {key: value for key, value in wait.items() if key not in _OWN} if isinstance(wait, dict) else wait


def kind_of(wait: Mapping[str, Any]) -> str:
    """The kind of a wait."""
    return str(wait.get("kind") or (MESSAGE if wait.get("topic") else TIME))


def text_of(wait: Mapping[str, Any]) -> str:
    """What is waited for, on one line."""
    match kind_of(wait):
        case "approval":
            return f"approval: {' '.join(str(wait.get('message')).split())}"
        case "message":
            return f"a message on {wait.get('topic')!r}"
        case "turn":
            return f"its turn, behind {', '.join(map(str, wait.get('runs') or ()))}"
        case _:
            until = wait.get("until")
            return "a time" if until is None else f"a time: {moment_text(until)}"


def moment_text(seconds: float) -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def command_of(wait: Mapping[str, Any], run_id: str, *, alone: bool) -> str | None:
    """The command that ends a wait, None for a time.

    Args:
        wait: the wait.
        run_id: the run that the user started.
        alone: the run waits for no other approval, so the step need not be named.
    """
    match kind_of(wait):
        case "approval":
            words = ["kurt", "workflows", "approve", run_id]
            words += [] if alone else ["--step", str(wait.get("path"))]
            fields: dict[str, Any] = wait.get("fields") or {}
            wanted = [name for name, field in fields.items() if _is_wanted(field)]
            line = shlex.join(words)
            return line + "".join(f" --input {name}=..." for name in wanted)
        case "message":
            topic = shlex.quote(str(wait.get("topic")))
            return f"kurt workflows send {run_id} --topic {topic} --data ..."
        case _:
            return None


def _is_wanted(field: Any) -> bool:
    return isinstance(field, dict) and bool(field.get("required")) and "default" not in field
