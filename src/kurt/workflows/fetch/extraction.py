"""Bodies are turned into texts in worker processes, each page with a limit of time and memory."""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
from pathlib import Path
from typing import Any

from kurt.engine.kinds import Limits
from kurt.engine.processes.pool import call_in_pool
from kurt.engine.processes.surroundings import Surroundings
from kurt.errors import DataError, KurtError, StepError, StepTimeoutError

from .engines import Brought

MEMORY = 1_500_000_000
"""Bytes of address space that one page may take."""

_PATIENCE = 6.0
"""Seconds on the clock for one of processor time: other processes want the processor too."""

_TARGET = "kurt.workflows.fetch.conversions:convert"
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "TMPDIR")
"""All that a worker sees of ours: what it reads may be hostile."""


class ExtractionError(DataError):
    """The text cannot be read.

    Attributes:
        type: what happened in the worker.
    """

    code = "extraction"

    def __init__(self, message: str, *, type: str, hint: str | None = None) -> None:  # noqa: A002 - as in StepError
        super().__init__(message, hint=hint)
        self.type = type


class Extraction:
    """Turns bodies into texts, as many at once as there are processors.

    Args:
        page_seconds: processor time for one page.
    """

    def __init__(self, page_seconds: float) -> None:
        self._places = asyncio.Semaphore(os.cpu_count() or 1)
        self._around = Surroundings(
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            cwd=Path(tempfile.gettempdir()),
            limits=Limits(timeout=page_seconds * _PATIENCE, cpu=page_seconds, memory=MEMORY),
        )

    async def text_of(self, brought: Brought, url: str) -> dict[str, Any]:
        """The Markdown and the facts of a body.

        Raises:
            KurtError: there is no text, or reading it took too much.
        """
        async with self._places:
            payload = {
                "kind": brought.kind,
                "data": base64.b64encode(brought.body or b"").decode("ascii"),
                "url": url,
                "charset": brought.charset,
            }
            try:
                return await call_in_pool(_TARGET, payload, self._around)  # pyright: ignore[reportReturnType] - as `convert` says
            except StepError as error:
                raise _explained(error, self._around.limits) from error
            finally:
                payload.clear()  # the task lives on until cycles are collected, which is seldom


def _explained(error: StepError, limits: Limits) -> KurtError:
    if isinstance(error, StepTimeoutError) or error.type == "CpuLimit":
        return ExtractionError(
            f"reading it took more than {limits.cpu:g} s of processor time",
            type="CpuLimit",
            hint="raise page_seconds if the document is worth it",
        )
    if error.type in {"WorkerDied", "MemoryError"}:
        return ExtractionError("reading it took too much memory, or crashed the reader", type=error.type)
    return ExtractionError(error.message, type=error.type, hint=error.hint)
