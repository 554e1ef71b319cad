"""`kurt` and `python -m kurt`."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

# Loading libraries makes many objects and hardly any garbage: looking for it 280 times less often saves a tenth of it.
gc.set_threshold(200_000, 20, 50)


def main() -> None:
    """Run the command line and end the process with its exit status."""
    try:
        from kurt.cli.main import cli  # noqa: PLC0415 - Ctrl-C during the import is no traceback either

        cli.main(prog_name="kurt")
        status = 0
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    _leave(status)


def _leave(status: int) -> None:
    """End the process without taking its modules apart one by one, which costs a run a sixth of its time."""
    atexit._run_exitfuncs()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - what exit() calls too
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader is gone
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
