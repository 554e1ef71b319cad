"""The operations on schedules, for other applications in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kurt.app.schedules import listing, managing
from kurt.app.schedules.files import Wanted, from_file

if TYPE_CHECKING:
    from kurt.app.runs import Submitted
    from kurt.app.schedules.managing import Backfill
    from kurt.config import Settings
    from kurt.runtime.schedule_types import Schedule
    from kurt.types import JsonObject


class Schedules:
    """The schedules of a project: `kurt.Client(...).schedules`.

    Args:
        settings: the project's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def list(self) -> list[JsonObject]:
        """All schedules by name, as `kurt schedules list --format json` shows them."""
        return listing.described(self._settings)

    def ticks(self, name: str, limit: int | None = 20) -> Sequence[JsonObject]:
        """What became of the times at which a schedule was due, the newest first.

        Raises:
            NotFoundError: there is no such schedule.
        """
        return listing.ticks(self._settings, name, limit)

    def register(self, file: str, *, worker: bool = True) -> Sequence[Schedule]:
        """Register the schedules that a workflow file declares, again after a change.

        Args:
            file: the file.
            worker: start a worker if none lives.

        Raises:
            KurtError: the file has faults, declares none, or could not be started now either.
        """
        return self._create(from_file(self._settings, file), may_replace=True, worker=worker)

    def create(
        self,
        name: str,
        workflow: str,
        cron: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        replace: bool = False,
        worker: bool = True,
        **options: Any,
    ) -> Schedule:
        """Make a schedule that stands in no file.

        Args:
            name: its name.
            workflow: a file, or the name of a workflow.
            cron: when it is due.
            inputs: inputs of its runs; texts may refer to `tick`.
            replace: change the schedule of that name.
            worker: start a worker if none lives.
            options: `timezone`, `overlap`, `catch_up`, `queue`, `priority`.

        Raises:
            KurtError: something of it is wrong, or there is one of that name.
        """
        wanted = Wanted(name=name, workflow=workflow, cron=cron, inputs=dict(inputs or {}), **options)
        return self._create([wanted], may_replace=replace, worker=worker)[0]

    def _create(self, wanted: Sequence[Wanted], *, may_replace: bool, worker: bool) -> Sequence[Schedule]:
        made = [one for one, _ in managing.create(self._settings, wanted, may_replace=may_replace)]
        if worker:
            managing.serve(self._settings)
        return made

    def pause(self, name: str) -> Schedule:
        """Let a schedule rest; see `kurt.app.schedules.managing.pause`."""
        return managing.pause(self._settings, name)

    def resume(self, name: str) -> Schedule:
        """Let a schedule go on with its next time from now."""
        return managing.resume(self._settings, name)

    def trigger(self, name: str) -> Submitted:
        """Start a run of a schedule now."""
        return managing.trigger(self._settings, name)

    def backfill(self, name: str, start: str, end: str, *, dry_run: bool = False) -> Backfill:
        """Ask for the runs of past times; see `kurt.app.schedules.managing.backfill`."""
        return managing.backfill(self._settings, name, start, end, dry_run=dry_run)

    def delete(self, *names: str) -> Sequence[Schedule]:
        """Remove schedules; runs that they have started stay."""
        return managing.delete(self._settings, names)
