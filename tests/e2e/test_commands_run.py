"""`kurt workflows run` with each of its options, on the real engine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cli import Kurt
from tests.support.command import Command
from tests.support.language import Language, working
from tests.support.waiting import wait_until

ECHO = """
    name: echo
    inputs: {word: hello, fail: false}
    steps:
      - {name: mark, type: python, call: "probe:mark", args: ["${word}", "${word}"]}
      - {name: check, type: script, inputs: {fail: "${fail}"}, code: "assert not fail, 'told to fail'"}
    outputs: {word: "${steps.mark}", rows: [1, {a: null}]}
    """


@pytest.fixture(scope="module")
def language(_template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Language]:
    queues = {
        "narrow": ["--concurrency", "1"],
        "other": [],
        "parted": ["--partition-concurrency", "1"],
    }
    with working(_template, home, tmp_path_factory.mktemp("language"), queues=queues) as language:
        language.write(ECHO, "workflows/echo.yaml")
        language.write("name: hold\nsteps: [{name: hold, wait: {message: go}}]\n", "hold.yaml")
        yield language


@pytest.fixture
def kurt(language: Language) -> Kurt:
    return language.kurt


@pytest.fixture
def here(language: Language) -> Command:
    return language.here


def submit(here: Command, *argv: str) -> str:
    return here.json("workflows", "run", *argv, "--background")["run_id"]


def test_a_foreground_run_prints_its_outputs_and_tells_its_progress(language: Language, kurt: Kurt) -> None:
    done = kurt("workflows", "run", "echo", "--input", "word=plain text")
    assert done.stdout == 'word: plain text\nrows: [\n  1,\n  {\n    "a": null\n  }\n]\n'
    (run,) = language.client.list(name="echo", limit=1)
    lines = done.stderr.splitlines()
    assert lines[0] == f"run {run.id} running"
    assert "step mark started" in lines
    assert any(line.startswith("step check succeeded in ") for line in lines)
    quiet = kurt("workflows", "run", "echo", "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout.startswith("word: hello\n")


def test_a_failed_foreground_run_ends_with_1_and_says_why(language: Language, kurt: Kurt) -> None:
    done = kurt("workflows", "run", "echo", "--input", "fail=true", code=1)
    (run,) = language.client.list(name="echo", limit=1)
    assert run.status == "failed"
    error = [line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert error[0].startswith(f"error: the run {run.id} failed: step 'check' failed: told to fail")
    assert error[1] == f"hint: kurt workflows retry {run.id}"
    quiet = kurt("workflows", "run", "echo", "--input", "fail=true", "--quiet", code=1)
    assert quiet.stderr.startswith("error: the run ")
    failed = kurt("workflows", "run", "echo", "--input", "fail=true", "--format", "json", code=1)
    assert (failed.json()["status"], failed.json()["error"]["type"]) == ("failed", "AssertionError")
    assert failed.error()["code"] == "run_failed"


def test_background_says_the_id_the_log_and_how_to_follow(language: Language, kurt: Kurt) -> None:
    done = kurt("workflows", "run", "echo", "--background", "--input", "word=behind")
    started, logs, follow = done.lines
    run_id = started.removeprefix("Workflow started: ")
    assert follow == f"Follow: kurt workflows follow {run_id}"
    log = Path(logs.removeprefix("Logs: "))
    assert log.is_absolute()
    assert language.client.result(run_id, timeout=30)["word"] == "behind"
    assert run_id in log.read_text().splitlines()[0], "the first line is written before the run starts"
    submitted = kurt.json("workflows", "run", "echo", "--background")
    assert submitted == {
        "run_id": submitted["run_id"],
        "workflow_id": submitted["run_id"],
        "name": "echo",
        "status": "queued",
        "log": str(language.root / ".kurt" / "logs" / f"workflow-{submitted['run_id']}.log"),
        "queue": "default",
        "existing": False,
    }
    assert kurt.json("workflows", "wait", submitted["run_id"])["status"] == "succeeded"


def test_an_unknown_queue_or_workflow_is_an_error_and_starts_nothing(language: Language, kurt: Kurt) -> None:
    before = kurt.json("worker", "list"), kurt.json("queues", "list"), len(language.client.list(limit=1000))
    for options in (["--background"], []):
        error = kurt(
            "workflows", "run", "echo", "--queue", "nowhere", *options, "--format", "json", code=3
        ).error()
        assert (error["code"], error["hint"]) == ("not_found", "kurt queues create nowhere")
    for target in ("no-such-name", "no/such/file.yaml"):
        error = kurt("workflows", "run", target, "--format", "json", code=3).error()
        assert target in error["message"]
    assert before == (
        kurt.json("worker", "list"),
        kurt.json("queues", "list"),
        len(language.client.list(limit=1000)),
    )


def test_queues_are_kept_also_by_foreground_runs(language: Language, kurt: Kurt, here: Command) -> None:
    run = kurt.json("workflows", "run", "echo", "--queue", "other")
    assert (run["status"], run["queue"]) == ("succeeded", "other")
    run_id = submit(here, "echo", "--queue", "other", "--input", "word=queued")
    assert language.client.wait(run_id, timeout=30).queue == "other"


def test_low_priorities_come_first_and_none_before_all(language: Language, here: Command) -> None:
    first = submit(here, "hold.yaml", "--queue", "narrow")
    language.until(first, "waiting")
    ids = {
        priority: language.start(
            "workflows/echo.yaml", {"word": f"p{priority}"}, queue="narrow", priority=priority
        )
        for priority in (9, 5)
    }
    ids[1] = submit(here, "echo", "--queue", "narrow", "--priority", "1")
    ids[0] = language.start("workflows/echo.yaml", queue="narrow")
    assert {language.client.get(run_id).status for run_id in ids.values()} == {"queued"}
    assert [language.client.get(ids[priority]).priority for priority in (9, 5, 1, 0)] == [9, 5, 1, 0]
    language.client.send(first, None, topic="go")
    runs = {priority: language.client.wait(run_id, timeout=30) for priority, run_id in ids.items()}
    order = sorted(runs, key=lambda priority: runs[priority].started_at or runs[priority].created_at)
    assert order == [0, 1, 5, 9]


def test_a_run_id_is_used_once(language: Language, kurt: Kurt, here: Command) -> None:
    first = kurt.json("workflows", "run", "echo", "--run-id", "mine-1", "--input", "word=once")
    again = kurt.json("workflows", "run", "echo", "--run-id", "mine-1", "--input", "word=once")
    assert first == again
    assert first["run_id"] == "mine-1"
    behind = kurt.json("workflows", "run", "echo", "--run-id", "mine-1", "--background")
    assert (behind["run_id"], behind["existing"]) == ("mine-1", True)
    assert language.marks("once") == 1
    assert (
        kurt("workflows", "run", "echo", "--run-id", "mine-1", "--background").lines[0]
        == "Workflow already there: mine-1"
    )
    queued = submit(here, "echo", "--run-id", "mine-2", "--input", "word=twice")
    assert submit(here, "echo", "--run-id", "mine-2", "--input", "word=twice") == queued == "mine-2"
    language.client.wait("mine-2", timeout=30)
    assert language.marks("twice") == 1
    for options in ([], ["--background"]):
        assert kurt("workflows", "run", "echo", "--run-id", "no spaces", *options, code=2).stdout == ""


def test_a_failed_run_id_stays_failed(language: Language, kurt: Kurt) -> None:
    for _ in range(2):
        done = kurt(
            "workflows",
            "run",
            "echo",
            "--run-id",
            "mine-3",
            "--input",
            "fail=true",
            "--input",
            "word=f3",
            code=1,
        )
        assert "mine-3 failed" in done.stderr
    assert language.marks("f3") == 1


def test_deduplication(language: Language, here: Command) -> None:
    first = submit(here, "hold.yaml", "--dedup-id", "only")
    error = here(
        "workflows", "run", "hold.yaml", "--background", "--dedup-id", "only", "--format", "json", code=1
    ).error()
    assert error["code"] == "conflict"
    assert "return-existing" in error["hint"]
    same = here.json(
        "workflows",
        "run",
        "hold.yaml",
        "--background",
        "--dedup-id",
        "only",
        "--on-duplicate",
        "return-existing",
    )
    assert (same["run_id"], same["existing"]) == (first, True)
    assert submit(here, "hold.yaml", "--dedup-id", "else") != first
    language.client.send(first, None, topic="go")
    language.client.wait(first, timeout=30)
    later = submit(here, "hold.yaml", "--dedup-id", "only", "--on-duplicate", "reject")
    assert later != first
    language.client.cancel(later)


def test_later(language: Language, here: Command) -> None:
    run_id = submit(here, "echo", "--in", "1500ms")
    run = language.client.get(run_id)
    assert run.status == "scheduled"
    assert run.scheduled_for
    assert run.scheduled_for > datetime.now(UTC) - timedelta(seconds=2)
    far = submit(here, "echo", "--at", "2100-01-01T00:00:00Z")
    found = here.json("workflows", "status", far)
    assert (found["status"], found["scheduled_for"][:17]) == ("scheduled", "2100-01-01T00:00:")
    assert language.client.wait(run_id, timeout=30).status == "succeeded"
    past = submit(here, "echo", "--at", "2020-01-01")
    assert language.client.wait(past, timeout=30).status == "succeeded"
    language.client.cancel(far)


def test_debounce(language: Language, here: Command) -> None:
    options = ["--debounce", "1s", "--debounce-key", "k"]
    ids = [submit(here, "echo", *options, "--input", f"word=deb{n}") for n in range(3)]
    assert len(set(ids)) == 1, "many requests are one run"
    assert language.client.result(ids[0], timeout=30)["word"] == "deb2", "with what the last one asked"
    assert [language.marks(f"deb{n}") for n in range(3)] == [0, 0, 1]
    end = time.monotonic() + 6
    first = submit(here, "echo", "--debounce", "4s", "--debounce-key", "m", "--debounce-max", "1s")
    assert language.client.wait(first, timeout=30).status == "succeeded"
    assert time.monotonic() < end


def test_partitions(language: Language, here: Command) -> None:
    assert (
        "partitioned" in here("workflows", "run", "echo", "--queue", "parted", "--background", code=2).stderr
    )
    error = here(
        "workflows", "run", "echo", "--partition-key", "a", "--background", "--format", "json", code=2
    ).error()
    assert "not partitioned" in error["message"]
    error = here(
        "workflows", "run", "echo", "--queue", "parted", "--partition-key", "a", "--dedup-id", "x", "--background",
        "--format", "json", code=2,
    ).error()  # fmt: skip
    assert "deduplication" in error["message"]
    held = submit(here, "hold.yaml", "--queue", "parted", "--partition-key", "a")
    language.until(held, "waiting")
    same = submit(here, "echo", "--queue", "parted", "--partition-key", "a")
    other = submit(here, "echo", "--queue", "parted", "--partition-key", "b")
    assert language.client.wait(other, timeout=30).status == "succeeded"
    assert language.client.get(same).status == "queued", "the first of its key is still at work"
    language.client.send(held, None, topic="go")
    assert language.client.wait(same, timeout=30).status == "succeeded"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--priority", "1"], "add --background"),
        (["--in", "1m"], "--in is about a place in a queue"),
        (["--at", "2100-01-01"], "--at is about a place in a queue"),
        (["--dedup-id", "x"], "--dedup-id is about"),
        (["--debounce", "1s"], "--debounce is about"),
        (["--partition-key", "x"], "--partition-key is about"),
        (["--background", "--on-duplicate", "reject"], "add --dedup-id ID"),
        (["--background", "--debounce", "1s"], "--debounce needs a key"),
        (["--background", "--debounce-key", "x"], "add --debounce 60s"),
        (["--background", "--in", "1m", "--at", "2100-01-01"], "exclude each other"),
        (["--background", "--in", "soon"], "'soon'"),
        (["--background", "--at", "soon"], "'soon'"),
        (["--timeout", "soon"], "'soon'"),
        (["--background", "--priority", "0"], "--priority"),
        (
            ["--background", "--debounce", "1s", "--debounce-key", "x", "--priority", "2"],
            "cannot be combined",
        ),
        (["--input", "nope=1"], "there is no input `nope`"),
        (["--inputs-file", "no-such-file"], "no-such-file"),
    ],
)
def test_options_that_make_no_sense_are_refused(here: Command, options: list[str], words: str) -> None:
    done = here("workflows", "run", "echo", *options, code=2)
    assert words in done.stderr
    assert done.stdout == ""


def test_a_dry_run_has_no_effects(project: Path, kurt: Kurt, language: Language) -> None:
    for name in (".kurt", "kurt.sqlite"):
        if (project / name).exists():
            (project / name).rename(project.parent / f"gone-{name}")
    (project / "echo.yaml").write_text((language.root / "workflows/echo.yaml").read_text())
    before = sorted(path for path in project.rglob("*"))
    for options in ([], ["--background", "--queue", "other", "--priority", "3", "--timeout", "1h"]):
        shown = kurt(
            "workflows", "run", "echo.yaml", "--dry-run", "--input", "word=dry", *options, cwd=project
        )
        assert "mark: python" in shown.stdout
        assert "word = dry" in shown.stdout
        plan = kurt.json("workflows", "run", "echo.yaml", "--dry-run", *options, cwd=project)
        assert plan["dry_run"] is True
        assert [step["path"] for step in plan["plan"]["steps"]] == ["mark", "check"]
    assert (plan["queue"], plan["priority"], plan["timeout"]) == ("other", 3, 3600)
    assert (
        kurt("workflows", "run", "echo.yaml", "--dry-run", "--input", "nope=1", code=2, cwd=project).stdout
        == ""
    )
    assert (
        kurt("workflows", "run", "echo.yaml", "--dry-run", "--priority", "1", code=2, cwd=project).stdout
        == ""
    )
    assert sorted(path for path in project.rglob("*")) == before
    assert language.marks("dry") == 0


def test_the_results_as_lines_of_json(kurt: Kurt) -> None:
    done = kurt("workflows", "run", "echo", "--format", "jsonl")
    (line,) = done.lines
    assert json.loads(line)["outputs"]["word"] == "hello"
    shown = kurt("workflows", "run", "echo", env={"KURT_FORMAT": "json"})
    assert shown.json()["status"] == "succeeded"


def test_a_run_from_elsewhere(language: Language, kurt: Kurt, tmp_path: Path) -> None:
    """Relative paths of steps start at the project's root, wherever the command was given."""
    folder = language.root / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "here.yaml").write_text(
        "steps: [{name: pwd, type: run, command: [pwd]}, {name: w, type: cli, command: workflows write, args: {data: 1, output: at-root.json}}]\n"
        "outputs: {pwd: '${steps.pwd.stdout}'}\n"
    )
    run = kurt.json("workflows", "run", "here.yaml", cwd=folder)
    assert run["outputs"]["pwd"] == str(language.root)
    assert run["file"] == "deep/er/here.yaml"
    assert (language.root / "at-root.json").exists()
    run = kurt.json("--project", str(language.root), "workflows", "run", "echo", cwd=tmp_path)
    assert run["status"] == "succeeded"
    run_id = kurt.json("workflows", "run", "here.yaml", "--background", cwd=folder)["run_id"]
    assert language.client.result(run_id, timeout=30) == {"pwd": str(language.root)}
    wait_until(lambda: not kurt.json("workflows", "list", "--status", "running"), 20)
