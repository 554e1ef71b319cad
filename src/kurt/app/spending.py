"""What the models have cost, for a run or for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.app.reading import get_run, moment
from kurt.runtime.spending import CallQuery, open_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kurt.config import Settings
    from kurt.types import JsonObject


def call_stats(
    settings: Settings,
    run_id: str | None,
    *,
    by: Sequence[str] = (),
    step: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> JsonObject:
    """Calls, tokens and cost, all together and by groups.

    Args:
        settings: the project's settings; decide whose calls are counted.
        run_id: id or prefix of a run; all runs without one.
        by: what to count by, see `kurt.runtime.spending.GROUPS`.
        step: only steps of this name.
        since: only calls begun at this time or later; a time, or how long ago.
        until: only calls begun before this time.

    Raises:
        NotFoundError: there is no such run.
        UsageError: a time is not a time.
    """
    full_id = None if run_id is None else _root(get_run(settings, run_id).id)
    query = CallQuery(run_id=full_id, step=step, since=moment(since), until=moment(until))
    with open_calls(settings) as reader:
        total = reader.stats(query)
        groups = reader.stats(query, by) if by else []
    found = total[0].to_json() if total else {}
    return {"run_id": full_id, "by": list(by), "total": found, "groups": [one.to_json() for one in groups]}


def _root(run_id: str) -> str:
    """The run that the user started: what children spend is booked there."""
    return run_id.split(".", 1)[0]
