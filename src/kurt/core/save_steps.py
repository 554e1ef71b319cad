"""`SaveStep`: rows into a table of one's own, checked, inserted or brought up to date, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from kurt.core.answers import faults_of
from kurt.core.frames import open_table
from kurt.core.llm_steps import checked_name
from kurt.core.prompts import is_missing
from kurt.core.transactions import transaction
from kurt.errors import DataError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session, SQLModel

    from kurt.types import JsonObject


class SaveStep:
    """Saves rows as objects of a SQLModel table: a row whose key is there already is brought up to date.

    In a workflow it is one step, and its rows are committed together with its checkpoint.

    Args:
        name: durable name of the step.
        model: the table's class.
        key: columns that tell a row from all others; the primary key by default.
        on_row_error: `fail` saves nothing when a row does not fit the table, `skip` leaves such rows out.

    Raises:
        UsageError: the key names a column that the table does not have.
    """

    def __init__(
        self,
        name: str,
        model: type[SQLModel],
        *,
        key: Sequence[str] | None = None,
        on_row_error: Literal["fail", "skip"] = "fail",
    ) -> None:
        self.name = checked_name(name)
        self.model = model
        self.key = list(key) if key is not None else [column.name for column in _table(model).primary_key]
        self.on_row_error = on_row_error
        known = set(model.model_fields)
        if unknown := [column for column in self.key if column not in known]:
            raise UsageError(
                f"the key of step {name!r} names {unknown[0]!r}, which {model.__name__} does not have",
                hint=f"it has: {', '.join(known)}",
            )
        self._persist = transaction(name=name)(self._save)

    def run(self, df: Any) -> JsonObject:
        """Save all rows.

        Args:
            df: a DataFrame of pandas or polars, an Arrow table, or a list of dicts; columns that the table does not have
                are left out.

        Returns:
            `{inserted, updated, skipped, errors}`; `errors` holds `{row, error}` for rows that were left out.

        Raises:
            DataError: a row does not fit the table.
        """
        table = open_table(df)
        fields = [name for name in self.model.model_fields if name in table.columns]
        columns = {name: table.cells(name) for name in fields}
        rows = [
            {name: None if is_missing(cells[index]) else cells[index] for name, cells in columns.items()}
            for index in range(table.length)
        ]
        return self._persist(rows)

    def _save(self, rows: list[dict[str, Any]]) -> JsonObject:
        from kurt.db import managed_session  # noqa: PLC0415 - making a step needs no database

        found: JsonObject = {"inserted": 0, "updated": 0, "skipped": 0, "errors": []}
        with managed_session() as session:
            for index, row in enumerate(rows):
                try:
                    made = self._checked(row)
                except DataError as error:
                    if self.on_row_error == "fail":
                        raise DataError(f"row {index} of step {self.name!r}: {error.message}") from None
                    found["skipped"] += 1
                    found["errors"].append({"row": index, "error": error.message})
                    continue
                found["updated" if self._store(session, made, row) else "inserted"] += 1
        return found

    def _checked(self, row: Mapping[str, Any]) -> Any:
        """The row as an object of the table's class, which by itself checks nothing when it is made."""
        from pydantic import ValidationError  # noqa: PLC0415 - the model has loaded it

        given = {name: value for name, value in row.items() if value is not None}
        try:
            return self.model.model_validate(given)
        except ValidationError as error:
            raise DataError(faults_of(error)) from None

    def _store(self, session: Session, made: Any, row: Mapping[str, Any]) -> bool:
        """Insert the object, or bring the one of the same key up to date; whether there was one."""
        from sqlmodel import select  # noqa: PLC0415 - the model has loaded it

        values = [getattr(made, name) for name in self.key]
        before = None
        if all(value is not None for value in values):
            matches = [
                getattr(self.model, name) == value for name, value in zip(self.key, values, strict=True)
            ]
            before = session.exec(select(self.model).where(*matches)).first()
        if before is None:
            session.add(made)  # stored with others; the next look for a key stores it before it looks
            return False
        for name in row:
            if name not in self.key:
                setattr(before, name, getattr(made, name))
        return True


def _table(model: type[SQLModel]) -> Any:
    table = getattr(model, "__table__", None)
    if table is None:
        raise UsageError(f"{model.__name__} is no table", hint="write class ...(SQLModel, table=True)")
    return table
