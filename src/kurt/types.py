"""JSON aliases and small protocols that several layers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JsonScalar: TypeAlias = bool | int | float | str | None
"""A JSON value without structure."""

Json: TypeAlias = Any
"""A JSON value: scalars, lists and mappings with string keys."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""

Scope: TypeAlias = Mapping[str, Any]
"""The names that references and expressions may use, with their JSON values."""

Argv: TypeAlias = Sequence[str]
"""A command line, program first."""
