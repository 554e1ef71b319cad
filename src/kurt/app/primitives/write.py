"""`write`: data to a file, in one step, in the format that its name says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.app.primitives.files import exclusive, replace_content
from kurt.app.primitives.formats import Addition, codec, format_by_suffix
from kurt.errors import DataError, StorageError, UsageError

if TYPE_CHECKING:
    from kurt.types import Json


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        path: the file as it was named, `-` for stdout.
        format: its format.
        bytes: size of the file afterwards.
        records: number of list elements that were given, 1 for anything else.
    """

    path: str
    format: str
    bytes: int
    records: int

    def to_json(self) -> dict[str, Any]:
        """The object that `kurt workflows write` prints."""
        return asdict(self)


def output_format(output: str, format_name: str | None, template: str | Path | None) -> str:
    """The format in which `output` is written.

    Args:
        output: the file, or `-`.
        format_name: what the user asked for.
        template: a template file, whose text is written as it is.

    Raises:
        UsageError: both a format and a template are given.
    """
    if template is not None and format_name is not None:
        raise UsageError(
            "--format and --template cannot be combined", hint="leave out --format: a template makes the text"
        )
    if template is not None:
        return "text"
    return format_name or format_by_suffix(output) or "json"


def render(data: Json, format_name: str, *, template: str | Path | None = None) -> str:
    """The data as text: in a format, or through a Jinja2 template.

    Raises:
        DataError: the data does not fit the format or the template.
        UsageError: the template cannot be read.
    """
    if template is None:
        return codec(format_name).render(data)
    # Jinja2 costs 40 ms to import and most data is written without a template.
    from kurt.app.primitives.templates import render_template  # noqa: PLC0415 - see the line above

    return render_template(Path(template), data)


def write(
    data: Json,
    output: str | Path,
    *,
    format_name: str | None = None,
    template: str | Path | None = None,
    append: bool = False,
) -> Written:
    """Write data to a file; a crash leaves the old file or the new one.

    Args:
        data: a JSON value.
        output: the file; its folders are made.
        format_name: the format; by default what the file's suffix says, else JSON.
        template: a Jinja2 template that makes the text.
        append: add to what is there: elements to a JSON or YAML list, lines to JSONL and text, rows to CSV and
            Markdown tables.

    Raises:
        DataError: the data does not fit the format, the template or the file that it is appended to.
        UsageError: a wrong combination of arguments, or a template that cannot be read.
        StorageError: the disk refused.
    """
    name = output_format(str(output), format_name, template)
    path = Path(output)
    try:
        if append:
            with exclusive(path):
                size = _append(data, path, name, template)
        else:
            size = replace_content(path, encode(render(data, name, template=template)))
    except OSError as error:
        raise StorageError(f"{str(output)!r} cannot be written: {error.strerror}") from error
    return Written(str(output), name, size, records(data))


def records(data: Json) -> int:
    """How many records the data counts as: the elements of a list, otherwise one."""
    return len(data) if isinstance(data, list) else 1


def encode(text: str) -> bytes:
    """The text as UTF-8.

    Raises:
        DataError: it holds half a character (a lone surrogate).
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the data holds {text[error.start]!a}, which is not a character", hint="use --format json"
        ) from None


def _append(data: Json, path: Path, name: str, template: str | Path | None) -> int:
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return replace_content(path, encode(render(data, name, template=template)))
    if template is not None:
        data = render(data, name, template=template)
    addition = codec(name).addition(path, data) if path.is_file() else Addition(codec(name).render(data))
    return replace_content(path, encode(addition.text), keep=addition.keep)
