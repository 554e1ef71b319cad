"""`kurt workflows check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.output import echo_progress
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.app.module_check.findings import Finding


def _view(findings: list[Finding]) -> list[str]:
    """Two lines a finding: where and what, and the remedy."""
    return [
        line
        for item in findings
        for line in (
            f"{item.location}: {item.severity}: {item.message} [{item.code}]",
            f"  remedy: {item.remedy}",
        )
    ]


@command(
    "check",
    view=_view,
    epilog="kurt workflows check my_feature\n"
    "kurt workflows check workflows/my_feature/steps.py\n"
    "kurt workflows check my_feature --format json",
)
@click.argument("module", metavar="MODULE")
def check_cmd(module: str) -> Any:
    """Check a Python workflow module for misuse of durable steps.

    MODULE is a name, a folder or a file; it is read, never imported. The result is the list of findings. Exit status 2 if
    there are errors, 0 with warnings only.
    """
    from kurt.app.module_check.check import check

    findings, error = check(current().settings(), module)
    if error is None:
        count = len(findings)
        echo_progress(f"{module} has no errors" + (f", {count} warning{'s' * (count != 1)}" if count else ""))
    return Outcome(findings, error=error)
