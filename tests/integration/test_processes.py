"""Programs of steps: what goes in, what comes out, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kurt.engine.kinds import Limits
from kurt.engine.processes import launcher
from kurt.engine.processes import programs as processes
from kurt.engine.processes.pool import close_pools
from kurt.engine.processes.programs import ARGUMENT_LIMIT, ProgramResult, run_program
from kurt.engine.processes.surroundings import MEMORY_LIMITS, Surroundings
from kurt.errors import StepError, StepTimeoutError
from tests.support.processes import children, descendants, is_alive
from tests.support.waiting import eventually, wait_until

END_LIMIT = 4.0
"""Seconds in which everything has ended: 2 are promised, the rest is for a machine that is busy with other tests."""

HOSTILE = "${x} $(touch /tmp/never) `id` ' \" \\ \n\t; rm -rf ~ && é 😀"
POSIX = {"PATH": os.environ["PATH"]}


@pytest.fixture(autouse=True)
def _end() -> Iterator[None]:
    yield
    close_pools()
    assert not children(os.getpid())


class Lines(list[str]):
    """Collects what a program prints."""

    def write(self, level: str, text: str) -> None:
        assert level == "INFO"
        self.extend(text.split("\n"))


def around(cwd: Path, env: Mapping[str, str] = POSIX, **more: Any) -> Surroundings:
    return Surroundings(env=env, cwd=cwd, **more)


def descriptors() -> set[Path]:
    return set(Path("/dev/fd").iterdir())


async def sh(text: str, cwd: Path, **more: Any) -> ProgramResult:
    return await run_program(text, around(cwd, **more))


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-c", code, *args]


async def test_a_program_gives_its_output_and_exit_code(tmp_path: Path) -> None:
    lines = Lines()
    result = await sh("echo one; echo two >&2; printf three; exit 7", tmp_path, log=lines.write)
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"one\nthree", "two")
    assert sorted(lines) == ["one", "three", "two"]
    assert 0 < result.duration < 10


async def test_values_pass_unharmed_by_argument_environment_and_stdin(tmp_path: Path) -> None:
    code = (
        "import os, sys; "
        "sys.stdout.buffer.write(b'\\0'.join([os.fsencode(sys.argv[1]), os.environb[b'X.Y-Z'], sys.stdin.buffer.read()]))"
    )
    result = await run_program(
        python(code, HOSTILE), around(tmp_path, env={"X.Y-Z": HOSTILE}), stdin=HOSTILE.encode()
    )
    assert result.stdout.split(b"\0") == [HOSTILE.encode()] * 3


async def test_the_environment_is_exactly_the_given_one(tmp_path: Path) -> None:
    result = await run_program(["env"], around(tmp_path, env={**POSIX, "A": "1"}))
    assert sorted(result.stdout.decode().splitlines()) == sorted(["A=1", f"PATH={POSIX['PATH']}"])


async def test_large_input_is_echoed_without_a_deadlock(tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    assert (await run_program(["cat"], around(tmp_path), stdin=data)).stdout == data


async def test_a_program_that_ignores_its_input_is_no_problem(tmp_path: Path) -> None:
    assert (await run_program(["true"], around(tmp_path), stdin=b"x" * 5_000_000)).exit_code == 0


async def test_stdin_is_empty_by_default(tmp_path: Path) -> None:
    assert (await run_program(["cat"], around(tmp_path))).stdout == b""


async def test_no_descriptor_leaks_into_a_program_or_stays_here(tmp_path: Path) -> None:
    await sh("true", tmp_path)
    before = descriptors()
    code = "import os; print(sorted(int(fd) for fd in os.listdir('/dev/fd')))"
    held = os.open(tmp_path, os.O_RDONLY)
    try:
        result = await run_program(python(code), around(tmp_path))
    finally:
        os.close(held)
    open_there = [int(word) for word in result.stdout.decode().strip("[]\n").split(",")]
    assert open_there[:3] == [0, 1, 2]
    assert len(open_there) == 4  # the fourth is the listing itself
    assert descriptors() == before


async def test_a_program_has_its_own_session_and_the_usual_signals(tmp_path: Path) -> None:
    code = (
        "import os, signal; "
        "print(os.getsid(0) == os.getpid() == os.getpgid(0), "
        "[signal.getsignal(n) is signal.SIG_IGN for n in (1, 15, 17)], signal.pthread_sigmask(0, []))"
    )
    result = await run_program(python(code), around(tmp_path))
    assert result.stdout == b"True [False, False, False] set()\n"
    assert (await sh("yes | head -n 1", tmp_path)).stdout == b"y\n"
    assert (await sh("kill -TERM $$", tmp_path)).exit_code == -signal.SIGTERM


async def test_a_time_out_ends_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"trap '' TERM; echo before; sleep 300 & echo $! $$ > {pids}; sleep 300; sleep 300"
    started = time.monotonic()
    with pytest.raises(StepTimeoutError, match=r"longer than 0\.3 s"):
        await sh(text, tmp_path, limits=Limits(timeout=0.3))
    assert time.monotonic() - started < 0.3 + END_LIMIT
    assert not [pid for pid in pids.read_text().split() if is_alive(int(pid))]


async def test_a_program_may_clean_up_when_it_is_ended(tmp_path: Path) -> None:
    text = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    lines = Lines()
    task = asyncio.create_task(sh(text, tmp_path, log=lines.write))
    await eventually(lambda: "ready" in lines)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (lines[0], lines[-1]) == ("ready", "bye")  # the shell may say that its `sleep` was ended
    assert time.monotonic() - started < 1


async def test_cancelling_again_and_again_still_ends_the_group(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    task = asyncio.create_task(sh(f"trap '' TERM; echo $$ > {file}; while :; do sleep 0.1; done", tmp_path))
    await eventually(lambda: file.exists() and file.read_text().strip())
    for _ in range(20):
        task.cancel()
        await asyncio.sleep(0.02)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(int(file.read_text()))


async def test_cancelling_at_any_moment_of_the_start_leaves_nothing(tmp_path: Path) -> None:
    await sh("true", tmp_path)
    below = descendants(os.getpid())
    for turns in range(12):
        task = asyncio.create_task(sh("sleep 300", tmp_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert descendants(os.getpid()) == below


async def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    result = await sh("sleep 300 & echo $!", tmp_path)
    assert result.exit_code == 0
    pid = int(result.stdout)
    wait_until(lambda: not is_alive(pid), 2)


async def test_output_written_just_after_the_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_LINGER", 20)
    result = await sh("(sleep 0.2; echo late) & echo early", tmp_path)
    assert result.stdout == b"early\nlate\n"


async def test_a_memory_limit_stops_the_program(tmp_path: Path) -> None:
    if not MEMORY_LIMITS:
        pytest.skip("this system does not enforce a limit of address space")
    code = "x = bytearray(400_000_000)"
    assert (await run_program(python(code), around(tmp_path))).exit_code == 0
    limited = await run_program(python(code), around(tmp_path, limits=Limits(memory=200_000_000)))
    assert limited.exit_code == 1
    assert "MemoryError" in limited.stderr


async def test_a_limit_of_processor_time_stops_the_program(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="processor time") as caught:
        await run_program(python("while True: pass"), around(tmp_path, limits=Limits(cpu=1)))
    assert (caught.value.type, caught.value.details["exit_code"]) == ("CpuLimit", -signal.SIGXCPU)


@pytest.mark.parametrize(
    ("command", "kind", "hint"),
    [
        (["no-such-program"], "ProgramNotFound", "install"),
        (["./plain"], "ProgramNotStarted", "chmod"),
        (["./headless"], "ProgramNotStarted", "#!"),
        (["true", "x" * (ARGUMENT_LIMIT + 1)], "ArgumentTooLong", "stdin"),
        (["true", "a\0b"], "ProgramNotStarted", "stdin"),
        (["true", *["é" * 40_000] * 40], "ProgramNotStarted", "stdin"),
    ],
)
async def test_a_program_that_cannot_be_started(
    tmp_path: Path, command: list[str], kind: str, hint: str
) -> None:
    (tmp_path / "plain").write_text("echo\n")
    (tmp_path / "headless").write_bytes(b"\x01\x02\n")
    (tmp_path / "headless").chmod(0o755)
    with pytest.raises(StepError) as caught:
        await run_program(command, around(tmp_path))
    assert caught.value.type == kind
    assert hint in str(caught.value.hint)
    assert (await sh("echo on", tmp_path)).stdout == b"on\n"


async def test_a_variable_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="'BIG' has more than 100 KiB") as caught:
        await sh("true", tmp_path, env={**POSIX, "BIG": "é" * (ARGUMENT_LIMIT // 2 + 1)})
    assert "stdin" in str(caught.value.hint)
    fits = await sh('printf %s "$BIG" | wc -c', tmp_path, env={**POSIX, "BIG": "é" * (ARGUMENT_LIMIT // 2)})
    assert int(fits.stdout) == ARGUMENT_LIMIT


async def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="nowhere"):
        await sh("true", tmp_path / "nowhere")


async def test_too_much_output_stops_the_program(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="more than 1 MiB") as caught:
        await run_program("echo $$ > pid; yes", around(tmp_path), stdout_limit=1024 * 1024)
    assert (caught.value.type, "file" in str(caught.value.hint)) == ("OutputTooLarge", True)
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_secrets_are_masked_in_lines_and_tail_but_not_in_the_value(tmp_path: Path) -> None:
    lines = Lines()
    result = await sh(
        "echo the key is $KEY; echo again $KEY >&2",
        tmp_path,
        env={**POSIX, "KEY": "s3cret-value"},
        secrets=("s3cret-value",),
        log=lines.write,
    )
    assert sorted(lines) == ["again ***", "the key is ***"]
    assert result.stderr == "again ***"
    assert result.stdout == b"the key is s3cret-value\n"


async def test_many_programs_at_once(tmp_path: Path) -> None:
    results = await asyncio.gather(*(sh(f"sleep 0.05; echo {n}", tmp_path) for n in range(20)))
    assert [int(result.stdout) for result in results] == list(range(20))


def test_event_loops_of_several_threads(tmp_path: Path) -> None:
    found: dict[int, bytes] = {}

    async def work(number: int) -> None:
        for _ in range(5):
            found[number] = (await sh(f"echo {number}", tmp_path)).stdout

    threads = [threading.Thread(target=asyncio.run, args=(work(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {0: b"0\n", 1: b"1\n", 2: b"2\n"}


async def test_the_death_of_the_guardian_ends_its_programs_and_is_overcome(tmp_path: Path) -> None:
    task = asyncio.create_task(sh("echo $$ > pid; sleep 300", tmp_path))
    file = tmp_path / "pid"
    await eventually(lambda: file.exists() and file.read_text().strip())
    (guardian,) = children(os.getpid())
    os.kill(guardian, signal.SIGKILL)
    with pytest.raises(StepError) as caught:
        await task
    assert caught.value.type == "GuardianLost"
    wait_until(lambda: not is_alive(int(file.read_text())), 2)
    assert (await sh("echo again", tmp_path)).stdout == b"again\n"


async def test_the_guardian_ignores_what_is_meant_for_the_executor(tmp_path: Path) -> None:
    task = asyncio.create_task(sh("sleep 0.5; echo done", tmp_path))
    await eventually(lambda: children(os.getpid()))
    (guardian,) = children(os.getpid())
    await asyncio.sleep(0.2)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(guardian, number)
    assert (await task).stdout == b"done\n"


async def test_a_forked_copy_of_the_executor_does_not_hold_the_guardian(tmp_path: Path) -> None:
    await sh("true", tmp_path)
    (guardian,) = children(os.getpid())
    code = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from kurt.engine.processes.programs import run_program\n"
        "from kurt.engine.processes.surroundings import Surroundings\n"
        "around = Surroundings(env=dict(os.environ), cwd=Path('.'))\n"
        "asyncio.run(run_program('true', around))\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    import time; time.sleep(300)\n"
        "print(pid, flush=True)\n"
        "asyncio.run(run_program('echo $$ > pid; sleep 300', around))\n"
    )
    executor = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", code, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert executor.stdout is not None
    copy = int(await executor.stdout.readline())
    file = tmp_path / "pid"
    try:
        await eventually(lambda: file.exists() and file.read_text().strip())
        executor.kill()
        wait_until(lambda: not is_alive(int(file.read_text())), 5)
        assert is_alive(copy)
    finally:
        os.kill(copy, signal.SIGKILL)
        await executor.wait()
    assert is_alive(guardian)


async def test_closing_ends_what_runs(tmp_path: Path) -> None:
    task = asyncio.create_task(sh("echo $$ > pid; sleep 300", tmp_path))
    file = tmp_path / "pid"
    await eventually(lambda: file.exists() and file.read_text().strip())
    launcher.programs.close()
    with pytest.raises(StepError) as caught:
        await task
    assert caught.value.type == "GuardianLost"
    assert not is_alive(int(file.read_text()))
