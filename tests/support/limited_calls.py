"""A process that calls a model under a rate limit: `python -m tests.support.limited_calls URL ROOT COUNT RPM`.

ROOT is a project whose database is named by DATABASE_URL, or `-` for none.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from kurt.config import load_settings
from kurt.llm.calls import ask
from kurt.llm.client import client_for_loop
from kurt.llm.limits import RateLimit
from kurt.llm.shared_limits import shared_limiter
from tests.support.asking import KEY, OPENAI, request


async def calls(url: str, root: str, count: int, limit: RateLimit) -> None:
    """Make so many calls, all asked for at once."""
    environ = {**os.environ, "KURT_LLM__BASE_URL": url, "LLM_API_KEY": KEY}
    engine = None
    if root != "-":
        from kurt.db import get_engine

        engine = get_engine(load_settings(Path(root)))
    settings = load_settings(None if root == "-" else Path(root), environ=environ)
    client = client_for_loop(settings)
    limiter = shared_limiter(settings, OPENAI, limit, engine=engine)
    await asyncio.gather(
        *(ask(request(f"row {number}"), completer=client, limiter=limiter) for number in range(count))
    )
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(calls(sys.argv[1], sys.argv[2], int(sys.argv[3]), RateLimit(int(sys.argv[4]))))
