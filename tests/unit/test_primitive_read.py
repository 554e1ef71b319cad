"""`read`: files and streams, limits, encodings."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kurt.app.primitives.read import read, read_stream
from kurt.errors import DataError, NotFoundError


def test_the_suffix_chooses_then_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("[1]")
    (tmp_path / "a").write_text("[1]")
    assert read(tmp_path / "a.txt") == "[1]"
    assert read(tmp_path / "a") == [1]


def test_a_given_format_is_stronger_than_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    assert read(tmp_path / "a.json", format_name="text") == "[1]"


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert read(tmp_path / "a.csv") == [{"a": "1", "b": "2"}]


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xfc\n")
    with pytest.raises(DataError, match=r"a\.txt:2 is not UTF-8 text \(byte 0xfc\)"):
        read(tmp_path / "a.txt")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 11)
    with pytest.raises(DataError, match="larger than 10 bytes"):
        read(tmp_path / "a.txt", max_bytes=10)
    assert read(tmp_path / "a.txt", max_bytes=11) == "x" * 11


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_a_stream_is_read_by_its_content_or_a_format() -> None:
    assert read_stream(io.BytesIO(b"a: 1\n"), "-") == {"a": 1}
    assert read_stream(io.BytesIO(b"a: 1\n"), "-", format_name="text") == "a: 1\n"
