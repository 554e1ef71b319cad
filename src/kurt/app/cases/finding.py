"""Which test files, and which of their cases, are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.app.cases.copies import Project
from kurt.app.cases.running import Job
from kurt.app.known_workflows import KnownWorkflows
from kurt.app.registry import WorkflowRegistry
from kurt.app.targets import no_workflow, workflow_file
from kurt.config import load_settings
from kurt.engine.cases.reading import LoadedCases, cases_file_of, is_test_file, load_cases
from kurt.engine.language.parser import LoadedWorkflow, load_workflow
from kurt.engine.registry import kinds
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import DefinitionError, Fault, NotFoundError, UsageError

if TYPE_CHECKING:
    from kurt.config import Settings


def case_files(settings: Settings, targets: Sequence[str]) -> list[Path]:
    """The test files that words mean: test files, workflow files, names, folders; all of the project without any.

    Raises:
        NotFoundError: there is no such file, or it has no tests.
        UsageError: it is no file.
    """
    if not targets:
        found = _inside(settings.workflows_dir)
        if not found:
            raise NotFoundError(
                f"there are no test files in {settings.workflows_dir}",
                hint="write workflows/NAME.test.yaml beside workflows/NAME.yaml",
            )
        return found
    return list(dict.fromkeys(path for target in targets for path in _of(settings, target)))


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.test.y*ml") if is_test_file(path))


def _of(settings: Settings, target: str) -> Iterable[Path]:
    folder = next((path for path in (Path(target), settings.root / target) if path.is_dir()), None)
    if folder is not None:
        found = _inside(folder.absolute())
        if not found:
            raise NotFoundError(f"there are no test files in {target}", hint="they are named NAME.test.yaml")
        return found
    file = workflow_file(settings, target)
    if file is None and WorkflowRegistry(settings).find(target) is not None:
        raise UsageError(
            f"{target!r} is a Python workflow; only workflow files have test files",
            hint=f"its tests are run by: pytest workflows/{target}",
        )
    if file is None:
        raise no_workflow(settings, target)
    if is_test_file(file):
        return [file]
    tests = cases_file_of(file)
    if not tests.is_file():
        raise NotFoundError(
            f"{target} has no tests: there is no file {_shown(tests)}",
            hint=f"write {_shown(tests)} with, for a beginning, `cases: [{{name: it runs}}]`",
        )
    return [tests]


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def jobs_of(settings: Settings, files: Sequence[Path], wanted: Sequence[str]) -> list[Job]:
    """The cases of test files.

    Args:
        settings: the project's settings.
        files: the test files.
        wanted: names of cases, or patterns of them; all without any.

    Raises:
        DefinitionError: a file has faults; carries those of all files.
        NotFoundError: no case has such a name.
    """
    faults: list[Fault] = []
    loaded: list[tuple[LoadedCases, Project]] = []
    for file in files:
        own = settings if file.is_relative_to(settings.root) else load_settings(file.parent)
        root = own.root if file.is_relative_to(own.root) else file.parent
        try:
            cases = load_cases(file, root=root, load=lambda path, own=own, root=root: _load(own, root, path))
            loaded.append((cases, _project(cases, root)))
        except DefinitionError as error:
            faults += error.faults
    if faults:
        raise DefinitionError(faults)
    jobs = [Job(cases, case, project) for cases, project in loaded for case in cases.spec.cases]
    for name in wanted:
        if not any(_is_meant(job, name) for job in jobs):
            known = [job.case.name for job in jobs]
            raise NotFoundError(
                f"there is no case {name!r}",
                hint=did_you_mean(name, known, f"the cases are {listing(known)}"),
            )
    return [job for job in jobs if not wanted or any(_is_meant(job, name) for name in wanted)]


def check_test_file(settings: Settings, file: Path) -> list[Fault]:
    """All faults of a test file and of its workflow, warnings too, in the order of the files.

    Raises:
        NotFoundError: there is no such file.
    """
    try:
        load_cases(file, root=settings.root, load=lambda path: _load(settings, settings.root, path))
    except DefinitionError as error:
        return error.faults
    return []


def _load(settings: Settings, root: Path, path: Path) -> LoadedWorkflow:
    return load_workflow(path, root=root, kinds=kinds(root), workflows=KnownWorkflows(settings))


def _project(cases: LoadedCases, root: Path) -> Project:
    needed = (str(cases.workflow.relative_to(root)), *cases.loaded.subworkflows)
    patterns = cases.spec.copy_files
    return Project(root, None if patterns is None else tuple(patterns), needed)


def _is_meant(job: Job, name: str) -> bool:
    return job.case.name == name or fnmatch(job.case.name, name)
