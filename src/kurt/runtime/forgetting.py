"""What is forgotten of calls of models when their run is deleted: what was said, not what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from kurt.runtime import recovery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbos import DBOSClient

_TRACES = sa.table("llm_traces", *(sa.column(name) for name in ("run_id", "prompt", "response", "error")))
_AT_ONCE = 500


def forget_content(client: DBOSClient, run_ids: Sequence[str]) -> None:
    """Remove prompts, answers and texts of errors of these runs' calls; tokens and cost stay, for the sums."""
    nothing = {"prompt": None, "response": None, "error": None}
    for start in range(0, len(run_ids), _AT_ONCE):
        chosen = _TRACES.c.run_id.in_(run_ids[start : start + _AT_ONCE])
        with recovery.database_of(client).engine.begin() as connection:
            connection.execute(sa.update(_TRACES).where(chosen).values(nothing))
