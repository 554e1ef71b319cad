"""`kurt workflows test`: cases are real runs in copies of the project, and nothing of them reaches the project itself."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt
from tests.support.processes import is_alive

FLOW = """
name: report
secrets: [TOKEN]
inputs:
  limit: {type: int, default: 2, max: 5}
steps:
  - name: fetch
    type: http
    url: "https://example.com/pages?limit=${limit}"
    headers: {Authorization: "Bearer ${env.TOKEN}"}
    retry: {max_attempts: 3, delay: 10m}
    output: pages
  - name: each
    foreach: {items: "${pages.body}", as: page, key: "${page.id}"}
    steps:
      - {name: read, type: run, command: [cat, "sources/${page.id}.md"], output: read}
      - {name: upper, type: python, call: "texts:upper", args: {text: "${read.stdout}"}, output: upper}
    collect: "${upper}"
    output: texts
  - {name: pause, wait: {for: 2h}}
  - {name: ask, type: llm, prompt: "Sum up ${texts}", schema: {type: object, properties: {summary: {type: string}}}, output: sum}
  - {name: review, approval: {message: "Publish?", fields: {title: {type: string, required: true}}}, output: review}
  - {name: call, workflow: ./inner.yaml, inputs: {title: "${review.title}"}, output: inner}
  - name: write
    type: cli
    command: workflows write
    args: {data: "${texts}", output: out.json}
    when: len(texts) > 0
finally:
  - {name: mark, type: run, command: "echo ran >> marks.txt"}
outputs: {texts: "${texts}", summary: "${sum.summary}", said: "${inner.said}"}
"""

INNER = """
name: inner
inputs: {title: {type: string}}
steps: [{name: say, type: script, inputs: {title: "${inputs.title}"}, code: "result = title + '!'", output: said}]
outputs: {said: "${said}"}
"""

TESTS = """
# yaml-language-server: $schema=../kurt-test.schema.json
mocks:
  steps:
    fetch: {attempts: [{error: {message: busy, type: HttpError, status: 503}}, {value: {body: [{id: a}, {id: b}]}}]}
    each[b].read: {stdout: second}
cases:
  - name: two pages
    inputs: {limit: 3}
    files: {sources/a.md: first}
    mocks: {models: [{step: ask, prompt: FIRST, answer: {summary: short}}]}
    answers: {review: {approved: true, title: T, comment: good}}
    expect:
      outputs: {texts: [FIRST, SECOND], summary: short, said: T!}
      steps:
        fetch: {state: succeeded, attempts: 2, given: {url: "https://example.com/pages?limit=3"}}
        each: {value: [FIRST, SECOND]}
        each.upper: {state: succeeded, count: 2}
        each[b].read: {value: {stdout: second}, given: {command: [cat, sources/b.md]}}
        review: {includes: {comment: good, by: test}}
        call.say: {value: T!}
        write: succeeded
        finally.mark: succeeded
      calls: 1
      that: ["len(outputs.texts) == 2", "inputs.limit == 3"]
  - name: no pages
    mocks: {steps: {fetch: {body: []}}}
    answers: {review: {approved: true, title: T}}
    expect:
      includes: {texts: [], summary: mock_summary}
      steps: {write: skipped, each.read: not run, finally.mark: {count: 1}}
  - name: a missing file
    expect: {error: {step: "each[a].read", exit_code: 1}, steps: {pause: not run}}
  - name: a limit that is too large
    inputs: {limit: 6}
    expect: {status: refused, error: limit}
  - name: rejected
    files: {sources/a.md: first}
    answers: {review: {approved: false}}
    expect: {error: {type: Rejected}}
