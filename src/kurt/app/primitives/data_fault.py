"""One fault of data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DataFault:
    """One fault of data.

    Attributes:
        path: where it is, `$` being the whole: `$.pages[0].title`.
        message: what is wrong.
    """

    path: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """The fault as JSON: path, message."""
        return asdict(self)
