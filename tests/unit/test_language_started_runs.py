"""`cli` steps whose command executes a run are read as `workflow` blocks, and what cannot be one is a located fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.definitions import definition, faults_in, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kurt.config").write_text("")
    written(
        tmp_path,
        "inputs: {word: {type: string, required: true}, n: {type: int, default: 1}}\nsteps: [{type: run, command: [a]}]\n",
        "workflows/other.yaml",
    )
    return tmp_path


def test_it_becomes_a_block_with_typed_inputs(folder: Path) -> None:
    read = definition(
        folder,
        """
        inputs: {rows: {type: list, default: []}}
        steps:
          - name: a
            type: cli
            command: workflows run
            argv: [other]
            args: {input: [word=12, "n=${rows}"]}
            timeout: 5m
            env: {A: b}
            output: got
          - {name: b, type: cli, command: workflows run my_python, args: {input: ["n=5", "word=five", "rows=[1, 2]"]}}
          - {name: c, type: cli, command: workflows run, argv: [workflows/other.yaml], args: {dry_run: true}}
          - {name: d, type: cli, command: workflows list}
        """,
    )
    first, second, third, fourth = read.steps
    assert (first.type, first.timeout, first.env, first.output) == ("workflow", 300, {"A": "b"}, "got")
    assert first.workflow is not None
    assert (first.workflow.target, first.workflow.is_file) == ("workflows/other.yaml", True)
    assert first.workflow.inputs == {"word": "12", "n": "${rows}"}
    assert second.workflow is not None
    assert (second.workflow.target, second.workflow.is_file) == ("my_python", False)
    assert second.workflow.inputs == {"n": 5, "word": "five", "rows": [1, 2]}
    assert (third.type, fourth.type) == ("cli", "cli")


STEP = "steps:\n  - type: cli\n    command: workflows run\n    argv: [other]\n    args: {input: word=x, %s}\n"
RUN = "steps:\n  - type: cli\n    command: workflows run\n    argv: [%s]\n    args: {input: [%s]}\n"


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (STEP % "background: true", (5, 27), "`background` has no meaning", "a step of type `run`"),
        (STEP % "queue: q", (5, 27), "`queue` has no meaning", "goes with its run"),
        (STEP % "run_id: x", (5, 27), "`run_id` has no meaning", "the id follows"),
        (STEP % "at: 2027-01-01", (5, 27), "`at` has no meaning", "no place in a queue"),
        (STEP % "in: 5m", (5, 27), "`in` has no meaning", "no place in a queue"),
        (STEP % "timeout: 5m", (5, 27), "`timeout` has no meaning", "beside the step's `args`"),
        (STEP % "inputs_file: x.yaml", (5, 27), "`inputs_file` has no meaning", "in a step before"),
        (STEP % "dry_run: '${run.name}'", (5, 27), "`dry_run` has no meaning", "write true or false"),
        (STEP % "quee: q", (3, 14), "has no option `quee`", ""),
        (RUN % ("'${run.name}'", "word=x"), (4, 12), "comes from a reference", "`switch`"),
        (RUN % ("'x-${run.name}.yaml'", "word=x"), (4, 12), "comes from a reference", "`switch`"),
        (RUN % ("none.yaml", "word=x"), (4, 12), "there is no file 'none.yaml'", "root"),
        (
            RUN % ("other", ""),
            (4, 12),
            "the input `word` of workflows/other.yaml is missing",
            "input: [word=...]",
        ),
        (RUN % ("other", "word=x, m=1"), (5, 28), "has no input `m`", "its inputs are"),
        (RUN % ("other", "word=x, n=[a"), (5, 19), "", ""),
        (RUN % ("other", "word=x, 'n=${nope}'"), (5, 28), "unknown name `nope`", ""),
        (RUN % ("other", "word=x, '${run.name}=1'"), (5, 28), "has no name", "NAME=VALUE"),
        (RUN % ("other", "word=x, n"), (5, 28), "has no name", "NAME=VALUE"),
        (RUN % ("other, another", "word=x"), (3, 14), "takes no argument 'another'", ""),
        ("steps:\n  - {type: cli, command: workflows run}\n", (2, 26), "needs", ""),
        (
            "steps:\n  - {type: cli, command: workflows run, argv: [workflows/other.yaml], cache: 1d}\n",
            (2, 71),
            "`cache` has no meaning",
            "on steps of that workflow",
        ),
        (
            "steps:\n  - {type: cli, command: workflows resume, argv: [x]}\n",
            (2, 26),
            "goes on with a run",
            "background",
        ),
        (
            "secrets: [KEY]\n" + RUN % ("other", "'word=${env.KEY}'"),
            (6, 20),
            "`env.KEY` is secret",
            "of the step that needs it",
        ),
    ],
)
def test_what_cannot_be_a_child_is_refused_where_it_stands(
    folder: Path, text: str, place: tuple[int, int], message: str, hint: str
) -> None:
    faults = faults_in(folder, text)
    if message:
        assert [message in fault.message for fault in faults] == [True], faults
        assert (faults[0].line, faults[0].column) == place
        assert hint in (faults[0].hint or "")
    assert faults


def test_resuming_in_the_background_stays_a_command(folder: Path) -> None:
    read = definition(
        folder, "steps: [{type: cli, command: workflows resume, argv: [x], args: {background: true}}]\n"
    )
    assert read.steps[0].type == "cli"


COMMAND = '''
import click

from kurt.cli.command import command
from kurt.engine.starts import RunStart


def starts(params):
    inputs = {"url": params["url"], "max_pages": params["max_pages"], "tags": list(params["tag"])}
    return None if params["look"] else RunStart(workflow="mapping", inputs=inputs)


@command("mapsite", starts_run=starts)
@click.argument("url")
@click.option("--max-pages", type=int, default=10)
@click.option("--tag", multiple=True)
@click.option("--look", is_flag=True)
def mapsite_command(url, max_pages, tag, look):
    """Map a site."""
'''


def test_a_command_of_the_project_says_which_workflow_it_starts(folder: Path) -> None:
    (folder / "commands").mkdir()
    (folder / "commands" / "mapsite.py").write_text(COMMAND)
    read = definition(
        folder,
        """
        inputs: {site: x, n: 5}
        steps:
          - {type: cli, command: mapsite, argv: ["${site}"], args: {max_pages: "7", tag: [a, b]}}
          - {type: cli, command: mapsite, argv: [y], args: {max_pages: "${n}"}}
          - {type: cli, command: mapsite, argv: [y], args: {look: true}}
        """,
    )
    calls = [step.workflow and (step.workflow.target, step.workflow.inputs) for step in read.steps]
    assert calls == [
        ("mapping", {"url": "${site}", "max_pages": 7, "tags": ["a", "b"]}),
        ("mapping", {"url": "y", "max_pages": "${n}", "tags": []}),
        None,
    ]
    (fault,) = faults_in(
        folder, "steps: [{type: cli, command: mapsite, argv: [y], args: {max_pages: many}}]\n"
    )
    assert "'many' is not a valid int" in fault.message
