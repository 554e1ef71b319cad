"""What is kept of an error: its kind and its text."""

from __future__ import annotations

from kurt.errors import KurtError


def text_of_error(error: BaseException) -> str:
    """What an error says; its class where it says nothing."""
    return (error.message if isinstance(error, KurtError) else str(error)) or type(error).__name__


def type_of_error(error: BaseException) -> str:
    """The name of a kind of failure."""
    return str(getattr(error, "type", None) or type(error).__name__)
