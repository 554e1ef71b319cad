"""Reading YAML 1.2 data of any size: event by event, so that neither depth nor aliases can bring the process down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from kurt.engine.language.yaml12 import plain_scalar
from kurt.engine.language.yaml_errors import syntax_fault
from kurt.errors import DataError

if TYPE_CHECKING:
    from kurt.types import Json

MAX_DEPTH: Final = 200
"""How deep values may be nested."""

MAX_ALIASED: Final = 1_000_000
"""How many values a file's aliases may stand for altogether."""

_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = {None, "!", *(_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map"))}
_NO_KEY: Final = object()
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read."""

    value: Any
    anchor: str | None
    is_merge: bool = False
    key: Any = _NO_KEY
    weight: int = 1
    merges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is _NO_KEY


def parse(text: str, source: str) -> Json:
    """The value of one YAML document; an empty one is null.

    Raises:
        DataError: it is not YAML, or beyond a limit; says where.
    """
    loader = _Loader(text)
    builder = _Builder(source)
    try:
        while loader.check_event():
            builder.take(loader.get_event())
    except yaml.YAMLError as error:
        fault = syntax_fault(error, text, source)
        raise DataError(f"{fault.location} is {fault.message}", hint=fault.hint) from None
    finally:
        loader.dispose()
    return builder.root


class _Builder:
    """Builds the value from events with a stack of its own."""

    def __init__(self, source: str) -> None:
        self.root: Json = None
        self._source = source
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Json, int]] = {}
        self._aliased = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Handle one event."""
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._open(event, {})
            case yaml.SequenceStartEvent():
                self._open(event, [])
            case yaml.CollectionEndEvent():
                self._close(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._refuse(event, "there is a second YAML document", "keep each in a file of its own")
            case _:
                pass  # the ends of documents, and the stream's own start and end

    def _open(self, event: Any, value: Json) -> None:
        self._check_tag(event)
        if self._stack and self._stack[-1].awaits_key:
            self._refuse(event, "a key is a list or a mapping", "quote it if text is meant")
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(event, f"the data is nested deeper than {MAX_DEPTH} levels")
        self._stack.append(_Frame(value, event.anchor))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        for merged in frame.merges:
            frame.value.update({key: one for key, one in merged.items() if key not in frame.value})
        self._done(event, frame.value, frame.weight, frame.anchor)

    def _scalar(self, event: Any) -> None:
        self._check_tag(event)
        if self._stack and self._stack[-1].awaits_key:
            self._key(event)
            return
        plain = event.implicit[0] or event.tag not in (None, "!", f"{_TAG}str")
        self._done(event, self._plain(event) if plain else event.value, 1, event.anchor)

    def _plain(self, event: Any) -> Json:
        try:
            value = plain_scalar(event.value)
            return float(event.value) if event.tag == f"{_TAG}float" else value
        except ValueError as error:
            self._refuse(event, str(error), "quote it if text is meant")

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            self._refuse(event, f"the alias {event.anchor!r} has no finished anchor before it")
        value, weight = self._anchors[event.anchor]
        self._aliased += weight
        if self._aliased > MAX_ALIASED:
            self._refuse(event, f"the aliases stand for more than {MAX_ALIASED} values")
        if self._stack and self._stack[-1].awaits_key:
            self._refuse(event, "a key is an alias", "write the key out")
        self._done(event, value, weight, None)

    def _key(self, event: Any) -> None:
        frame = self._stack[-1]
        if event.value in frame.value:
            self._refuse(event, f"the key {event.value!r} is here twice", "remove or rename one of them")
        frame.key = event.value
        frame.is_merge = event.value == "<<" and event.implicit[0]
        if event.anchor:
            self._anchors[event.anchor] = (event.value, 1)

    def _done(self, event: Any, value: Json, weight: int, anchor: str | None) -> None:
        """Put a finished value where it belongs."""
        if anchor:
            self._anchors[anchor] = (value, weight)
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        frame.weight += weight
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        key, frame.key = frame.key, _NO_KEY
        if frame.is_merge:
            self._merge(event, frame, value)
        else:
            frame.value[key] = value

    def _merge(self, event: Any, frame: _Frame, value: Json) -> None:
        merged = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in merged):
            self._refuse(event, "`<<` takes a mapping or a list of mappings")
        frame.merges.extend(merged)

    def _check_tag(self, event: Any) -> None:
        if event.tag not in _TAGS:
            self._refuse(event, f"the tag {event.tag!r} is not supported", "remove the tag")

    def _refuse(self, event: Any, message: str, hint: str | None = None) -> NoReturn:
        mark = event.start_mark
        raise DataError(f"{self._source}:{mark.line + 1}:{mark.column + 1}: {message}", hint=hint)
