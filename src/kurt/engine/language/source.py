"""Reading YAML 1.2 text into JSON values, with the place of every key and value.

The text is read event by event with an explicit stack: no depth of nesting reaches Python's or C's call stack, and
aliases are counted as what they expand to before anything is expanded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from kurt.engine.language.yaml12 import plain_scalar
from kurt.engine.language.yaml_errors import syntax_fault
from kurt.errors import DefinitionError, Fault, NotFoundError
from kurt.types import Json

DataPath: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a file to a value."""

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 100
MAX_WEIGHT = 250_000
_WEIGHT_TEXT = 64
_TAG = "tag:yaml.org,2002:"
_TAGS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}
_Parser: Any = getattr(yaml, "CLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Node:
    """Where one value of a file stands.

    Attributes:
        line: 1-based line of the value's first character.
        column: 1-based column.
        weight: how many values it expands to, long texts counted by their length.
        keys: place of each key, for a mapping.
        children: the nodes of a mapping's or list's values.
    """

    line: int
    column: int
    weight: int = 1
    keys: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    children: dict[str | int, Node] = field(default_factory=dict[str | int, "Node"])


@dataclass(frozen=True, slots=True)
class Source:
    """A YAML text that was read.

    Attributes:
        value: its JSON value.
        file: the name it is reported under.
        root: the tree of places.
        faults: what is wrong but did not prevent reading, such as duplicate keys.
        odd_keys: keys that are not text (`200:`, `true:`), each with its fault; they were read as their text. Whoever
            knows that a mapping may have such keys drops those faults.
    """

    value: Json
    file: str
    root: Node
    faults: tuple[Fault, ...] = ()
    odd_keys: tuple[tuple[DataPath, Fault], ...] = ()

    def position(self, path: DataPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value at `path`, or of its nearest ancestor that exists.

        Args:
            path: keys and indices from the root.
            key: the place of the last key itself rather than of its value.
        """
        node = self.root
        for step, part in enumerate(path):
            if key and step == len(path) - 1 and part in node.keys:
                return node.keys[str(part)]
            child = node.children.get(part)
            if child is None:
                break
            node = child
        return node.line, node.column


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read."""

    value: Any
    node: Node
    anchor: str | None
    path: DataPath
    is_map: bool
    is_key: bool = False
    key: str | None = None
    awaits_value: bool = False
    merges: list[tuple[Any, Node]] = field(default_factory=list[tuple[Any, Node]])


class _StopError(Exception):
    """The text goes beyond a limit or uses what cannot be read on; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)


def read_bytes(path: Path, file: str | None = None) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        file: the name to report it under; its path if not given.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it cannot be read.
    """
    name = file or str(path)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {name!r}", hint="check the path") from error
    except OSError as error:
        raise DefinitionError(
            [Fault(f"the file cannot be read: {error.strerror}", "check the path and its rights", name)]
        ) from error


def decode(data: bytes, file: str) -> str:
    """The text of a file's bytes, without a byte order mark.

    Raises:
        DefinitionError: too large, or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        fault = Fault(
            f"the file has {len(data)} bytes; a workflow file may have {MAX_BYTES}",
            hint="keep data in files of their own and read them in a step",
            file=file,
            line=1,
            column=1,
        )
        raise DefinitionError([fault])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line_start = before.rfind(b"\n") + 1
        fault = Fault(
            f"byte 0x{data[error.start]:02x} is not UTF-8 text",
            hint="save the file as UTF-8",
            file=file,
            line=before.count(b"\n") + 1,
            column=len(before[line_start:].decode("utf-8", "replace")) + 1,
        )
        raise DefinitionError([fault]) from error


def read_source(text: str, file: str = "<text>") -> Source:
    """Read YAML 1.2 text.

    Raises:
        DefinitionError: a syntax error, or a limit on size, depth or aliases is passed; with it all other faults
            found until there.
    """
    if len(text) > MAX_BYTES:
        message = f"the text is longer than {MAX_BYTES} characters"
        raise DefinitionError([Fault(message, "keep data in files of their own", file, 1, 1)])
    reader = _Reader(file)
    try:
        for event in _events(text):
            reader.take(event)
        return reader.source(is_blank=not text.strip())
    except _StopError as stop:
        raise DefinitionError([*reader.faults, stop.fault]) from None
    except UnicodeEncodeError as error:
        raise DefinitionError([*reader.faults, _half_a_character(text, error, file)]) from error
    except yaml.YAMLError as error:
        raise DefinitionError([*reader.faults, syntax_fault(error, text, file)]) from error


def _half_a_character(text: str, error: UnicodeEncodeError, file: str) -> Fault:
    line = text.count("\n", 0, error.start) + 1
    column = error.start - text.rfind("\n", 0, error.start)
    return Fault("the text holds half a character", "save the file as UTF-8", file, line, column)


def _events(text: str) -> Iterator[Any]:
    parser = _Parser(text)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    finally:
        parser.dispose()


class _Reader:
    """Builds values and places from events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.odd_keys: list[tuple[DataPath, Fault]] = []
        self._anchors: dict[str, tuple[Any, Node] | None] = {}
        self._stack: list[_Frame] = []
        self._weight = 0
        self._documents = 0
        self._root: tuple[Any, Node] | None = None

    def source(self, *, is_blank: bool) -> Source:
        """What was read; `is_blank` says that the text has not even comments."""
        if self._root is None or self._root[0] is None:
            message = "the file is empty" if is_blank else "the file holds comments only"
            raise _StopError(Fault(message, "start with `name:` and `steps:`", self.file, 1, 1))
        value, node = self._root
        return Source(value, self.file, node, tuple(self.faults), tuple(self.odd_keys))

    def take(self, event: Any) -> None:
        """Handle one event."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event, is_map=isinstance(event, yaml.MappingStartEvent))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    hint = "keep each workflow in a file of its own"
                    raise _StopError(self._fault(event, "the file holds more than one YAML document", hint))
            case _:
                pass  # starts and ends of streams and documents

    def _fault(self, event: Any, message: str, hint: str | None = None) -> Fault:
        mark = event.start_mark
        return Fault(message, hint=hint, file=self.file, line=mark.line + 1, column=mark.column + 1)

    def _node(self, event: Any, weight: int = 1) -> Node:
        self._weigh(event, weight)
        mark = event.start_mark
        return Node(mark.line + 1, mark.column + 1, weight)

    def _weigh(self, event: Any, weight: int) -> None:
        self._weight += weight
        if self._weight > MAX_WEIGHT:
            message = "the file has too many values, or its aliases expand to too many"
            raise _StopError(self._fault(event, message, "keep data in files of their own"))

    def _path(self) -> DataPath:
        """Path of the value that comes next."""
        if not self._stack:
            return ()
        top = self._stack[-1]
        return (*top.path, top.key or "" if top.is_map else len(top.value))

    def _expects_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].is_map and not self._stack[-1].awaits_value

    def _open(self, event: Any, *, is_map: bool) -> None:
        self._check_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _StopError(self._fault(event, f"nested deeper than {MAX_DEPTH} levels", "nest less"))
        is_key = self._expects_key()
        if is_key:
            hint = 'quote the text, as in "{a}", or "${name}"'
            self.faults.append(self._fault(event, "a key must be text, not a list or a mapping", hint))
        if event.anchor:
            self._anchors[event.anchor] = None
        value: Any = {} if is_map else []
        node = self._node(event)
        self._stack.append(_Frame(value, node, event.anchor, self._path(), is_map, is_key))

    def _close(self) -> None:
        frame = self._stack.pop()
        for value, node in frame.merges:
            _merge(frame, value, node)
        frame.node.weight = 1 + sum(child.weight for child in frame.node.children.values())
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, frame.node)
        if frame.is_key:
            self._stack[-1].awaits_value = True
            self._stack[-1].key = None
        else:
            self._add(frame.value, frame.node)

    def _alias(self, event: Any) -> None:
        found = self._anchors.get(event.anchor)
        if found is None:
            known = event.anchor in self._anchors
            what = "refers to itself" if known else "has no anchor before it"
            hint = f"mark a value before it with `&{event.anchor}`, or quote the text"
            raise _StopError(self._fault(event, f"the alias `*{event.anchor}` {what}", hint))
        value, node = found
        self._weigh(event, node.weight)
        if self._expects_key():
            self._set_key(event, value if isinstance(value, str) else None)
        else:
            self._add(value, node)

    def _scalar(self, event: Any) -> None:
        node = self._node(event, 1 + len(event.value) // _WEIGHT_TEXT)
        is_key = self._expects_key()
        value = self._scalar_value(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, node)
        if is_key and not (isinstance(value, str) and value):
            self._odd_key(event)
        elif is_key:
            self._set_key(event, event.value)
        else:
            self._add(value, node)

    def _scalar_value(self, event: Any) -> Json:
        self._check_tag(event)
        tag = event.tag
        try:
            if tag is None:
                return plain_scalar(event.value) if event.implicit[0] else event.value
            value = event.value if tag in ("!", f"{_TAG}str") else plain_scalar(event.value)
            return float(value) if tag == f"{_TAG}float" and isinstance(value, int) else value
        except ValueError as error:
            self.faults.append(self._fault(event, str(error), "quote it if text is meant"))
            return event.value

    def _check_tag(self, event: Any) -> None:
        if event.tag and event.tag != "!" and event.tag not in _TAGS:
            self.faults.append(
                self._fault(event, f"the tag `{event.tag}` is not supported", "remove the tag")
            )

    def _odd_key(self, event: Any) -> None:
        frame = self._stack[-1]
        text = event.value
        path = (*frame.path, text)
        message = f"the key `{text}` is not text" if text else "a key is empty"
        self.odd_keys.append((path, self._fault(event, message, f'quote it: "{text}"')))
        self._set_key(event, text or None)

    def _set_key(self, event: Any, key: str | None) -> None:
        frame = self._stack[-1]
        frame.awaits_value = True
        frame.key = key
        if key is None:
            return
        mark = event.start_mark
        is_merge = key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        if is_merge:
            frame.key = "<<"
        elif key in frame.node.keys:
            first = frame.node.keys[key][0]
            message = f"the key `{key}` is here twice; the first is on line {first}"
            self.faults.append(self._fault(event, message, "remove or rename one of them"))
            frame.key = None
        else:
            frame.node.keys[key] = (mark.line + 1, mark.column + 1)

    def _add(self, value: Json, node: Node) -> None:
        if not self._stack:
            self._root = (value, node)
            return
        frame = self._stack[-1]
        if not frame.is_map:
            frame.node.children[len(frame.value)] = node
            frame.value.append(value)
            return
        frame.awaits_value = False
        key, frame.key = frame.key, None
        if key == "<<" and "<<" not in frame.node.keys:
            self._take_merge(frame, value, node)
        elif key is not None:
            frame.value[key] = value
            frame.node.children[key] = node

    def _take_merge(self, frame: _Frame, value: Json, node: Node) -> None:
        pairs = (
            list(zip(value, node.children.values(), strict=True))
            if isinstance(value, list)
            else [(value, node)]
        )
        for item, place in pairs:
            if isinstance(item, dict):
                frame.merges.append((item, place))
            else:
                message = "`<<` takes a mapping or a list of mappings"
                self.faults.append(Fault(message, "write `<<: *name`", self.file, place.line, place.column))


def _merge(frame: _Frame, value: dict[str, Any], node: Node) -> None:
    """Add the keys that the mapping does not have itself; the first merged mapping wins."""
    for key, item in value.items():
        if key not in frame.value:
            frame.value[key] = item
            frame.node.keys[key] = node.keys[key]
            frame.node.children[key] = node.children[key]
