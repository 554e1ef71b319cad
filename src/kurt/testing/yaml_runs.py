"""Running a workflow file in a test.

    def test_report(run_yaml):
        done = run_yaml("workflows/report.yaml", {"folder": "sources"})
        assert done.outputs == {"files": 1}
        assert done.steps["count"] == 1

The run is a real one, in the test's own project and process. Steps that are mocked only pretend to work:

    done = run_yaml("report", mocks={"steps": {"fetch": {"title": "A"}}})
    assert done.given["fetch"] == {"url": "https://example.com"}
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.errors import RunFailedError

if TYPE_CHECKING:
    from kurt.app.targets import Prepared
    from kurt.config import Settings
    from kurt.types import JsonObject

_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class YamlRun:
    """How a run of a workflow file ended.

    Attributes:
        run_id: its id.
        status: `succeeded`, `failed`, ...
        outputs: what it returned.
        error: type, message and more of a failure, or None.
        steps: what each step returned, by the step's path.
        states: the state of each step, likewise.
        given: the fields that each mocked step was given, likewise.
        mocked: what was pretended: `models`, `steps`.
    """

    run_id: str
    status: str
    outputs: Any
    error: JsonObject | None
    steps: dict[str, Any]
    states: dict[str, str]
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    mocked: tuple[str, ...] = ()


def run_yaml(
    source: str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    mocks: Mapping[str, Any] | None = None,
    mock_llm: bool | None = None,
    timeout: float = _LIMIT,
) -> YamlRun:
    """Run a workflow file in this process, in the project of the working directory, and wait for its end.

    A run that fails is a result like any other: look at `status` and `error`.

    Args:
        source: the file, the name of a workflow file of the project, or the text of one.
        inputs: its inputs by name.
        mocks: what is only pretended, as `mocks:` in a test file: `{"steps": {path: value}, "models": [{"answer": ...}]}`.
            With it nobody waits between two attempts or for a time.
        mock_llm: call no model and make up answers that fit their schemas; by default where there are mocks.
        timeout: seconds after which the run should be over.

    Raises:
        UsageError: the mocks are not well formed, or name a step that there is not.
        DefinitionError: the file has faults.
        InputError: the inputs do not fit.
        RunFailedError: it is not over in time.
    """
    from kurt.app.targets import prepare  # noqa: PLC0415 - only tests of workflow files need it
    from kurt.config import load_settings  # noqa: PLC0415 - as above

    settings = load_settings()
    prepared = prepare(settings, _file(settings, source), given=inputs)
    return _read(settings, _run(settings, _mocked(prepared, mocks, mock_llm=mock_llm), timeout))


def _mocked(prepared: Prepared, mocks: Mapping[str, Any] | None, *, mock_llm: bool | None) -> Prepared:
    """The same run, but it pretends what is wanted."""
    from kurt.app.targets import pretending  # noqa: PLC0415 - as above

    if mocks is None:
        return pretending(prepared, {"llm": True}) if mock_llm else prepared
    from kurt.engine.cases.reading import given_mocks, mock_of, paths_of  # noqa: PLC0415 - as above
    from kurt.engine.language.schema import WorkflowDefinition  # noqa: PLC0415 - as above

    frozen = prepared.arguments[0]["frozen"]
    steps = paths_of(WorkflowDefinition.from_frozen(frozen), frozen["subworkflows"])
    mock = mock_of(given_mocks(mocks, steps))
    return pretending(prepared, mock if mock_llm is not False else {**mock, "llm": False})


def _file(settings: Settings, source: str | Path) -> str:
    """The file; a text becomes one."""
    if "\n" not in str(source):
        return str(source)
    name = hashlib.sha256(str(source).encode()).hexdigest()[:12]
    target = settings.state_dir / f"test-{name}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(str(source), encoding="utf-8")
    return str(target)


def _run(settings: Settings, prepared: Prepared, timeout: float) -> str:
    """Run it, by the executor of this process if there is one; its id."""
    from kurt.app.foreground_watch import Watch  # noqa: PLC0415 - as above
    from kurt.app.placement import placement_from  # noqa: PLC0415 - as above
    from kurt.app.runs import run_here  # noqa: PLC0415 - as above
    from kurt.app.targets import check_secrets  # noqa: PLC0415 - as above
    from kurt.runtime import names, recovery, starting  # noqa: PLC0415 - as above

    placement = placement_from(settings, prepared, {})
    if not recovery.is_launched():
        return run_here(settings, prepared, placement, watch=Watch()).id
    check_secrets(settings, prepared, stored=False)
    run_id = names.new_run_id()
    over = starting.start_run(
        prepared.workflow,
        run_id,
        prepared.arguments_on(placement.queue),
        prepared.keywords,
        attributes={**prepared.attributes, "queue": placement.queue},
        seconds=placement.timeout,
    )
    if not over.wait(timeout):
        raise RunFailedError(f"the run {run_id} is not over after {timeout:g} s")
    return run_id


def _read(settings: Settings, run_id: str) -> YamlRun:
    from kurt.runtime.runs import open_reader  # noqa: PLC0415 - as above

    with open_reader(settings) as reader:
        run, steps = reader.get(run_id), reader.steps(run_id, values=True)
    return YamlRun(
        run_id,
        run.status,
        run.outputs,
        run.error,
        {step.path: step.value for step in steps},
        {step.path: step.status for step in steps},
        {step.path: step.given for step in steps if step.mocked},
        tuple(run.mocked),
    )
