"""The live view: what is shown, in what words, on which screen."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from kurt.cli.live import LiveView, ScreenView, can_draw, closing_lines, live_view
from kurt.cli.live_board import Board
from kurt.cli.live_rows import note_of
from kurt.cli.live_screen import Screen
from kurt.cli.session import JSON, Session, opened, rendering


class Clock:
    """Time that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board("pages", clock=clock)


class Stream(io.StringIO):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - as the real streams do it
        return self._encoding


def drawn(
    board: Board, *, width: int = 80, height: int = 24, encoding: str = "utf-8", final: bool = False
) -> list[str]:
    """The lines that the screen shows."""
    screen = Screen(board, Stream(encoding), colour=True)
    screen.console.width, screen.console.height = width, height
    screen._final = final
    recorder = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    recorder.print(screen.render())
    return [line.rstrip() for line in recorder.export_text().splitlines()]


def test_steps_are_shown_with_symbol_word_and_time(board: Board, clock: Clock) -> None:
    board.run({"run_id": "01k", "status": "running"}, ["fetch", "report", "notify", "clean", "last"])
    board.step("fetch", "running", {"attempt": 1})
    clock.now += 1.24
    board.step("fetch", "succeeded", {"seconds": 1.24})
    board.step("report", "running", {"attempt": 2})
    board.step("notify", "skipped", {})
    board.step("clean", "running", {})
    board.step("clean", "failed", {"error": {"type": "ExitError", "message": "no good\nmore"}})
    clock.now += 2
    assert drawn(board) == [
        "pages  running  3s  01k",
        "✓ fetch   succeeded  1.2s",
        "● report  running    2s  attempt 2",
        "↷ notify  skipped",
        "✗ clean   failed     0s  no good",
        "○ last    waiting",
    ]


def test_a_retry_says_what_went_wrong(board: Board) -> None:
    board.step("fetch", "running", {})
    board.step("fetch", "retrying", {"attempt": 1, "error": {"message": "HTTP 503"}, "wait": 2.0})
    assert drawn(board)[1] == "↻ fetch  retrying   0s  HTTP 503"
    board.step("fetch", "running", {"attempt": 2})
    assert drawn(board)[1] == "● fetch  running    0s  attempt 2"


def test_items_have_a_bar_and_their_steps_are_listed_while_they_work(board: Board, clock: Clock) -> None:
    board.step("pages", "running", {})
    board.items("pages", 10, 1, 40)
    board.step("pages[a/b].fetch", "running", {})
    board.step("pages[c].fetch", "running", {})
    board.step("pages[c].fetch", "succeeded", {})
    board.step("pages[d].save", "running", {})
    board.step("pages[d].save", "failed", {"error": {"message": "full"}})
    clock.now += 2
    board.step("pages[quick].fetch", "running", {})
    assert drawn(board)[1:] == [
        "● pages          running    ━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  10/40, 1 failed  2s",
        "  ● [a/b].fetch  running    2s",
        "  ✗ [d].save     failed     0s  full",
    ]


def test_only_a_few_of_many_items_are_listed_and_none_that_comes_and_goes(board: Board, clock: Clock) -> None:
    board.items("pages", 0, 0, 100)
    for number in range(9):
        board.step(f"pages[{number}].fetch", "running", {})
    assert len(drawn(board)) == 2
    clock.now += 1
    lines = drawn(board)
    assert len(lines) == 8
    assert lines[-1].strip() == "... 4 more"


def test_branches_of_a_block_are_listed_at_once(board: Board) -> None:
    board.step("both", "running", {})
    board.step("both.left", "running", {})
    assert drawn(board)[2] == "  ● left  running    0s"


def test_a_long_name_leaves_room_for_the_numbers(board: Board, clock: Clock) -> None:
    board.run({}, ["a-step-with-quite-a-long-name-that-somebody-gave-to-it-in-a-hurry"])
    board.items("pages", 999, 10, 1000)
    clock.now += 83
    assert drawn(board)[1:] == [
        "○ a-step-with-q…t-in-a-hurry  waiting",
        "● pages                       running    ━━━━━━━╌  999/1000, 10 failed  1m23s",
    ]


def test_an_empty_fan_out_is_full(board: Board) -> None:
    board.items("pages", 0, 0, 0)
    assert "━" * 24 + "  0/0" in drawn(board)[1]


def test_a_narrow_screen_has_numbers_and_no_bar_and_no_line_is_too_long(board: Board) -> None:
    board.items("a-very-long-name-of-a-step-that-fills-the-screen", 10, 2, 40)
    board.log("x" * 200)
    lines = drawn(board, width=40)
    assert "10/40, 2 failed  0s" in lines[1]
    assert "━" not in lines[1]
    assert all(len(line) <= 40 for line in lines)
    assert lines[-1].endswith("…")


