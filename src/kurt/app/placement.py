"""From options of a command to a place in a queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kurt.app.times import instant, seconds
from kurt.errors import UsageError
from kurt.runtime import names
from kurt.runtime.enqueue import Debounce, Placement

if TYPE_CHECKING:
    from kurt.app.targets import Prepared
    from kurt.config import Settings


def placement_from(settings: Settings, prepared: Prepared, options: Mapping[str, Any]) -> Placement:
    """What the command says, else what the file says, else the settings.

    Args:
        settings: the project's settings.
        prepared: the run.
        options: options of the command by name; those that are None were not given.

    Raises:
        UsageError: a value is not well formed, or two options do not go together.
    """
    _check(options)
    timeout = _seconds(options.get("timeout")) or prepared.timeout or settings.get("WORKFLOW.TIMEOUT")
    return Placement(
        queue=options.get("queue") or prepared.queue or names.DEFAULT_QUEUE,
        priority=options.get("priority") or prepared.priority,
        delay=_delay(options.get("delay"), options.get("at")),
        timeout=float(timeout) if timeout else None,
        dedup_id=options.get("dedup_id"),
        return_existing=options.get("on_duplicate") == "return-existing",
        partition_key=options.get("partition_key"),
        debounce=_debounce(options) or _declared_debounce(prepared, options),
    )


def _check(options: Mapping[str, Any]) -> None:
    """Refuse options that make no sense together; they are named as on the command line."""
    given = {name for name, value in options.items() if value is not None}
    priority = options.get("priority")
    if priority is not None and not (isinstance(priority, int) and 1 <= priority < 2**31):
        raise UsageError(f"{priority!r} is not a priority", hint="use a whole number; 1 comes first")
    if given & {"debounce_key", "debounce_max"} and "debounce" not in given:
        raise UsageError(
            "--debounce-key and --debounce-max say more about --debounce", hint="add --debounce 60s"
        )
    if "debounce" in given and "debounce_key" not in given:
        raise UsageError("--debounce needs a key", hint="add --debounce-key KEY")
    if "on_duplicate" in given and "dedup_id" not in given:
        raise UsageError("--on-duplicate says more about --dedup-id", hint="add --dedup-id ID")
    if {"at", "delay"} <= given:
        raise UsageError("--at and --in exclude each other", hint="keep one of them")


def _seconds(text: str | None) -> float | None:
    return None if text is None else seconds(text)


def _delay(after: str | None, at: str | None) -> float | None:
    if at is not None:
        return max(0.0, instant(at).timestamp() - time.time())
    return _seconds(after)


_PLACED = ("delay", "at", "priority", "dedup_id", "partition_key", "run_id")


def _declared_debounce(prepared: Prepared, options: Mapping[str, Any]) -> Debounce | None:
    """What the file says; not for a run for which the command names a time, a place or an id of its own."""
    spec = prepared.debounce
    if spec is None or any(options.get(name) is not None for name in _PLACED):
        return None
    return Debounce(key=spec.key or "", period=spec.period, longest=spec.longest)


def _debounce(options: Mapping[str, Any]) -> Debounce | None:
    period = _seconds(options.get("debounce"))
    if period is None:
        return None
    return Debounce(
        key=str(options["debounce_key"]), period=period, longest=_seconds(options.get("debounce_max"))
    )
