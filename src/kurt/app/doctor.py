"""Looking at a project and its machine: what is wrong, and how to mend it.

Each check is a small function that gives a `Check`, or None where it has nothing to say. None of them changes anything.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.app.machine import check_disk, check_python, check_sqlite, check_system, network_file_system
from kurt.app.notifying import check_notifications
from kurt.app.verdicts import FAIL, OK, WARN, Check
from kurt.config import load_settings
from kurt.errors import KurtError
from kurt.runtime.names import ITEMS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kurt.config import Settings
    from kurt.runtime.lease_types import ExecutorInfo

__all__ = ["Check", "examine"]


def examine(start: Path | None = None, *, environ: Mapping[str, str] | None = None) -> list[Check]:
    """All checks of a project, in the order in which problems are best mended.

    Args:
        start: a folder of the project; the working directory by default.
        environ: the environment; that of the process by default.
    """
    checks = [check_python(), check_system(), check_sqlite()]
    try:
        settings = load_settings(start, environ=environ)
    except KurtError as error:  # nothing more can be said about a project whose settings are wrong
        return [*checks, _failed("settings", error)]
    return [*checks, *(check for check in _of_project(settings) if check is not None)]


def _of_project(settings: Settings) -> Iterator[Check | None]:
    for name, look in _PROJECT_CHECKS:
        try:
            yield look(settings)
        except KurtError as error:
            yield _failed(name, error)
        except OSError as error:
            yield Check(
                name,
                FAIL,
                f"{error.filename or 'the system'}: {error.strerror}",
                "give yourself the right to read it",
            )


def _failed(name: str, error: KurtError) -> Check:
    return Check(name, FAIL, error.message, error.hint)


def _settings(settings: Settings) -> Check:
    if not settings.is_project:
        return Check("settings", WARN, f"there is no kurt.config in {settings.root} or above it", "kurt init")
    if settings.warnings:
        return Check("settings", WARN, "; ".join(settings.warnings), "correct the lines, or remove them")
    return Check("settings", OK, str(settings.root / "kurt.config"))


def _disk(settings: Settings) -> Check:
    return check_disk(settings.root)


def _file_system(settings: Settings) -> Check | None:
    """SQLite's write-ahead log needs shared memory, which network file systems do not have."""
    if not settings.is_sqlite:
        return None
    folder = settings.sqlite_path.parent
    kind = network_file_system(folder)
    if kind is None:
        return Check("file_system", OK, f"{folder} is on a local disk")
    return Check(
        "file_system",
        FAIL,
        f"{folder} is on a network file system ({kind}), where SQLite loses data",
        "set PATH_DB to a local disk, or DATABASE_URL to a Postgres server",
    )


def _database(settings: Settings) -> Check:
    """Whether the database answers, and on SQLite how it writes."""
    if not settings.is_sqlite:
        return _postgres(settings)
    if not settings.sqlite_path.exists():
        return Check("database", WARN, f"there is no {settings.sqlite_path} yet", "kurt db upgrade")
    mode = _journal_mode(settings)
    if mode != "wal":
        return Check(
            "database",
            WARN,
            f"{settings.sqlite_path} has the journal mode {mode}, with which readers and writers block each other",
            f'sqlite3 {settings.sqlite_path} "PRAGMA journal_mode=wal", while nothing else has it open',
        )
    return Check("database", OK, f"{settings.sqlite_path}, journal mode wal")


def _journal_mode(settings: Settings) -> str:
    import sqlite3  # noqa: PLC0415 - projects on Postgres do without it
    from contextlib import closing  # noqa: PLC0415 - see above

    from kurt.db.connect import connect_sqlite, storage_error  # noqa: PLC0415 - see above

    with closing(connect_sqlite(settings, readonly=True)) as connection:
        try:
            return connection.execute("PRAGMA journal_mode").fetchone()[0]
        except sqlite3.Error as error:
            raise storage_error(settings, error) from error


def _postgres(settings: Settings) -> Check:
    from contextlib import closing  # noqa: PLC0415 - projects on SQLite do without it

    from kurt.db.connect import connect_postgres  # noqa: PLC0415 - see above

    with closing(connect_postgres(settings)) as connection:
        version = connection.info.parameter_status("server_version")
        return Check("database", OK, f"Postgres {version} at {connection.info.host}")


def _schema(settings: Settings) -> Check:
    from kurt.db.migrate import current  # noqa: PLC0415 - it may load a driver
    from kurt.db.project_revisions import pending  # noqa: PLC0415 - as above

    state = current(settings)
    if state.is_current and (lacking := pending(settings)):
        return Check(
            "schema",
            WARN,
            f"the project's modules have revisions to apply: {', '.join(lacking)}",
            "kurt db upgrade",
        )
    if state.is_current:
        return Check("schema", OK, f"revision {state.revision}, DBOS {state.dbos}")
    if state.revision is None:
        return Check("schema", WARN, "the database has no tables yet", "kurt db upgrade")
    return Check(
        "schema",
        WARN,
        f"revision {state.revision} with DBOS {state.dbos}; this Kurt needs {state.head} with {state.dbos_needed}",
        "kurt db upgrade",
    )


