"""`foreach`: order, concurrency, failures, and what a value in a command line can do."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kurt.app.primitives.foreach import fill, foreach, run_program
from kurt.errors import DataError, ExpressionError, KurtError, StepError, UsageError

SHOW_ARGV = f"{sys.executable} -c 'import sys, json; print(json.dumps(sys.argv[1:]))'"
SHOW_STDIN = f"{sys.executable} -c 'import sys; print(sys.stdin.read(), end=str())'"


def test_results_come_in_the_order_of_the_items_whatever_ends_first() -> None:
    turns = [threading.Event() for _ in range(4)]
    turns[3].set()

    def run(_: list[str], item: int) -> str:
        assert turns[item].wait(20)
        if item:
            turns[item - 1].set()
        return f"done {item}"

    assert foreach([0, 1, 2, 3], "x", run=run, max_concurrent=4) == [f"done {n}" for n in range(4)]


def test_as_many_items_as_allowed_are_at_work_at_once_and_no_more() -> None:
    barrier = threading.Barrier(3, timeout=20)
    lock = threading.Lock()
    now, most = 0, 0

    def run(_: list[str], item: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait()  # three at a time: fewer would never get through
        with lock:
            now -= 1
        return item

    assert foreach(list(range(9)), "x", run=run, max_concurrent=3) == list(range(9))
    assert most == 3


def test_real_programs_are_at_work_at_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "(here / sys.argv[2]).touch()\n"
        "limit = time.monotonic() + 20\n"
        "while len(list(here.iterdir())) < 3:\n"
        "    assert time.monotonic() < limit\n"
        "    time.sleep(0.01)\n"
        "print(sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), "{item}"]
    assert foreach([1, 2, 3], command, run=run_program, max_concurrent=3) == [1, 2, 3]


def test_one_at_a_time_stays_in_this_thread() -> None:
    threads = foreach([1, 2], "x", run=lambda _, __: threading.get_ident())
    assert threads == [threading.get_ident()] * 2


def failing(argv: list[str], item: Any) -> Any:
    if item == "bad":
        raise StepError("no good", hint="try another", type="ExitError", details={"exit_code": 3})
    return item


def test_fail_starts_nothing_more_and_says_which_item_and_why() -> None:
    started: list[Any] = []

    def run(argv: list[str], item: Any) -> Any:
        started.append(item)
        return failing(argv, item)

    with pytest.raises(StepError, match="item 1 failed: no good") as caught:
        foreach(["a", "bad", "b", "bad"], "x", run=run)
    assert started == ["a", "bad"]
    error = caught.value
    assert (error.type, error.hint, error.details["exit_code"]) == ("ExitError", "try another", 3)
    assert [failure["index"] for failure in error.details["failures"]] == [1]
    assert error.causes == ("1 of 4 items succeeded, 1 failed, 2 never started",)


def test_skip_leaves_failed_items_out() -> None:
    assert foreach(["a", "bad", "b"], "x", run=failing, on_error="skip") == ["a", "b"]


def test_collect_tells_of_every_item() -> None:
    assert foreach(["a", "bad"], "x", run=failing, on_error="collect") == [
        {"index": 0, "ok": True, "value": "a"},
        {
            "index": 1,
            "ok": False,
            "error": {"code": "step_failed", "message": "no good", "hint": "try another"},
        },
    ]


def test_an_unexpected_error_is_not_taken_for_an_item_that_failed() -> None:
    def run(_: list[str], item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        foreach([1, 2, 3], "x", run=run, max_concurrent=2, on_error="collect")


def test_progress_counts() -> None:
    seen: list[tuple[int, int, int]] = []
    foreach(["a", "bad"], "x", run=failing, on_error="skip", progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 0, 2), (2, 1, 2)]


@pytest.mark.parametrize(
    ("word", "item", "filled"),
    [
        ("{item}", "a b; rm -rf ~", "a b; rm -rf ~"),
        ("{item}", {"a": None}, '{"a": null}'),
        ("{item}", True, "true"),
        ("out/{index}-{item.name}.json", {"name": "ü x"}, "out/7-ü x.json"),
        ("{item[1]}", ["a", "b"], "b"),
        ("{item.tags[1].x}", {"tags": [0, {"x": 2.5}]}, "2.5"),
        ('{"a": "{item}"}', "v", '{"a": "v"}'),
        ("{items} {} {other}", "v", "{items} {} {other}"),
        ("{item}", "{index} {item} ${item}", "{index} {item} ${item}"),
    ],
)
def test_placeholders(word: str, item: Any, filled: str) -> None:
    assert fill([word], item, 7) == [filled]


def test_an_unknown_key_names_the_known_ones() -> None:
    with pytest.raises(ExpressionError, match="no key 'nme'") as caught:
        fill(["{item.nme}"], {"name": 1}, 0)
    assert caught.value.hint is not None
    assert "name" in caught.value.hint


def test_a_value_is_one_argument_and_never_shell_text() -> None:
    nasty = "a 'b' \"c\"\n$(touch x); rm -rf ~ ${item} `d` *"
    assert foreach([nasty], f"{SHOW_ARGV} -- {{item}} x", run=run_program) == [["--", nasty, "x"]]


def test_the_item_is_json_on_stdin() -> None:
    items = [{"a": "ü\n'"}, "text", None, "x" * 5_000_000]
    assert foreach(items, SHOW_STDIN, run=run_program, max_concurrent=2) == items


@pytest.mark.parametrize(
    ("printed", "result"), [('{"a": 1}', {"a": 1}), ("two\nlines\n", "two\nlines"), ("", "")]
)
def test_output_is_parsed_if_it_is_json(printed: str, result: Any) -> None:
    assert run_program([sys.executable, "-c", f"print({printed!r}, end='')"], None) == result


@pytest.mark.parametrize(
    ("argv", "message", "details"),
    [
        (["no-such-program"], "'no-such-program' cannot be started", {}),
        (["true", "x\0y"], "embedded null byte", {}),
        (["true", "x" * 3_000_000], "Argument list too long", {}),
        (
            ["sh", "-c", "echo one >&2; echo two >&2; exit 3"],
            "exited with 3: two",
            {"exit_code": 3, "stderr": "one\ntwo"},
        ),
    ],
)
def test_a_program_that_fails(argv: list[str], message: str, details: dict[str, Any]) -> None:
    with pytest.raises(StepError) as caught:
        run_program(argv, None)
    assert message in caught.value.message
    assert caught.value.details == details


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"items": {"a": 1}}, DataError, "needs a list"),
        ({"command": "  "}, UsageError, "empty"),
        ({"command": "echo 'x"}, UsageError, "cannot be split"),
        ({"max_concurrent": 0}, UsageError, "less than 1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], kind: type[KurtError], message: str) -> None:
    given = {"items": [1], "command": "echo", "max_concurrent": 1, **arguments}
    with pytest.raises(kind, match=message):
        foreach(given["items"], given["command"], run=run_program, max_concurrent=given["max_concurrent"])


def test_no_items_no_work() -> None:
    assert foreach([], "x", run=failing, max_concurrent=5) == []
