"""The same operations from Python: `kurt.Client` and what `kurt.engine` exports."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import kurt
import kurt.engine
from kurt.errors import (
    ConflictError,
    CredentialsError,
    DefinitionError,
    InputError,
    NotFoundError,
    RunFailedError,
    UsageError,
)
from tests.support.environment import child_environment
from tests.support.language import Language, language

__all__ = ["language"]

FLOW = """
    name: from python
    inputs: {word: hello, fail: false}
    steps:
      - {name: say, type: emit, stream: said, value: "${word}"}
      - {name: tell, type: emit, event: told, value: "${word}"}
      - {name: check, type: script, inputs: {fail: "${fail}"}, code: "print('checking'); assert not fail, 'told to'"}
    outputs: {word: "${word}"}
    """


@pytest.fixture(scope="module")
def client(language: Language) -> kurt.Client:
    language.write(FLOW, "workflows/python.yaml")
    return kurt.Client(language.root)


def test_submit_wait_and_read(client: kurt.Client, language: Language) -> None:
    submitted = client.submit("python", {"word": "hi"})
    assert (submitted.name, submitted.queue, submitted.existing) == ("from python", "default", False)
    run = client.wait(submitted.run_id, timeout=60)
    assert (run.status, run.outputs, run.file) == ("succeeded", {"word": "hi"}, "workflows/python.yaml")
    assert client.result(submitted.run_id) == {"word": "hi"}
    assert client.get(submitted.run_id[:-1]).id == run.id
    assert [step.path for step in client.steps(run.id)] == ["say", "tell", "check"]
    assert client.steps(run.id)[0].value is None
    assert client.steps(run.id, values=True)[0].value == "hi"
    assert client.events(run.id)["told"] == "hi"
    assert client.stream(run.id, "said").items == ["hi"]
    assert any("checking" in line for line in client.logs(run.id, step="check"))
    assert len(list(client.logs(run.id, tail=2))) == 2
    assert client.list(name="from python", status="succeeded", limit=1)[0].id == run.id
    assert client.list(name="from python", status=["failed"]) == []
    assert kurt.Client(settings=client.settings).get(run.id).id == run.id


def test_options_of_submit(client: kurt.Client, language: Language) -> None:
    later = client.submit("python", delay="1h", priority=4, run_id="client-1", timeout="5m", dedup_id="once")
    run = client.get(later.run_id)
    assert (run.id, run.status, run.priority) == ("client-1", "scheduled", 4)
    assert client.submit("python", run_id="client-1").existing
    with pytest.raises(ConflictError):
        client.submit("python", dedup_id="once")
    same = client.submit("python", dedup_id="once", on_duplicate="return-existing")
    assert (same.run_id, same.existing) == ("client-1", True)
    assert client.submit("python", at="2100-01-01T00:00:00Z").run_id in {
        one.id for one in client.list(status="scheduled")
    }
    first = client.submit("python", {"word": "a"}, debounce="500ms", debounce_key="k", debounce_max="5s")
    assert client.submit("python", {"word": "b"}, debounce="500ms", debounce_key="k").run_id == first.run_id
    assert client.result(first.run_id, timeout=30) == {"word": "b"}
    assert [one.status for one in client.cancel("client-1")] == ["cancelled"]
    assert client.delete("client-1") == ["client-1"]
    with pytest.raises(NotFoundError):
        client.get("client-1")


def test_steering(client: kurt.Client, language: Language) -> None:
    failed = client.submit("python", {"fail": True}).run_id
    with pytest.raises(RunFailedError, match="told to"):
        client.result(failed, timeout=60)
    assert client.retry(failed).run_id == failed
    assert client.wait(failed, timeout=60).status == "failed"
    forked = client.fork(failed, start="check", inputs=["fail=false"]).run_id
    assert client.result(forked, timeout=60) == {"word": "hello"}
    assert client.get(forked).forked_from == failed
    hold = client.submit(
        str(
            language.root
            / language.write("steps: [{name: h, wait: {message: go}}]\noutputs: {h: '${steps.h}'}")
        )
    ).run_id
    language.until(hold, "waiting")
    with pytest.raises(RunFailedError, match="still waiting"):
        client.wait(hold, timeout=0.2)
    client.cancel(hold)
    language.until(hold, "cancelled")
    client.resume(hold)
    language.until(hold, "waiting")
    client.send(hold, {"a": 1}, topic="go", idempotency_key="x")
    assert client.result(hold, timeout=60) == {"h": {"a": 1}}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.submit("nobody"), NotFoundError),
        (lambda client: client.submit("python", {"nope": 1}), InputError),
        (lambda client: client.submit("python", queue="nowhere"), NotFoundError),
        (lambda client: client.submit("python", delay="soon"), UsageError),
        (lambda client: client.submit("python", nope=1), TypeError),
        (lambda client: client.submit("python", priority="high"), UsageError),
        (lambda client: client.submit("python", debounce="1s"), UsageError),
        (lambda client: client.submit("python", debounce_key="k"), UsageError),
        (lambda client: client.submit("python", on_duplicate="return-existing"), UsageError),
        (lambda client: client.submit("python", at="2100-01-01", delay="1s"), UsageError),
        (lambda client: client.list(nope=1), TypeError),
        (lambda client: client.list(status="nonsense"), UsageError),
        (lambda client: client.get("nobody"), NotFoundError),
        (lambda client: client.stream("nobody", "x"), NotFoundError),
        (lambda client: client.cancel("nobody"), NotFoundError),
    ],
)
def test_mistakes_are_exceptions(client: kurt.Client, call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call(client)


def test_running_a_file_in_this_process(language: Language, home: Path) -> None:
    """A program of its own: the library executes there, durably."""
    name = language.write(FLOW)
    script = f"""
