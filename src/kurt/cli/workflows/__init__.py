"""`kurt workflows`: the names of its commands; each is imported when it is called."""

from __future__ import annotations

from kurt.cli.command import group
from kurt.cli.lazy import Lazy

_RUN = "kurt.cli.workflows.run"
_READING = "kurt.cli.workflows.reading"
_ACTING = "kurt.cli.workflows.acting"
_ANSWERING = "kurt.cli.workflows.answering"
_FILES = "kurt.cli.workflows.files"
_PRIMITIVES = "kurt.cli.workflows.primitives"

VERBS: dict[str, Lazy] = {
    "run": Lazy(f"{_RUN}:run_cmd", "Run a workflow file or a registered workflow."),
    "list": Lazy(f"{_READING}:list_cmd", "List runs, the newest first."),
    "status": Lazy(f"{_READING}:status_cmd", "Show one run."),
    "steps": Lazy(f"{_READING}:steps_cmd", "Show the steps of a run."),
    "logs": Lazy(f"{_READING}:logs_cmd", "Print the log of a run."),
    "follow": Lazy(f"{_ACTING}:follow_cmd", "Stay with a run until it ends."),
    "events": Lazy(f"{_READING}:events_cmd", "Show the events of a run."),
    "stream": Lazy(f"{_READING}:stream_cmd", "Read a stream of a run."),
    "wait": Lazy(f"{_ACTING}:wait_cmd", "Wait for the end of a run."),
    "result": Lazy(f"{_READING}:result_cmd", "Print the outputs of a run."),
    "stats": Lazy("kurt.cli.workflows.stats:stats_cmd", "Show calls of models, their tokens and their cost."),
    "cancel": Lazy(f"{_ACTING}:cancel_cmd", "Cancel runs and their children."),
    "resume": Lazy(f"{_ACTING}:resume_cmd", "Continue a run where it stopped."),
    "retry": Lazy(f"{_ACTING}:retry_cmd", "Repeat what failed in a run, and what depends on it."),
    "fork": Lazy(f"{_ACTING}:fork_cmd", "Start a new run from a step of another."),
    "approve": Lazy(f"{_ANSWERING}:approve_cmd", "Approve what a run waits for."),
    "reject": Lazy(f"{_ANSWERING}:reject_cmd", "Reject what a run waits for."),
    "send": Lazy(f"{_ACTING}:send_cmd", "Send a message to a run that waits for one."),
    "delete": Lazy(f"{_ACTING}:delete_cmd", "Delete finished runs."),
    "validate": Lazy(f"{_PRIMITIVES}:validate_cmd", "Check workflow files, or data against a schema."),
    "new": Lazy("kurt.cli.workflows.new:new_cmd", "Write a new workflow into the project."),
    "templates": Lazy(
        "kurt.cli.workflows.new:templates_cmd", "List the shipped workflows that can be copied."
    ),
    "check": Lazy(
        "kurt.cli.workflows.check:check_cmd", "Check a Python workflow module for misuse of durable steps."
    ),
    "test": Lazy("kurt.cli.workflows.test:test_cmd", "Run the tests of workflow files."),
    "graph": Lazy(f"{_FILES}:graph_cmd", "Draw the steps of a workflow file."),
    "schema": Lazy(f"{_FILES}:schema_cmd", "Print the JSON Schema of workflow files."),
    "read": Lazy(f"{_PRIMITIVES}:read_cmd", "Read data from a file."),
    "write": Lazy(f"{_PRIMITIVES}:write_cmd", "Write data to a file."),
    "transform": Lazy(f"{_PRIMITIVES}:transform_cmd", "Filter, map, sort and group data."),
    "foreach": Lazy(f"{_PRIMITIVES}:foreach_cmd", "Run a command for each item of a list."),
}
"""The commands in the order of the help; each line is the command's own, which a test compares."""


@group(
    "workflows",
    lazy=VERBS,
    epilog="kurt workflows run workflows/quickstart.yaml\nkurt workflows list --status failed\nkurt workflows logs ID",
)
def workflows_group() -> None:
    """Run workflows, watch and steer their runs."""
