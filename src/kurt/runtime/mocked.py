"""Whether a run pretends, and what: it stands in the attributes of the run that the user started, so every executor sees it.

A run that pretends is marked by the attribute `mocked`, a list of `models` and `steps`. What is pretended is in the
input of a declared run, under `mock`; see `kurt.engine.interpreter.mocks`.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from kurt.runtime import names

if TYPE_CHECKING:
    from kurt.types import JsonObject

ATTRIBUTE = names.MOCKED_ATTRIBUTE
MODELS = "models"
STEPS = "steps"

VARIABLE = "KURT_MOCK_LLM"
"""Set in child processes of a run whose models are mocked; whoever sets it has all calls of models answered so."""

_KEPT = 1000
_known: OrderedDict[str, JsonObject | None] = OrderedDict()


def asked_by_environment() -> bool:
    """Whether the environment asks for pretended answers."""
    return os.environ.get(VARIABLE, "").lower() not in {"", "0", "false", "no", "off"}


def marks(mock: JsonObject | None) -> list[str]:
    """What a run that is given this as `mock` is marked with."""
    given = mock or {}
    return [mark for mark, on in ((MODELS, given.get("llm")), (STEPS, given.get("steps"))) if on]


def models_of_run(run_id: str) -> JsonObject | None:
    """What is given for the models of a run or a child, as `{"answers": [...]}`; None where they are real.

    Reads the database once for each; it does not change.
    """
    if run_id not in _known:
        _known[run_id] = _read(run_id)
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return _known[run_id]


def _read(run_id: str) -> JsonObject | None:
    import sqlalchemy as sa  # noqa: PLC0415 - inside a run it is loaded

    from kurt.runtime.recovery import first_argument, root_of, system_database  # noqa: PLC0415 - as above

    root, database = root_of(run_id), system_database()
    table = database.tables.workflow_status
    with database.engine.connect() as connection:
        row = connection.execute(
            sa.select(table.c.name, table.c.attributes).where(table.c.workflow_uuid == root)
        ).first()
    if row is None or MODELS not in _marks(row[1]):
        return None
    payload = first_argument(database, root) if row[0] == names.RUN_WORKFLOW else None
    given = payload.get("mock") if isinstance(payload, dict) else None
    return {"answers": (given or {}).get("answers") or []}


def _marks(attributes: Any) -> list[str]:
    read = json.loads(attributes) if isinstance(attributes, str) else attributes
    return ((read or {}).get(names.ATTRIBUTES_KEY) or {}).get(ATTRIBUTE) or []