def test_many_steps_fit_on_a_small_screen(board: Board) -> None:
    board.run({}, [f"s{number}" for number in range(50)])
    for number in range(30):
        board.step(f"s{number}", "running", {})
        board.step(f"s{number}", "succeeded" if number != 3 else "failed", {})
    board.step("s30", "running", {})
    lines = drawn(board, height=20)
    assert len(lines) <= 20 - 5
    assert any("... 29 finished" in line for line in lines)
    assert any("✗ s3 " in line for line in lines)
    assert any("● s30" in line for line in lines)
    assert any("waiting" in line and "..." in line for line in lines)


def test_a_screen_with_room_hides_nothing(board: Board) -> None:
    board.run({}, [f"s{number}" for number in range(10)])
    assert len(drawn(board, height=24)) == 11


def test_the_end_of_the_log_is_shown_until_the_run_ends(board: Board) -> None:
    for number in range(7):
        board.log(f"2026-11-21T07:00:00.123Z INFO  [fetch] line {number}\n")
    board.log("2026-11-21T07:00:00.123Z WARN  [fetch] careful")
    board.log("bare line")
    assert drawn(board)[1:] == [
        "",
        *[f"│ [fetch] line {n}" for n in (4, 5, 6)],
        "│ [fetch] WARN careful",
        "│ bare line",
    ]
    assert drawn(board, final=True) == ["pages  running  0s"]


def test_the_log_shows_what_programs_say_not_what_the_rows_show_already(board: Board) -> None:
    name = "a-step-with-quite-a-long-name[https://example.com/].read"
    for text in ("started", "started, attempt 2", "looking\tround", "succeeded in 0.10 s"):
        board.log(f"2026-11-21T07:00:00.123Z INFO  [{name}] {text}")
    board.log("2026-11-21T07:00:00.123Z INFO  [-] run 01k of 'pages' starts")
    board.log("2026-11-21T07:00:00.123Z ERROR [-] run failed: no good")
    assert drawn(board)[1:] == ["", "│ [a-step-wit…om/].read] looking\\tround", "│ ERROR run failed: no good"]


def test_what_was_never_begun_says_so_when_the_run_is_over(board: Board) -> None:
    board.run({"status": "failed", "started_at": 900.0, "completed_at": 960.0}, ["last"])
    assert drawn(board)[1:] == ["○ last  not run"]


def test_without_unicode_the_symbols_are_ascii(board: Board) -> None:
    board.step("fetch", "running", {})
    board.items("pages", 1, 0, 2)
    board.log("line")
    lines = drawn(board, encoding="ascii")
    assert lines[1].startswith("* fetch")
    assert "############............  1/2" in lines[2]
    assert all(line.isascii() for line in lines)


def test_what_others_wrote_cannot_move_the_cursor_or_be_taken_for_markup(board: Board) -> None:
    board.step("pages[\x1b[2Jx].fetch", "running", {})
    board.log("[bold]\x1b[31mred\r\x07")
    board.step("s", "failed", {"error": {"message": "\x1b[1A[red]x"}})
    text = "\n".join(drawn(board))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "[\\x1b[2Jx].fetch" in text
    assert "[bold]red" in text
    assert "\\x1b[1A[red]x" in text


def test_colour_is_never_the_only_signal(board: Board) -> None:
    for number, state in enumerate(("running", "succeeded", "failed", "skipped", "retrying", "cancelled")):
        board.step(f"s{number}", state, {})
    symbols, words = zip(*((line.split()[0], line.split()[2]) for line in drawn(board)[1:]), strict=True)
    assert len(set(symbols)) == len(set(words)) == 6


def test_without_colours_there_are_no_styles(board: Board) -> None:
    board.step("fetch", "failed", {})
    stream = Stream()
    screen = Screen(board, stream, colour=False)
    screen.console.print(screen.render())
    assert "\x1b[" not in stream.getvalue()


def test_times_of_a_run_that_is_followed_are_its_own(board: Board, clock: Clock) -> None:
    board.run(
        {"started_at": 900.0, "completed_at": 960.0, "status": "succeeded", "name": "other", "run_id": "01k"}
    )
    board.step("fetch", "succeeded", {"started_at": 900.0, "completed_at": 930.0})
    clock.now = 5000
    assert drawn(board) == ["other  succeeded  1m  01k", "✓ fetch  succeeded  30s"]


