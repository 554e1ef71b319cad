"""`foreach`: one command for each item, several at a time, the results in the order of the items."""

from __future__ import annotations

import errno
import json
import re
import shlex
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from kurt.engine.expressions.references import as_text, look_up
from kurt.errors import DataError, KurtError, StepError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kurt.types import Json

OnError: TypeAlias = Literal["fail", "skip", "collect"]
"""What a failed item means for the whole."""

Runner: TypeAlias = "Callable[[list[str], Json], Json]"
"""Runs one command line for one item and returns its result; raises KurtError when it fails."""

_PLACEHOLDER: Final = re.compile(r"\{(index|item)((?:\.[\w-]+|\[\d+\])*)\}")
_PART: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]")
_STDERR_SHOWN: Final = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one item ended.

    Attributes:
        index: its place, from 0.
        value: the command's result.
        error: what went wrong, or None.
    """

    index: int
    value: Json = None
    error: KurtError | None = None

    def to_json(self) -> dict[str, Any]:
        """The item as `--on-error collect` prints it: index, ok, value or error."""
        if self.error is None:
            return {"index": self.index, "ok": True, "value": self.value}
        return {"index": self.index, "ok": False, "error": self.error.to_json()}


def foreach(
    items: Json,
    command: str | Sequence[str],
    *,
    run: Runner,
    max_concurrent: int = 1,
    on_error: OnError = "fail",
    progress: Callable[[int, int, int], None] | None = None,
) -> list[Json]:
    """Run a command for each item.

    Args:
        items: a list.
        command: a command line, split like a shell does but never given to one, or its words. `{item}`,
            `{item.key}`, `{item[0]}` and `{index}` in a word are replaced by the item's values.
        run: runs one command line; it may be called from several threads at once.
        max_concurrent: how many items may be at work at the same time.
        on_error: `fail` starts nothing more, waits for what runs and raises; `skip` leaves failed items out of the
            result; `collect` gives an object with index, ok, and value or error for every item.
        progress: called after each item with how many are done, how many of them failed, and how many there are.

    Returns:
        The results, in the order of the items.

    Raises:
        DataError: the data is no list.
        UsageError: the command is empty or cannot be split.
        StepError: with `fail`, the first failed item, in the order of the items.
    """
    if not isinstance(items, list):
        raise DataError(
            "foreach needs a list", hint="name the list with `kurt workflows transform --select PATH`"
        )
    words = _words(command)
    if max_concurrent < 1:
        raise UsageError(f"--max-concurrent {max_concurrent} is less than 1")
    crew = _Crew(items, words, run, on_error, progress)
    outcomes = crew.work(max_concurrent)
    if on_error == "fail":
        _raise_first(outcomes, len(items))
    if on_error == "collect":
        return [outcome.to_json() for outcome in outcomes]
    return [outcome.value for outcome in outcomes if outcome.error is None]


class _Crew:
    """The threads that take the items one by one."""

    def __init__(
        self,
        items: list[Json],
        words: list[str],
        run: Runner,
        on_error: OnError,
        progress: Callable[[int, int, int], None] | None,
    ) -> None:
        self._items = items
        self._words = words
        self._run = run
        self._on_error = on_error
        self._progress = progress
        self._lock = threading.Lock()
        self._next = 0
        self._stopped = False
        self._failed = 0
        self._outcomes: list[Outcome] = []

    def work(self, count: int) -> list[Outcome]:
        """Do every item, with `count` threads; returns the outcomes in the order of the items."""
        count = min(count, len(self._items))
        if count <= 1:
            self._take()
        else:
            with ThreadPoolExecutor(count, "foreach") as pool:
                futures = [pool.submit(copy_context().run, self._take) for _ in range(count)]
                try:
                    for future in futures:
                        future.result()
                finally:
                    self._stopped = True
        return sorted(self._outcomes, key=lambda outcome: outcome.index)

    def _take(self) -> None:
        while True:
            with self._lock:
                if self._stopped or self._next >= len(self._items):
                    return
                index = self._next
                self._next += 1
            outcome = self._do(index)
            with self._lock:
                self._outcomes.append(outcome)
                self._failed += outcome.error is not None
                self._stopped |= self._failed > 0 and self._on_error == "fail"
                if self._progress is not None:
                    self._progress(len(self._outcomes), self._failed, len(self._items))

    def _do(self, index: int) -> Outcome:
        item = self._items[index]
        try:
            return Outcome(index, self._run(fill(self._words, item, index), item))
        except KurtError as error:
            return Outcome(index, error=error)


def fill(words: Sequence[str], item: Json, index: int) -> list[str]:
    """The words with their placeholders replaced; a value never becomes more than a part of its word.

    Raises:
        ExpressionError: the item does not have what a placeholder names.
    """

    def value(match: re.Match[str]) -> str:
        parts = [key or int(number) for key, number in _PART.findall(match[2])]
        return as_text(look_up((match[1], *parts), {"item": item, "index": index}, match[0]))

    return [_PLACEHOLDER.sub(value, word) for word in words]


def run_program(argv: Sequence[str], item: Json) -> Json:
    """Run a program with the item as JSON on stdin.

    Returns:
        Its stdout: parsed where it is JSON, else the text without the final newline.

    Raises:
        StepError: it cannot be started, or ends with another status than 0.
    """
    try:
        # Not in a session of its own: what ends this process's group ends the program too.
        done = subprocess.run(  # noqa: S603 - running the user's command is what this is for
            list(argv), input=(json.dumps(item) + "\n").encode(), capture_output=True, check=False
        )
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        hint = {
            errno.E2BIG: "read the item from stdin",
            errno.ENOENT: "install the program, or give its path",
            errno.EACCES: f"chmod +x {argv[0]}",
        }.get(number or 0)
        reason = getattr(error, "strerror", None) or error
        raise StepError(f"{argv[0]!r} cannot be started: {reason}", hint=hint, type="StartError") from None
    if done.returncode != 0:
        stderr = done.stderr.decode(errors="replace").strip()[-_STDERR_SHOWN:]
        raise StepError(
            f"{argv[0]!r} exited with {done.returncode}" + (f": {stderr.splitlines()[-1]}" if stderr else ""),
            type="ExitError",
            details={"exit_code": done.returncode, "stderr": stderr},
        )
    return result_of(done.stdout.decode(errors="replace"))


def result_of(stdout: str) -> Json:
    """A program's output as a value: parsed where it is JSON, else the text without the final newline."""
    try:
        return json.loads(stdout)
    except ValueError:
        return stdout.removesuffix("\n")


def _words(command: str | Sequence[str]) -> list[str]:
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise UsageError(
            f"the command {command!r} cannot be split: {error}", hint="close the quote"
        ) from None
    if not words:
        raise UsageError("the command is empty", hint='for example --command "kurt workflows read {item}"')
    return words


def _raise_first(outcomes: list[Outcome], total: int) -> None:
    """Raise the failure of the first item that failed."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if not failed:
        return
    first = failed[0].error
    assert first is not None  # noqa: S101 - chosen above
    done = len(outcomes) - len(failed)
    raise StepError(
        f"item {failed[0].index} failed: {first.message}",
        hint=first.hint or "--on-error skip or --on-error collect goes on",
        causes=(
            f"{done} of {total} items succeeded, {len(failed)} failed, {total - len(outcomes)} never started",
        ),
        type=first.type if isinstance(first, StepError) else type(first).__name__,
        details={
            **(first.details if isinstance(first, StepError) else {}),
            "failures": [outcome.to_json() for outcome in failed],
        },
    ) from first
