"""To whom the run belongs in which the caller is: what its attributes say, else those of the run that started it."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from kurt.db.tenant import Tenant, add_source
from kurt.runtime import names, place

_KEPT = 1000
_known: OrderedDict[str, Tenant] = OrderedDict()

_DEPTH = 100


def tenant_here() -> Tenant | None:
    """The tenant of the run in which the caller is, None outside of one."""
    run_id = place.run_id()
    return None if run_id is None else tenant_of_run(run_id)


def tenant_of_run(run_id: str) -> Tenant:
    """The tenant of a run or a child; read once, it does not change."""
    known = _known.get(run_id)
    if known is None:
        known = _known[run_id] = _read(run_id)
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return known


def _read(run_id: str) -> Tenant:
    import sqlalchemy as sa  # noqa: PLC0415 - inside a run it is loaded

    from kurt.runtime.recovery import system_database  # noqa: PLC0415 - as above

    database = system_database()
    table = database.tables.workflow_status
    columns = (table.c.parent_workflow_id, table.c.attributes, table.c.authenticated_user)
    asked: str | None = run_id
    with database.engine.connect() as connection:
        for _ in range(_DEPTH):
            row = connection.execute(sa.select(*columns).where(table.c.workflow_uuid == asked)).first()
            if row is None:
                break
            found = _of(row[1], row[2])
            if found != Tenant() or row[0] is None:
                return found
            asked = row[0]
    return Tenant()


def _of(attributes: Any, user: str | None) -> Tenant:
    read = json.loads(attributes) if isinstance(attributes, str) else attributes
    facts = (read or {}).get(names.ATTRIBUTES_KEY) or {}
    return Tenant(facts.get("user_id") or user, facts.get("workspace_id"))


add_source(tenant_here)
