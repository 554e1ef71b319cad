"""`kurt.Client`: the operations on runs, for other applications in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.app import approvals, reading, runs, steering
from kurt.app.approvals import Answer
from kurt.app.placement import placement_from
from kurt.app.runs import Submitted
from kurt.app.targets import prepare
from kurt.config import Settings, load_settings
from kurt.runtime.runs import Page, Run, Step
from kurt.types import Json

if TYPE_CHECKING:
    from kurt.app.schedules.client import Schedules


class Client:
    """Acts on the runs of one project from any process; starts no executor of its own.

        client = kurt.Client("/path/to/project")
        submitted = client.submit("pages", {"urls": ["https://example.com"]})
        run = client.wait(submitted.run_id)
        print(run.status, run.outputs)

    Args:
        project: the project's folder, or one below it; the working directory by default.
        settings: settings in place of those of the folder.
    """

    def __init__(self, project: str | Path | None = None, *, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings(Path(project) if project is not None else None)

    @property
    def schedules(self) -> Schedules:
        """The schedules of the project."""
        from kurt.app.schedules.client import Schedules  # noqa: PLC0415 - few applications need them

        return Schedules(self.settings)

    def submit(
        self,
        target: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        **options: Any,
    ) -> Submitted:
        """Put a run on its queue and see to a worker, as `kurt workflows run --background` does.

        Args:
            target: a workflow file or a name.
            inputs: inputs by name.
            run_id: id of the run; a repeat gives the run that exists.
            options: `queue`, `priority`, `timeout`, `delay`, `at`, `dedup_id`, `on_duplicate`, `partition_key`,
                `debounce`, `debounce_key`, `debounce_max`; times as text, such as `10m`.

        Raises:
            NotFoundError: there is no such workflow or queue.
            DefinitionError: the file has faults.
            InputError: the inputs do not fit.
            TypeError: there is no such option.
        """
        unknown = options.keys() - _OPTIONS
        if unknown:
            raise TypeError(
                f"submit() has no option {sorted(unknown)[0]!r}; it has {', '.join(sorted(_OPTIONS))}"
            )
        prepared = prepare(self.settings, target, given=inputs)
        return runs.submit(
            self.settings,
            prepared,
            placement_from(self.settings, prepared, {**options, "run_id": run_id}),
            run_id=run_id,
        )

    def list(self, **filters: Any) -> list[Run]:
        """Runs, the newest first; the filters are those of `kurt workflows list`, `limit` is 20 by default.

        Raises:
            TypeError: there is no such filter.
        """
        unknown = filters.keys() - _FILTERS
        if unknown:
            raise TypeError(
                f"list() has no filter {sorted(unknown)[0]!r}; it has {', '.join(sorted(_FILTERS))}"
            )
        status = filters.get("status")
        given = {**filters, "app_version": filters.get("version")}
        if isinstance(status, str):
            given["status"] = (status,)
        return reading.list_runs(self.settings, given)

    def get(self, run_id: str) -> Run:
        """One run by its id or an unambiguous prefix.

        Raises:
            NotFoundError: there is none, or there are several.
        """
        return reading.get_run(self.settings, run_id)

    def steps(self, run_id: str, *, values: bool = False) -> list[Step]:
        """The steps of a run and of its items; with what they returned if `values`."""
        return reading.get_steps(self.settings, run_id, values=values)

    def events(self, run_id: str) -> dict[str, Json]:
        """The events of a run by key."""
        return reading.get_events(self.settings, run_id)

    def stream(self, run_id: str, key: str, *, offset: int = 0, limit: int = 500) -> Page:
        """A page of a stream of a run."""
        return reading.get_stream(self.settings, run_id, key, offset=offset, limit=limit)

    def logs(self, run_id: str, *, tail: int | None = None, step: str | None = None) -> Iterator[str]:
        """Lines of a run's log."""
        return reading.log_lines(self.settings, run_id, tail_count=tail, step=step)

    def wait(self, run_id: str, *, timeout: float | None = None) -> Run:
        """Wait until a run is over, at most `timeout` seconds; how it ended.

        Raises:
            RunFailedError: it is not over in time.
        """
        return runs.wait(self.settings, run_id, limit=timeout)

    def result(self, run_id: str, *, timeout: float | None = None) -> Json:
        """Wait for the outputs of a run.

        Raises:
            RunFailedError: it did not succeed, or is not over in time.
        """
        run = self.wait(run_id, timeout=timeout)
        if (failure := runs.failure_of(run)) is not None:
            raise failure
        return run.outputs

    def cancel(self, *run_ids: str) -> list[Run]:
        """Cancel runs with their children."""
        return steering.cancel(self.settings, run_ids)

    def resume(self, run_id: str) -> Submitted:
        """Put an interrupted, cancelled or stuck run back on its queue."""
        return steering.resume_in_background(self.settings, run_id)

    def retry(self, run_id: str) -> Submitted:
        """Repeat what failed in a run, under the same id."""
        return steering.retry_in_background(self.settings, run_id)

    def fork(self, run_id: str, *, start: str | None = None, inputs: Sequence[str] = ()) -> Submitted:
        """Start a new run from a step of another.

        Args:
            run_id: the run to take from.
            start: the first step that runs again; all of them by default.
            inputs: other values for inputs, as `name=value` texts.
        """
        return steering.fork_in_background(self.settings, run_id, start=start, texts=tuple(inputs))

    def send(self, run_id: str, message: Json, *, topic: str, idempotency_key: str | None = None) -> Run:
        """Send a message to a run that waits, or will wait, for it."""
        return steering.send(self.settings, run_id, message, topic=topic, idempotency_key=idempotency_key)

    def approve(
        self,
        run_id: str,
        *,
        step: str | None = None,
        fields: Mapping[str, Json] | None = None,
        comment: str | None = None,
        by: str | None = None,
    ) -> dict[str, Any]:
        """Approve what a run asks for.

        Args:
            run_id: the run.
            step: path of the step that asks; needed only where the run asks for several approvals.
            fields: what is given with the answer.
            comment: what is to be said to it.
            by: who approves; the user of the settings, or of the machine, by default.

        Returns:
            `{run_id, step, approved, by, at, comment, timed_out, fields}`.

        Raises:
            ConflictError: it asks for none, or somebody else was first.
            InputError: the fields do not fit.
        """
        answer = Answer(approved=True, step=step, given=fields, comment=comment, by=by)
        return approvals.give(self.settings, run_id, answer)

    def reject(
        self, run_id: str, *, step: str | None = None, comment: str | None = None, by: str | None = None
    ) -> dict[str, Any]:
        """Reject what a run asks for; as `approve`."""
        answer = Answer(approved=False, step=step, comment=comment, by=by)
        return approvals.give(self.settings, run_id, answer)

    def delete(self, *run_ids: str) -> list[str]:
        """Remove runs that are over, with everything recorded of them; their ids."""
        return steering.delete(self.settings, run_ids)


_OPTIONS = frozenset(
    {
        "queue",
        "priority",
        "timeout",
        "delay",
        "at",
        "dedup_id",
        "on_duplicate",
        "partition_key",
        "debounce",
        "debounce_key",
        "debounce_max",
    }
)
_FILTERS = frozenset(
    {
        "status",
        "name",
        "queue",
        "user",
        "workspace",
        "version",
        "parent",
        "forked_from",
        "since",
        "until",
        "prefix",
        "executor",
        "limit",
        "offset",
        "reverse",
    }
)
