"""`kurt doctor`: what is wrong with the project, and how to mend it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.cli.command import Outcome, command
from kurt.cli.output import Column, Table
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.app.verdicts import Check


def checks_table(checks: list[dict[str, Any]]) -> Table:
    """The checks, each remedy on a line of its own."""
    rows: list[list[str]] = []
    for check in checks:
        rows.append([check["state"], check["check"].replace("_", " "), check["detail"]])
        if check["remedy"]:
            rows.append(["", "", f"remedy: {check['remedy']}"])
    return Table([Column("state", "state"), Column("check"), Column("detail")], rows, header=False)


@command("doctor", view=checks_table, epilog="kurt doctor\nkurt doctor --format json")
def doctor_cmd() -> Outcome:
    """Check the project and say how to mend what is wrong.

    Exits 1 if a check fails; a warning does not change the exit status.
    """
    from kurt.app.doctor import examine

    start = Path(current().project or ".")
    checks = [check.to_json() for check in [*examine(start), _commands(start)]]
    return Outcome(checks, exit_code=1 if any(check["state"] == "fail" for check in checks) else 0)


def _commands(start: Path) -> Check:
    """Commands of packages and of the project that cannot be called."""
    from kurt.app.verdicts import OK, WARN, Check
    from kurt.cli.main import COMMANDS
    from kurt.cli.plugins import find, problems
    from kurt.config.discovery import find_root

    found = find(find_root(str(start), environ=os.environ))
    wrong = problems(found, own=COMMANDS)
    if wrong:
        return Check("commands", WARN, "; ".join(wrong), "rename, repair or remove them")
    return Check("commands", OK, ", ".join(sorted(found)) or "none besides Kurt's own")
