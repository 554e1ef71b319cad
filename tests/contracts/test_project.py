"""Rules of this project about its own sources, so that nobody has to remember them."""

from __future__ import annotations

import ast
import re
import shutil
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.conventions

ROOT = Path(__file__).parents[2]
CODE = ("src", "tests", "benchmarks", "scripts")
MAX_FILE = 500
MAX_FUNCTION = 60
MEDIAN_FUNCTION = 9
P95_FUNCTION = 45
NOT_OURS = {".git", ".venv", "__pycache__", "build", "dist", "demo", "node_modules"}
OTHERS = "examples/corpus/"
"""Texts of other people, which stay as they are."""

GENERATED = {
    "docs/reference/cli.md",
    "docs/reference/kurt-test.schema.json",
    "docs/reference/kurt-workflow.schema.json",
    "docs/reference/settings.md",
}


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the sources.

    Attributes:
        file: relative path.
        node: its syntax tree.
    """

    file: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def lines(self) -> int:
        """Its lines without decorators and docstring."""
        end = self.node.end_lineno or self.node.lineno
        doc = self.node.body[0] if ast.get_docstring(self.node) else None
        return end - self.node.lineno + 1 - (((doc.end_lineno or 0) - doc.lineno + 1) if doc else 0)

    def __str__(self) -> str:
        return f"{self.file}:{self.node.lineno} {self.node.name} ({self.lines} lines)"


def project_files() -> list[Path]:
    """Every file that belongs to the project."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = [ROOT / path for path in listing.split("\0") if path]
    else:
        found = [path for path in ROOT.rglob("*") if not NOT_OURS & set(path.relative_to(ROOT).parts)]
    return sorted(path for path in found if path.is_file())


def texts() -> Iterator[tuple[str, str]]:
    """Relative path and text of every text file of the project."""
    for path in project_files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def python_texts() -> list[tuple[str, str]]:
    """The Python files among them."""
    return [(path, text) for path, text in texts() if path.endswith(".py") and path.split("/")[0] in CODE]


def functions(*, of: str) -> list[Function]:
    """All functions of the Python files below a folder."""
    return [
        Function(path, node)
        for path, text in python_texts()
        if path.startswith(of)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def found_lines(pattern: str, *, only: str = "") -> list[str]:
    """Places whose line matches, other than in this file and in generated ones."""
    regex = re.compile(pattern)
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts()
        if path.startswith(only) and not path.startswith(OTHERS)
        if path not in GENERATED and path != "tests/contracts/test_project.py"
        for number, line in enumerate(text.splitlines(), 1)
        if regex.search(line)
    ]


def test_files_are_short() -> None:
    long = [
        f"{path} ({text.count(chr(10))} lines)"
        for path, text in python_texts()
        if text.count("\n") > MAX_FILE
    ]
    assert not long, f"longer than {MAX_FILE} lines: {long}"


def test_functions_are_short() -> None:
    long = [
        str(function) for part in CODE for function in functions(of=part) if function.lines > MAX_FUNCTION
    ]
    assert not long, f"longer than {MAX_FUNCTION} lines: {long}"


def test_most_functions_are_very_short() -> None:
    lengths = sorted(function.lines for function in functions(of="src"))
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert lengths[int(len(lengths) * 0.95)] <= P95_FUNCTION


def test_everything_is_annotated() -> None:
    bare = [
        str(function)
        for function in functions(of="src")
        if function.node.returns is None
        or any(argument.annotation is None for argument in _arguments(function.node))
    ]
    assert not bare, f"not fully annotated: {bare}"


def test_waivers_carry_their_reason() -> None:
    waivers = found_lines(r"#\s*(noqa|pyright:\s*ignore|type:\s*ignore)")
    reason = re.compile(r"#\s*(noqa: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*|pyright: ignore\[[\w, ]+\]) +- +\S.{6,}")
    silent = [place for place in waivers if ".py:" in place and not reason.search(place)]
    assert not silent, "write `# noqa: RULE - reason` or `# pyright: ignore[rule] - reason`:\n" + "\n".join(
        silent
    )


def test_no_file_is_exempt_from_the_checks() -> None:
    exempt = found_lines(r"#\s*(ruff: noqa|pyright: (basic|off)|mypy: ignore|fmt: off)")
    assert not exempt, "\n".join(exempt)


def test_a_broad_except_raises_again_or_says_why_not() -> None:
    silent = [
        f"{path}:{handler.lineno}"
        for path, text in python_texts()
        if path.startswith("src")
        for handler in ast.walk(ast.parse(text))
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler)
        if not isinstance(handler.body[-1], ast.Raise) and not _has_comment(text, handler)
    ]
    assert not silent, f"a reason stands beside a broad except that swallows: {silent}"


def test_open_work_has_an_owner() -> None:
    ownerless = [
        place for place in found_lines(r"\b(TODO|FIXME|XXX|HACK)\b(?!\([\w-]+\))") if ".py:" in place
    ]
    assert not ownerless, "\n".join(ownerless)


def test_no_path_of_a_machine_is_written_down() -> None:
    homes = found_lines(r"(?<![\w.])/(home|Users)/(?!me\b|you\b|user\b)\w+|(?<![\w.])/root/\w+")
    here = [place for place in found_lines(re.escape(f"{ROOT}/")) if len(ROOT.parts) > 2]
    assert not homes + here, "\n".join(homes + here)


def test_lock_files_pin_and_hash_and_name_no_host() -> None:
    hosts = found_lines(r"[a-z]+://|^\s*-(i|f|-index|-extra|-find|-trusted)", only="requirements/")
    assert not hosts, "\n".join(hosts)
    for name in ("base", "build", "test", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        entries = [
            entry for entry in text.replace("\\\n", " ").splitlines() if entry and entry.strip()[0] != "#"
        ]
        loose = [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]
        assert entries
        assert not loose, f"requirements/{name}.txt: not pinned and hashed: {loose}"


def test_lock_files_hold_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {"base": project["project"]["dependencies"]}
    declared |= {name: project["dependency-groups"][name] for name in ("build", "test")}
    declared["dev"] = project["dependency-groups"]["lint"]
    for name, requirements in declared.items():
        locked = set(
            re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
        )
        wanted = {
            re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements
        }
        assert wanted <= locked, f"requirements/{name}.txt lacks {wanted - locked}; run `make lock`"


def test_the_base_install_stays_small() -> None:
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "base.txt").read_text(), re.MULTILINE)
    assert len(locked) <= 60


def test_every_direct_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    names = {
        re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
        for requirement in project["project"]["dependencies"]
    }
    missing = [name for name in sorted(names) if f"`{name}`" not in page]
    assert not missing, f"docs/dependencies.md says nothing of {missing}"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether it catches everything."""
    names = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if handler.type
        else {"Exception"}
    )
    return bool(names & {"Exception", "BaseException"})


def _has_comment(text: str, handler: ast.ExceptHandler) -> bool:
    """Whether a comment stands on its line or right below."""
    return any("# " in line for line in text.splitlines()[handler.lineno - 1 : handler.body[0].lineno])


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """The arguments that need an annotation: all but `self` and `cls`."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    every += [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
    return [argument for argument in every if argument.arg not in {"self", "cls"}]
