"""Warm workers: what a task sees, what it may break, and what the next one finds."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kurt.engine.kinds import Limits
from kurt.engine.processes.launcher import WARM_MODULES
from kurt.engine.processes.pool import call_in_pool, close_pools, configure_pool, warm_up
from kurt.engine.processes.surroundings import MEMORY_LIMITS, Surroundings
from kurt.errors import StepError, StepTimeoutError
from tests.support.processes import children, descendants, is_alive
from tests.support.waiting import eventually, wait_until

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture(autouse=True)
def _end() -> Iterator[None]:
    yield
    close_pools()
    configure_pool(max_workers=16)
    assert not children(os.getpid())


class Lines(list[tuple[str, str]]):
    def write(self, level: str, text: str) -> None:
        self.extend((level, line) for line in text.split("\n"))

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self]


async def run(
    code: str, cwd: Path, inputs: dict[str, Any] | None = None, *, root: Path | None = None, **more: Any
) -> Any:
    """Run code in a warm worker; its `result`."""
    payload = {"code": code, "inputs": inputs or {}, "path": "a.b"}
    around = Surroundings(env=ENV, cwd=cwd, **more)
    return await call_in_pool("kurt.engine.processes.tasks:run_script", payload, around, root=root)


async def failure(code: str, cwd: Path, **more: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        await run(code, cwd, **more)
    return caught.value


async def test_a_worker_is_reused_and_leads_its_own_group(tmp_path: Path) -> None:
    code = "import os; result = [os.getpid(), os.getpgid(0), os.getsid(0)]"
    first = await run(code, tmp_path)
    assert first == await run(code, tmp_path)
    assert len(set(first)) == 1
    assert first[0] != os.getpid()


async def test_the_next_task_finds_nothing_of_the_last_one(tmp_path: Path) -> None:
    look = """
import logging, os, random, signal, sys, warnings, decimal
result = {
    "pid": os.getpid(), "cwd": os.getcwd(), "env": dict(os.environ), "path": list(sys.path), "argv": list(sys.argv),
    "umask": os.umask(0o22), "alarm": str(signal.getsignal(signal.SIGALRM)), "term": str(signal.getsignal(signal.SIGTERM)),
    "timer": signal.getitimer(signal.ITIMER_REAL), "level": logging.getLogger().level, "disabled": logging.root.manager.disable,
    "handlers": len(logging.getLogger().handlers), "filters": len(warnings.filters), "main": sorted(k for k in globals() if k[0] != "_"),
    "out": sys.stdout.name, "stdin": sys.stdin.read(), "fds": len(os.listdir("/dev/fd")),
}
os.umask(result["umask"])
"""
    spoil = """
import builtins, logging, os, random, signal, sys, warnings
leak = 1
os.chdir("/usr"); os.environ["LEAK"] = "1"; del os.environ["PATH"]; os.umask(0o77)
sys.path.insert(0, "/leak"); sys.argv.append("leak")
signal.signal(signal.SIGALRM, lambda *_: None); signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.alarm(1)
logging.getLogger().addHandler(logging.NullHandler()); logging.disable(logging.CRITICAL); logging.getLogger().setLevel(50)
warnings.simplefilter("ignore"); random.seed(1)
sys.stdout.close(); sys.stdout = None; os.close(1); os.close(0)
"""
    before = await run(look, tmp_path)
    await run(spoil, tmp_path)
    assert await run(look, tmp_path) == before
    assert before["env"] == {**ENV, **({"LC_CTYPE": "C.UTF-8"} if "LC_CTYPE" in before["env"] else {})}
    assert before["cwd"] == str(tmp_path)
    lines = Lines()
    await run("print('still heard')", tmp_path, log=lines.write)
    assert lines == [("INFO", "still heard")]


async def test_a_seeded_generator_does_not_repeat_itself_in_the_next_task(tmp_path: Path) -> None:
    code = "import random; result = random.random()"
    await run("import random; random.seed(7)", tmp_path)
    first = await run(code, tmp_path)
    await run("import random; random.seed(7)", tmp_path)
    assert await run(code, tmp_path) != first


async def test_everything_that_is_printed_reaches_the_log_in_order(tmp_path: Path) -> None:
    code = """
