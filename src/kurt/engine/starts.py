"""What a command that executes a run says of it, so that a step of a workflow can have it as a child run instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """The run that a command executes; what the `starts_run` of a command gives for its parameters.

    In a step of type `cli` a parameter may be a text with references, `${...}`: then it is given as it stands in the file,
    and an input may hold it as it is; the run knows its value.

    Attributes:
        workflow: a file, relative to the project's root, or the name of a registered workflow; None for a run that exists.
        named_by: the parameter that names it, if one does: it must be known when the file is read.
        inputs: its inputs by name.
        texts: more inputs, as `name=value` texts whose types the workflow decides.
        misplaced: parameters that have no meaning for a child run, each with the remedy.
        elsewhere: the command itself hands the run to a worker and executes nothing.
    """

    workflow: str | None
    named_by: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    texts: tuple[str, ...] = ()
    misplaced: Mapping[str, str] = field(default_factory=dict[str, str])
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A run that the fields of a `cli` step start.

    Attributes:
        start: what the command says of it.
        command: the command's full name, such as `kurt workflows run`.
        places: where the parameters stand in the step, by their names.
    """

    start: RunStart
    command: str
    places: Mapping[str, tuple[str | int, ...]]
