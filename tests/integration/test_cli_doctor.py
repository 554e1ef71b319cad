"""`kurt doctor`: each check with a project in which it has something to say."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kurt.app import doctor, machine
from kurt.config import load_settings
from kurt.db.migrate import ensure_schema
from kurt.runtime.leases import open_lease
from tests.support.cli import Kurt


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "workflows").mkdir(parents=True)
    (folder / "kurt.config").write_text("")
    return folder


def checks(root: Path, **environ: str) -> dict[str, dict[str, Any]]:
    found = doctor.examine(root, environ={"HOME": str(root.parent), **environ})
    return {check.check: check.to_json() for check in found}


def add_run(root: Path, run_id: str, status: str, queue: str | None = None, owner: str | None = None) -> None:
    settings = load_settings(root, environ={})
    ensure_schema(settings)
    with closing(sqlite3.connect(settings.sqlite_path)) as connection, connection:
        connection.execute(
            "INSERT INTO workflow_status"
            " (workflow_uuid, status, name, queue_name, executor_id, created_at, updated_at, priority)"
            " VALUES (?, ?, 'x', ?, ?, 1, 1, 0)",
            (run_id, status, queue, owner),
        )
    connection.close()


def test_a_sound_project_has_nothing_to_mend(root: Path, home: Path, tmp_path: Path) -> None:
    ensure_schema(load_settings(root, environ={}))
    kurt = Kurt(root, home, tmp_path)
    found = {check["check"]: check for check in kurt.json("doctor")}
    assert list(found) == [
        "python",
        "system",
        "sqlite",
        "settings",
        "disk_space",
        "file_system",
        "database",
        "schema",
        "executors",
        "runs",
        "queues",
        "schedules",
        "secrets",
        "commands",
    ]
    wrong = {name: check for name, check in found.items() if check["state"] != "ok" and name != "disk_space"}
    assert not wrong
    assert "journal mode wal" in found["database"]["detail"]
    shown = kurt("doctor").stdout
    assert "ok    journal" not in shown
    assert "file system  " in shown


def test_a_failure_exits_1_and_a_warning_does_not(root: Path, home: Path, tmp_path: Path) -> None:
    kurt = Kurt(root, home, tmp_path)
    assert "remedy: kurt db upgrade" in kurt("doctor").stdout
    (root / "kurt.config").write_text("nonsense\n")
    result = kurt("doctor", "--format", "json", code=1)
    assert result.stderr == ""
    failed = [check for check in result.json() if check["state"] == "fail"]
    assert [check["check"] for check in failed] == ["settings"]
    assert failed[0]["detail"].startswith("kurt.config:1: not an assignment")
    assert failed[0]["remedy"]


def test_without_a_project_it_says_so(tmp_path: Path) -> None:
    found = checks(tmp_path)["settings"]
    assert (found["state"], found["remedy"]) == ("warn", "kurt init")


def test_unknown_settings(root: Path) -> None:
    (root / "kurt.config").write_text("PATH_DBB=x\n")
    assert "did you mean PATH_DB?" in checks(root)["settings"]["detail"]


def test_another_journal_mode(root: Path) -> None:
    settings = load_settings(root, environ={})
    ensure_schema(settings)
    with closing(sqlite3.connect(settings.sqlite_path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=delete")
    connection.close()
    found = checks(root)["database"]
    assert found["state"] == "warn"
    assert "journal mode delete" in found["detail"]


def test_a_damaged_database(root: Path) -> None:
    (root / ".kurt").mkdir()
    (root / ".kurt" / "kurt.sqlite").write_text(
        "this is no database, but it is long enough to be read as one" * 50
    )
    found = checks(root)
    assert (found["database"]["state"], found["schema"]["state"]) == ("fail", "fail")
    assert "is damaged" in found["database"]["detail"]
    assert found["secrets"]["state"] == "ok"  # the others go on


def test_an_old_schema(root: Path) -> None:
    settings = load_settings(root, environ={})
    assert "no tables yet" in checks(root)["schema"]["detail"]
    ensure_schema(settings)
    assert checks(root)["schema"]["state"] == "ok"
    with closing(sqlite3.connect(settings.sqlite_path)) as connection, connection:
        connection.execute("UPDATE kurt_alembic_version SET version_num = 'old'")
    connection.close()
    found = checks(root)["schema"]
    assert (found["state"], found["remedy"]) == ("warn", "kurt db upgrade")
    assert "revision old" in found["detail"]


def test_an_unreachable_postgres(root: Path) -> None:
    found = checks(root, DATABASE_URL="postgresql://me@127.0.0.1:1/none")
    assert found["database"]["state"] == "fail"
    assert "cannot be reached" in found["database"]["detail"]
    assert "file_system" not in found


@pytest.mark.postgres
def test_a_sound_postgres(root: Path, postgres_url: str) -> None:
    assert checks(root, DATABASE_URL=postgres_url)["schema"]["remedy"] == "kurt db upgrade"
    ensure_schema(load_settings(root, environ={"DATABASE_URL": postgres_url}))
    found = checks(root, DATABASE_URL=postgres_url)
    assert {check["state"] for name, check in found.items() if name != "disk_space"} == {"ok"}
    assert found["database"]["detail"].startswith("Postgres 1")
    assert "file_system" not in found


def test_live_executors(root: Path) -> None:
    ensure_schema(load_settings(root, environ={}))
    assert "none is alive" in checks(root)["executors"]["detail"]
    with open_lease(load_settings(root, environ={}), "worker", {"queues": ["default"]}):
        assert checks(root)["executors"]["detail"] == "1 worker"


def test_interrupted_and_stuck_runs(root: Path) -> None:
    add_run(root, "a", "SUCCESS")
    assert checks(root)["runs"]["detail"] == "1 succeeded"
    add_run(root, "b", "PENDING", owner="worker-gone-1-00000000")
    found = checks(root)["runs"]
    assert (found["state"], found["remedy"]) == ("warn", "kurt worker start")
    assert "1 interrupted" in found["detail"]
    add_run(root, "c", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
    assert "1 stuck" in checks(root)["runs"]["detail"]


def test_queues_that_nobody_serves(root: Path) -> None:
    add_run(root, "a", "ENQUEUED", queue="gpu")
    add_run(root, "b", "ENQUEUED", queue="gpu.items")
    found = checks(root)["queues"]
    assert (found["state"], found["remedy"]) == ("warn", "kurt worker start --queues gpu")
    assert "2 runs wait" in found["detail"]
    with open_lease(load_settings(root, environ={}), "worker", {"queues": ["gpu"]}):
        assert checks(root)["queues"]["state"] == "ok"


def test_notifications_that_nobody_gets(root: Path) -> None:
    assert "notifications" not in checks(root)
    (root / "kurt.config").write_text("NOTIFY.EMAIL=a@b.c\nNOTIFY.ON=failure,waiting\n")
    assert checks(root)["notifications"]["detail"] == "email of failure and waiting"
    (root / "kurt.config").write_text("NOTIFY.EMIAL=a@b.c\n")
    found = checks(root)["notifications"]
    assert (found["state"], found["remedy"]) == ("warn", "did you mean `email`?")


def test_secrets_that_workflow_files_name(root: Path) -> None:
    (root / "workflows" / "a.yaml").write_text("name: a\nsecrets: [A_KEY, B_KEY]\nsteps: []\n")
    (root / "workflows" / "b.yml").write_text("name: b\nsecrets: [A_KEY]\nsteps: []\n")
    (root / "workflows" / "b.test.yaml").write_text("secrets: [C_KEY]\n")
    found = checks(root, B_KEY="set")["secrets"]
    assert found["state"] == "warn"
    assert found["detail"] == "missing: A_KEY (for a.yaml, b.yml)"
    assert found["remedy"] == "add A_KEY=... to .env"
    (root / ".env").write_text("A_KEY=x\n")
    assert checks(root, B_KEY="set")["secrets"]["state"] == "ok"


@pytest.mark.parametrize("text", ["a: [", "- x", "secrets: 5"])
def test_workflow_files_that_cannot_be_read(root: Path, text: str) -> None:
    (root / "workflows" / "odd.yaml").write_text(text)
    found = checks(root)["secrets"]
    assert (found["state"], found["remedy"]) == ("warn", "kurt workflows validate workflows/odd.yaml")


def test_commands_that_cannot_be_called(root: Path, home: Path, tmp_path: Path) -> None:
    (root / "commands").mkdir()
    (root / "commands" / "broken.py").write_text("1 / 0\n")
    (root / "commands" / "worker.py").write_text("import click\n@click.command('worker')\ndef f(): ...\n")
    found = Kurt(root, home, tmp_path).json("doctor")[-1]
    assert found["state"] == "warn"
    assert "'broken' of commands/broken.py cannot be loaded: ZeroDivisionError" in found["detail"]
    assert "'worker' of commands/worker.py is hidden by Kurt's own command" in found["detail"]


@pytest.mark.parametrize(
    ("free", "state"), [(50_000_000, "fail"), (500_000_000, "warn"), (5_000_000_000, "ok")]
)
def test_disk_space(root: Path, free: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    assert checks(root)["disk_space"]["state"] == state


def test_a_network_file_system(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    escaped = os.fspath(root).replace(" ", r"\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\n")
    monkeypatch.setattr(machine, "MOUNTS", str(mounts))
    found = checks(root)["file_system"]
    assert found["state"] == "fail"
    assert "(nfs4)" in found["detail"]
    mounts.write_text(f"server:/x /elsewhere nfs4 rw 0 0\ntmpfs {escaped} tmpfs rw 0 0\n")
    assert checks(root)["file_system"]["state"] == "ok"
    monkeypatch.setattr(machine, "MOUNTS", str(tmp_path / "none"))
    assert checks(root)["file_system"]["state"] == "ok"


def test_old_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(machine.sqlite3, "sqlite_version_info", (3, 31, 0))
    monkeypatch.setattr(machine.platform, "system", lambda: "Windows")
    for check in (machine.check_python(), machine.check_sqlite(), machine.check_system()):
        assert check.state == "fail"
        assert check.remedy


def test_the_json_is_an_object_a_check(root: Path, home: Path, tmp_path: Path) -> None:
    lines = Kurt(root, home, tmp_path)("doctor", "--format", "jsonl").lines
    assert all(set(json.loads(line)) == {"check", "state", "detail", "remedy"} for line in lines)


def add_schedule(root: Path, *, tick_error: str | None = None) -> None:
    settings = load_settings(root, environ={})
    ensure_schema(settings)
    columns = "name, id, workflow, declared, cron, timezone, catch_up, overlap, inputs, due_at, created_at, updated_at"
    with closing(sqlite3.connect(settings.sqlite_path)) as connection, connection:
        connection.execute(
            f"INSERT INTO kurt_schedules ({columns})"
            " VALUES ('daily', 's', 'w.yaml', 1, '@daily', 'UTC', 0, 'skip', '{}', 1, 1, 1)"
        )
        if tick_error is not None:
            connection.execute(
                "INSERT INTO kurt_schedule_ticks (schedule_id, at, kind, state, is_open, error, changed_at)"
                " VALUES ('s', 1795000000000, 'regular', 'failed', 0, ?, 1)",
                (json.dumps({"message": tick_error}),),
            )


def test_schedules_that_nobody_serves_and_those_that_fail(root: Path) -> None:
    assert checks(root)["schedules"]["detail"] == "none"
    add_schedule(root, tick_error="w.yaml has 1 error")
    found = checks(root)["schedules"]
    assert (found["state"], found["remedy"]) == ("warn", "kurt worker start")
    assert found["detail"] == "1 schedule, and no live worker starts what is due"
    with open_lease(load_settings(root, environ={}), "worker", {"queues": ["default"]}):
        served = checks(root)["schedules"]
    assert served["detail"] == "'daily' could not be started for 2026-11-18T11:06:40Z: w.yaml has 1 error"
    assert served["remedy"] == "kurt schedules ticks 'daily'"
