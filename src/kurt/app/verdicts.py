"""What a check of `kurt doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.types import JsonObject

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        check: what was looked at.
        state: `ok`, `warn` for what will cause trouble, `fail` for what does.
        detail: what was found.
        remedy: what to do, None where all is well.
    """

    check: str
    state: str
    detail: str
    remedy: str | None = None

    def to_json(self) -> JsonObject:
        """The check as JSON: check, state, detail, remedy."""
        return {"check": self.check, "state": self.state, "detail": self.detail, "remedy": self.remedy}