def test_pictures_can_be_taken_while_events_come(board: Board) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def feed() -> None:
        for number in range(2000):
            board.step(f"pages[{number}].fetch", "running", {})
            board.items("pages", number, 0, 2000)
            board.step(f"pages[{number}].fetch", "succeeded", {})
        done.set()

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        while not done.is_set():
            board.picture(limit=10)
    except BaseException as error:  # noqa: BLE001 - shown by the assertion
        failures.append(error)
    thread.join()
    assert failures == []
    assert board.picture().rows[0][1].done == 1999


def test_times_may_be_given_as_text(board: Board) -> None:
    board.run({"started_at": "2026-11-21T07:00:00.500Z", "completed_at": "2026-11-21T08:00:02+01:00"})
    board.step(
        "fetch", "failed", {"started_at": "2026-11-21T07:00:00Z", "completed_at": "2026-11-21T07:00:03Z"}
    )
    assert drawn(board) == ["pages  running  1.5s", "✗ fetch  failed     3s"]


# Lines in place of a picture


@pytest.fixture
def view(clock: Clock, capsys: pytest.CaptureFixture[str]) -> Iterator[LiveView]:
    with live_view("pages") as found:
        assert type(found) is LiveView
        found.board = Board("pages", clock=clock)
        yield found


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_one_line_a_stage(view: LiveView, capsys: pytest.CaptureFixture[str]) -> None:
    view.on_run({"run_id": "01k"})
    view.on_run({"run_id": "01k", "status": "running"})
    view.on_step("fetch", "running", kind="cli", attempt=1)
    view.on_step("fetch", "retrying", attempt=1, error={"message": "HTTP 503"}, wait=2.0)
    view.on_step("fetch", "running", attempt=2)
    view.on_step("fetch", "succeeded", attempt=2, seconds=1.24)
    view.on_step("report", "skipped")
    view.on_step("both.a", "running")
    view.on_step("both.a", "failed", seconds=0.5, error={"message": "no good"})
    view.on_log("not here")
    view.refresh()
    assert said(capsys) == [
        "run 01k running",
        "step fetch started",
        "step fetch failed in attempt 1: HTTP 503, next attempt in 2s",
        "step fetch started, attempt 2",
        "step fetch succeeded in 1.2s",
        "step report skipped",
        "step both.a started",
        "step both.a failed in 500ms: no good",
    ]


def test_a_run_that_is_followed_is_told_when_its_state_changes(
    view: LiveView, capsys: pytest.CaptureFixture[str]
) -> None:
    for status in ("queued", "queued", "running", "running", "succeeded"):
        view.on_run({"run_id": "01k", "status": status})
    assert said(capsys) == ["run 01k queued", "run 01k running", "run 01k succeeded"]


