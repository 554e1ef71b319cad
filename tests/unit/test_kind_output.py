"""Lines of child processes: cut from bytes, masked, bounded."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.engine.kinds import Limits
from kurt.engine.processes import surroundings
from kurt.engine.processes.output import LINE_LIMIT, TAIL_LIMIT, LineSink


def written(*chunks: bytes, secrets: tuple[str, ...] = ()) -> list[str]:
    lines: list[str] = []
    sink = LineSink(lambda text: lines.extend(text.split("\n")), secrets)
    for chunk in chunks:
        sink.feed(chunk)
    sink.close()
    return lines


def test_a_limit_that_the_system_does_not_enforce_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, str]] = []
    around = surroundings.Surroundings(
        env={}, cwd=tmp_path, limits=Limits(memory=1), log=lambda *line: lines.append(line)
    )
    monkeypatch.setattr(surroundings, "MEMORY_LIMITS", True)
    assert (around.memory_limit(), lines) == (1, [])
    monkeypatch.setattr(surroundings, "MEMORY_LIMITS", False)
    assert around.memory_limit() is None
    assert lines == [("WARNING", "macOS does not enforce `limits.memory`")]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b""], []),
        ([b"\n"], [""]),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\nb"], ["a", "b"]),
        ([b"a", b"b\n", b"\nc"], ["ab", "", "c"]),
        ([b"\xff\xfe\n"], ["\ufffd\ufffd"]),
        ([b"\xc3", b"\xa9\n"], ["é"]),
        ([b"windows\r\n"], ["windows"]),
        ([b"10%\r50%\r100%\n"], ["100%"]),
        ([b"10%\r50%\r", b"100%\r\n"], ["100%"]),
    ],
)
def test_lines_are_cut_from_bytes(chunks: list[bytes], lines: list[str]) -> None:
    assert written(*chunks) == lines


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_the_pieces_in_which_bytes_come_make_no_difference(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert written(*pieces) == written(data)


def test_lines_are_written_as_soon_as_they_are_whole() -> None:
    seen: list[str] = []
    sink = LineSink(seen.append)
    sink.feed(b"one\ntwo\nthr")
    assert seen == ["one\ntwo"]


def test_a_long_line_is_cut_and_says_so() -> None:
    size = 10_000_000
    (line, end) = written(*[b"x" * 100_000] * 100, b"\nend\n")
    assert (line, end) == ("x" * LINE_LIMIT + f" ... ({size} bytes in this line)", "end")


def test_a_line_of_the_longest_size_is_whole() -> None:
    assert written(b"x" * LINE_LIMIT + b"\n") == ["x" * LINE_LIMIT]


def test_secrets_are_masked_wherever_the_bytes_are_cut() -> None:
    data = b"a s3cret-value b\n"
    for cut in range(len(data)):
        assert written(data[:cut], data[cut:], secrets=("s3cret-value",)) == ["a *** b"]


def test_no_part_of_a_secret_shows_where_a_long_line_is_cut() -> None:
    secret = "".join(random.Random(1).choices("abcdefghijklmnop", k=64))
    for before in range(LINE_LIMIT - 100, LINE_LIMIT + 500, 7):
        for filler in (b"-", secret.encode() + b"-"):
            line = (
                (filler * (before // len(filler))).ljust(before, b"-") + secret.encode() + b"-" * LINE_LIMIT
            )
            (shown,) = written(line, secrets=(secret,))
            assert not any(secret[start : start + 6] in shown for start in range(len(secret) - 6))


def test_the_tail_is_the_end_masked_and_bounded() -> None:
    sink = LineSink(lambda _: None, ("s3cret-value",))
    for number in range(5000):
        sink.feed(f"line {number} s3cret-value\n".encode())
    assert len(sink.tail) <= TAIL_LIMIT
    assert sink.tail.endswith("line 4998 ***\nline 4999 ***")
    assert "s3cret" not in sink.tail
    assert len(sink.tail) > TAIL_LIMIT - 100
