"""What the top of a workflow file says is obeyed: inputs, queue, priority, timeout, limits, handlers, YAML 1.2."""

from __future__ import annotations

import json

import pytest

from kurt.errors import DefinitionError, InputError, NotFoundError
from tests.support.language import Language, language
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

__all__ = ["language"]


def test_inputs_are_typed_wherever_they_come_from(language: Language) -> None:
    name = language.write(
        """
        name: typed
        inputs:
          text: {type: string, required: true, min: 2, pattern: "^[a-z0-9]+$"}
          count: {type: int, default: 3, min: 1, max: 5}
          share: {type: float, default: 0.5}
          flag: false
          words: {type: list, items: string, default: []}
          table: {type: object, default: {}}
          day: {type: date, default: 2026-11-21}
          size: {type: string, enum: [small, large], default: small}
          free: null
        steps: [{name: s, type: script, code: result = 1}]
        outputs: {all: "${inputs}"}
        """,
        "typed.yaml",
    )
    run = language.kurt.json(
        "workflows", "run", name, "--input", "text=007", "--input", "count=4", "--input", "flag=true",
        "--input", "words=no", "--input", "words=1", "--input", "table={a: [1, on]}", "--input", "free=1.5",
    )  # fmt: skip
    assert run["outputs"]["all"] == {
        "text": "007", "count": 4, "share": 0.5, "flag": True, "words": ["no", "1"], "table": {"a": [1, "on"]},
        "day": "2026-11-21", "size": "small", "free": 1.5,
    }  # fmt: skip
    (language.root / "inputs.yaml").write_text("text: abc\ncount: 2\nwords: [a, b]\n")
    run = language.kurt.json("workflows", "run", name, "--inputs-file", "inputs.yaml", "--input", "count=5")
    assert (run["outputs"]["all"]["count"], run["outputs"]["all"]["words"]) == (5, ["a", "b"])
    run = language.kurt.json("workflows", "run", name, "--inputs-file", "-", input='{"text": "xyz"}')
    assert run["outputs"]["all"]["text"] == "xyz"
    wrong = {"text": "A", "count": 9, "flag": "x", "words": [1], "day": "soon", "size": "huge", "nope": 1}
    with pytest.raises(InputError) as caught:
        language.start(name, wrong)
    assert len(caught.value.causes) == 7, caught.value.causes
    failed = language.kurt("workflows", "run", name, "--input", "count=x", "--format", "json", code=2)
    assert len(failed.error()["causes"]) == 2
    assert not language.client.list(name="typed", status="failed")


def test_queue_priority_and_timeout_of_a_file(language: Language) -> None:
    language.kurt.json("queues", "create", "special")
    name = language.write(
        """
        name: placed
        queue: special
        priority: 7
        timeout: 1h
        steps: [{type: script, code: ''}]
        """
    )
    run = language.client.get(language.start(name, delay="1h"))
    assert (run.status, run.queue, run.priority) == ("scheduled", "special", 7)
    other = language.client.get(language.start(name, delay="1h", queue="default", priority=2))
    assert (other.queue, other.priority) == ("default", 2), "what the command says wins"
    language.client.cancel(run.id, other.id)
    with pytest.raises(NotFoundError, match="nowhere"):
        language.start("queue: nowhere\nsteps: [{type: script, code: ''}]\n")


def test_a_run_that_takes_too_long_is_cancelled_with_its_processes(language: Language) -> None:
    text = """
        name: too-long
        timeout: 2s
        steps:
          - {name: first, type: script, code: result = 1}
          - name: slow
            parallel:
              - {name: here, type: run, command: 'echo $$ > here.pid; exec sleep 61'}
              - name: items
                foreach: {items: [1]}
                steps:
                  - {name: one, type: script, code: result = 1}
                  - {name: there, type: run, command: 'echo $$ > there.pid; exec sleep 61'}
          - {name: never, type: python, call: "probe:mark", args: [too-long]}
        """
    run = language.run(text)
    assert run.status == "cancelled"
    pids = [int((language.root / f"{name}.pid").read_text()) for name in ("here", "there")]
    wait_until(lambda: not any(map(is_alive, pids)), 10, what="the end of the processes")
    assert language.marks("too-long") == 0
    name = language.write(text)
    done = language.kurt("workflows", "run", name, "--format", "json", code=1)
    assert done.json()["status"] == "cancelled"
    assert "timeout" in done.error()["message"], "a reader learns why"
    quick = language.write(text.replace("timeout: 2s", ""))
    done = language.kurt("workflows", "run", quick, "--timeout", "1s", code=1)
    assert "cancelled" in done.stderr
    done = language.kurt("workflows", "run", quick, env={"KURT_WORKFLOW__TIMEOUT": "1s"}, code=1)
    assert "cancelled" in done.stderr


