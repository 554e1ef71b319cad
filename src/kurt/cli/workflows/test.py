"""`kurt workflows test`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.options import complete_workflow_file
from kurt.cli.output import colours, paint, print_result
from kurt.cli.session import TABLE, current, current_mode

if TYPE_CHECKING:
    from kurt.app.cases.running import CaseResult, Job


def _view(report: dict[str, Any]) -> list[str]:
    """The steps that no case has come to, and how it went; the cases themselves are told as they end."""
    from kurt.app.cases.reports import closing_line

    lines = [
        f"no case runs {'the step' if len(steps) == 1 else 'the steps'} {', '.join(steps)} of {file}"
        for file, steps in report["steps_not_run"].items()
        if steps
    ]
    return [*lines, closing_line(report)]


@command(
    "test",
    view=_view,
    epilog="kurt workflows test workflows/pages.yaml\n"
    'kurt workflows test pages --case "no pages" --keep\n'
    "kurt workflows test --junit report.xml",
)
@click.argument("files", metavar="[FILE...]", nargs=-1, shell_complete=complete_workflow_file)
@click.option(
    "--case", "cases", multiple=True, metavar="NAME", help="Only cases of this name; `*` stands for anything."
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", help="Cases at once.  [default: one a processor]"
)
@click.option("--junit", metavar="FILE", help="Write a report as JUnit's XML too.")
@click.option(
    "--keep", is_flag=True, help="Leave the copies of the project in which a case failed, and name them."
)
def test_cmd(
    files: tuple[str, ...], cases: tuple[str, ...], jobs: int | None, junit: str | None, keep: bool
) -> Any:
    """Run the tests of workflow files.

    Those of workflows/pages.yaml are in workflows/pages.test.yaml.

    FILE is a workflow file, a test file, a name or a folder; without one all tests of the project run. Each case is a
    real run in a copy of the project of its own, with a database of its own; mocked steps do nothing, and no
    model is ever called. Ends with status 1 when a case fails.
    """
    import os
    import time
    from pathlib import Path

    from kurt.app.cases.finding import case_files, jobs_of
    from kurt.app.cases.reports import Report, write_junit
    from kurt.app.cases.running import run_cases
    from kurt.errors import RunFailedError

    settings = current().settings()
    started = time.monotonic()
    found = jobs_of(settings, case_files(settings, files), cases)
    results = run_cases(
        found, at_once=jobs or min(os.cpu_count() or 1, len(found), 8), tell=_Teller(), keep=keep
    )
    report = Report(results, time.monotonic() - started, {} if cases else _not_run(found, results))
    if junit is not None:
        write_junit(Path(junit), report)
    error = None
    if report.failed:
        count = f"{report.failed} of {len(results)} case{'s' if len(results) > 1 else ''} failed"
        error = RunFailedError(count, hint=_hint(results, keep=keep))
    return Outcome(report.to_json(), error=error)


def _hint(results: list[CaseResult], *, keep: bool) -> str:
    """What to do next about the first case that failed."""
    import shlex

    first = next(one for one in results if one.status == "failed")
    if keep:
        return f"its run is still there: cd {first.folder} && kurt workflows list"
    return f"kurt workflows test {shlex.quote(first.file)} --case {shlex.quote(first.case)} --keep"


class _Teller:
    """Tells people of each case when it has ended, below the name of its file."""

    def __init__(self) -> None:
        self._file = ""
        self._speaks = current_mode() == TABLE

    def __call__(self, result: CaseResult) -> None:
        from kurt.app.cases.reports import case_lines

        if not self._speaks:
            return
        heading = [] if result.file == self._file else [result.file]
        self._file = result.file
        first, *others = case_lines(result)
        style = "red" if result.status == "failed" else "green"
        print_result([*heading, paint(first, style, on=colours(sys.stdout)), *others])


def _not_run(jobs: list[Job], results: list[CaseResult]) -> dict[str, list[str]]:
    """For each test file the steps of its workflow to which no case has come."""
    steps = {job.cases.file: job.cases.steps for job in jobs}
    run: dict[str, set[str]] = {}
    for result in results:
        run.setdefault(result.file, set()).update(result.steps)
    return {file: [step for step in known if step not in run[file]] for file, known in steps.items()}