"""

TEXTS = 'def upper(text):\n    """In capitals."""\n    return text.strip().upper()\n'


@pytest.fixture
def report(kurt: Kurt, project: Path) -> Kurt:
    """A project with a workflow file, its tests, and a secret that no test may see."""
    write(project, "workflows/report.yaml", FLOW)
    write(project, "workflows/inner.yaml", INNER)
    write(project, "workflows/report.test.yaml", TESTS)
    write(project, "texts.py", TEXTS)
    write(project, ".env", "TOKEN=the-real-one\n")
    return kurt


def write(project: Path, name: str, text: str) -> None:
    file = project / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))


def snapshot(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and ".kurt" not in path.parts
    }


def runs(project: Path) -> int:
    with closing(sqlite3.connect(project / ".kurt" / "kurt.sqlite")) as connection:
        return connection.execute("SELECT count(*) FROM workflow_status").fetchone()[0]


def test_cases_are_runs_in_copies_of_the_project(report: Kurt, project: Path) -> None:
    before = snapshot(project)
    with ModelServer() as server:
        done = report(
            "workflows",
            "test",
            "report",
            env={"KURT_LLM__BASE_URL": server.url, "KURT_LLM__MODEL": "openai/x"},
        )
        assert not server.arrivals
    assert done.lines[0] == "workflows/report.test.yaml"
    assert [line.split()[0] for line in done.lines[1:6]] == ["ok"] * 5
    assert "5 passed in" in done.lines[-1]
    assert snapshot(project) == before, "what the runs wrote is in their copies"
    assert runs(project) == 0


def test_no_case_reaches_the_database_or_the_secrets_of_the_user(report: Kurt, project: Path) -> None:
    write(
        project,
        "workflows/spy.yaml",
        """
        secrets: [TOKEN]
        steps:
          - {name: spy, type: run, command: env, parse: lines, output: lines}
        outputs: {lines: "${lines.stdout}"}
        """,
    )
    write(
        project,
        "workflows/spy.test.yaml",
        """
        cases:
          - {name: made up, expect: {outputs: {lines: none}}}
          - {name: given, secrets: {TOKEN: given-by-the-case}, expect: {outputs: {lines: none}}}
        """,
    )
    real = {
        "TOKEN": "the-real-one",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
        "KURT_USER_ID": "me",
    }
    result = report("workflows", "test", "spy", "--format", "json", env=real, code=1).json()
    for case in result["cases"]:
        (difference,) = case["differences"]
        seen = json.dumps(difference["actual"])
        assert "postgresql" not in seen
        assert "the-real-one" not in seen
        assert "KURT_USER_ID" not in seen


def failing(project: Path) -> None:
    write(
        project,
        "workflows/bad.yaml",
        "steps: [{name: a, type: script, code: 'result = [1, 2]'}]\noutputs: {a: '${steps.a}'}\n",
    )
    write(
        project,
        "workflows/bad.test.yaml",
        """
        cases:
          - {name: good, expect: {outputs: {a: [1, 2]}}}
          - {name: bad & <worse>, expect: {outputs: {a: [1, 3]}, steps: {a: failed}}}
        """,
    )


def test_differences_are_told_in_every_form(kurt: Kurt, project: Path) -> None:
    failing(project)
    done = kurt("workflows", "test", "bad", "--junit", "reports/junit.xml", code=1)
    assert "  FAIL  bad & <worse>" in done.stdout
    assert "          outputs.a[1]: expected 3, got 2" in done.lines
    assert "          step a: expected failed, got succeeded" in done.lines
    assert "error: 1 of 2 cases failed" in done.stderr
    assert "hint: kurt workflows test workflows/bad.test.yaml --case 'bad & <worse>' --keep" in done.stderr
    shown = kurt("workflows", "test", "bad", "--format", "json", code=1)
    result = shown.json()
    assert shown.error()["message"] == "1 of 2 cases failed"
    assert (result["passed"], result["failed"]) == (1, 1)
    assert result["cases"][1]["differences"][0] == {
        "at": "outputs.a[1]", "message": "expected 3, got 2", "expected": 3, "actual": 2,
    }  # fmt: skip
    assert any("run succeeded" in line for line in result["cases"][1]["log"])
    suite = ET.parse(project / "reports" / "junit.xml").getroot()[0]
    assert suite.attrib["name"] == "workflows/bad.test.yaml"
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    failure = suite[1].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "outputs.a[1]: expected 3, got 2"


def test_a_copy_can_be_kept(kurt: Kurt, project: Path) -> None:
    failing(project)
    result = kurt("workflows", "test", "bad", "--case", "bad*", "--keep", "--format", "json", code=1).json()
    (case,) = result["cases"]
    folder = Path(case["folder"])
    (run,) = kurt.json("workflows", "list", cwd=folder)
    assert (run["name"], run["status"], run["mocked"]) == ("bad", "succeeded", ["models"])
    for path in sorted(folder.parent.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.parent.rmdir()


def test_steps_that_no_case_runs_are_named(kurt: Kurt, project: Path) -> None:
    write(
        project,
        "workflows/two.yaml",
        "steps:\n- {name: a, type: script, code: ''}\n- {name: b, type: script, code: '', when: 'false'}\n- {name: c, type: script, code: 'raise ValueError'}\n- {name: d, type: script, code: ''}",
    )
    write(project, "workflows/two.test.yaml", "cases: [{name: x, expect: {status: failed}}]")
    done = kurt("workflows", "test")
    assert "no case runs the step d of workflows/two.test.yaml" in done.lines


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nobody"], 3, "there is no workflow 'nobody'"),
        (["quickstart"], 3, "quickstart has no tests: there is no file workflows/quickstart.test.yaml"),
        (["sources"], 3, "there are no test files in sources"),
        (["bad", "--case", "goood"], 3, "there is no case 'goood'"),
        ([], 2, "workflows/wrong.test.yaml:1:19: unknown key `input` in"),
    ],
)
def test_what_cannot_be_run(kurt: Kurt, project: Path, words: list[str], code: int, message: str) -> None:
    failing(project)
    (project / "workflows" / "quickstart.test.yaml").unlink(missing_ok=True)
    if not words:
        write(project, "workflows/wrong.yaml", "steps: [{name: a, type: script, code: ''}]")
        write(project, "workflows/wrong.test.yaml", "cases: [{name: a, input: b}]")
    done = kurt("workflows", "test", *words, code=code)
    assert message in done.stderr


def test_a_file_of_tests_is_no_workflow(kurt: Kurt, project: Path) -> None:
    failing(project)
    done = kurt("workflows", "run", "workflows/bad.test.yaml", code=2)
    assert "hint: kurt workflows test workflows/bad.test.yaml" in done.stderr
    kurt("workflows", "validate", "workflows/bad.test.yaml", "workflows/bad.yaml")
    write(project, "workflows/bad.test.yaml", "cases: [{name: a, expects: {}}]")
    assert "did you mean `expect`?" in kurt("workflows", "validate", "workflows/bad.test.yaml", code=2).stderr
    assert "bad.test" not in json.dumps(kurt.json("workflows", "list", "--files"))


def test_who_waits_for_nothing_is_told(kurt: Kurt, project: Path) -> None:
    write(
        project,
        "workflows/slow.yaml",
        "steps:\n- {name: note, wait: {message: note}}\n- {name: slow, type: run, command: sleep 600}\n",
    )
    write(
        project,
        "workflows/slow.test.yaml",
        """
        cases:
          - {name: unanswered}
          - {name: slow, timeout: 1s, answers: {note: 1}}
          - {name: mocked, mocks: {steps: {slow: 1}}, answers: {note: 1}, expect: {steps: {note: {value: 1}}}}
        """,
    )
    result = kurt("workflows", "test", "slow", "--format", "json", code=1).json()
    said = [[one["message"] for one in case["differences"]] for case in result["cases"]]
    assert said == [
        ["the step note waits for an answer that the case does not give\nwrite answers: {note: ...}"],
        ["the run is not over after 1 s\nraise `timeout:` of the case, or mock the slow step"],
        [],
    ]


def test_a_process_that_dies_is_told_with_what_it_has_said(kurt: Kurt, project: Path) -> None:
    write(
        project,
        "deadly.py",
        "import os\n\n\ndef die():\n    print('last words', flush=True)\n    os._exit(3)\n",
    )
    write(
        project,
        "workflows/deadly.yaml",
        "steps: [{name: die, type: python, call: 'deadly:die', isolate: false}]",
    )
    write(project, "workflows/deadly.test.yaml", "cases: [{name: a}, {name: b, mocks: {steps: {die: 1}}}]")
    result = kurt("workflows", "test", "deadly", "--format", "json", code=1).json()
    (difference,) = result["cases"][0]["differences"]
    assert difference["message"].startswith(
        "the process of the case ended with exit code 3 before it had a result"
    )
    assert result["cases"][1]["status"] == "passed"


def test_ctrl_c_ends_all_cases(kurt: Kurt, project: Path, wait_until: Callable[..., object]) -> None:
    write(
        project,
        "workflows/long.yaml",
        f"steps: [{{name: long, type: run, command: 'echo $$ > {project}/pid; exec sleep 600'}}]",
    )
    write(project, "workflows/long.test.yaml", "cases: [{name: a}]")
    testing = kurt.spawn("workflows", "test", "long")
    wait_until((project / "pid").exists, 60)
    wait_until(lambda: (project / "pid").read_text().strip(), 10)
    program = int((project / "pid").read_text())
    os.kill(testing.pid, signal.SIGINT)
    assert testing.wait(30) == 130
    wait_until(lambda: not is_alive(program), 30)


def test_a_projects_own_tables_are_there(kurt: Kurt, project: Path) -> None:
    kurt("workflows", "new", "garden")
    write(
        project,
        "workflows/grow.yaml",
        """
        steps:
          - {name: sources, type: run, command: "mkdir -p texts; echo '# A' > texts/a.md"}
          - {name: grow, workflow: garden, inputs: {folder: texts}}
        outputs: {saved: "${steps.grow.saved}"}
        """,
    )
    write(
        project,
        "workflows/grow.test.yaml",
        "cases: [{name: it grows, expect: {outputs: {saved: 1}, steps: {grow: {includes: {saved: 1}}}}}]",
    )
    result: Any = kurt("workflows", "test", "grow", "--format", "json", code=None).json()
    assert result["cases"][0]["differences"] == []


MIX = """
name: mix
inputs: {mode: fast}
steps:
  - name: both
    parallel:
      - {name: one, workflow: ./inner.yaml}
      - {name: two, type: run, command: "exit 3", on_error: {fallback: [{name: instead, type: script, code: "result = 5"}]}}
      - {name: three, type: llm, items: [1, 2], prompt: "x ${item}"}
  - {name: dag, type: script, code: "result = 1", needs: [both]}
  - name: dag2
    needs: [both]
    switch:
      on: mode
      cases:
        fast: [{name: quick, type: http, url: "https://example.com"}]
  - {name: last, needs: [dag, dag2], type: http, url: "https://example.com/${steps.both.two}"}
