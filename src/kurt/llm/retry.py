"""How often and how late a failed call is repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kurt.llm.errors import ModelError

_LATE = 0.1
"""Share by which a wait that the provider asks for is lengthened at random, so that waiters do not come together."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how late a failed call is repeated.

    Attributes:
        attempts: calls at most where each one fails in a way that may heal; re-asks are not counted.
        reasks: how often the model is shown the fault of its answer and asked again.
        first_delay: seconds before the first repetition; each further one waits twice as long.
        max_delay: seconds that a wait of our own is at most.
        max_retry_after: seconds that a wait which the provider asks for may last; a longer one fails the call.
    """

    attempts: int = 5
    reasks: int = 2
    first_delay: float = 0.5
    max_delay: float = 30.0
    max_retry_after: float = 120.0

    def delay(
        self, error: ModelError, failures: int, draw: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds to wait before the call is repeated, or None if it is not.

        Args:
            error: how the last call failed.
            failures: calls that have failed so far, this one included.
            draw: a random number from 0 to 1.
        """
        if not error.retryable or failures >= self.attempts:
            return None
        if error.retry_after is not None:
            if error.retry_after > self.max_retry_after:
                return None
            return error.retry_after * (1 + _LATE * draw())
        longest = min(self.max_delay, self.first_delay * 2 ** min(failures - 1, 30))
        return longest * (0.5 + draw() / 2)


NO_RETRY = RetryPolicy(attempts=1, reasks=0)
"""One call, whatever comes of it."""
