"""How long and how random the tests that kill processes are."""

from __future__ import annotations

import random
from dataclasses import dataclass

SHORT_SERIES = 2
"""Kills of each test in `make test`."""

FULL_SERIES = 20
"""Kills of each test in `make chaos`."""


@dataclass(frozen=True, slots=True)
class Chaos:
    """One test's share of a series of kills.

    Attributes:
        rounds: how often to kill: few in `make test`, twenty in `make chaos`.
        seed: what the series depends on; printed, so that it can be repeated.
        random: this test's own generator.
    """

    rounds: int
    seed: int
    random: random.Random

    def moment(self, longest: float) -> float:
        """Seconds to wait before the next kill, up to `longest`."""
        return self.random.uniform(0, longest)
