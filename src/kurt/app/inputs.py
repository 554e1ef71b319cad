"""Inputs of a run from a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kurt.errors import InputError


def read_inputs_file(name: str) -> dict[str, Any]:
    """The mapping in a YAML or JSON file, or on standard input for `-`.

    Raises:
        InputError: the file cannot be read, or holds no mapping.
        DefinitionError: it is not well formed.
    """
    from kurt.engine.expressions.references import kind_of  # noqa: PLC0415 - only with --inputs-file
    from kurt.engine.language.source import MAX_BYTES, decode, read_source  # noqa: PLC0415 - as above

    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputError(
            f"the inputs file {name!r} cannot be read: {error.strerror}", hint="name a file, or - for stdin"
        ) from error
    value = _large(data, name) if len(data) > MAX_BYTES else read_source(decode(data, name), name).value
    if not isinstance(value, dict):
        raise InputError(
            f"{name!r} holds {kind_of(value)}, not a mapping of inputs",
            hint="write `name: value` lines",
        )
    return value


def _large(data: bytes, name: str) -> Any:
    """The value of a text that is too long to be read as YAML.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name!r} has {len(data)} bytes, for which it has to be JSON, and it is not: {error}",
            hint="write it as JSON, or let a step read the file",
        ) from error
