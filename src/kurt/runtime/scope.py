"""Which runs a command may show: those of one user or workspace, where its flags say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kurt.db.tenant import Tenant
    from kurt.runtime.reading import Run
    from kurt.runtime.run_query import Dialect, RunQuery, Sql


def narrowed(query: RunQuery, scope: Tenant | None) -> RunQuery:
    """The query for the runs of this tenant alone; children belong to whom their parent belongs."""
    if scope is None or query.parent is not None:
        return query
    return replace(query, user=scope.user_id or query.user, workspace=scope.workspace_id or query.workspace)


def add_scope(sql: Sql, scope: Tenant | None, dialect: Dialect) -> None:
    """Add the condition that a run belongs to this tenant."""
    if scope is not None and scope.user_id is not None:
        sql.add(f"coalesce({dialect.attribute.format('user_id')}, w.authenticated_user) = ?", scope.user_id)
    if scope is not None and scope.workspace_id is not None:
        sql.add(f"{dialect.attribute.format('workspace_id')} = ?", scope.workspace_id)


def includes(scope: Tenant, run: Run) -> bool:
    """Whether a run that a user started belongs to this tenant."""
    return (scope.user_id is None or run.user_id == scope.user_id) and (
        scope.workspace_id is None or run.workspace_id == scope.workspace_id
    )