def test_ten_mistakes_give_ten_messages(language: Language) -> None:
    name = language.write(
        """\
        name: ten
        nmae: twice
        inputs: {n: {type: number, min: x}}
        steps:
          - {name: a, type: cli}
          - {name: a, type: script, code: result = 1}
          - {name: b, type: skript, code: result = 1}
          - {name: c, type: run, command: [echo, "${unknown}"]}
          - {name: d, type: script, code: result = 1, when: "n >"}
          - {name: e, type: script, code: result = 1, needs: [zzz]}
          - {name: f, type: script, code: result = 1, timeout: soon}
          - {name: g, type: script, code: result = 1, retry: {attempts: 3}}
        """,
        "ten.yaml",
    )
    validated = language.kurt("workflows", "validate", name, code=2)
    places = [line for line in validated.stderr.splitlines() if line.startswith("ten.yaml:")]
    assert len(places) == 10, validated
    assert all(line.split(":")[1].isdigit() and line.split(":")[2].isdigit() for line in places)
    assert validated.stderr.count("hint:") >= 10
    started = language.kurt("workflows", "run", name, "--format", "json", code=2)
    error = started.error()
    assert (error["code"], len(error["errors"])) == ("definition", 10)
    assert all(fault["line"] and fault["column"] and fault["hint"] for fault in error["errors"])
    assert language.kurt("workflows", "run", name, "--background", code=2).stdout == ""
    assert not language.client.list(name="ten")


def test_a_step_without_its_fields_is_refused_before_the_run(language: Language) -> None:
    for step in (
        "{type: cli}",
        "{type: run}",
        "{type: script}",
        "{type: python}",
        "{type: http}",
        "{type: emit, value: 1}",
    ):
        with pytest.raises(DefinitionError):
            language.start(f"steps: [{step}]")


def test_yaml_words_that_look_like_other_things_are_text(language: Language) -> None:
    outputs = language.outputs(
        """
        name: words
        x-notes: &note {words: [on, no, yes, 2026-11-21, 1e3, 0o17, ~]}
        inputs: {switch: on, day: 2026-11-21}
        steps:
          - {name: words, type: script, inputs: *note, code: result = words}
        outputs: {words: "${steps.words}", switch: "${switch}", day: "${day}"}
        """
    )
    assert outputs == {
        "words": ["on", "no", "yes", "2026-11-21", 1000.0, 15, None],
        "switch": "on",
        "day": "2026-11-21",
    }


def test_the_run_goes_on_with_the_file_it_began_with(language: Language) -> None:
    name = language.write(
        """
        name: frozen
        steps:
          - {name: hold, wait: {message: go}}
          - {name: last, type: script, code: result = 'old'}
        outputs: {last: "${steps.last}"}
        """
    )
    run_id = language.start(name)
    language.until(run_id, "waiting")
    (language.root / name).write_text("steps: [{name: hold, type: script, code: 1/0}]")
    language.client.send(run_id, None, topic="go")
    assert language.client.result(run_id, timeout=30) == {"last": "old"}


def test_the_example_of_a_whole_file(language: Language) -> None:
    """Every key of a file at once."""
    (language.root / ".env").write_text("PAGES_KEY=the-pages-key\n")
    language.write("urls: [u-1, u-2, u-0]\n", "urls.yaml")
    name = language.write(
        """
        # yaml-language-server: $schema=./kurt-workflow.schema.json
        name: pages
        description: Fetch pages and report on them
        version: "3"
        inputs:
          urls: {type: list, items: string, required: true}
          limit: 10
        defaults: {timeout: 5m, retry: {max_attempts: 2, delay: 10ms}}
        env: {LANG: C.UTF-8, WHO: "${run.name}"}
        secrets: [PAGES_KEY]
        limits: {cpu: 60s}
        steps:
          - name: pages
            foreach: {items: "${urls}", as: url, key: "${url}", max_concurrent: 3, on_item_error: collect}
            steps:
              - name: fetch
                type: script
                inputs: {url: "${url}"}
                code: "result = {'title': 'T ' + url, 'n': 1 // int(url[-1])}"
                retry: {max_attempts: 3, backoff: exponential, delay: 10ms, max_delay: 1m, jitter: true}
                output: page
              - {name: who, type: run, command: 'echo "$WHO $${#PAGES_KEY}"'}
            collect: "${page.title} ${steps.who.stdout}"
            output: titles
          - name: report
            type: cli
            command: workflows write
            args: {data: "${titles}", output: report.json}
            when: len(titles) > 0 and len(titles) <= limit
          - {name: bad, type: script, code: 1/0, retry: {max_attempts: 1}}
        on_error:
          - {type: run, command: [sh, -c, 'printf %s "$0" > told', "${error.message}"]}
        finally:
          - {type: run, command: [touch, tidied]}
        outputs: {titles: "${titles}"}
        """,
        "workflows/pages.yaml",
    )
    assert language.kurt.json("workflows", "validate", name) == []
    failed = language.kurt(
        "workflows", "run", "pages", "--inputs-file", "urls.yaml", "--format", "json", code=1
    )
    assert failed.json()["error"]["type"] == "ZeroDivisionError"
    titles = json.loads((language.root / "report.json").read_text())
    assert titles[:2] == ["T u-1 pages 13", "T u-2 pages 13"]
    assert (titles[2]["key"], titles[2]["error"]["type"]) == ("u-0", "ZeroDivisionError")
    assert "division by zero" in (language.root / "told").read_text()
    assert (language.root / "tidied").exists()
    steps = language.steps(failed.json()["run_id"])
    assert steps["pages[u-0].fetch"].attempt == 3