outputs: {both: "${steps.both}", q: "${steps.dag2}"}
"""

MIX_INNER = """
steps: [{name: deep, foreach: {items: [1, 2], as: i}, steps: [{name: x, type: run, command: "exit 4"}, {name: y, type: script, inputs: {v: "${steps.x}"}, code: "result = v"}], output: all}]
outputs: {all: "${all}"}
"""

MIX_TESTS = """
cases:
  - name: all
    mocks: {steps: {both.one.deep.x: 1, "both.one.deep[1].x": 2, dag2.quick: q, last: l, both.three: [{answer: a}]}}
    expect:
      outputs: {both: {one: {all: [1, 2]}, two: 5, three: [{answer: a}]}, q: q}
      steps: {both.two: failed, both.two.instead: {value: 5}, last: {given: {url: "https://example.com/5"}}, both.one.deep: {value: [1, 2]}, both: succeeded}
      calls: 0
  - name: whole blocks
    inputs: {mode: slow}
    mocks: {steps: {both: {one: 1, two: 2, three: 3}, dag: {error: no}, last: 1}}
    expect: {error: "no", steps: {both.one: not run, dag2: succeeded, last: not run}}
  - name: fails inside a block
    mocks: {steps: {both.one: {error: {message: broken, type: Odd}}, both.two: 1, both.three: []}}
    expect: {error: {type: Odd, step: both.one, message: broken}}
"""


def test_mocks_lead_into_blocks_branches_and_other_files(kurt: Kurt, project: Path) -> None:
    write(project, "workflows/mix.yaml", MIX)
    write(project, "workflows/inner.yaml", MIX_INNER)
    write(project, "workflows/mix.test.yaml", MIX_TESTS)
    result = kurt("workflows", "test", "mix", "--format", "json", code=None).json()
    assert {case["case"]: case["differences"] for case in result["cases"]} == {
        "all": [],
        "whole blocks": [],
        "fails inside a block": [],
    }
    assert result["steps_not_run"] == {"workflows/mix.test.yaml": []}
