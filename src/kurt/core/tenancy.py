"""Whose work it is: `with tenant(...)`, the run, or the settings `USER_ID` and `WORKSPACE_ID`."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from kurt.db.tenant import Tenant, chosen, current_tenant
from kurt.runtime import names, tenancy

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from kurt.types import JsonObject

__all__ = ["Tenant", "current_tenant", "tenant", "tenant_attributes"]

_ = tenancy  # it tells `current_tenant` about runs


@contextmanager
def tenant(*, user_id: str | None = None, workspace_id: str | None = None) -> Generator[Tenant]:
    """Let all that is started and stored in the block belong to this user and workspace.

    Runs that are started in it carry both to whatever executor they reach: their rows, traces, costs and budgets are this
    tenant's. What is not given is nobody's, whatever the settings say.

    Args:
        user_id: the user.
        workspace_id: the workspace.
    """
    made = Tenant(user_id, workspace_id)
    token = chosen.set(made)
    try:
        with _for_runs(tenant_attributes(made)):
            yield made
    finally:
        chosen.reset(token)


def tenant_attributes(whose: Tenant | None = None) -> JsonObject:
    """What a run's attributes say of its tenant; without an argument, of the present one."""
    found = whose or current_tenant()
    facts = {"user_id": found.user_id, "workspace_id": found.workspace_id}
    return {key: value for key, value in facts.items() if value}


def _for_runs(facts: JsonObject) -> AbstractContextManager[Any]:
    """Runs that the user starts by DBOS itself carry it too; who has not loaded DBOS has no function to start."""
    if not facts or "dbos" not in sys.modules:
        return nullcontext()
    from dbos import SetWorkflowAttributes  # noqa: PLC0415 - loaded already

    return SetWorkflowAttributes({names.ATTRIBUTES_KEY: facts})
