"""Running a workflow from a program, as `kurt workflows run` does from a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kurt.app.foreground_watch import Watch
from kurt.app.placement import placement_from
from kurt.app.runs import failure_of, run_here
from kurt.app.targets import prepare
from kurt.config import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kurt.types import Json


def run_yaml_workflow(
    workflow_file: str | Path, variables: Mapping[str, Any] | None = None, *, run_id: str | None = None
) -> Json:
    """Execute a workflow file in this process, durably, and return its outputs.

    The run belongs to the project of the working directory. If this process dies, a worker or
    `kurt workflows resume` goes on with it.

    Args:
        workflow_file: the file.
        variables: its inputs by name.
        run_id: id of the run; a repeat gives the outputs of the run that exists.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: the file has faults.
        InputError: the inputs do not fit.
        CredentialsError: a secret is missing.
        RunFailedError: the run did not succeed.
    """
    settings = load_settings()
    prepared = prepare(settings, str(workflow_file), given=variables)
    placement = placement_from(settings, prepared, {})
    run = run_here(settings, prepared, placement, run_id=run_id, watch=Watch())
    if (failure := failure_of(run)) is not None:
        raise failure
    return run.outputs
