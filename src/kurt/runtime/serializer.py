"""`kurt_json`: how values are written to the database.

JSON, plus tagged objects for what JSON lacks. A tagged object is `{"$kurt": tag, "value": ...}`; a mapping that has the
key `$kurt` itself is wrapped under the tag `dict`, so that every value comes back as it was. Nothing is ever unpickled:
an exception is stored by class name, message and plain attributes, and rebuilt only if its class is built in, Kurt's own
or registered with `register_error`; any other becomes a `RemoteError`.
"""

from __future__ import annotations

import base64
import builtins
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from kurt import errors
from kurt.errors import RemoteError
from kurt.types import Json

NAME = "kurt_json"
"""Stored beside each value; durable."""

TAG = "$kurt"

_registered: dict[str, type[BaseException]] = {}


def register_error(cls: type[BaseException]) -> type[BaseException]:
    """Let stored errors of this class be rebuilt as such; usable as a decorator.

    The class must accept its message as the only positional argument.
    """
    _registered[cls.__name__] = cls
    return cls


def dumps(value: Any) -> str:
    """Write a value as `kurt_json` text.

    Raises:
        TypeError: the value, or something inside it, cannot be stored.
    """
    return json.dumps(encode(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> Any:
    """Read a value back from `kurt_json` text."""
    value = json.loads(text)
    return decode(value) if TAG in text else value


def round_trip(value: Any) -> Any:
    """The value as a replay would see it."""
    return loads(dumps(value))


def encode(value: Any) -> Json:
    """The value as plain JSON with tags.

    Raises:
        TypeError: naming the type and what to return instead.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else _tagged("float", repr(value))
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return _encode_other(value)


def decode(value: Json) -> Any:
    """Undo `encode`."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: decode(item) for key, item in value.items()}
    tag, content = value[TAG], value.get("value")
    reader = _READERS.get(tag)
    return reader(content) if reader else value


def _tagged(tag: str, value: Json) -> Json:
    return {TAG: tag, "value": value}


def _encode_mapping(value: Mapping[Any, Any]) -> Json:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"a mapping with the key {key!r} cannot be stored; use text keys")
    encoded = {key: encode(item) for key, item in value.items()}
    return _tagged("dict", encoded) if TAG in encoded else encoded


def _encode_other(value: Any) -> Json:  # noqa: C901, PLR0911 - a table of types reads best as one list
    match value:
        case BaseException():
            return _tagged("error", describe_error(value))
        case bytes() | bytearray() | memoryview():
            return _tagged("bytes", base64.b64encode(bytes(value)).decode())
        case datetime():
            return _tagged("datetime", value.isoformat())
        case date():
            return _tagged("date", value.isoformat())
        case time():
            return _tagged("time", value.isoformat())
        case timedelta():
            return _tagged("timedelta", value.total_seconds())
        case Decimal():
            return _tagged("decimal", str(value))
        case UUID() | PurePath():
            return str(value)
        case set() | frozenset():
            return [encode(item) for item in sorted(value, key=repr)]
        case Enum():
            return encode(value.value)
        case _:
            return _encode_object(value)


def _encode_object(value: Any) -> Json:
    """Pydantic models, dataclasses and numpy scalars, by what they offer."""
    if callable(dump := getattr(value, "model_dump", None)):
        return encode(dump(mode="json"))
    if isinstance(fields := getattr(value, "__dataclass_fields__", None), dict) and not isinstance(
        value, type
    ):
        return encode({name: getattr(value, name) for name in fields})
    if callable(item := getattr(value, "item", None)) and getattr(value, "shape", None) == ():
        return encode(item())
    kind = type(value).__name__
    raise TypeError(
        f"a value of type {kind!r} cannot be stored; return {_INSTEAD.get(kind, 'JSON: text, numbers, lists, mappings')}"
    )


_INSTEAD = {
    "DataFrame": "its rows, of pandas by frame.to_dict('records'), of polars by frame.to_dicts()",
    "Table": "its rows by table.to_pylist()",
    "Series": "its values by series.to_list()",
}
"""What is stored in place of frames, which steps of tables like to return."""


def describe_error(error: BaseException) -> dict[str, Json]:
    """An exception as JSON: its class, message, and the attributes that JSON can hold."""
    message = error.message if isinstance(error, errors.KurtError) else _text(error)
    described: dict[str, Json] = {"name": _stored_name(type(error)), "message": message}
    if isinstance(error, RemoteError):
        described["name"] = error.name
    own = isinstance(error, errors.KurtError)
    for name in ("hint", "type", "details") if own else ("code", "status", "status_code", "details"):
        content = getattr(error, name, None)
        if content is not None and not callable(content) and _storable(content):
            described[name] = encode(content)
    return described


def _stored_name(cls: type[BaseException]) -> str:
    """The class's name; for Kurt's own errors that of the nearest class which can be rebuilt."""
    if not issubclass(cls, errors.KurtError) or cls.__name__ in _registered:
        return cls.__name__
    return next(base.__name__ for base in cls.__mro__ if getattr(errors, base.__name__, None) is base)


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - a broken __str__ of a user's class must not hide the failure itself
        return type(error).__name__


def _storable(value: Any) -> bool:
    try:
        encode(value)
    except TypeError:
        return False
    return True


def rebuild_error(described: Mapping[str, Any]) -> BaseException:
    """Undo `describe_error` as far as the class is known; else a `RemoteError`."""
    name, message = str(described.get("name", "Error")), str(described.get("message", ""))
    cls = _registered.get(name) or getattr(errors, name, None) or getattr(builtins, name, None)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        return RemoteError(message, name=name, hint=described.get("hint"))
    try:
        return _construct(cls, message, described)
    except Exception:  # noqa: BLE001 - constructors of other classes may ask for anything
        return RemoteError(message, name=name, hint=described.get("hint"))


def _construct(cls: type[BaseException], message: str, described: Mapping[str, Any]) -> BaseException:
    if issubclass(cls, errors.StepError):
        return cls(
            message, hint=described.get("hint"), type=described.get("type"), details=described.get("details")
        )
    if issubclass(cls, errors.DefinitionError):
        return errors.UsageError(message)
    if issubclass(cls, errors.KurtError):
        return cls(message, hint=described.get("hint"))
    return cls(message)


_READERS: dict[str, Any] = {
    "dict": lambda content: {key: decode(item) for key, item in content.items()},
    "bytes": base64.b64decode,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda content: timedelta(seconds=content),
    "decimal": Decimal,
    "float": float,
    "error": rebuild_error,
}
