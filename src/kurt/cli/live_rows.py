"""Steps that tell of their progress themselves, such as the rows of an `LLMStep`, in words of the live view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES = {"running": "running", "success": "succeeded", "partial": "failed", "error": "failed"}
_THOUSANDS = ((1_000_000, "M"), (1_000, "k"))
_SMALL = 0.995


def state_of(step: Mapping[str, Any]) -> str:
    """The state in which the view shows a step; one of which some items failed has failed."""
    return _STATES.get(str(step.get("status")), "running")


def fault_of(step: Mapping[str, Any]) -> dict[str, str] | None:
    """What is wrong with a step that has failed."""
    if step.get("message"):
        return {"message": str(step["message"])}
    failed, total = step.get("error") or 0, step.get("total") or 0
    return {"message": f"{failed} of {total} failed"} if failed else None


def note_of(step: Mapping[str, Any]) -> str:
    """How fast it goes, what it has used and cost so far, and what is left of its budget."""
    parts: list[str] = []
    if step.get("skipped"):
        parts.append(f"{step['skipped']} skipped")
    if step.get("per_second"):
        parts.append(f"{step['per_second']:g}/s")
    tokens = (step.get("tokens_in") or 0) + (step.get("tokens_out") or 0)
    if tokens:
        parts.append(f"{_short(tokens)} tokens")
    if step.get("cost") is not None:
        parts.append(dollars(step["cost"]))
    left = _left(step)
    return ", ".join([*parts, f"{left} of the budget left"] if left else parts)


def _left(step: Mapping[str, Any]) -> str:
    usd, tokens = step.get("budget_left_usd"), step.get("budget_left_tokens")
    found = [] if usd is None else [dollars(usd)]
    return " and ".join(found if tokens is None else [*found, f"{_short(tokens)} tokens"])


def dollars(amount: float) -> str:
    """An amount in US dollars: in cents, or with as many digits as a small one needs."""
    return f"${amount:.2f}" if amount == 0 or amount >= _SMALL else f"${amount:.4f}"


def _short(number: int) -> str:
    """A large number with three digits or so: `12.3k`."""
    for size, sign in _THOUSANDS:
        if number >= size:
            return f"{number / size:.1f}{sign}"
    return str(number)
