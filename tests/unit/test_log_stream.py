"""Which pieces of a log file go into its stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from kurt.runtime import log_stream
from kurt.runtime.log_stream import log_id, new_pieces
from kurt.runtime.terminal import harmless, plain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workflow-r.log"


def lines_of(path: Path, sent: int = 0, *, over: bool = False) -> list[str]:
    return [line for piece in new_pieces(path, "r@x", sent, over=over) for line in piece.lines]


def test_only_whole_lines_beyond_what_was_sent(path: Path) -> None:
    path.write_text("one\ntwo\nhalf", encoding="utf-8")
    (piece,) = new_pieces(path, "r@x", 4, over=False)
    assert (piece.log, piece.start, piece.end, piece.lines) == ("r@x", 4, 8, ["two"])
    assert lines_of(path, 8) == []


def test_no_file_has_no_pieces(path: Path) -> None:
    assert lines_of(path, over=True) == []


def test_of_a_long_log_the_beginning_and_at_last_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "STREAM_LIMIT", 100)
    monkeypatch.setattr(log_stream, "LAST_BYTES", 25)
    path.write_text("".join(f"line {number:04}\n" for number in range(100)), encoding="utf-8")
    first = list(new_pieces(path, "r@x", 0, over=False))
    assert first[0].lines[0] == "line 0000"
    assert first[-1].end <= 110
    assert lines_of(path, first[-1].end) == []
    assert lines_of(path, first[-1].end, over=True) == ["line 0098", "line 0099"]
    assert lines_of(path, path.stat().st_size, over=True) == []


def test_a_shared_database_tells_files_apart_and_a_file_of_its_own_may_move(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "x.log", tmp_path / "b" / "x.log"
    assert log_id("r", one, shared=True) != log_id("r", two, shared=True)
    assert log_id("r", one, shared=False) == log_id("r", two, shared=False)


@pytest.mark.parametrize(
    "text", ["plain", "", "a\tb é 👋", "\x1b[31mred\x1b[0m", "\x1b", "\x1b]", "\x1b[", "\x1b[31", "\x9b"]
)
def test_plain_text_has_no_control_characters(text: str) -> None:
    assert not {*plain(text)} & {"\x1b", "\x9b", "\x07"}
    assert plain(harmless(text)) == plain(text)
