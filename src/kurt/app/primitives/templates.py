"""Jinja2 templates over data: sandboxed, strict about names, limited in time and size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from jinja2 import FileSystemLoader, StrictUndefined, nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kurt.engine.suggestions import listing
from kurt.errors import DataError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from kurt.types import Json

MAX_SECONDS: Final = 30.0
"""How long a template may take."""

MAX_CHARACTERS: Final = 64 * 1024 * 1024
"""How long its text may become."""

_MARKUP: Final = (".html", ".htm", ".xml", ".svg")
_ENDINGS: Final = (".j2", ".jinja", ".jinja2")


class _LimitError(Exception):
    """The template takes too long or makes too much; the text says which."""


def render_template(path: Path, data: Json) -> str:
    """The text that a template makes of the data.

    In the template the data is `data`, and the keys of a mapping are names of their own. Templates of the same folder
    can be included. Where the name says HTML or XML, values are escaped.

    Raises:
        NotFoundError: there is no such template.
        UsageError: it is not a valid template.
        DataError: it uses a name that the data does not have, fails, or goes beyond a limit.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no template {str(path)!r}", hint="check the path after --template")
    names = data if isinstance(data, dict) else {}
    environment = _Environment(path.parent, time.monotonic() + MAX_SECONDS)
    try:
        template = environment.get_template(path.name)
        return _collect(template.generate({**names, "data": data}))
    except TemplateSyntaxError as error:
        raise UsageError(
            f"{error.filename or path}:{error.lineno}: not a valid template: {error.message}"
        ) from None
    except UndefinedError as error:
        hint = f"in scope are {listing(['data', *map(str, names)])}"
        raise DataError(f"{_place(error.__traceback__, path)}: {error.message}", hint=hint) from None
    except TemplateError as error:
        raise DataError(
            f"{_place(error.__traceback__, path)}: {error.message or type(error).__name__}"
        ) from None
    except (_LimitError, RecursionError, MemoryError) as error:
        raise DataError(
            f"the template {str(path)!r} {error if isinstance(error, _LimitError) else 'never ends'}"
        ) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{_place(error.__traceback__, path)}: {error}") from None


class _Environment(ImmutableSandboxedEnvironment):
    """One rendering: loops and calls look at the clock, products at their size."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, folder: Path, deadline: float) -> None:
        super().__init__(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=_is_markup,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._deadline = deadline
        self.filters["_timed"] = self._timed

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_timed", [], [], None, None, lineno=loop.lineno)
        return tree

    def call(self, *args: Any, **kwargs: Any) -> Any:
        self._check_time()
        return super().call(*args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(one) if hasattr(one, "__len__") else abs(one) for one in (left, right)]
        repeats = any(hasattr(one, "__len__") for one in (left, right))
        if (operator == "**" and max(sizes) > 10_000) or (repeats and sizes[0] * sizes[1] > MAX_CHARACTERS):
            raise _LimitError(f"computes too large a value with {operator!r}")
        return super().call_binop(context, operator, left, right)

    def _timed(self, values: Any) -> Iterator[Any]:
        for value in values:
            self._check_time()
            yield value

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise _LimitError(f"took longer than {MAX_SECONDS:g} seconds")


def _collect(pieces: Iterator[str]) -> str:
    """The pieces as one text, as long as it stays within the limit."""
    text: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_CHARACTERS:
            raise _LimitError(f"makes more than {MAX_CHARACTERS} characters")
        text.append(piece)
    return "".join(text)


def _is_markup(name: str | None) -> bool:
    """Whether values are escaped in this template: `page.html`, `page.html.j2`."""
    base = (name or "").lower()
    for ending in _ENDINGS:
        base = base.removesuffix(ending)
    return base.endswith(_MARKUP)


def _place(trace: TracebackType | None, path: Path) -> str:
    """The template's line in which an error arose."""
    place = str(path)
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(str(path.parent)):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
