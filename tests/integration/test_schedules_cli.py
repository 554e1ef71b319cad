"""`kurt schedules` without a worker: what is stored and shown, and how each mistake is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kurt.app.client import Client
from kurt.cli.complete import schedules as completed
from kurt.config import load_settings
from kurt.errors import ConflictError
from kurt.runtime.schedule_types import iso
from tests.support.cli import Kurt
from tests.support.command import Command

DAILY = """
name: daily
inputs: {day: {type: date, required: true}, n: 3}
schedule: {cron: "30 2 * * *", timezone: Europe/Paris, inputs: {day: "${tick.date}"}}
steps: [{name: one, type: run, command: [echo, "${day}"]}]
"""
TWICE = """
schedule:
  - {cron: "@daily"}
  - {name: often, cron: "*/10 * * * *", overlap: queue, catch_up: true}
steps: [{name: one, type: run, command: [echo, hi]}]
"""
PLAIN = "inputs: {n: 3, day: {type: date, default: 2026-01-01}}\nsteps: [{type: run, command: [echo, hi]}]\n"
SECRET = "secrets: [NOWHERE_KEY]\nschedule: {cron: '@daily'}\nsteps: [{type: run, command: [echo, hi]}]\n"
HIDDEN = ("created_at", "updated_at", "next_at")


@pytest.fixture
def here(project: Path) -> Command:
    files = {"daily": DAILY, "twice": TWICE, "plain": PLAIN, "secret": SECRET}
    for name, text in files.items():
        (project / "workflows" / f"{name}.yaml").write_text(text)
    return Command(project)


def create(here: Command, *words: str) -> list[dict[str, Any]]:
    return here.json("schedules", "create", *words, "--no-worker")


def test_the_schedule_of_a_file_is_registered_and_again_after_a_change(here: Command, project: Path) -> None:
    (made,) = create(here, "daily")
    assert {key: value for key, value in made.items() if key not in HIDDEN} == {
        "name": "daily",
        "workflow": "workflows/daily.yaml",
        "cron": "30 2 * * *",
        "timezone": "Europe/Paris",
        "status": "active",
        "overlap": "skip",
        "catch_up": False,
        "inputs": {"day": "${tick.date}"},
        "queue": None,
        "priority": None,
        "declared": True,
        "user_id": None,
        "workspace_id": None,
        "action": "created",
    }
    assert create(here, "workflows/daily.yaml")[0]["action"] == "unchanged"
    here("schedules", "pause", "daily")
    file = project / "workflows" / "daily.yaml"
    file.write_text(DAILY.replace("30 2 * * *", "0 3 * * *"))
    (changed,) = create(here, "daily")
    assert (changed["action"], changed["cron"], changed["status"]) == ("updated", "0 3 * * *", "paused")
    (listed,) = here.json("schedules", "list")
    assert (listed["cron"], listed["served"], listed["last"], listed["waiting"]) == (
        "0 3 * * *",
        False,
        None,
        0,
    )
    assert listed["next_at"] is None
    assert here.json("schedules", "resume", "daily", "--no-worker")[0]["next_at"] is not None


def test_a_file_may_have_several(here: Command) -> None:
    made = create(here, "twice")
    assert [(one["name"], one["overlap"], one["catch_up"]) for one in made] == [
        ("twice", "skip", False),
        ("often", "queue", True),
    ]
    assert [
        one["schedule"] for one in here.json("schedules", "next", "workflows/twice.yaml", "--count", "2")
    ] == [
        *("twice", "twice"),
        *("often", "often"),
    ]
    settings = load_settings(here._root, environ={})
    assert completed(settings, "o") == [("often", "*/10 * * * * UTC")]


def test_a_schedule_of_a_name_keeps_typed_inputs_and_references(here: Command) -> None:
    words = [
        "mine",
        "--workflow",
        "plain",
        "--cron",
        "@weekly",
        "--input",
        "n=7",
        "--input",
        "day=${tick.date}",
    ]
    (made,) = create(here, *words, "--priority", "4")
    assert (made["inputs"], made["priority"], made["declared"]) == ({"n": 7, "day": "${tick.date}"}, 4, False)
    assert "there is a schedule 'mine'" in here("schedules", "create", *words, "--no-worker", code=1).stderr
    (changed,) = create(
        here, "mine", "--workflow", "daily", "--cron", "@daily", "--input", "day=2026-02-03", "--replace"
    )
    assert (changed["action"], changed["workflow"]) == ("updated", "workflows/daily.yaml")
    assert changed["inputs"] == {"day": "2026-02-03"}


def test_each_belongs_to_whom_it_was_made_for(here: Command) -> None:
    here("--user", "ann", "schedules", "create", "twice", "--no-worker")
    create(here, "daily")
    assert [one["name"] for one in here.json("--user", "ann", "schedules", "list")] == ["often", "twice"]
    assert here.json("--user", "bob", "schedules", "list") == []
    assert (
        "there is no schedule 'often'" in here("--user", "bob", "schedules", "pause", "often", code=3).stderr
    )
    assert len(here.json("schedules", "list")) == 3


def test_times_to_come_need_no_project(tmp_path: Path, home: Path) -> None:
    bare = Kurt(tmp_path, home, tmp_path)
    found = bare.json("schedules", "next", "--cron", "0 7 * * 1", "--from", "2026-11-21", "--count", "1")
    assert found == [
        {
            "schedule": None,
            "at": "2026-11-23T07:00:00Z",
            "local": "2026-11-23T07:00:00+00:00",
            "weekday": "Monday",
            "timezone": "UTC",
        }
    ]
    (tmp_path / "daily.yaml").write_text(DAILY)
    shown = bare("schedules", "next", "daily.yaml", "--from", "2026-10-24", "--count", "2").lines
    assert shown[1:] == [
        "daily     2026-10-24T02:30:00+02:00  Saturday  2026-10-24T00:30:00Z",
        "daily     2026-10-25T02:30:00+02:00  Sunday    2026-10-25T00:30:00Z",
    ]
    assert not (tmp_path / ".kurt").exists()


MISTAKES = [
    (["create"], 2, "Missing argument 'FILE|NAME'", "kurt schedules create --help"),
    (["create", "nowhere"], 3, "there is no workflow file 'nowhere'", "--workflow X --cron"),
    (["create", "plain"], 2, "workflows/plain.yaml declares no schedule", "schedule: {cron: 0 7 * * 1"),
    (["create", "plain", "--cron", "@daily"], 2, "--cron is for a schedule", "add --workflow FILE"),
    (["create", "x", "--workflow", "plain"], 2, "it is not said when", "add --cron"),
    (["create", "x", "--workflow", "plain", "--cron", "7"], 2, "'7' has 1 field", "write five fields"),
    (
        ["create", "x", "--workflow", "plan", "--cron", "@daily"],
        3,
        "no workflow 'plan'",
        "did you mean `plain`?",
    ),
    (
        ["create", "x", "--workflow", "plain", "--cron", "@daily", "--timezone", "Europe/Rom"],
        *(2, "'Europe/Rom' is not a time zone", "did you mean `Europe/Rome`?"),
    ),
    (
        ["create", "x", "--workflow", "plain", "--cron", "@daily", "--input", "n=many"],
        *(2, "`n` must be a whole number", "the inputs of 'plain' are"),
    ),
    (
        ["create", "x", "--workflow", "daily", "--cron", "@daily"],
        *(2, "the input `day` is missing", "add --input day=..."),
    ),
    (
        ["create", "x", "--workflow", "plain", "--cron", "@daily", "--input", "day=${tick.dya}"],
        *(1, "`tick` has no key 'dya'", "its keys are: `at`, `date`"),
    ),
    (
        ["create", "x", "--workflow", "plain", "--cron", "@daily", "--queue", "gpu"],
        *(3, "there is no queue 'gpu'", "kurt queues create gpu"),
    ),
    (["create", "-x", "--workflow", "plain", "--cron", "@daily"], 2, "No such option", "--help"),
    (["create", "secret"], 4, "the secret NOWHERE_KEY is not set", "add the line NOWHERE_KEY=..."),
    (["pause", "dayly"], 3, "there is no schedule 'dayly'", "did you mean `daily`?"),
    (["resume", "x"], 3, "there is no schedule 'x'", "kurt schedules list"),
    (["trigger", "x"], 3, "there is no schedule 'x'", "kurt schedules list"),
    (["ticks", "x"], 3, "there is no schedule 'x'", "kurt schedules list"),
    (["delete", "daily", "x"], 3, "there is no schedule 'x'", "kurt schedules list"),
    (["next"], 2, "it is not said which schedule is meant", "kurt schedules next FILE"),
    (["next", "daily", "--cron", "@daily"], 2, "it is not said which schedule is meant", "next FILE"),
    (["next", "--timezone", "UTC"], 2, "--timezone says more about --cron", "add --cron"),
    (["next", "daily", "--from", "soon"], 2, "'soon' is neither a date nor a time", "write 2026-11-21"),
    (["backfill", "daily"], 2, "Missing option '--from'", "kurt schedules backfill --help"),
    (
        ["backfill", "daily", "--from", "2026-10-01", "--to", "2999-10-01"],
        *(2, "'2999-10-01' is not over yet", "end with a time in the past"),
    ),
    (
        ["backfill", "daily", "--from", "2026-10-01T03:00", "--to", "2026-10-01T04:00"],
        *(2, "'daily' was not due between", "kurt schedules next 'daily' --from"),
    ),
    (
        ["backfill", "daily", "--from", "2026-10-31", "--to", "2026-10-01"],
        *(2, "--from 2026-10-31 is after --to 2026-10-01", "exchange the two"),
    ),
    (
        ["backfill", "often", "--from", "2020-01-01", "--to", "2026-01-01"],
        *(2, "more than 10,000 times", "a shorter range"),
    ),
]


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    MISTAKES,
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_mistakes_are_answered_with_their_remedy(
    here: Command, words: list[str], code: int, error: str, hint: str
) -> None:
    if words[0] != "create":
        create(here, "daily")
        create(here, "twice")
    result = here("schedules", *words, "--format", "json", code=code)
    assert result.stdout == ""
    told = json.loads(result.stderr)["error"]
    assert error in told["message"]
    assert hint in told["hint"]
    assert len(here.json("schedules", "list")) == (0 if words[0] == "create" else 3)


def test_another_file_cannot_take_a_name_unasked(here: Command, project: Path) -> None:
    create(here, "daily")
    (project / "workflows" / "second.yaml").write_text(DAILY)
    result = here("schedules", "create", "second", "--no-worker", code=1)
    assert "there is a schedule 'daily' of another workflow: workflows/daily.yaml" in result.stderr
    assert "give one of them another `name:`, or kurt schedules delete 'daily'" in result.stderr


def test_an_empty_list_says_how_to_make_one(here: Command) -> None:
    assert here("schedules", "list").stdout == "no schedules; make one with: kurt schedules create FILE\n"
    create(here, "daily")
    assert here("schedules", "ticks", "daily").stdout == "nothing was due yet\n"
    assert "no live worker, so nothing is started" in here("schedules", "list").stderr
    assert here("schedules", "delete", "daily").stdout == "deleted daily\n"


def test_programs_have_the_same_operations(here: Command, project: Path) -> None:
    schedules = Client(project).schedules
    (made,) = schedules.register("daily", worker=False)
    assert (made.name, made.declared) == ("daily", True)
    own = schedules.create("own", "plain", "@daily", inputs={"n": 4}, timezone="Europe/Rome", worker=False)
    assert (own.inputs, own.timezone) == ({"n": 4}, "Europe/Rome")
    with pytest.raises(ConflictError, match="there is a schedule 'own'"):
        schedules.create("own", "plain", "@daily", worker=False)
    assert [one["name"] for one in schedules.list()] == ["daily", "own"]
    assert schedules.pause("own").is_paused
    assert not schedules.resume("own").is_paused
    found = schedules.backfill("own", "2026-11-01", "2026-11-03", dry_run=True)
    assert [iso(at) for at in found.asked] == [f"2026-{day}T23:00:00Z" for day in ("10-31", "11-01", "11-02")]
    assert schedules.ticks("own") == []
    assert [one.name for one in schedules.delete("daily", "own")] == ["daily", "own"]