def _executors(settings: Settings) -> Check:
    found = _live(settings)
    if not found:
        return Check("executors", OK, "none is alive; a run starts what it needs")
    kinds = Counter(info.kind for info in found)
    return Check("executors", OK, ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))


def _runs(settings: Settings) -> Check:
    """Runs that nobody works on although they are not over."""
    from kurt.runtime.runs import open_reader  # noqa: PLC0415 - it loads a driver

    with open_reader(settings) as reader:
        counts = reader.counts()
    interrupted, stuck = counts.get("interrupted", 0), counts.get("stuck", 0)
    if stuck:
        return Check(
            "runs",
            WARN,
            f"{stuck} stuck: each brought its executor down again and again",
            "kurt workflows list --status stuck, then look at the log and resume",
        )
    if interrupted:
        return Check("runs", WARN, f"{interrupted} interrupted: the executor is gone", "kurt worker start")
    return Check(
        "runs", OK, ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "none"
    )


def _queues(settings: Settings) -> Check:
    """Queues on which runs wait and which no executor serves."""
    from kurt.runtime.runs import open_reader  # noqa: PLC0415 - it loads a driver

    with open_reader(settings) as reader:
        waiting = [depth for depth in reader.queue_depths() if depth.queued]
    served = {queue for info in _live(settings) for queue in info.queues}
    alone = [depth for depth in waiting if depth.queue.removesuffix(ITEMS_SUFFIX) not in served]
    if not alone:
        return Check(
            "queues", OK, f"{sum(depth.queued for depth in waiting)} runs wait, all queues are served"
        )
    names = ",".join(dict.fromkeys(depth.queue.removesuffix(ITEMS_SUFFIX) for depth in alone))
    return Check(
        "queues",
        WARN,
        f"nobody serves {names}, where {sum(depth.queued for depth in alone)} runs wait",
        f"kurt worker start --queues {names}",
    )


def _live(settings: Settings) -> list[ExecutorInfo]:
    from kurt.runtime.leases import live_executors  # noqa: PLC0415 - it loads a driver

    return live_executors(settings)


def _schedules(settings: Settings) -> Check:
    """Schedules that nobody serves, and those whose last time could not be started."""
    from kurt.app.schedules.listing import described  # noqa: PLC0415 - it loads a driver

    found = described(settings)
    awake = [one for one in found if one["status"] == "active"]
    if awake and not awake[0]["served"]:
        number = f"{len(awake)} schedule{'' if len(awake) == 1 else 's'}"
        return Check(
            "schedules", WARN, f"{number}, and no live worker starts what is due", "kurt worker start"
        )
    for one in awake:
        if one["last"] is not None and one["last"]["error"] is not None:
            said = one["last"]["error"]["message"]
            detail = f"{one['name']!r} could not be started for {one['last']['at']}: {said}"
            return Check("schedules", WARN, detail, f"kurt schedules ticks {one['name']!r}")
    return Check(
        "schedules", OK, f"{len(awake)} active, {len(found) - len(awake)} paused" if found else "none"
    )


def _secrets(settings: Settings) -> Check:
    """Secrets that workflow files name and nobody has set."""
    missing: dict[str, list[str]] = {}
    unread: list[str] = []
    for file in _workflow_files(settings):
        names = _secrets_of(file)
        if names is None:
            unread.append(file.name)
        for name in names or ():
            if settings.secret(name) is None:
                missing.setdefault(name, []).append(file.name)
    if missing:
        parts = [f"{name} (for {', '.join(files)})" for name, files in sorted(missing.items())]
        return Check(
            "secrets", WARN, f"missing: {', '.join(parts)}", f"add {next(iter(sorted(missing)))}=... to .env"
        )
    if unread:
        remedy = f"kurt workflows validate workflows/{unread[0]}"
        return Check("secrets", WARN, f"cannot be read: {', '.join(unread)}", remedy)
    return Check("secrets", OK, "all that workflow files name are set")


def _workflow_files(settings: Settings) -> list[Path]:
    found = [*settings.workflows_dir.glob("*.yaml"), *settings.workflows_dir.glob("*.yml")]
    return sorted(file for file in found if not file.stem.endswith(".test"))


def _secrets_of(file: Path) -> Sequence[str] | None:
    """The names under `secrets:`, or None for a file that is no readable mapping."""
    from kurt.engine.language.source import read_source  # noqa: PLC0415 - it loads a YAML parser

    try:
        value = read_source(file.read_text(encoding="utf-8"), file.name).value
    except (KurtError, OSError, ValueError):
        return None
    if not isinstance(value, dict):
        return None
    names = value.get("secrets") or []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else None


_PROJECT_CHECKS: tuple[tuple[str, Callable[[Settings], Check | None]], ...] = (
    ("settings", _settings),
    ("disk_space", _disk),
    ("file_system", _file_system),
    ("database", _database),
    ("schema", _schema),
    ("executors", _executors),
    ("runs", _runs),
    ("queues", _queues),
    ("schedules", _schedules),
    ("secrets", _secrets),
    ("notifications", check_notifications),
)
