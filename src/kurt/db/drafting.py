"""Drafting a revision from the difference between a module's models and the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from kurt.db.models import UtcDateTime
from kurt.db.system import dbos_tables

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import MigrationScript

OWN_MODELS = "kurt.db.models"
"""Where the models of Kurt's own tables are; Kurt's own revisions make them."""

_OWN_PREFIX = "kurt_"


def tables_of(module: str) -> set[str]:
    """Names of the tables whose models have been imported from a package or a module below it."""
    return {
        str(mapper.class_.__tablename__)
        for mapper in SQLModel._sa_registry.mappers  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - SQLModel shows its registry nowhere else
        if f"{mapper.class_.__module__}.".startswith(f"{module}.")
    }


class Drafting:
    """What Alembic needs to know to compare one module's tables and to write down the difference.

    Args:
        package: the module's import path, whose models have been imported.
        name: its short name; tables whose names begin with it are its own even when their model is gone.

    Attributes:
        found_any: whether there was a difference; known when the draft is made.
    """

    def __init__(self, package: str, name: str) -> None:
        self._tables = tables_of(package)
        self._others = dbos_tables() | tables_of(OWN_MODELS)
        self._name = name
        self.found_any = False

    def options(self) -> dict[str, Any]:
        """Arguments for Alembic's `context.configure`."""
        return {
            "target_metadata": SQLModel.metadata,
            "include_name": self._include,
            "include_object": self._include_object,
            "render_item": render,
            "user_module_prefix": "sa.",
        }

    def keep_difference(self, context: Any, revision: Any, directives: list[MigrationScript]) -> None:
        """Write no file where there is no difference."""
        del context, revision
        operations = directives[0].upgrade_ops if directives else None
        self.found_any = operations is not None and not operations.is_empty()
        if not self.found_any:
            directives[:] = []

    def _include(self, name: str | None, kind: str, parents: Any) -> bool:
        del parents
        return kind != "table" or name is None or self._is_own(name)

    def _include_object(self, item: Any, name: str | None, kind: str, reflected: bool, compared: Any) -> bool:
        del item, compared
        return kind != "table" or name is None or (self._is_own(name) if reflected else name in self._tables)

    def _is_own(self, name: str) -> bool:
        if name in self._tables:
            return True
        foreign = name in self._others or name.startswith(_OWN_PREFIX) or _is_claimed(name, self._tables)
        return not foreign and f"{name}_".startswith(f"{self._name}_")


def _is_claimed(name: str, own: Collection[str]) -> bool:
    """Whether the model of another module has this table."""
    return name in SQLModel.metadata.tables and name not in own


def render(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """SQLModel's and Kurt's types as plain SQLAlchemy: a revision must not change when they do."""
    del context
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False
