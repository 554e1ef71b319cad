"""What a child process is given, whether it is a program or a warm worker."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kurt.engine.kinds import Limits

MEMORY_LIMITS = platform.system() != "Darwin"
"""Whether the system enforces a limit of address space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where and under which limits a child process works, and who hears of it.

    Attributes:
        env: its whole environment.
        cwd: the folder it works in.
        limits: seconds from its start on, bytes of memory, seconds of processor time.
        secrets: values that are hidden in what it prints and in errors.
        log: called with a level and one or more whole lines of what it prints.
    """

    env: Mapping[str, str]
    cwd: Path
    limits: Limits = field(default_factory=Limits)
    secrets: tuple[str, ...] = ()
    log: Callable[[str, str], None] = lambda _level, _text: None

    def memory_limit(self) -> int | None:
        """Bytes of memory that the system is to enforce; the log says so where it cannot."""
        if self.limits.memory is not None and not MEMORY_LIMITS:
            self.log("WARNING", "macOS does not enforce `limits.memory`")
            return None
        return self.limits.memory
