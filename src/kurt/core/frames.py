"""Tables of any make: a list of mappings, or a frame of pandas, polars or Arrow. What comes in goes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from kurt.core.prompts import text_of
from kurt.errors import UsageError


class Table(ABC):
    """A table as a batch step sees it.

    Attributes:
        columns: names of its columns in order.
        length: number of rows.
    """

    columns: list[str]
    length: int

    @abstractmethod
    def cells(self, column: str) -> Sequence[Any]:
        """One column from top to bottom."""

    @abstractmethod
    def extended(self, more: Mapping[str, Sequence[Any]], text: frozenset[str] = frozenset()) -> Any:
        """A new table of the same make with more columns at its end; the one that was given stays as it is.

        Args:
            more: cells by column.
            text: columns that hold text or None, even where all cells are None.
        """


def open_table(data: Any) -> Table:
    """Read a table.

    Raises:
        UsageError: it is none, or has two columns of one name.
    """
    if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
        return _Mappings(data)
    if isinstance(data, (list, tuple, str, bytes, Mapping)):
        raise _unreadable(data)
    return _Native(data)


def _unreadable(data: Any) -> UsageError:
    return UsageError(
        f"a value of type {type(data).__name__!r} is no table",
        hint="give a DataFrame of pandas or polars, an Arrow table, or a list of dicts",
    )


class _Mappings(Table):
    """A list of mappings; a key that a row lacks is an empty cell."""

    def __init__(self, rows: list[Mapping[str, Any]]) -> None:
        self._rows = rows
        self.columns = list(dict.fromkeys(key for row in rows for key in row))
        self.length = len(rows)

    def cells(self, column: str) -> Sequence[Any]:
        return [row.get(column) for row in self._rows]

    def extended(self, more: Mapping[str, Sequence[Any]], text: frozenset[str] = frozenset()) -> Any:
        del text
        return [
            {**row, **{name: cells[index] for name, cells in more.items()}}
            for index, row in enumerate(self._rows)
        ]


class _Native(Table):
    """A frame of a library, through narwhals."""

    def __init__(self, data: Any) -> None:
        import narwhals as nw  # noqa: PLC0415 - only who gives a frame pays for it

        try:
            self._frame = nw.from_native(data, eager_only=True)
        except TypeError:
            if hasattr(data, "collect"):
                raise UsageError(
                    f"a {type(data).__name__} holds no rows yet",
                    hint="collect it first: run(frame.collect())",
                ) from None
            raise _unreadable(data) from None
        except Exception as error:
            raise UsageError(
                f"the table cannot be read: {error}", hint="give each column its own name"
            ) from error
        self.columns = list(self._frame.columns)
        self.length = len(self._frame)

    def cells(self, column: str) -> Sequence[Any]:
        return self._frame[column].to_list()

    def extended(self, more: Mapping[str, Sequence[Any]], text: frozenset[str] = frozenset()) -> Any:
        if self._frame.implementation.is_pandas():
            return _extended_pandas(self._frame.to_native(), more, text)
        return self._frame.with_columns(
            *[self._series(name, list(cells), text=name in text) for name, cells in more.items()]
        ).to_native()

    def _series(self, name: str, cells: list[Any], *, text: bool) -> Any:
        import narwhals as nw  # noqa: PLC0415 - heavy, and only for frames

        backend = self._frame.implementation
        try:
            return nw.new_series(name, cells, nw.String() if text else None, backend=backend)
        except Exception:  # noqa: BLE001 - each library has its own errors for cells of several types
            return nw.new_series(name, [_as_text(cell) for cell in cells], nw.String(), backend=backend)


def _as_text(cell: Any) -> str | None:
    return None if cell is None else text_of(cell)


def _extended_pandas(frame: Any, more: Mapping[str, Sequence[Any]], text: frozenset[str]) -> Any:
    """Made by hand: a new column takes the frame's index as it is, also one with duplicates."""
    import pandas as pd  # the frame is one of pandas, so it is loaded

    found = frame.copy(deep=False)
    for name, cells in more.items():
        dtype = object if name in text or not len(frame) else None
        found[name] = pd.Series(list(cells), index=frame.index, dtype=dtype)
    return found
