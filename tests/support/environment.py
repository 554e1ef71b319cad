"""The environment that tests and the processes they start see: the machine's, without anything that steers Kurt."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import MutableMapping
from pathlib import Path

SCRUBBED = re.compile(
    r"KURT_.*|DBOS_.*|DATABASE_URL|PG[A-Z]+|.*_API_KEY|.*_TOKEN|NO_COLOR|FORCE_COLOR|CLICOLOR.*|COLUMNS|LINES"
    r"|XDG_.*|PYTHON[A-Z]+|VIRTUAL_ENV|EDITOR|VISUAL|PAGER|_KURT_COMPLETE"
)
"""Names of variables that no test may inherit."""


def scrub(environ: MutableMapping[str, str]) -> None:
    """Remove what steers Kurt, its libraries or its output from `environ`."""
    for name in [name for name in environ if SCRUBBED.fullmatch(name)]:
        del environ[name]


def notice_signals() -> None:
    """Let the processes of tests notice what `nohup`, or a shell that starts tests in the background, has them ignore."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def child_environment(home: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that a test starts: this interpreter's programs first on PATH."""
    environ = dict(os.environ)
    scrub(environ)
    environ["HOME"] = str(home)
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    environ["TERM"] = "dumb"
    environ["LC_ALL"] = "C.UTF-8"
    environ["TZ"] = "UTC"
    return {**environ, **(extra or {})}
