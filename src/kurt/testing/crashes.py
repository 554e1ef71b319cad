"""Killing a run in a test, for good, and going on with it.

    def test_it_survives(tmp_kurt_project):
        crashed = crash_after("persist", my_workflow, {"source": "docs"})
        assert crashed.resume() == {"persisted": 3}

The run begins in a process of its own, which is killed (kill -9) as soon as the step is recorded. The process of the test
takes it up, as any other executor of the project would.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kurt.errors import KurtError

_LIMIT = 60.0


class NoCrashError(KurtError):
    """The run did not come to the step."""

    code = "no_crash"


@dataclass(frozen=True, slots=True)
class Crashed:
    """A run whose process was killed.

    Attributes:
        run_id: its id.
    """

    run_id: str

    def resume(self, *, timeout: float = _LIMIT) -> Any:
        """Let this process, an executor of the project, go on with the run; what it returns.

        Raises:
            TimeoutError: it is not over in time.
            Exception: what the run raises.
        """
        from dbos import DBOS  # noqa: PLC0415 - only a test that crashes something needs it

        from kurt.runtime import durable, recovery  # noqa: PLC0415 - as above

        end = time.monotonic() + timeout
        while time.monotonic() < end:
            row = recovery.system_database().get_workflow_status(self.run_id)
            if row is not None and row["status"] in durable.TERMINAL:
                return DBOS.retrieve_workflow(self.run_id).get_result()
            time.sleep(0.05)
        raise TimeoutError(
            f"the run {self.run_id} is not over after {timeout:g} s; does this process serve its queue?"
        )


def crash_after(step: str, workflow: Callable[..., Any], *args: Any, timeout: float = _LIMIT) -> Crashed:
    """Begin a run in a process of its own and kill that as soon as a step is recorded.

    Args:
        step: durable name of the step: a function's, or `extract[12]` for a row of a batch step.
        workflow: a `@DBOS.workflow()` function of a module.
        args: its arguments, as JSON can hold them.
        timeout: seconds after which the run should have come to the step.

    Raises:
        NoCrashError: the run ended without that step.
    """
    from kurt.runtime import names  # noqa: PLC0415 - see above

    run_id = names.new_run_id()
    order = {
        "step": step,
        "module": workflow.__module__,
        "file": _file(workflow),
        "function": workflow.__qualname__,
        "args": list(args),
        "run_id": run_id,
        "path": sys.path,
    }
    done = subprocess.run(
        [sys.executable, "-m", "kurt.testing.crashes"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode != -signal.SIGKILL:
        raise NoCrashError(
            f"the run ended with {done.returncode} and no step {step!r}: {done.stderr.strip()[-2000:]}",
            hint="give the step's durable name, the one that `kurt workflows status` shows",
        )
    return Crashed(run_id)


def _file(workflow: Callable[..., Any]) -> str:
    import inspect  # noqa: PLC0415 - beside its use

    return str(Path(inspect.getsourcefile(inspect.unwrap(workflow)) or "").resolve())


def _main() -> None:
    order = json.loads(sys.stdin.read())
    sys.path[:] = order["path"]
    _make_workflows_importable()
    function: Any = _module(order["module"], order["file"])
    for part in order["function"].split("."):
        function = getattr(function, part)
    _run(function, order["step"], order["args"], order["run_id"])


def _make_workflows_importable() -> None:
    """The modules of the project have the names that Kurt gives them, as in the process of the test."""
    from kurt.app.registry import WorkflowRegistry  # noqa: PLC0415 - only the process that crashes needs it
    from kurt.config import load_settings  # noqa: PLC0415 - as above

    WorkflowRegistry(load_settings())


def _module(name: str, file: str) -> Any:
    """The module by its name, else by its file: test modules often cannot be imported."""
    import importlib  # noqa: PLC0415 - only the process that crashes needs it

    from kurt.project_code import load_file  # noqa: PLC0415 - as above

    try:
        found = importlib.import_module(name)
    except ImportError:
        return load_file(name, file)
    return found


def _run(function: Any, step: str, args: Sequence[Any], run_id: str) -> None:
    from dbos import DBOS, SetWorkflowID  # noqa: PLC0415 - as above

    from kurt.core import init_dbos  # noqa: PLC0415 - as above
    from kurt.runtime import group_commit, recovery  # noqa: PLC0415 - as above

    def recorded(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    init_dbos(queues=())
    group_commit.watchers.append(recorded)
    database: Any = recovery.system_database()
    record = database.record_operation_result

    def watched(result: Any, **more: Any) -> None:
        record(result, **more)
        recorded(result["function_name"])

    database.record_operation_result = watched
    with SetWorkflowID(run_id):
        DBOS.start_workflow(function, *args).get_result()


if __name__ == "__main__":
    _main()
