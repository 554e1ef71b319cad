"""`write` and the files below it: formats, append, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kurt.app.primitives import files
from kurt.app.primitives.read import read
from kurt.app.primitives.write import Written, write
from kurt.errors import DataError, StorageError, UsageError

ROWS: list[dict[str, Any]] = [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", '[\n  {\n    "a": 1\n  },\n  {\n    "a": 2\n  }\n]\n'),
        ("x.yaml", "- a: 1\n- a: 2\n"),
        ("x.csv", "a\n1\n2\n"),
        ("x.jsonl", '{"a": 1}\n{"a": 2}\n'),
        ("x.txt", '{"a": 1}\n{"a": 2}\n'),
        ("x.md", "| a |\n| --- |\n| 1 |\n| 2 |\n"),
        ("x.unknown", '[\n  {\n    "a": 1\n  },\n  {\n    "a": 2\n  }\n]\n'),
    ],
)
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str, text: str) -> None:
    written = write(ROWS, tmp_path / name)
    assert (tmp_path / name).read_text() == text
    assert (written.bytes, written.records) == (len(text), 2)


def test_a_given_format_is_stronger_than_the_suffix(tmp_path: Path) -> None:
    assert write(ROWS, tmp_path / "x.json", format_name="csv").format == "csv"
    assert (tmp_path / "x.json").read_text() == "a\n1\n2\n"


def test_the_result_says_what_was_written(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "x.json"
    assert write({"a": "ü"}, target) == Written(str(target), "json", 16, 1)
    assert Written("x", "json", 3, 1).to_json() == {"path": "x", "format": "json", "bytes": 3, "records": 1}


@pytest.mark.parametrize("name", ["x.json", "x.yaml", "x.csv", "x.jsonl", "x.txt", "x.md"])
def test_appending_to_nothing_and_to_an_empty_file_writes(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    write(ROWS, target, append=True)
    first = target.read_text()
    target.write_text("")
    write(ROWS, target, append=True)
    assert target.read_text() == first


@pytest.mark.parametrize("name", ["x.json", "x.yaml", "x.csv", "x.jsonl"])
def test_a_list_adds_its_elements_and_anything_else_one(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    write(ROWS, target)
    write([{"a": 3}], target, append=True)
    size = write({"a": 4}, target, append=True).bytes
    assert [int(row["a"]) for row in read(target)] == [1, 2, 3, 4]
    assert size == target.stat().st_size


@pytest.mark.parametrize(("name", "text"), [("x.jsonl", '{"a": 0}'), ("x.csv", "a\n0"), ("x.txt", "0")])
def test_appending_starts_a_new_line(tmp_path: Path, name: str, text: str) -> None:
    target = tmp_path / name
    target.write_text(text)
    write([{"a": 1}] if name != "x.txt" else "1", target, append=True)
    assert target.read_text().startswith(f"{text}\n")
    assert len(target.read_text().splitlines()) == len(text.splitlines()) + 1


def test_appended_rows_follow_the_columns_and_the_delimiter_of_the_file(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("b;a\n1;2\n")
    write([{"a": "4;", "b": 3}, {"b": 5}], target, append=True)
    write([[7, 8]], target, append=True)
    assert target.read_text() == 'b;a\n1;2\n3;"4;"\n5;\n7;8\n'


def test_a_row_with_a_new_column_is_refused_not_cut(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    write(ROWS, target)
    with pytest.raises(DataError, match="no column 'b'"):
        write([{"a": 3, "b": 4}], target, append=True)
    assert target.read_text() == "a\n1\n2\n"


def test_a_table_grows_and_other_markdown_is_a_new_paragraph(tmp_path: Path) -> None:
    target = tmp_path / "x.md"
    write("# Report\n", target)
    write(ROWS, target, append=True)
    write([{"a": 3}], target, append=True)
    write([{"b": 3}], target, append=True)
    table, other = "| a |\n| --- |\n| 1 |\n| 2 |\n| 3 |\n", "| b |\n| --- |\n| 3 |\n"
    assert target.read_text() == f"# Report\n\n{table}\n{other}"


def test_front_matter_is_not_appended(tmp_path: Path) -> None:
    target = tmp_path / "x.md"
    write("text\n", target)
    with pytest.raises(DataError, match="front matter belongs at the start"):
        write({"front_matter": {"a": 1}, "content": "x"}, target, append=True)
    write({"front_matter": {}, "content": "more\n"}, target, append=True)
    assert target.read_text() == "text\n\nmore\n"


@pytest.mark.parametrize("name", ["x.json", "x.yaml"])
def test_nothing_is_appended_to_what_is_no_list(tmp_path: Path, name: str) -> None:
    write({"a": 1}, tmp_path / name)
    with pytest.raises(DataError, match="holds a mapping"):
        write([1], tmp_path / name, append=True)
    assert read(tmp_path / name) == {"a": 1}


def test_a_file_keeps_its_mode_and_a_new_one_follows_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write(1, target)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    target.chmod(0o640)
    write(2, target)
    write([3], tmp_path / "y.jsonl")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("0")
    (tmp_path / "link.json").symlink_to("real.json")
    write(1, tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "1\n"


def test_a_device_is_written_to_not_replaced() -> None:
    before = Path("/dev/null").stat()
    assert write("x", "/dev/null", format_name="text").bytes == 1
    assert write("x", "/dev/null", format_name="text", append=True).bytes == 1
    assert Path("/dev/null").stat().st_rdev == before.st_rdev


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a folder"):
        write(1, tmp_path)
    with pytest.raises(StorageError, match="cannot be written"):
        write(1, tmp_path / "file" / "x.json")
    with pytest.raises(DataError, match="not a character"):
        write("\ud83d", tmp_path / "x.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.json"
    write("old", target)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write("new", target)
    assert read(target) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("append", [False, True])
def test_a_kill_before_the_last_moment_leaves_the_old_file(tmp_path: Path, append: bool) -> None:
    target = tmp_path / "x.jsonl"
    write(["old"], target)
    code = (
        "import os, pathlib, signal, sys\n"
        "from kurt.app.primitives.write import write\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write(['new'] * 1000, sys.argv[1], append=bool(sys.argv[2]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target), "1" * append], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == '"old"\n'


def test_lines_appended_at_the_same_time_all_arrive(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    start = threading.Barrier(8)

    def add(number: int) -> None:
        start.wait()
        for turn in range(10):
            write({"n": number * 10 + turn}, target, append=True)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["n"] for row in read(target)) == list(range(80))


def test_a_template_makes_the_text(tmp_path: Path) -> None:
    (tmp_path / "report.md.j2").write_text(
        "# {{ title }}\n{% for row in rows %}\n- {{ row.a }}\n{% endfor %}\n"
    )
    written = write({"title": "T", "rows": ROWS}, tmp_path / "x.md", template=tmp_path / "report.md.j2")
    assert (tmp_path / "x.md").read_text() == "# T\n- 1\n- 2\n"
    assert written.format == "text"
    write({"title": "U", "rows": []}, tmp_path / "x.md", template=tmp_path / "report.md.j2", append=True)
    assert (tmp_path / "x.md").read_text() == "# T\n- 1\n- 2\n# U\n"


def test_a_template_and_a_format_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        write(1, tmp_path / "x", template=tmp_path / "t", format_name="csv")
