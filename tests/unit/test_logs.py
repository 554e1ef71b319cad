"""Log files of runs: their format, appending from many processes, rotation, reading by position."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from kurt.errors import StorageError
from kurt.runtime import logs
from kurt.runtime.logs import (
    LogLine,
    RunLog,
    follow,
    log_path,
    open_log,
    parse_line,
    read_lines,
    tail,
    tail_offset,
)
from kurt.runtime.masking import Masker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "workflow-x.log"


def texts(path: Path) -> list[str]:
    return [line.text for line in read_lines(path)]


def test_a_line_has_time_level_label_and_text(path: Path) -> None:
    with RunLog(path) as log:
        log.write("INFO", "pages[url-1].fetch", "12 pages")
        log.write("WARNING", None, "slow")
    first, second = path.read_text().splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO  \[pages\[url-1\]\.fetch\] 12 pages", first
    )
    assert second.endswith("Z WARN  [-] slow")


def test_lines_are_parsed_back(path: Path) -> None:
    with RunLog(path) as log:
        log.write("ERROR", "a[k].b", "it said [x] y ] z")
    path.write_text(path.read_text() + "Segmentation fault\n")
    line, foreign = read_lines(path)
    assert line == LogLine(line.at, "ERROR", "a[k].b", "it said [x] y ] z")
    assert line.to_json()["text"] == "it said [x] y ] z"
    assert foreign == LogLine("", "", "", "Segmentation fault")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        ("10%\r20%\r30%", ["10%", "20%", "30%"]),
        ("", [""]),
        ("a\n\nb", ["a", "", "b"]),
        ("half \udc80 a character", ["half \\udc80 a character"]),
        ("line\u2028separator\x0b", ["line\u2028separator"]),
    ],
)
def test_each_line_of_a_text_is_a_line_of_the_log(path: Path, text: str, rows: list[str]) -> None:
    with RunLog(path) as log:
        log.write("INFO", "s", text)
    assert texts(path) == rows
    assert len(tail(path, 10)) == len(rows)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[1;38;5;9mred", "\x1b[1;38;5;9mred\x1b[0m"),
        ("\x1b[2J\x1b[Hclean", "clean"),
        ("\x1b]0;a title\x07shown", "shown"),
        ("\x1b]52;c;cm0gLXJm\x1b\\shown", "shown"),
        ("\x9b2Jclean\x07\x00", "clean"),
        ("a\tb", "a\tb"),
    ],
)
def test_colours_are_kept_and_nothing_else_steers_the_terminal(path: Path, text: str, row: str) -> None:
    with RunLog(path) as log:
        log.write("INFO", "s", text)
    assert texts(path) == [row]


def test_a_colour_cannot_hide_a_secret(path: Path) -> None:
    with RunLog(path, Masker(["hunter2!"])) as log:
        log.write("INFO", "s", "hunt\x1b]0;\x07er2!")
    assert "hunter2!" not in path.read_text(encoding="utf-8")


def test_secrets_are_masked_even_when_they_have_several_lines(path: Path) -> None:
    with RunLog(path, Masker(["hunter2!", "first\nsecond line"])) as log:
        log.write("INFO", "s", "pw hunter2! key first\nsecond line end")
    assert texts(path) == ["pw *** key *** end"]


def test_the_mode_is_0644(path: Path) -> None:
    old = os.umask(0o022)
    try:
        RunLog(path).close()
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_line_is_in_the_file_as_soon_as_it_is_written(path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib; from kurt.runtime.logs import RunLog\n"
        "log = RunLog(pathlib.Path(sys.argv[1])); log.write('INFO', 's', 'last words'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert texts(path) == ["last words"]


def test_each_text_is_one_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.write
    log = RunLog(path)
    monkeypatch.setattr(logs.os, "write", lambda fd, data: writes.append(bytes(data)) or real(fd, data))
    log.write("INFO", "s", "a\nb\nc")
    assert len(writes) == 1
    log.sync()
    log.close()


def append(path: Path, name: str, count: int, max_bytes: int) -> None:
    log = RunLog(path, max_bytes=max_bytes)

    def work(thread: int) -> None:
        for number in range(count):
            log.write("INFO", f"{name}.{thread}", f"{number} " + "x" * 200 + "\nsecond")

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("max_bytes", [0, 300_000])
def test_processes_and_threads_lose_and_mix_nothing(path: Path, max_bytes: int) -> None:
    """600 KB of lines: with the limit, one rotation or two; the file and `.1` then still hold the newest."""
    context = multiprocessing.get_context("forkserver")
    work = [context.Process(target=append, args=(path, f"p{n}", 150, max_bytes)) for n in range(3)]
    for process in work:
        process.start()
    for process in work:
        process.join(60)
        assert process.exitcode == 0
    lines = list(read_lines(path))
    assert all(line.at for line in lines)
    seen: dict[str, list[int]] = {}
    for line in lines:
        if line.text[0].isdigit():
            seen.setdefault(line.label, []).append(int(line.text.split()[0]))
    for numbers in seen.values():
        assert numbers == list(range(numbers[0], 150))
    if not max_bytes:
        assert sorted(map(len, seen.values())) == [150] * 6
        assert sum(line.text == "second" for line in lines) == 900


def test_rotation_keeps_one_older_part(path: Path) -> None:
    with RunLog(path, max_bytes=1000) as log:
        for number in range(50):
            log.write("INFO", "s", f"line {number:03d}")
    assert sorted(file.name for file in path.parent.iterdir()) == ["workflow-x.log", "workflow-x.log.1"]
    kept = [text for text in texts(path) if text.startswith("line ")]
    assert kept == [f"line {number:03d}" for number in range(50 - len(kept), 50)]
    assert 20 < len(kept) < 50
    assert path.stat().st_size < 1100


def test_a_follower_sees_every_line_once_through_rotations(path: Path) -> None:
    seen: list[str] = []
    offset = 0
    with RunLog(path, max_bytes=1000) as log:
        for number in range(200):
            log.write("INFO", "s", f"line {number:03d}")
            if number % 7 == 0:
                lines, offset = follow(path, offset)
                seen += lines
    lines, offset = follow(path, offset)
    seen += lines
    while lines:
        lines, offset = follow(path, offset)
        seen += lines
    numbered = [parse_line(line).text for line in seen if "continues" not in line]
    assert numbered == [f"line {number:03d}" for number in range(200)]
    assert follow(path, offset) == ([], offset)


def test_a_follower_that_came_too_late_reads_what_is_left(path: Path) -> None:
    with RunLog(path, max_bytes=500) as log:
        for number in range(100):
            log.write("INFO", "s", f"line {number:03d}")
    read, offset = [], 0
    while page := follow(path, offset):
        if not page[0]:
            break
        read += page[0]
        offset = page[1]
    assert read == [f"{line.at} {line.level:<5} [{line.label}] {line.text}" for line in read_lines(path)]


def test_tail_reads_across_a_rotation(path: Path) -> None:
    with RunLog(path, max_bytes=1000) as log:
        for number in range(20):
            log.write("INFO", "s", f"line {number:03d}")
    everything = [f"{line.at} {line.level:<5} [{line.label}] {line.text}" for line in read_lines(path)]
    for n in (1, 2, 5, 15, 100):
        assert tail(path, n) == everything[-n:]
    assert tail(path, 0) == []
    lines, _ = follow(path, tail_offset(path, 3))
    assert lines == everything[-3:]


def test_tail_of_long_lines_and_large_files(path: Path) -> None:
    with RunLog(path) as log:
        for number in range(3000):
            log.write("INFO", "s", f"{number} " + "y" * 100)
        log.write("INFO", "s", "z" * 3_000_000)
    lines = tail(path, 2500)
    assert len(lines) == 2500
    assert len(lines[-1]) > 3_000_000
    assert parse_line(lines[0]).text.startswith("501 ")


def test_pages_are_of_whole_lines(path: Path) -> None:
    with RunLog(path) as log:
        for number in range(100):
            log.write("INFO", "s", f"{number} é")
    read, offset = [], 0
    while True:
        lines, offset = follow(path, offset, limit=333)
        if not lines:
            break
        assert len(lines) <= 10
        read += lines
    assert len(read) == 100


def test_an_incomplete_line_waits(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("whole\nhal")
    assert follow(path, 0) == (["whole"], 6)
    with path.open("a") as file:
        file.write("f\n")
    assert follow(path, 6) == (["half"], 11)


def test_a_log_that_does_not_exist_has_no_lines(path: Path) -> None:
    assert follow(path, 0) == ([], 0)
    assert tail(path, 5) == []
    assert list(read_lines(path)) == []


def test_a_removed_log_begins_again(path: Path) -> None:
    log = RunLog(path)
    log.write("INFO", "s", "before")
    _, offset = follow(path, 0)
    path.unlink()
    path.parent.rmdir()
    log.write("INFO", "s", "x")
    log.close()
    assert texts(path) == ["x"]
    assert [parse_line(line).text for line in follow(path, offset)[0]] == ["x"]


def test_a_full_disk_stops_nothing_and_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A limit on the size of files fails a write like a full disk does."""
    log = RunLog(path)
    log.write("INFO", "s", "fits")
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
        with caplog.at_level(logging.WARNING):
            log.write("INFO", "s", "does not fit\nat all")
            log.write("INFO", "s", "nor this")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert log.dropped == 3
    log.write("INFO", "s", "fits again")
    log.close()
    lines = [line.text for line in read_lines(path) if line.at]
    assert lines == ["fits", "3 lines could not be written here", "fits again"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        RunLog(tmp_path / "file" / "logs" / "x.log")
    assert caught.value.hint is not None


def test_the_path_of_a_log_stays_in_its_folder(tmp_path: Path) -> None:
    settings = SimpleNamespace(logs_dir=tmp_path, get=lambda key: {"LOG.MAX_BYTES": 100}[key])
    assert log_path(settings, "01ab").name == "workflow-01ab.log"
    assert log_path(settings, "../../etc/x").parent == tmp_path
    with open_log(settings, "01ab") as log:
        for _ in range(9):
            log.write("INFO", None, "x" * 30)
    assert log.path == tmp_path / "workflow-01ab.log"
    assert (tmp_path / "workflow-01ab.log.1").exists()
