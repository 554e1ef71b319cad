"""How kinds reach warm workers and what every child process gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kurt.engine.processes.pool import call_in_pool
from kurt.engine.processes.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.engine.kinds import StepContext
    from kurt.types import Json


def surroundings(context: StepContext, cwd: Path | None = None) -> Surroundings:
    """What a step's child processes get: this process's environment and over it the step's, limits, secrets, log."""
    return Surroundings(
        env={**os.environ, **context.env},
        cwd=cwd or context.project_root,
        limits=context.limits,
        secrets=context.secrets,
        log=context.log,
    )


async def call(context: StepContext, target: str, payload: Json) -> Json:
    """Call a function in a warm worker, in the project's folder and under the step's limits.

    Raises:
        StepError: as `call_in_pool` does.
    """
    return await call_in_pool(target, payload, surroundings(context), root=context.project_root)
