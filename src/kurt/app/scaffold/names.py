"""The names that a new workflow gives to its parts."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass

from kurt.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SUFFIXES = (".yaml", ".yml")
_LONGEST = 40  # the names of tables and indexes are longer, and Postgres cuts those at 63


@dataclass(frozen=True, slots=True)
class Names:
    """How the parts of a module are called.

    Attributes:
        name: the folder and beginning of all durable names: `my_feature`.
        camel: beginning of the names of classes: `MyFeature`.
    """

    name: str
    camel: str


def is_file(word: str) -> bool:
    """Whether a name is that of a workflow file."""
    return word.endswith(_SUFFIXES)


def module_names(word: str) -> Names:
    """The names of a module.

    Raises:
        UsageError: the word is no name of a module.
    """
    if "/" in word or "\\" in word:
        raise UsageError(
            f"{word!r} is a path, not a name", hint=f"kurt workflows new {_proposed(word.split('/')[-1])}"
        )
    if not _NAME.fullmatch(word):
        raise UsageError(
            f"{word!r} is no name for a Python module: it needs small letters, digits and single underscores,"
            " a letter first",
            hint=f"kurt workflows new {_proposed(word)}, or {word}.yaml for a workflow file",
        )
    if len(word) > _LONGEST:
        raise UsageError(
            f"the name has {len(word)} letters, more than {_LONGEST}",
            hint="choose a short noun, such as `extract`",
        )
    if keyword.iskeyword(word) or word in sys.stdlib_module_names or word in {"kurt", "workflows", "dbos"}:
        raise UsageError(f"{word!r} has a meaning in Python already", hint=f"kurt workflows new {word}_flow")
    return Names(word, "".join(part.capitalize() for part in word.split("_")))


def file_name(word: str) -> str:
    """The name of a workflow without its suffix.

    Raises:
        UsageError: the word is no name of a file in the folder of workflows.
    """
    name = word.removeprefix("workflows/")
    if not _FILE.fullmatch(name):
        raise UsageError(
            f"{word!r} is no name of a workflow file: it needs letters, digits, `_` and `-`",
            hint=f"kurt workflows new {_proposed(name.rpartition('.')[0])}.yaml",
        )
    stem = name.rpartition(".")[0]
    if stem.endswith(".test"):
        own = stem.removesuffix(".test")
        raise UsageError(
            f"{word!r} is the name of a test file, that of the workflow {own!r}",
            hint=f"kurt workflows new {own}.yaml",
        )
    return stem


def as_yaml(name: str) -> str:
    """A name as it stands in a workflow file: with quotes where it would be a number or the like without."""
    from kurt.engine.language.yaml12 import plain_scalar  # noqa: PLC0415 - the names of modules do without

    try:
        is_text = isinstance(plain_scalar(name), str)
    except ValueError:  # a number that is too large
        is_text = False
    return name if is_text else f'"{name}"'


def _proposed(word: str) -> str:
    """A name that is near to one that cannot be."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower()
    found = re.sub(r"[^a-z0-9]+", "_", words).strip("_0123456789")
    return found or "my_feature"
