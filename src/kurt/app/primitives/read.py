"""`read`: the value of a file, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kurt.app.primitives.detect import parse_any
from kurt.app.primitives.formats import codec, format_by_suffix
from kurt.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from typing import BinaryIO

    from kurt.types import Json

MAX_BYTES: Final = 256 * 1024 * 1024
"""How large a file may be by default."""


def read(path: str | Path, *, format_name: str | None = None, max_bytes: int = MAX_BYTES) -> Json:
    """The value of a file.

    Args:
        path: the file.
        format_name: its format; by default what its suffix says, else what its content looks like.
        max_bytes: how large it may be.

    Returns:
        JSON, YAML: the value; CSV: a list of mappings; JSONL: a list; Markdown: a mapping with `front_matter`,
        `title` and `content`; text: a string.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read as this format, or is too large.
    """
    try:
        with Path(path).open("rb") as file:
            return read_stream(
                file, str(path), format_name=format_name or format_by_suffix(path), max_bytes=max_bytes
            )
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(path)!r}", hint="check the path") from None
    except IsADirectoryError:
        raise DataError(f"{str(path)!r} is a folder", hint="name a file in it") from None
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be read: {error.strerror}", hint="check the path and its rights"
        ) from None


def read_stream(
    stream: BinaryIO, source: str, *, format_name: str | None = None, max_bytes: int = MAX_BYTES
) -> Json:
    """The value of an open file or stdin; `source` names it in errors.

    Raises:
        DataError: it cannot be read as this format, or is too large.
    """
    return parse_bytes(read_bytes(stream, source, max_bytes=max_bytes), source, format_name=format_name)


def read_bytes(stream: BinaryIO, source: str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """All of a stream, if it is not too large.

    Raises:
        DataError: it is larger than `max_bytes`.
    """
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(f"{source} is larger than {max_bytes} bytes", hint="raise --max-size")
    return data


def parse_bytes(data: bytes, source: str, *, format_name: str | None = None) -> Json:
    """The value of a file's bytes.

    Raises:
        DataError: they are not UTF-8 or not of the format.
    """
    text = decode(data, source)
    return codec(format_name).parse(text, source) if format_name else parse_any(text, source)


def decode(data: bytes, source: str) -> str:
    """The text of UTF-8 bytes, without a byte order mark.

    Raises:
        DataError: they are not UTF-8; says on which line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{source}:{line} is not UTF-8 text (byte 0x{data[error.start]:02x})",
            hint="convert the file to UTF-8, for example with iconv",
        ) from None
