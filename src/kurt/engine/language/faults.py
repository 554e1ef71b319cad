"""Collecting the faults of a file, with their places, and saying in plain words what Pydantic refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from kurt.engine.expressions.references import has_references
from kurt.engine.language.source import DataPath, Source
from kurt.engine.language.yaml12 import is_plain_string
from kurt.engine.suggestions import closest, listing
from kurt.errors import Fault
from kurt.types import Json

_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value that a model checks stands in the file.

    Attributes:
        base: the mapping that holds its keys.
        where: how messages call it, such as `a step`.
        places: where those of its keys stand that are not in `base`.
        also: more keys that may stand there.
    """

    base: DataPath
    where: str
    places: Mapping[str, DataPath] = field(default_factory=dict[str, DataPath])
    also: tuple[str, ...] = ()

    def path(self, location: tuple[str | int, ...]) -> DataPath:
        """The place of what a model's location leads to."""
        if not location:
            return self.base
        return (*self.places.get(str(location[0]), (*self.base, location[0])), *location[1:])


class Report:
    """The faults of one file.

    Attributes:
        source: the text that was read.
        faults: what was found so far.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[Fault] = []
        self._seen: set[tuple[Any, ...]] = set()
        self._missing: list[tuple[DataPath, str, str | None]] = []
        self._misspelt: set[DataPath] = set()

    def add(
        self,
        path: DataPath,
        message: str,
        hint: str | None = None,
        *,
        key: bool = False,
        severity: str = "error",
    ) -> None:
        """Note a fault; the same one at the same place is noted once.

        Args:
            path: keys and indices to the value that is wrong.
            message: what is wrong.
            hint: the remedy.
            key: it is the last key itself that is wrong.
            severity: `error` or `warning`.
        """
        line, column = self.source.position(path, key=key)
        identity = (line, column, message)
        if identity not in self._seen:
            self._seen.add(identity)
            self.faults.append(Fault(message, hint, self.source.file, line, column, severity))

    def warn(self, path: DataPath, message: str, hint: str | None = None, *, key: bool = False) -> None:
        """Note what does not stop a run."""
        self.add(path, message, hint, key=key, severity="warning")

    def missing(self, path: DataPath, where: str, hint: str | None) -> None:
        """Note that a key is missing, unless it turns out to be there misspelt.

        Args:
            path: where the key would be.
            where: such as `a step`.
            hint: the remedy.
        """
        self._missing.append((path, f"`{path[-1]}` is missing in {where}", hint))

    def sorted(self) -> list[Fault]:
        """The faults in the order of the file."""
        for path, message, hint in self._missing:
            if path not in self._misspelt:
                self.add(path[:-1], message, hint)
        self._missing.clear()
        return sorted(self.faults, key=lambda fault: (fault.line or 0, fault.column or 0))

    def unknown_key(self, path: DataPath, known: Iterable[str], where: str) -> None:
        """Note a key that does not belong there.

        Args:
            path: to the key.
            known: the keys that do.
            where: such as `a step`.
        """
        key = str(path[-1])
        names = list(known)
        near = closest(key, names)
        if near is not None:
            self._misspelt.add((*path[:-1], near))
        hint = f"did you mean `{near}`?" if near else f"the keys are {listing(names)}"
        self.add(path, f"unknown key `{key}` in {where}", hint, key=True)

    def check_model(
        self, model: type[BaseModel], value: Json, origin: Origin, *, deferred: bool = False
    ) -> None:
        """Note what a model refuses.

        Args:
            model: the model.
            value: what it should accept.
            origin: where the value stands in the file.
            deferred: what comes from a reference is checked when the run knows its value.
        """
        try:
            model.model_validate(value)
        except ValidationError as error:
            for item in _merged(error.errors(include_url=False)):
                if not (deferred and _depends_on_reference(value, item)):
                    self._add_refusal(item, model, origin)

    def _add_refusal(self, item: Any, model: type[BaseModel], origin: Origin) -> None:
        location, kind = item["loc"], item["type"]
        path = origin.path(location)
        where = origin.where if len(path) - len(origin.base) <= 1 else _named(path[:-1])
        if kind == "missing":
            self.missing(path, where, _example(model, location, "add"))
        elif kind == "extra_forbidden":
            self.unknown_key(path, [*_keys_at(model, location), *origin.also], where)
        else:
            name = ".".join(str(part) for part in path[len(origin.base) :]) or origin.where
            message, hint = _refusal(item, name)
            hint = hint or _example(model, location, "write") or f"change {origin.where}"
            self.add(path, message, hint, key=item["is_key"])


def _named(path: DataPath) -> str:
    """How messages call a mapping inside of a file; an item of a list has no name but that of the list."""
    last = path[-1]
    if isinstance(last, int) and len(path) > 1:
        return f"item {last + 1} of `{path[-2]}`"
    return f"`{last}`"


def _merged(items: Iterable[Any]) -> list[dict[str, Any]]:
    """Pydantic's errors, those of the branches of a union made one."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in items:
        location = tuple(part for part in item["loc"] if not _is_branch(part))
        is_key = "[key]" in item["loc"]
        first = merged.setdefault(location, {**item, "loc": location, "is_key": is_key})
        if first["msg"] != item["msg"]:
            first["msg"] = f"{first['msg']} or {item['msg'].removeprefix('Input should be ')}"
    return list(merged.values())