import logging, os, subprocess, sys
print("one")
logging.getLogger("x").warning("two\\nthree")
os.write(1, b"four\\n")
subprocess.run(["echo", "five"])
logging.debug("not this")
print("six", end="")
"""
    lines = Lines()
    await run(code, tmp_path, log=lines.write)
    assert lines == [
        ("INFO", "one"),
        ("WARNING", "two"),
        ("WARNING", "three"),
        ("INFO", "four"),
        ("INFO", "five"),
        ("INFO", "six"),
    ]


async def test_both_streams_and_bytes_of_any_kind(tmp_path: Path) -> None:
    lines = Lines()
    await run(
        "import sys, os; print('é😀\\udcff'); os.write(2, b'\\xff\\xfe!\\n'); print('end', file=sys.stderr)",
        tmp_path,
        log=lines.write,
    )
    assert sorted(lines.texts) == sorted(["é😀\\udcff", "\ufffd\ufffd!", "end"])


async def test_lines_arrive_while_the_task_works(tmp_path: Path) -> None:
    lines = Lines()
    task = asyncio.create_task(run("import time; print('now'); time.sleep(300)", tmp_path, log=lines.write))
    try:
        await eventually(lambda: lines.texts == ["now"])
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_much_output_does_not_block(tmp_path: Path) -> None:
    lines = Lines()
    await run("for n in range(20_000): print(n, 'x' * 100)", tmp_path, log=lines.write)
    assert len(lines) == 20_000
    assert lines.texts[-1].startswith("19999 x")


async def test_secrets_are_masked_in_lines_logs_and_errors(tmp_path: Path) -> None:
    lines = Lines()
    code = "import logging\nprint('a s3cret-value')\nlogging.error('b s3cret-value')\nraise ValueError('c s3cret-value')"
    error = await failure(code, tmp_path, log=lines.write, secrets=("s3cret-value",))
    assert lines.texts == ["a ***", "b ***"]
    assert "s3cret" not in repr(error.to_json()) + repr(error.details)
    assert "c ***" in error.message


async def test_large_values_go_both_ways(tmp_path: Path) -> None:
    value = {"text": "é'\"\\${x}\n" * 500_000, "list": list(range(1000))}
    assert await run("result = value", tmp_path, {"value": value}) == value


@pytest.mark.parametrize(
    ("code", "kind", "details"),
    [
        ("import os; os._exit(3)", "WorkerDied", {"exit_code": 3}),
        ("import os; os._exit(0)", "WorkerDied", {"exit_code": 0}),
        ("import os; os.abort()", "WorkerDied", {"exit_code": -signal.SIGABRT}),
        ("import os; os.kill(os.getpid(), 9)", "WorkerDied", {"exit_code": -signal.SIGKILL}),
        ("import os; os.closerange(3, 100)", "WorkerDied", None),
        ("import os, time\nif os.fork() == 0: time.sleep(300)\nos._exit(4)", "WorkerDied", {"exit_code": 4}),
    ],
)
async def test_a_crash_is_a_failed_task_and_nothing_more(
    tmp_path: Path, code: str, kind: str, details: dict[str, Any] | None
) -> None:
    other = asyncio.create_task(run("import time; time.sleep(0.5); result = 'unharmed'", tmp_path))
    async with asyncio.timeout(5):
        error = await failure(code, tmp_path)
    assert error.type == kind
    assert details is None or error.details == details
    assert await other == "unharmed"
    assert await run("result = 'next'", tmp_path) == "next"


async def test_what_is_printed_before_a_crash_is_kept(tmp_path: Path) -> None:
    lines = Lines()
    await failure("import os; print('last words'); os._exit(1)", tmp_path, log=lines.write)
    assert lines.texts == ["last words"]


async def test_the_death_of_an_idle_worker_is_not_noticed(tmp_path: Path) -> None:
    pid = await run("import os; result = os.getpid()", tmp_path)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 5)
    await asyncio.sleep(0.1)
    assert await run("result = 1", tmp_path) == 1


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(300)"])
async def test_a_time_out_kills_the_worker(tmp_path: Path, code: str) -> None:
    below = f"import os, subprocess; subprocess.Popen(['sleep', '300']); open('pid', 'w').write(str(os.getpid()))\n{code}"
    started = time.monotonic()
    with pytest.raises(StepTimeoutError, match=r"longer than 0\.4 s"):
        await run(below, tmp_path, limits=Limits(timeout=0.4))
    assert time.monotonic() - started < 0.4 + 4  # 2 are promised
    assert not is_alive(int((tmp_path / "pid").read_text()))
    wait_until(lambda: not any("sleep" in name for name in _commands(descendants(os.getpid()))), 2)


def _commands(pids: set[int]) -> list[str]:
    from tests.support.processes import command_line

    return [command_line(pid) for pid in pids]


async def test_cancelling_kills_the_worker(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    task = asyncio.create_task(
        run("import os; open('pid', 'w').write(str(os.getpid()))\nwhile True: pass", tmp_path)
    )
    await eventually(lambda: file.exists() and file.read_text())
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 4  # 2 are promised
    assert not is_alive(int(file.read_text()))


async def test_cancelling_at_any_moment_leaves_the_pool_whole(tmp_path: Path) -> None:
    configure_pool(max_workers=2)
    for turns in range(30):
        tasks = [asyncio.create_task(run("result = 1", tmp_path)) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0.0005 if turns % 2 else 0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.result() for task in tasks[1::2]] == [1, 1]
    pids = await asyncio.gather(
        *(run("import os, time; time.sleep(0.05); result = os.getpid()", tmp_path) for _ in range(6))
    )
    assert len(set(pids)) == 2


async def test_no_more_workers_than_allowed(tmp_path: Path) -> None:
    configure_pool(max_workers=3)
    code = "import os, time; time.sleep(0.05); result = os.getpid()"
    pids = await asyncio.gather(*(run(code, tmp_path) for _ in range(12)))
    assert len(set(pids)) == 3


async def test_idle_workers_are_few(tmp_path: Path) -> None:
    configure_pool(max_workers=6, idle_workers=1)
    code = "import os, time; time.sleep(0.1); result = os.getpid()"
    pids = await asyncio.gather(*(run(code, tmp_path) for _ in range(6)))
    wait_until(lambda: sum(map(is_alive, pids)) == 1, 5)


async def test_a_task_that_leaves_something_running_costs_its_worker(tmp_path: Path) -> None:
    code = "import os, subprocess; result = [os.getpid(), subprocess.Popen(['sleep', '300']).pid]"
    worker, child = await run(code, tmp_path)
    wait_until(lambda: not is_alive(child), 2)
    code = (
        "import os, threading, time; threading.Thread(target=time.sleep, args=(300,), daemon=True).start();"
        "result = os.getpid()"
    )
    threaded = await run(code, tmp_path)
    assert len({worker, threaded, await run("import os; result = os.getpid()", tmp_path)}) == 3


async def test_an_ended_child_does_not_cost_the_worker(tmp_path: Path) -> None:
    code = "import os, subprocess; subprocess.run(['true']); subprocess.Popen(['true']); import time; time.sleep(0.2); result = os.getpid()"
    assert await run(code, tmp_path) == await run("import os; result = os.getpid()", tmp_path)


async def test_limits_hold_for_one_task_only(tmp_path: Path) -> None:
    if not MEMORY_LIMITS:
        pytest.skip("this system does not enforce a limit of address space")
    take = "import os; block = bytearray(300_000_000); result = os.getpid()"
    error = await failure(take, tmp_path, limits=Limits(memory=200_000_000))
    assert (error.type, error.details["line"]) == ("MemoryError", 1)
    assert await run(take, tmp_path, limits=Limits(memory=600_000_000)) == await run(take, tmp_path)


async def test_a_limit_of_processor_time_counts_from_the_task_on(tmp_path: Path) -> None:
    spin = "import os, time\nend = time.process_time() + seconds\nwhile time.process_time() < end: pass\nresult = os.getpid()"
    first = await run(spin, tmp_path, {"seconds": 0.6})
    assert await run(spin, tmp_path, {"seconds": 0.6}, limits=Limits(cpu=1)) == first
    error = await failure("while True: pass", tmp_path, limits=Limits(cpu=1))
    assert error.type == "CpuLimit"


async def test_edited_modules_are_read_again(tmp_path: Path) -> None:
    package = tmp_path / "pieces"
    package.mkdir()
    (package / "__init__.py").write_text("from pieces.value import VALUE\n")
    module = package / "value.py"
    code = "import pieces; result = pieces.VALUE"
    for number in range(4):
        module.write_text(f"VALUE = {number}\n")  # of the same length, and often within the same second
        assert await run(code, tmp_path, root=tmp_path) == number
    pids = {await run("import os, pieces; result = os.getpid()", tmp_path, root=tmp_path) for _ in range(3)}
    assert len(pids) == 1


async def test_unchanged_modules_stay_loaded(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text("COUNT = []\n")
    os.utime(tmp_path / "counter.py", (1e9, 1e9))
    code = "import counter; counter.COUNT.append(1); result = len(counter.COUNT)"
    assert [await run(code, tmp_path, root=tmp_path) for _ in range(3)] == [1, 2, 3]


async def test_modules_of_another_project_are_not_mistaken_for_this_ones(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(f"NAME = {name!r}\n")
    code = "import helper; result = helper.NAME"
    for name in ("one", "two", "one"):
        assert await run(code, tmp_path, root=tmp_path / name) == name


async def test_a_new_module_is_found(tmp_path: Path) -> None:
    error = await failure("import late", tmp_path, root=tmp_path)
    assert error.type == "ModuleNotFoundError"
    (tmp_path / "late.py").write_text("")
    await run("import late", tmp_path, root=tmp_path)


def test_event_loops_of_several_threads(tmp_path: Path) -> None:
    configure_pool(max_workers=2)
    found: dict[int, list[int]] = {}

    async def work(number: int) -> None:
        found[number] = [await run("result = n", tmp_path, {"n": number}) for _ in range(5)]

    threads = [threading.Thread(target=asyncio.run, args=(work(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: [number] * 5 for number in range(4)}


async def test_closing_is_followed_by_a_fresh_start(tmp_path: Path) -> None:
    first = await run("import os; result = os.getpid()", tmp_path)
    busy = asyncio.create_task(run("import time; time.sleep(300)", tmp_path))
    await asyncio.sleep(0.1)
    close_pools()
    with pytest.raises(StepError) as caught:
        await busy
    assert caught.value.type == "GuardianLost"
    assert not is_alive(first)
    assert await run("result = 2", tmp_path) == 2


@pytest.mark.parametrize("module", WARM_MODULES)
def test_what_workers_load_in_advance_exists(module: str) -> None:
    importlib.import_module(module)


async def test_workers_load_nothing_heavy_in_advance(tmp_path: Path) -> None:
    heavy = ["dbos", "sqlalchemy", "pydantic", "rich", "pandas", "aiohttp", "psycopg", "alembic"]
    code = (
        "import sys, threading; result = [[m for m in heavy if m in sys.modules], threading.active_count()]"
    )
    assert await run(code, tmp_path, {"heavy": heavy}) == [[], 1]


async def test_warming_up_starts_what_the_first_task_uses(tmp_path: Path) -> None:
    warm_up()
    (guardian,) = children(os.getpid())
    assert await run("import os; result = os.getppid()", tmp_path) == guardian
    warm_up()
    assert children(os.getpid()) == {guardian}


async def test_the_main_module_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import asyncio, os\nfrom pathlib import Path\n"
        "from kurt.engine.processes.pool import call_in_pool\nfrom kurt.engine.processes.surroundings import Surroundings\n"
        "print('main')\n"
        "around = Surroundings(env=dict(os.environ), cwd=Path.cwd())\n"
        "payload = {'code': 'result = 41 + 1', 'inputs': {}, 'path': 'a'}\n"
        "print(asyncio.run(call_in_pool('kurt.engine.processes.tasks:run_script', payload, around)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await process.communicate() == (b"main\n42\n", b"")
