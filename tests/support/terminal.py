"""A small terminal: what a person sees after a program has written to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b.|[\x00-\x1f]|[^\x00-\x1f\x1b]+")


class Terminal:
    """A screen that knows what rich uses: moving up, erasing lines, styles, wrapping at the right edge.

    Attributes:
        lines: everything that was shown, also what has scrolled away, as it stands now.
    """

    def __init__(self, width: int) -> None:
        self.lines: list[str] = [""]
        self._width = width
        self._row = 0
        self._column = 0

    def write(self, text: str) -> None:
        """Take what a program wrote."""
        for match in _SEQUENCE.finditer(text):
            if match[2]:
                self._control(match[1], match[2])
            elif match[0] == "\n":
                self._down()
            elif match[0] == "\r":
                self._column = 0
            elif match[0][0] >= " ":
                self._put(match[0])

    def _control(self, argument: str, letter: str) -> None:
        count = int(argument) if argument.isdigit() else 1
        if letter == "A":
            self._row = max(0, self._row - count)
        elif letter == "K":
            self.lines[self._row] = "" if argument == "2" else self.lines[self._row][: self._column]
        else:
            assert letter in "mhl", f"this terminal does not know {argument}{letter}"

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append("")

    def _put(self, text: str) -> None:
        for character in text:
            if self._column == self._width:
                self._column = 0
                self._down()
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
            self._column += 1


def run_in_terminal(
    argv: list[str], *, cwd: Path, env: dict[str, str], width: int = 80, height: int = 24, limit: float = 30.0
) -> tuple[list[str], str, int]:
    """Run a program on a terminal.

    Returns:
        What is on the screen at the end, without blank ends; everything that was written; the exit status.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    screen = Terminal(width)
    data = b""
    end = time.monotonic() + limit
    with subprocess.Popen(argv, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        try:
            while piece := os.read(master, 65536):
                data += piece
                if time.monotonic() > end:
                    process.kill()
        except OSError:
            pass  # how Linux says that the other side has closed
        code = process.wait(limit)
    os.close(master)
    text = data.decode()
    screen.write(text)
    return [line.rstrip() for line in screen.lines], text, code