def _is_branch(part: str | int) -> bool:
    """Whether a part of a location names a branch of a union and not a key."""
    return isinstance(part, str) and (part.endswith("]") or part in {"str", "int", "float", "bool"})


def _depends_on_reference(value: Json, item: Any) -> bool:
    """Whether the refused value holds a reference, or is the whole mapping and one of its values does."""
    if item["type"] in ("missing", "extra_forbidden"):
        return False
    for part in item["loc"]:
        is_index = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_index or (isinstance(value, Mapping) and part in value):
            value = value[part]
    return has_references(value)


def _refusal(item: Any, name: str) -> tuple[str, str | None]:
    """What is wrong with a value, and the remedy if it can be told from the error alone."""
    message: str = item["msg"]
    if item["type"] == "value_error":
        text, _, remedy = message.removeprefix("Value error, ").partition("; ")
        return text if name in text else f"`{name}`: {text}", remedy or None
    what = message.replace("Input should be", "must be").replace("Value should", "must").rstrip(".")
    what = what[0].lower() + what[1:]
    return f"`{name}` {what}, not {shown(item['input'])}", _nearest_choice(item)


def _nearest_choice(item: Any) -> str | None:
    """The allowed word that is closest to what was written."""
    if item["type"] != "literal_error" or not isinstance(item["input"], str):
        return None
    near = closest(item["input"], [word.strip("' ") for word in re.split(",| or ", item["ctx"]["expected"])])
    return f"did you mean `{near}`?" if near else "write one of them"


def shown(value: Json) -> str:
    """A value in a message, cut short."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _example(model: type[BaseModel], location: tuple[Any, ...], verb: str) -> str | None:
    """A hint that shows how a key is written."""
    key = next((part for part in reversed(location) if isinstance(part, str)), None)
    owner = _model_at(model, location[: location.index(key)] if key else ())
    if key is None or owner is None:
        return None
    for name, info in owner.model_fields.items():
        if (info.alias or name) == key and info.examples:
            return f"{verb}, for example, `{key}: {as_yaml(info.examples[0])}`"
    return f"{verb} `{key}:`" if verb == "add" else None


def as_yaml(value: Json) -> str:
    """A value as it may stand in a file, on one line."""
    return value if isinstance(value, str) and is_plain_string(value) else json.dumps(value)


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys of the model that a location leads into."""
    owner = _model_at(model, location[:-1])
    return keys_of(owner) if owner else []


def _model_at(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model that a location leads to, from keys of fields and through mappings and lists of models."""
    current: type[BaseModel] | None = model
    inner: type[BaseModel] | None = None
    for part in location:
        fields = current.model_fields.items() if current else ()
        known = next((item for name, item in fields if part in (name, item.alias)), None)
        if known is not None:
            inner = current = _inner_model(known.annotation)
        elif inner is None:
            return None
    return current


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a model's fields have in a file."""
    return [info.alias or name for name, info in model.model_fields.items()]


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as `dict[str, Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_inner_model(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)
