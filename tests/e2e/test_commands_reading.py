"""`kurt workflows list|status|steps|logs|events|stream|result|wait|follow`, each option on runs of the real engine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.command import Command
from tests.support.language import Language, working
from tests.support.waiting import wait_until

RICH = """
    name: rich
    inputs: {n: 1}
    steps:
      - name: talk
        type: run
        command: "echo one; echo two >&2; echo three"
      - {name: flaky, type: python, call: "probe:flaky", args: ["rich-${run.id}", 1], retry: {max_attempts: 2, delay: 10ms}}
      - name: pages
        foreach: {items: [1, 0, 2], key: "p${item}", on_item_error: collect}
        steps: [{name: div, type: script, inputs: {n: "${item}"}, code: "print('dividing by', n); result = 6 // n"}]
      - {name: colour, type: emit, event: colour, value: {is: red}}
      - {name: none, type: script, code: 1/0, when: n > 5}
      - {name: say, foreach: {items: [a, b, c, d, e], max_concurrent: 1}, steps: [{name: s, type: emit, stream: letters, value: "${item}"}]}
    outputs: {pages: "${steps.pages}", text: "é ${n}"}
    """


class World(NamedTuple):
    """Runs in every state.

    Attributes:
        language: the project.
        ids: ids by a word that says what the run is.
        began: a moment before the first of them.
    """

    language: Language
    ids: dict[str, str]
    began: float


@pytest.fixture(scope="module")
def world(_template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    queues: dict[str, list[str]] = {"narrow": ["--concurrency", "1"]}
    with working(_template, home, tmp_path_factory.mktemp("language"), queues=queues) as language:
        began = time.time()
        language.write(RICH, "workflows/rich.yaml")
        language.write("name: hold\nsteps: [{name: hold, wait: {message: go}}]\n", "workflows/hold.yaml")
        language.write(
            "name: slow\nsteps: [{name: s, type: run, command: 'echo at work; sleep 300'}]\n",
            "workflows/slow.yaml",
        )
        language.write("name: bad\nsteps: [{name: b, type: script, code: 1/0}]\n", "workflows/bad.yaml")
        start = language.start
        ids = {"rich": start("workflows/rich.yaml"), "bad": start("workflows/bad.yaml")}
        # With a time: one that only waits for people holds no place in its queue.
        language.write(
            "name: hold\nsteps: [{name: hold, wait: {message: go, timeout: 10h}}]\n", "workflows/held.yaml"
        )
        ids["waiting"] = start("workflows/held.yaml", queue="narrow")
        language.until(ids["waiting"], "waiting")
        ids["queued"] = start("workflows/hold.yaml", queue="narrow", priority=4)
        ids["scheduled"] = start("workflows/hold.yaml", delay="1h")
        ids["running"] = start("workflows/slow.yaml")
        ids["cancelled"] = start("workflows/hold.yaml", delay="1h")
        language.client.cancel(ids["cancelled"])
        language.client.wait(ids["rich"])
        language.client.wait(ids["bad"])
        wait_until(lambda: "at work" in language.log(ids["running"]), 30, what="the slow run")
        ids["fork"] = language.client.fork(ids["rich"], start="colour").run_id
        language.client.wait(ids["fork"])
        yield World(language, ids, began)


@pytest.fixture
def here(world: World) -> Command:
    return world.language.here


def listed(here: Command, world: World, *options: str) -> list[str]:
    """The words of the runs that a listing shows."""
    words = {run_id: word for word, run_id in world.ids.items()}
    return [
        words.get(str(run["run_id"]), str(run["run_id"])) for run in here.json("workflows", "list", *options)
    ]


def test_list_shows_the_newest_first_and_pages(world: World, here: Command) -> None:
    newest = ["fork", "cancelled", "running", "scheduled", "queued", "waiting"]
    assert listed(here, world)[:6] == newest
    assert listed(here, world, "--limit", "2") == newest[:2]
    assert listed(here, world, "--limit", "2", "--offset", "2") == newest[2:4]
    assert listed(here, world, "--reverse")[-6:] == newest[::-1]
    assert set(listed(here, world)) == set(world.ids)


def test_list_by_state(world: World, here: Command) -> None:
    for state in ("scheduled", "queued", "running", "waiting", "cancelled"):
        assert listed(here, world, "--status", state) == [state]
    assert listed(here, world, "--status", "failed") == ["bad"]
    assert set(listed(here, world, "--status", "succeeded", "--status", "failed")) == {"rich", "fork", "bad"}
    assert listed(here, world, "--status", "interrupted") == []
    assert "'nonsense'" in here("workflows", "list", "--status", "nonsense", code=2).stderr


def test_list_by_what_runs_are(world: World, here: Command) -> None:
    assert set(listed(here, world, "--name", "rich")) == {"rich", "fork"}
    assert set(listed(here, world, "--queue", "narrow")) == {"waiting", "queued"}
    assert listed(here, world, "--forked-from", world.ids["rich"]) == ["fork"]
    assert listed(here, world, "--prefix", world.ids["bad"][:-2]) == ["bad"]
    assert listed(here, world, "--version", "kurt-1", "--name", "bad") == ["bad"]
    assert listed(here, world, "--version", "other") == []
    worker = here.json("workflows", "status", world.ids["running"])["executor_id"]
    assert {"running", "waiting", "rich"} <= set(listed(here, world, "--executor", worker))
    assert "queued" not in listed(here, world, "--executor", worker)
    children = here.json("workflows", "list", "--parent", world.ids["fork"])
    assert children == []
    assert here("workflows", "list", "--parent", "nobody", code=3).stdout == ""


def test_list_by_user_and_workspace(world: World, here: Command) -> None:
    kurt = world.language.kurt
    ada = {"KURT_USER_ID": "ada", "KURT_WORKSPACE_ID": "one"}
    mine = kurt.json("workflows", "run", "bad", "--background", env=ada)["run_id"]
    kurt("workflows", "wait", mine, code=1)
    assert listed(here, world, "--user", "ada") == listed(here, world, "--workspace", "one") == [mine]
    assert listed(here, world, "--user", "bob") == []
    shown = here.json("workflows", "status", mine)
    assert (shown["user_id"], shown["workspace_id"]) == ("ada", "one")
    world.language.client.delete(mine)


def test_list_by_time(world: World, here: Command) -> None:
    assert set(listed(here, world, "--since", "1h")) == set(world.ids)
    assert listed(here, world, "--until", "1h") == []
    made = here.json("workflows", "status", world.ids["scheduled"])["created_at"]
    assert set(listed(here, world, "--since", made)) == {"fork", "cancelled", "running", "scheduled"}
    assert set(listed(here, world, "--until", made)) == set(world.ids) - {
        "fork",
        "cancelled",
        "running",
        "scheduled",
    }
    assert "neither a time nor a duration" in here("workflows", "list", "--since", "soon", code=2).stderr


def test_list_for_people(world: World, here: Command) -> None:
    shown = here("workflows", "list", "--name", "rich")
    assert shown.lines[0].split() == ["RUN", "ID", "WORKFLOW", "STATE", "STARTED", "ENDED", "QUEUE"]
    assert world.ids["rich"] in shown.stdout, "ids are shown in full"
    assert "succeeded (1 of 3 items failed)" in shown.stdout
    assert here("workflows", "list", "--name", "nobody").stdout.startswith("no runs")
    assert here("workflows", "list", "--name", "nobody", "--format", "json").stdout == "[]\n"


def test_list_files(world: World, here: Command) -> None:
    folder = world.language.root / "workflows" / "pages"
    folder.mkdir()
    (folder / "workflow.py").write_text("raise RuntimeError('only imported when it is run')\n")
    found = here.json("workflows", "list", "--files")
    assert {"name": "rich", "kind": "yaml", "source": "workflows/rich.yaml"} in found
    assert {"name": "pages", "kind": "python", "source": "kurt.workflows.pages"} in found
    assert "quickstart" in here("workflows", "list", "--files").stdout


def test_status(world: World, here: Command) -> None:
    rich = here.json("workflows", "status", world.ids["rich"])
    assert (rich["status"], rich["outputs"]["text"], rich["file"]) == (
        "succeeded",
        "é 1",
        "workflows/rich.yaml",
    )
    assert rich["summary"] == {"items": 3, "items_failed": 1}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rich["started_at"])
    waiting = here.json("workflows", "status", world.ids["waiting"])
    assert (waiting["status"], waiting["waiting_for"]["topic"]) == ("waiting", "go")
    assert "a message on 'go', until" in here("workflows", "status", world.ids["waiting"]).stdout
    queued = here.json("workflows", "status", world.ids["queued"])
    assert (queued["queue"], queued["priority"], queued["started_at"]) == ("narrow", 4, None)
    bad = here.json("workflows", "status", world.ids["bad"])
    assert (bad["status"], bad["error"]["type"]) == ("failed", "ZeroDivisionError")
    assert "division by zero" in here("workflows", "status", world.ids["bad"]).stdout
    unique = world.ids["bad"][:-1]
    assert here.json("workflows", "status", unique)["run_id"] == world.ids["bad"]


def test_steps(world: World, here: Command) -> None:
    steps = {step["path"]: step for step in here.json("workflows", "steps", world.ids["rich"])}
    assert {path: step["status"] for path, step in steps.items() if "[" not in path} == {
        "talk": "succeeded", "flaky": "succeeded", "pages": "succeeded", "colour": "succeeded",
        "none": "skipped", "say": "succeeded",
    }  # fmt: skip
    assert (steps["flaky"]["attempt"], steps["pages[p0].div"]["status"]) == (2, "failed")
    assert steps["pages[p0].div"]["error"]["type"] == "ZeroDivisionError"
    assert {step["value"] for step in steps.values()} == {None}
    values = {
        step["path"]: step["value"] for step in here.json("workflows", "steps", world.ids["rich"], "--values")
    }
    assert (values["pages[p2].div"], values["colour"], values["flaky"]) == (3, {"is": "red"}, 2)
    table = here("workflows", "steps", world.ids["rich"]).lines
    assert table[0].split() == ["STEP", "KIND", "STATE", "ATTEMPTS", "SECONDS", "ERROR"]
    (flaky,) = (line.split() for line in table if line.startswith("flaky "))
    assert flaky[1:4] == ["python", "succeeded", "2"]
    assert float(flaky[4]) > 0
    running = here.json("workflows", "steps", world.ids["running"])
    assert [(step["path"], step["status"]) for step in running] == [("s", "running")]


def test_logs(world: World, here: Command) -> None:
    run_id = world.ids["rich"]
    everything = here("workflows", "logs", run_id).lines
    assert everything[0].endswith(f"run {run_id} of 'rich' is put on the queue 'default'")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z (INFO |WARN |ERROR) \[\S+\] ", line) for line in everything)
    for text in ("[talk] one", "[talk] two", "[pages[p0].div] dividing by 0"):
        assert any(text in line for line in everything), text
    assert here("workflows", "logs", run_id, "--tail", "3").lines == everything[-3:]
    assert everything[-1].endswith("[-] run succeeded")
    talk = here("workflows", "logs", run_id, "--step", "talk").lines
    assert talk == [line for line in everything if "[talk]" in line]
    assert len(talk) == 5
    inside = here("workflows", "logs", run_id, "--step", "pages").lines
    assert inside == [line for line in everything if "[pages" in line]
    errors = here("workflows", "logs", run_id, "--level", "error").lines
    assert errors == [line for line in everything if " ERROR " in line]
    assert len(errors) == 1
    warnings = here("workflows", "logs", run_id, "--level", "warn").lines
    assert len(warnings) == 2
    assert " WARN  [flaky] failed: RuntimeError: " in warnings[0]
    assert here("workflows", "logs", run_id, "--level", "error", "--tail", "1").lines == errors[-1:]
    assert here.json("workflows", "logs", run_id, "--tail", "1") == everything[-1:]
    assert (
        here("workflows", "logs", run_id, "--tail", "1", "--format", "jsonl").stdout
        == json.dumps(everything[-1]) + "\n"
    )


def test_a_log_that_is_gone(world: World, here: Command) -> None:
    path = world.language.root / ".kurt" / "logs" / f"workflow-{world.ids['cancelled']}.log"
    path.unlink()
    error = here("workflows", "logs", world.ids["cancelled"], "--format", "json", code=3).error()
    assert "its file is not here" in error["message"]


def test_events_and_streams(world: World, here: Command) -> None:
    events = here.json("workflows", "events", world.ids["rich"])
    assert events["colour"] == {"is": "red"}
    assert "colour" in here("workflows", "events", world.ids["rich"]).stdout
    page = here.json("workflows", "stream", world.ids["rich"], "letters", "--offset", "1", "--limit", "2")
    assert page == {"items": ["b", "c"], "next_offset": 3, "has_more": True, "closed": False}
    rest = here.json("workflows", "stream", world.ids["rich"], "letters", "--offset", "3")
    assert (rest["items"], rest["has_more"]) == (["d", "e"], False)
    error = here("workflows", "stream", world.ids["rich"], "nope", "--format", "json", code=3).error()
    assert "letters" in error["hint"]
    assert here.json("workflows", "events", world.ids["queued"]) == {}


def test_result(world: World, here: Command) -> None:
    assert here.json("workflows", "result", world.ids["rich"])["text"] == "é 1"
    failed = here("workflows", "result", world.ids["bad"], "--format", "json", code=1)
    assert failed.error()["message"].startswith(f"the run {world.ids['bad']} failed: ")
    waits = here("workflows", "result", world.ids["waiting"], "--format", "json", code=1)
    assert "is waiting" in waits.error()["message"]


def test_wait(world: World, here: Command) -> None:
    assert here.json("workflows", "wait", world.ids["rich"])["status"] == "succeeded"
    failed = here("workflows", "wait", world.ids["bad"], "--format", "json", code=1)
    assert (failed.json()["status"], failed.error()["code"]) == ("failed", "run_failed")
    assert here("workflows", "wait", world.ids["cancelled"], code=1).stdout
    began = time.monotonic()
    error = here(
        "workflows", "wait", world.ids["waiting"], "--timeout", "300ms", "--format", "json", code=1
    ).error()
    assert "is still waiting" in error["message"]
    assert 0.3 <= time.monotonic() - began < 10
    assert "'soon'" in here("workflows", "wait", world.ids["waiting"], "--timeout", "soon", code=2).stderr


def test_follow_ends_with_a_run_that_is_over(world: World, here: Command) -> None:
    done = here("workflows", "follow", world.ids["rich"])
    assert "state:        succeeded (1 of 3 items failed)" in done.stdout
    assert "step talk succeeded" in done.stderr
    assert here("workflows", "follow", world.ids["bad"], code=1).stderr.count("failed") >= 2
    quiet = here("workflows", "follow", world.ids["rich"], "--quiet")
    assert quiet.stderr == ""
    assert here.json("workflows", "follow", world.ids["rich"], "--wait")["status"] == "succeeded"


def test_follow_stays_from_queued_on_to_the_end(world: World) -> None:
    language = world.language
    hold = "name: hold\nsteps: [{name: hold, wait: {message: go}}, {name: end, type: script, code: '1/0 if XX else 0'}]\n"
    language.kurt("queues", "create", "late", "--concurrency", "1")
    kurt = language.kurt
    ids: dict[str, str] = {}
    followers: dict[str, Any] = {}
    for word, code in (("good", "0"), ("bad", "1")):
        name = language.write(hold.replace("XX", code), f"late-{word}.yaml")
        ids[word] = language.start(name, delay="2s")
        assert language.client.get(ids[word]).status == "scheduled"
        followers[word] = kurt.spawn("workflows", "follow", ids[word], *(["--wait"] if word == "bad" else []))
    for word, status in (("good", 0), ("bad", 1)):
        wait_until(
            lambda word=word: "scheduled" in followers[word].stderr,
            20,
            what="the follower to see it scheduled",
        )
        language.until(ids[word], "waiting")
        assert followers[word].running
        language.client.send(ids[word], None, topic="go")
        assert followers[word].wait(30) == status
        assert "step end" in followers[word].stderr
    assert language.client.get(ids["bad"]).status == "failed"


@pytest.mark.parametrize(
    "argv",
    [
        ["status"], ["steps"], ["logs"], ["events"], ["stream", "progress"], ["result"], ["wait"], ["follow"],
        ["cancel"], ["resume"], ["retry"], ["fork"], ["send", "--topic", "x"], ["delete"],
    ],
)  # fmt: skip
def test_an_unknown_or_ambiguous_id_ends_with_3(world: World, here: Command, argv: list[str]) -> None:
    verb, *rest = argv
    error = here("workflows", verb, "no-such-run", *rest, "--format", "json", code=3).error()
    assert (error["code"], error["hint"]) == ("not_found", "kurt workflows list")
    error = here("workflows", verb, "01", *rest, "--format", "json", code=3).error()
    assert (error["code"], error["hint"]) == ("ambiguous_id", "give more of the id")
