"""The shape of a workflow module: its files, names and public exports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from kurt.app.module_check.findings import ERROR, WARNING, Finding, at
from kurt.app.module_check.index import STEP, WORKFLOW, Index, Part
from kurt.app.module_check.sources import Function, Source

_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def shape(index: Index, home: Path, *, package: str, shown: Path) -> Iterator[Finding]:
    """What the folder of a module lacks, and names that are not as usual.

    Args:
        index: its functions.
        home: the folder.
        package: its name.
        shown: its path as people write it.
    """
    yield from _files(index, home, package, shown)
    yield from _functions(index, package, shown)
    parts = {source.part: source for source in index.sources}
    if "config" in parts:
        yield from _config(parts["config"], package)
    if "" in parts:
        yield from _exports(parts[""], package)


def _files(index: Index, home: Path, package: str, shown: Path) -> Iterator[Finding]:
    create = "make it; `kurt workflows new` shows the whole shape with --dry-run"
    for name, severity in (
        ("__init__.py", ERROR),
        ("workflow.py", ERROR),
        ("config.py", WARNING),
        ("steps.py", WARNING),
    ):
        if not (home / name).is_file():
            message = f"there is no {name}"
            yield Finding("missing_file", message, create, str(shown / name), severity=severity)
    if not any(path.name != "test_e2e.py" for path in (home / "tests").glob("test_*.py")):
        yield Finding(
            "missing_tests",
            f"there are no tests of the parts in tests/test_{package}.py",
            "test the config, the model steps with mock_llm, and the helpers",
            str(shown / "tests" / f"test_{package}.py"),
            severity=WARNING,
        )
    if not _has_end_to_end_test(index, package):
        yield Finding(
            "missing_e2e_test",
            f"no test in tests/test_e2e.py calls run_{package}() on real DBOS; only such a test finds every misuse",
            f"add tests/test_e2e.py with a test that takes tmp_kurt_project and calls run_{package}(config)",
            str(shown / "tests" / "test_e2e.py"),
        )
    if not _SNAKE.fullmatch(package):
        message = f"the folder {package!r} is not in snake_case"
        yield Finding(
            "name_of_folder", message, f"rename it to {_snake(package)!r}", str(shown), severity=WARNING
        )


def _has_end_to_end_test(index: Index, package: str) -> bool:
    for source in index.sources:
        if source.part.startswith("tests.") and "e2e" in source.part:
            names = {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)}
            names |= {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
            if f"run_{package}" in names:
                return True
    return False


def _functions(index: Index, package: str, shown: Path) -> Iterator[Finding]:
    own = [item for item in index.functions.values() if not item.source.part.startswith("tests")]
    workflows = [item for item in own if item.role == WORKFLOW]
    wanted = f"{package}_workflow"
    if not any(item.node.name == wanted for item in workflows):
        yield Finding(
            "name_of_workflow",
            f"there is no workflow {wanted!r}, which is what `kurt workflows run {package}` starts",
            f"name the function with @DBOS.workflow() {wanted}",
            *(
                at(workflows[0].source.shown, workflows[0].node)
                if workflows
                else (str(shown / "workflow.py"), 1, 1)
            ),
            severity=WARNING if workflows else ERROR,
        )
    for item in own:
        if item.role == STEP and not item.node.name.endswith("_step"):
            yield _finding(
                item, "name_of_step", f"the step {item.node.name!r} does not end in _step", "rename it"
            )
    yield from _twice(own)
    yield from _run_function(own, package, shown)


def _finding(item: Part, code: str, message: str, remedy: str, severity: str = WARNING) -> Finding:
    remedy = f"rename it to {item.node.name}_step" if remedy == "rename it" else remedy
    return Finding(code, message, remedy, *at(item.source.shown, item.node), severity=severity)


def _twice(own: list[Part]) -> Iterator[Finding]:
    """Durable names that two functions have: DBOS keeps the last one."""
    seen: dict[tuple[str, str], Part] = {}
    for item in own:
        if item.role not in {WORKFLOW, STEP}:
            continue
        name = _durable_name(item.node)
        first = seen.setdefault((item.role, name), item)
        if first is not item:
            message = f"two {item.role}s have the name {name!r}; the other is at {first.source.shown}:{first.node.lineno}"
            yield _finding(item, "name_taken", message, 'give one of them another: name="..."', ERROR)


def _durable_name(node: Function) -> str:
    for decorator in node.decorator_list:
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return node.name


def _run_function(own: list[Part], package: str, shown: Path) -> Iterator[Finding]:
    found = next((item for item in own if item.node.name == f"run_{package}"), None)
    signature = f"def run_{package}(config, background=False, priority=None)"
    if found is None:
        message = f"there is no function run_{package}, which tests and commands call"
        yield Finding(
            "missing_run", message, f"add {signature}", str(shown / "workflow.py"), severity=WARNING
        )
        return
    taken = {argument.arg for argument in (*found.node.args.args, *found.node.args.kwonlyargs)}
    if not {"background", "priority"} <= taken and found.node.args.kwarg is None:
        message = f"run_{package} does not take background and priority"
        remedy = f"write {signature} and pass them to run_workflow() from kurt.core"
        yield _finding(found, "missing_run", message, remedy)


def _config(source: Source, package: str) -> Iterator[Finding]:
    wanted = "".join(word.capitalize() for word in package.split("_")) + "Config"
    classes = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    if not any(node.name == wanted for node in classes):
        place = at(source.shown, classes[0]) if classes else (source.shown, 1, 1)
        message = f"config.py does not define {wanted}"
        yield Finding(
            "name_of_config", message, f"name the Pydantic model {wanted}", *place, severity=WARNING
        )


def _exports(source: Source, package: str) -> Iterator[Finding]:
    texts = {node.value for node in ast.walk(source.tree) if isinstance(node, ast.Constant)}
    names = texts | set(source.imports) | source.defined
    missing = [name for name in (f"{package}_workflow", f"run_{package}") if name not in names]
    if missing:
        message = f"__init__.py does not export {' and '.join(missing)}"
        yield Finding("missing_export", message, "add them to __init__.py", source.shown, severity=WARNING)


def _snake(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
