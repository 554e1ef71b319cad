"""What a file lets the Python workflows spend that it runs: it stands in the attributes of their runs."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from kurt.runtime import names

if TYPE_CHECKING:
    from kurt.types import JsonObject

ATTRIBUTE = names.BUDGETS_ATTRIBUTE

_KEPT = 1000
_DEPTH = 100
_known: OrderedDict[str, list[JsonObject]] = OrderedDict()


def limits_of_run(run_id: str) -> list[JsonObject]:
    """The budgets of the files that have started a run, or the run whose child it is; read once, they do not change."""
    if run_id not in _known:
        _known[run_id] = _read(run_id)
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return _known[run_id]


def _read(run_id: str) -> list[JsonObject]:
    import sqlalchemy as sa  # noqa: PLC0415 - inside a run it is loaded

    from kurt.runtime.recovery import system_database  # noqa: PLC0415 - as above

    database = system_database()
    table = database.tables.workflow_status
    asked: str | None = run_id
    with database.engine.connect() as connection:
        for _ in range(_DEPTH):
            query = sa.select(table.c.parent_workflow_id, table.c.attributes)
            row = connection.execute(query.where(table.c.workflow_uuid == asked)).first()
            if row is None:
                break
            found = _of(row[1])
            if found or row[0] is None:
                return found
            asked = row[0]
    return []


def _of(attributes: Any) -> list[JsonObject]:
    read = json.loads(attributes) if isinstance(attributes, str) else attributes
    return ((read or {}).get(names.ATTRIBUTES_KEY) or {}).get(ATTRIBUTE) or []
