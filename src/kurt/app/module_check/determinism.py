"""Calls in the body of a workflow whose result differs when the workflow is replayed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from kurt.app.module_check.findings import ERROR, WARNING, Finding, at
from kurt.app.module_check.index import WORKFLOW, Index, Reached


class _Kind(NamedTuple):
    """A kind of call that a replay answers differently.

    Attributes:
        code: of the finding.
        what: what the call does.
        names: full names, and beginnings of such that end with a dot.
        remedy: what to do.
        severity: of the finding.
    """

    code: str
    what: str
    names: tuple[str, ...]
    remedy: str
    severity: str = ERROR


_STEP = "put it into a function with @DBOS.step() and call that: its result is stored"
_KINDS = (
    _Kind(
        "random_in_workflow",
        "draws a random value",
        (
            *("random.", "secrets.", "numpy.random.", "os.urandom"),
            *("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7"),
        ),
        _STEP,
    ),
    _Kind(
        "clock_in_workflow",
        "asks the clock",
        tuple(
            f"{cls}.{name}"
            for cls in ("datetime.datetime", "datetime.date", "pandas.Timestamp")
            for name in ("now", "utcnow", "today")
        ),
        _STEP,
    ),
    _Kind(
        "time_in_workflow",
        "asks the clock",
        ("time.time", "time.time_ns", "time.monotonic", "time.perf_counter"),
        "only use it for events and logs; what the workflow decides on comes from a step",
        WARNING,
    ),
    _Kind(
        "sleep_in_workflow",
        "sleeps from the beginning again when it is replayed",
        ("time.sleep", "asyncio.sleep"),
        "use DBOS.sleep(seconds), in an async workflow DBOS.sleep_async(seconds): the end is stored",
        WARNING,
    ),
    _Kind(
        "environment_in_workflow",
        "reads the environment",
        ("os.getenv", "os.environ.", "sys.argv", "input", "sys.stdin."),
        "read it in a step, or pass it in the workflow's config",
    ),
    _Kind(
        "process_value_in_workflow",
        "asks for what differs from process to process",
        (
            "hash",
            "id",
            "os.getpid",
            "os.getcwd",
            "os.uname",
            "platform.",
            "pathlib.Path.cwd",
            "threading.get_ident",
        ),
        "decide by the workflow's inputs and the results of steps; for a digest of a text use hashlib",
    ),
    _Kind(
        "order_in_workflow",
        "goes by what ends first",
        ("asyncio.as_completed", "concurrent.futures.as_completed", "asyncio.wait"),
        "await all of them with asyncio.gather, whose results are in the order of the calls",
        WARNING,
    ),
    _Kind(
        "network_in_workflow",
        "uses the network",
        (
            *(
                "requests.",
                "httpx.",
                "aiohttp.",
                "urllib.request.",
                "urllib3.",
                "socket.",
                "smtplib.",
                "ftplib.",
            ),
            *("openai.", "anthropic.", "litellm.", "boto3."),
            *("kurt.core.generate_embeddings", "kurt.core.generate_document_embedding"),
        ),
        _STEP,
    ),
    _Kind(
        "process_in_workflow",
        "starts a process",
        (
            "subprocess.",
            "os.system",
            "os.popen",
            "asyncio.create_subprocess_exec",
            "asyncio.create_subprocess_shell",
        ),
        _STEP,
    ),
    _Kind(
        "file_in_workflow",
        "uses the file system",
        (
            *(
                "open",
                "io.open",
                "shutil.",
                "tempfile.",
                "glob.",
                "os.listdir",
                "os.scandir",
                "os.walk",
                "os.stat",
            ),
            *(
                "os.remove",
                "os.unlink",
                "os.rename",
                "os.replace",
                "os.mkdir",
                "os.makedirs",
                "os.path.exists",
            ),
            *("pandas.read_csv", "pandas.read_parquet", "pandas.read_excel"),
        ),
        _STEP,
    ),
    _Kind(
        "database_in_workflow",
        "uses the database",
        ("kurt.db.managed_session", "kurt.db.get_session", "kurt.db.get_engine", "sqlite3.", "psycopg."),
        "put it into a function with @transaction() from kurt.core: its rows and its checkpoint commit together",
    ),
)
_PATH_METHODS = frozenset(
    {
        *(
            "read_text",
            "read_bytes",
            "write_text",
            "write_bytes",
            "open",
            "touch",
            "unlink",
            "rename",
            "replace",
        ),
        *("exists", "is_file", "is_dir", "iterdir", "glob", "rglob", "stat", "mkdir"),
    }
)


def nondeterminism(index: Index) -> Iterator[Finding]:
    """What workflows do that a replay would do again, or otherwise."""
    for item in index.reached():
        if item.role == WORKFLOW:
            yield from _in_body(item)


def _in_body(item: Reached) -> Iterator[Finding]:
    """The findings in one function of a workflow."""
    for node in item.function.body():
        match node:
            case ast.Call(func=function):
                kind = _kind_of(item.function.dotted(function))
                shown = ast.unparse(function)
            case ast.Subscript(value=value) if item.function.dotted(value) == "os.environ":
                kind, shown = _named("environment_in_workflow"), "os.environ"
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if _is_set(item, iterated):
                yield _set_order(item, iterated)
                continue
            case _:
                continue
        if kind is not None:
            place = at(item.function.source.shown, node)
            message = f"{item.said} {kind.what} ({shown}); a replay gets another answer"
            yield Finding(kind.code, message, kind.remedy, *place, severity=kind.severity)


def _kind_of(name: str) -> _Kind | None:
    for kind in _KINDS:
        for known in kind.names:
            if name == known or (known.endswith(".") and name.startswith(known)):
                return kind
    if name.startswith("pathlib.Path") and name.rpartition(".")[2] in _PATH_METHODS:
        return _named("file_in_workflow")
    return None


def _named(code: str) -> _Kind:
    return next(kind for kind in _KINDS if kind.code == code)


def _is_set(item: Reached, node: ast.expr) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and item.function.dotted(node.func) in {"set", "frozenset"}


def _set_order(item: Reached, node: ast.expr) -> Finding:
    return Finding(
        "set_order_in_workflow",
        f"{item.said} goes through a set, whose order differs from process to process",
        f"write sorted({ast.unparse(node)})",
        *at(item.function.source.shown, node),
        severity=WARNING,
    )
