"""YAML by the rules of YAML 1.2, block style, Unicode as it is."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from kurt.app.primitives.codecs import yaml_values
from kurt.app.primitives.codecs.json import extended
from kurt.app.primitives.formats import Addition
from kurt.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from kurt.types import Json

# What a YAML 1.2 reader takes for a number though PyYAML, which follows 1.1, would write it without quotes.
_LOOKS_LIKE_NUMBER: Final = re.compile(
    r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
# Text of several lines that keeps its exact form as a literal block.
_BLOCK: Final = re.compile(
    r"[^\s\x00-\x1f](?:[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\uf8ff\ufeff]*\S)?\n?"
)

_SafeDumper: type[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):
    """Writes every value in full (no anchors) and quotes what another type would be read from."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the name is PyYAML's
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    style = None
    if _LOOKS_LIKE_NUMBER.fullmatch(text):
        style = "'"
    elif "\n" in text and _BLOCK.fullmatch(text) and not re.search(r"[ \t]\n", text):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_number(dumper: Any, number: float) -> Any:
    if not math.isfinite(number):
        raise DataError(f"the data is not a JSON value: the number {number} does not exist in JSON")
    return dumper.represent_float(number)


# The key None stands for every other type: PyYAML then refuses it.
_JSON_TYPES: Final = (None, type(None), bool, int, list, tuple, dict)
_Dumper.yaml_representers = {kind: _Dumper.yaml_representers[kind] for kind in _JSON_TYPES}
_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_number)


def parse(text: str, source: str) -> Json:
    """The value of one YAML document."""
    return yaml_values.parse(text, source)


def render(value: Json) -> str:
    """The value as YAML; mappings keep their order."""
    try:
        return yaml.dump(
            value,
            Dumper=_Dumper,
            allow_unicode=True,
            sort_keys=False,
            default_flow_style=False,
            width=100_000,
        )
    except yaml.representer.RepresenterError as error:
        raise DataError(f"the data is not a JSON value: it holds {error.args[1]!r}") from None
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        raise DataError(f"the data cannot be written as YAML: {error}") from None


def addition(path: Path, value: Json) -> Addition:
    """The old list with the value's elements (or the value itself, if it is no list) behind its own."""
    old = parse(path.read_text(encoding="utf-8-sig"), str(path))
    return Addition(render(extended(old, value, str(path))), keep=False)