def test_items_are_counted_not_listed(
    view: LiveView, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    view.on_step("pages", "running")
    for number in range(1, 201):
        clock.now += 1
        view.on_step(f"pages[{number}].fetch", "running")
        view.on_items("pages", done=number, failed=number // 100, total=200)
    view.on_step("pages", "succeeded")
    lines = said(capsys)
    assert len(lines) == 12
    assert lines[:2] == ["step pages started", "step pages 20 of 200 items done"]
    assert lines[-2] == "step pages 200 of 200 items done, 2 failed"
    assert lines[-1] == "step pages succeeded in 3m20s, 200 of 200 items done, 2 failed"


def test_many_quick_items_are_one_line(
    view: LiveView, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    view.on_step("pages", "running")
    for number in range(1, 1001):
        clock.now += 1 / 128
        view.on_items("pages", done=number, failed=0, total=1000)
    view.on_step("pages", "failed", error={"message": "no good"})
    assert said(capsys) == [
        "step pages started",
        "step pages 256 of 1000 items done",
        "step pages 512 of 1000 items done",
        "step pages 768 of 1000 items done",
        "step pages failed in 7.8s, 1000 of 1000 items done: no good",
    ]


ROWS: dict[str, Any] = {
    "name": "judge",
    "status": "running",
    "current": 400,
    "total": 1000,
    "success": 397,
    "error": 3,
    "skipped": 0,
    "started_at": 1000.0,
    "per_second": 80.5,
    "tokens_in": 11_000,
    "tokens_out": 1_345,
    "cost": 0.0421,
    "budget_left_usd": 0.9579,
    "budget_left_tokens": None,
}
"""Progress of an `LLMStep` as it is stored."""


def test_rows_show_pace_tokens_cost_and_what_is_left_of_the_budget(
    view: LiveView, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    view.on_tracked({**ROWS, "current": 0, "error": 0, "per_second": 0})
    clock.now += 5
    view.on_tracked(ROWS)
    view.on_tracked(ROWS)
    facts = "80.5/s, 12.3k tokens, $0.0421, $0.9579 of the budget left"
    assert drawn(view.board)[1:] == [
        "● judge  running    ━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  400/1000, 3 failed  5s",
        f"  {facts}",
    ]
    view.on_tracked({**ROWS, "status": "partial", "current": 1000, "last_timestamp": 1012.0})
    assert said(capsys) == [
        "step judge started",
        f"step judge 400 of 1000 items done, 3 failed, {facts}",
        f"step judge failed in 12s, 1000 of 1000 items done, 3 failed, {facts}: 3 of 1000 failed",
    ]
    assert drawn(view.board)[2] == f"  {facts}"


def test_a_tracked_step_without_items_has_a_state_only(
    view: LiveView, capsys: pytest.CaptureFixture[str]
) -> None:
    view.on_tracked({"name": "map", "status": "running", "started_at": 1000.0})
    view.on_tracked({"name": "map", "status": "success", "started_at": 1000.0, "last_timestamp": 1000.5})
    view.on_tracked({"name": "fill", "status": "running", "started_at": 1000.0})
    view.on_tracked({"name": "fill", "status": "error", "started_at": 1000.0, "message": "no good"})
    assert said(capsys) == [
        "step map started",
        "step map succeeded in 500ms",
        "step fill started",
        "step fill failed in 0s: no good",
    ]


def test_a_budget_of_dollars_and_tokens_is_shown_with_both() -> None:
    assert note_of({"budget_left_usd": 12.5, "budget_left_tokens": 2_500_000, "skipped": 4}) == (
        "4 skipped, $12.50 and 2.5M tokens of the budget left"
    )


def test_nothing_is_said_with_quiet_or_in_json_modes_whatever_thread_tells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quiet = Session()
    quiet.quiet = True
    with opened(quiet), live_view("pages") as silent:
        pass
    with rendering(JSON), live_view("pages") as machine:
        pass
    for one in (silent, machine):
        thread = threading.Thread(target=one.on_step, args=("fetch", "running"))
        thread.start()
        thread.join()
    assert said(capsys) == []


def test_a_picture_is_drawn_only_on_a_terminal_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_draw()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert not can_draw()  # TERM=dumb
    monkeypatch.setenv("TERM", "xterm")
    assert can_draw()
    with rendering(JSON):
        assert not can_draw()
    quiet = Session()
    quiet.quiet = True
    with opened(quiet):
        assert not can_draw()


def test_a_screen_says_nothing_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    view: Any = ScreenView("pages")
    view.on_step("fetch", "running")
    view.on_items("pages", done=1, failed=0, total=1)
    view.close()
    assert said(capsys) == []


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        ("succeeded", ["steps: kurt workflows steps 01k"]),
        ("failed", ["what happened: kurt workflows logs 01k", "once it is mended: kurt workflows retry 01k"]),
        ("cancelled", ["to go on: kurt workflows resume 01k"]),
        ("interrupted", ["to go on: kurt workflows resume 01k"]),
        ("waiting", []),
    ],
)
def test_the_end_names_the_next_command(status: str, lines: list[str]) -> None:
    run = {"run_id": "01k", "name": "pages", "status": status, "seconds": 75.0}
    assert closing_lines(run) == [f"run 01k {status} after 1m15s", *lines]
    assert closing_lines({**run, "seconds": None})[0] == f"run 01k {status}"


def test_the_closing_lines_say_what_was_lived_with_and_where_the_log_is() -> None:
    summary = {"items": 4, "items_failed": 1, "skipped_failures": 2}
    lines = closing_lines(
        {"run_id": "01k", "status": "succeeded", "seconds": 2, "summary": summary, "log": "a.log"}
    )
    assert lines[:2] == [
        "run 01k succeeded (1 of 4 items failed, 2 failed steps skipped) after 2s",
        "log: a.log",
    ]
    rows = closing_lines({"run_id": "01k", "status": "succeeded", "summary": {"rows": 9, "rows_failed": 3}})
    assert rows[0] == "run 01k succeeded (3 of 9 rows failed)"


def test_a_run_that_pretends_says_so_in_its_title() -> None:
    board = Board("pages")
    assert (
        board.run({"run_id": "x", "name": "pages", "mocked": ["models", "steps"]}).name
        == "pages (mocked models and steps)"
    )
    assert board.run({"name": "pages", "mocked": []}).name == "pages"