import kurt.engine
from kurt.errors import RunFailedError
print(kurt.engine.run_yaml_workflow({name!r}, {{"word": "direct"}}, run_id="direct-1"))
print(kurt.engine.run_yaml_workflow({name!r}, {{"word": "other"}}, run_id="direct-1"))
try:
    kurt.engine.run_yaml_workflow({name!r}, {{"fail": True}})
except RunFailedError as error:
    print("failed:", error.message.partition(": ")[2])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=language.root,
        env=child_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["{'word': 'direct'}"] * 2, "a repeated id gives what that run gave"
    assert lines[2].startswith("failed: step 'check' failed: told to")
    run = language.client.get("direct-1")
    assert (run.status, run.name) == ("succeeded", "from python")
    assert (run.executor_id or "").startswith("run-")


def test_running_a_file_in_a_thread_of_a_program(language: Language, home: Path) -> None:
    name = language.write(FLOW)
    script = f"""
import asyncio, kurt.engine
async def main():
    print(await asyncio.to_thread(kurt.engine.run_yaml_workflow, {name!r}, {{"word": "threaded"}}))
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=language.root,
        env=child_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "{'word': 'threaded'}\n", done.stderr


def test_what_the_engine_exports(language: Language) -> None:
    path = language.root / language.write(FLOW)
    from kurt.engine.registry import kinds

    loaded = kurt.engine.load_workflow(path, root=language.root, kinds=kinds(language.root))
    definition = loaded.definition
    assert isinstance(definition, kurt.engine.WorkflowDefinition)
    assert isinstance(definition.steps[0], kurt.engine.WorkflowStep)
    assert kurt.engine.ErrorHandling.model_validate("skip").strategy == "skip"
    assert kurt.engine.WorkflowContext.__doc__
    with pytest.raises(AttributeError):
        getattr(kurt.engine, "no" + "thing")
    assert {"Client", "__version__"} <= set(dir(kurt))


def test_a_program_may_use_a_client_from_several_threads(client: kurt.Client) -> None:
    results: list[Any] = []

    def work(word: str) -> None:
        results.append(client.result(client.submit("python", {"word": word}).run_id, timeout=60)["word"])

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == ["t0", "t1", "t2", "t3"]

    async def later() -> Any:
        return await asyncio.to_thread(client.submit, "python")

    assert client.wait(asyncio.run(later()).run_id, timeout=60).status == "succeeded"


def test_errors_carry_what_is_needed(client: kurt.Client, language: Language) -> None:
    with pytest.raises(DefinitionError) as broken:
        client.submit(str(language.root / language.write("steps: [{type: nope}]")))
    assert broken.value.faults[0].line == 1
    with pytest.raises(CredentialsError):
        client.submit(
            str(language.root / language.write("secrets: [NOT_SET]\nsteps: [{type: script, code: ''}]"))
        )
