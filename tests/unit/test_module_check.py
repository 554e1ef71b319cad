"""What `kurt workflows check` finds in the sources of a Python workflow module."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from kurt.app.module_check.check import Target, check_target
from kurt.app.module_check.findings import Finding

HEAD = """\
import asyncio, os, pathlib, random, subprocess, threading, time, uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
import pandas as pd
import requests
from dbos import DBOS, DBOSConfig, Queue
from kurt.core import EmbeddingStep, LLMStep, SaveStep, generate_embeddings, llm_step, run_workflow, transaction
from kurt.runtime import queue

rate_step = LLMStep(name="rate", input_columns=["text"], prompt_template="{text}", output_schema=dict)

save_all = SaveStep("save_all", Item)
mail = queue("mail")

@llm_step(name="sort", input_columns=["text"], prompt_template="{text}", output_schema=dict)
def sort_rows(row):
    return row

@DBOS.step()
def clean_step(rows):
    return rows

@transaction()
def save_rows(rows):
    return len(rows)

@DBOS.workflow()
def other_workflow(config):
    return config

"""


def found(tmp_path: Path, code: str) -> list[Finding]:
    """The findings in one file."""
    file = tmp_path / "steps.py"
    file.write_text(HEAD + dedent(code))
    return check_target(Target("feature", file, Path("steps.py")))


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def in_step(body: str) -> str:
    return "@DBOS.step()\ndef bad_step(rows):\n" + indent(dedent(body), "    ")


def in_workflow(body: str) -> str:
    return "@DBOS.workflow()\ndef feature_workflow(config):\n" + indent(dedent(body), "    ")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return rate_step.run(rows)", "llm_step_in_step"),
        ("return sort_rows.run(rows)", "llm_step_in_step"),
        (
            "vectors = EmbeddingStep(name='v', input_column='text')\nreturn vectors.run(rows)",
            "llm_step_in_step",
        ),
        ("return DBOS.start_workflow(other_workflow, rows)", "workflow_in_step"),
        ("return run_workflow(other_workflow, rows)", "workflow_in_step"),
        ("return other_workflow(rows)", "workflow_in_step"),
        ("return DBOS.enqueue_workflow('q', other_workflow, rows)", "enqueue_in_step"),
        ("return DBOS.retrieve_queue('q').enqueue(other_workflow, rows)", "enqueue_in_step"),
        ("return DBOS.recv('topic')", "wait_in_step"),
        ("DBOS.sleep(3)", "wait_in_step"),
        ("return save_rows(rows)", "transaction_in_step"),
        ("return save_all.run(rows)", "transaction_in_step"),
        ("return mail.enqueue(other_workflow, rows)", "enqueue_in_step"),
        ("return (1, 2)", "result_changed_by_json"),
        ("return {'names': {'a', 'b'}}", "result_changed_by_json"),
        ("result = set(rows)\nreturn result", "result_changed_by_json"),
        ("return uuid.uuid4()", "result_changed_by_json"),
        ("return [(row, 1) for row in rows]", "result_changed_by_json"),
        ("return {1: 'one'}", "key_not_text"),
        ("return {b'one': 1}", "key_not_text"),
        ("return {int(row): row for row in rows}", "key_not_text"),
        ("return DBOS.sql_session.execute('x')", "removed_transaction"),
    ],
)
def test_what_a_step_may_not_do_is_found(tmp_path: Path, body: str, code: str) -> None:
    findings = found(tmp_path, in_step(body))
    assert codes(findings) == [code]
    assert findings[0].remedy
    assert findings[0].line > HEAD.count("\n") + 2


@pytest.mark.parametrize(
    ("body", "code", "severity"),
    [
        ("return random.random()", "random_in_workflow", "error"),
        ("return str(uuid.uuid4())", "random_in_workflow", "error"),
        ("return datetime.now()", "clock_in_workflow", "error"),
        ("DBOS.set_event('at', time.time())", "time_in_workflow", "warning"),
        ("time.sleep(1)", "sleep_in_workflow", "warning"),
        ("return os.environ['KEY']", "environment_in_workflow", "error"),
        ("return os.environ.get('KEY')", "environment_in_workflow", "error"),
        ("return requests.get('u').text", "network_in_workflow", "error"),
        ("return subprocess.run(['x'])", "process_in_workflow", "error"),
        ("return open('f').read()", "file_in_workflow", "error"),
        ("return pathlib.Path('f').read_text()", "file_in_workflow", "error"),
        ("return [clean_step(item) for item in {1, 2}]", "set_order_in_workflow", "warning"),
        (
            "from kurt.db import managed_session\nwith managed_session(): pass",
            "database_in_workflow",
            "error",
        ),
        ("threading.Thread(target=clean_step).start()", "durable_call_in_thread", "error"),
        (
            "with ThreadPoolExecutor() as p:\n    p.map(lambda r: clean_step(r), [])",
            "durable_call_in_thread",
            "error",
        ),
        (
            "with ThreadPoolExecutor() as p:\n    p.submit(rate_step.run, [])",
            "durable_call_in_thread",
            "error",
        ),
        ("return pd.read_json(rows_json)", "text_for_read_json", "warning"),
        ("return generate_embeddings(['a'])", "network_in_workflow", "error"),
        ("return hash(config) % 2", "process_value_in_workflow", "error"),
        ("return os.getpid()", "process_value_in_workflow", "error"),
        ("return input('go on?')", "environment_in_workflow", "error"),
        ("return [one for one in asyncio.as_completed([])]", "order_in_workflow", "warning"),
    ],
)
def test_what_a_replay_would_answer_otherwise_is_found(
    tmp_path: Path, body: str, code: str, severity: str
) -> None:
    findings = found(tmp_path, in_workflow(body))
    assert [(item.code, item.severity) for item in findings] == [(code, severity)]


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("@DBOS.transaction()\ndef persist(rows): ...", "removed_transaction"),
        ("queue = Queue('mail', concurrency=2)", "removed_queue"),
        ("config = DBOSConfig(name='x', database_url='sqlite:///x')", "removed_database_url"),
        ("@DBOS.scheduled('* * * * *')\ndef nightly(): ...", "removed_scheduled"),
        ("DBOS.recover_pending_workflows()", "removed_recovery"),
        ("import dbos._dbos as inner", "private_dbos"),
        ("@DBOS.workflow\ndef late_workflow(): ...", "decorator_not_called"),
        ("@transaction()\nasync def store(rows): ...", "async_transaction"),
        ("@DBOS.step(timeout_seconds=3)\ndef slow_step(): ...", "timeout_of_sync_step"),
        ("a = LLMStep(name='a', input_columns=['x'], prompt_template='{y}')", "prompt_column"),
        ("a = LLMStep(name='a', input_columns=['x'], prompt_template='{x')", "prompt_not_readable"),
        ("def broken(:", "not_python"),
    ],
)
def test_what_cannot_work_is_found_with_its_replacement(tmp_path: Path, code: str, finding: str) -> None:
    assert codes(found(tmp_path, code)) == [finding]


@pytest.mark.parametrize(
    "code",
    [
        in_workflow("rows = clean_step(config)\nrows = rate_step.run(rows)\nreturn save_rows(rows)"),
        in_workflow("return DBOS.run_step({'name': 'draw'}, lambda: random.random())"),
        in_workflow("@DBOS.step()\ndef inner_step():\n    return random.random()\nreturn inner_step()"),
        in_workflow("open = config['open']\nreturn open(1)"),
        in_workflow("return [x for x in sorted({1, 2})]"),
        in_workflow("DBOS.sleep(1)\nreturn run_workflow(other_workflow, config)"),
        in_step("rows = open('f').read()\nreturn {'n': random.random(), 'at': datetime.now(), 'b': b'x'}"),
        in_workflow("return asyncio.to_thread(save_rows, config)"),
        in_workflow("return save_all.run(mail.enqueue(other_workflow, config).get_result())"),
        in_workflow("id = config['id']\nreturn {'id': id, 'hash': config['hash']}"),
        in_step("a, b = (1, 2)\nreturn [a, b]"),
        in_step("return clean_step(rows)"),
        "def plain():\n    return random.random(), {1: 2}",
        "a = LLMStep(name='a', input_columns=['x'], prompt_template='{x.title} {{braces}}')",
    ],
)
def test_right_code_has_no_findings(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, code) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return clean_step(rows)", "step_in_transaction"),
        ("return DBOS.start_workflow(other_workflow, rows)", "workflow_in_step"),
        ("return rate_step.run(rows)", "llm_step_in_step"),
    ],
)
def test_what_a_transaction_may_not_do_is_found(tmp_path: Path, body: str, code: str) -> None:
    findings = found(tmp_path, f"@transaction()\ndef store(rows):\n    {body}\n")
    assert codes(findings) == [code]


def test_helpers_are_part_of_the_step_or_workflow_that_calls_them(tmp_path: Path) -> None:
    findings = found(
        tmp_path,
        "def begin(rows):\n    return again(rows)\ndef again(rows):\n    return DBOS.start_workflow(other_workflow, rows)\n"
        "def draw():\n    return random.random()\n"
        + in_step("return begin(rows)")
        + "\n"
        + in_workflow("return draw()"),
    )
    assert codes(findings) == ["workflow_in_step", "random_in_workflow"]
    assert findings[0].message.startswith("'again', which the step 'bad_step' calls,")


def test_methods_of_a_class_are_checked_too(tmp_path: Path) -> None:
    code = """
    @DBOS.dbos_class()
    class Feed:
        @DBOS.workflow()
        def feed_workflow(self):
            return self.draw()

        def draw(self):
            return random.random()
    """
    assert codes(found(tmp_path, code)) == ["random_in_workflow"]


def module(tmp_path: Path, **files: str) -> list[Finding]:
    """The findings in a folder `feature`; a double underscore is a slash."""
    home = tmp_path / "feature"
    for name, text in files.items():
        path = home / (name.replace("__", "/") + ".py") if name != "init" else home / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return check_target(Target(home.name, home, Path("feature")))


WHOLE = {
    "init": "from .workflow import feature_workflow, run_feature\n",
    "config": "class FeatureConfig: ...\n",
    "steps": "from dbos import DBOS\n@DBOS.step()\ndef read_step(config):\n    return []\n",
    "workflow": """
        from dbos import DBOS
        from kurt.core import run_workflow
        from .steps import read_step

        @DBOS.workflow()
        def feature_workflow(config):
            return read_step(config)

        def run_feature(config, background=False, priority=None):
            return run_workflow(feature_workflow, config, background=background, priority=priority)
    """,
    "tests__test_feature": "def test_parts(): ...\n",
    "tests__test_e2e": """
        from workflows.feature import run_feature

        def test_feature(tmp_kurt_project):
            assert run_feature({}) == []
    """,
}


def test_a_whole_module_has_no_findings(tmp_path: Path) -> None:
    assert module(tmp_path, **WHOLE) == []


def test_what_a_module_lacks_is_told_at_once(tmp_path: Path) -> None:
    findings = module(tmp_path, utils="")
    assert {(item.code, item.file) for item in findings} >= {
        ("missing_file", "feature/__init__.py"),
        ("missing_file", "feature/workflow.py"),
        ("missing_file", "feature/config.py"),
        ("missing_file", "feature/steps.py"),
        ("missing_e2e_test", "feature/tests/test_e2e.py"),
        ("missing_tests", "feature/tests/test_feature.py"),
        ("name_of_workflow", "feature/workflow.py"),
        ("missing_run", "feature/workflow.py"),
    }


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"init": ""}, "missing_export"),
        ({"config": "class Settings: ...\n"}, "name_of_config"),
        (
            {"steps": "from dbos import DBOS\n@DBOS.step()\ndef read(config):\n    return []\n"},
            "name_of_step",
        ),
        (
            {"utils": "from dbos import DBOS\n@DBOS.step(name='read_step')\ndef other_step(): ...\n"},
            "name_taken",
        ),
        ({"workflow": WHOLE["workflow"].replace(", background=False, priority=None", "")}, "missing_run"),
        ({"workflow": WHOLE["workflow"].replace("def feature_w", "def main_w")}, "name_of_workflow"),
        (
            {"cli": "import click\n@click.command()\ndef run_cmd(background):\n    return 1\n"},
            "option_dropped",
        ),
        (
            {
                "workflow": WHOLE["workflow"].replace("background=background", "background=False")
                + "    assert priority is None\n"
            },
            "option_dropped",
        ),
        (
            {
                "workflow": "from . import steps\n"
                + dedent(WHOLE["workflow"]).replace(" read_step(", " steps.read_step(")
            },
            None,
        ),
    ],
)
def test_names_and_options_of_a_module(tmp_path: Path, changed: dict[str, str], code: str | None) -> None:
    assert codes(module(tmp_path, **{**WHOLE, **changed})) == ([code] if code else [])


TABLE = """
    from sqlmodel import Field, SQLModel
    from kurt.db.models import TenantMixin

    class {name}({bases}SQLModel, table=True):
        {table}
        id: int = Field(primary_key=True)
        {field}
"""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"name": "Items"}, "name_of_model"),
        ({"table": '__tablename__ = "items"'}, "name_of_table"),
        ({"table": "pass"}, "name_of_table"),
        ({"bases": ""}, "no_tenancy"),
        ({"field": "status: str"}, "status_not_enum"),
        ({"field": 'document_id: str = Field(foreign_key="documents.id")'}, "foreign_key_not_indexed"),
    ],
)
def test_tables_of_a_module(tmp_path: Path, change: dict[str, str], code: str | None) -> None:
    usual = {
        "name": "Item",
        "bases": "TenantMixin, ",
        "table": '__tablename__ = "feature_items"',
        "field": "pass",
    }
    models = TABLE.format(**{**usual, **change})
    findings = module(tmp_path, **WHOLE, models=models, migrations__versions__one="")
    assert codes(findings) == ([code] if code else [])
    assert all(item.severity == "warning" for item in findings)


def test_tables_without_a_migration_are_told(tmp_path: Path) -> None:
    models = TABLE.format(
        name="Item", bases="TenantMixin, ", table='__tablename__ = "feature_items"', field="pass"
    )
    assert codes(module(tmp_path, **WHOLE, models=models)) == ["missing_migration"]


def test_a_table_outside_of_models_is_told(tmp_path: Path) -> None:
    table = TABLE.format(
        name="Item", bases="TenantMixin, ", table='__tablename__ = "feature_items"', field="pass"
    )
    findings = module(tmp_path, **WHOLE, utils=table, migrations__versions__one="")
    assert codes(findings) == ["table_elsewhere"]


def test_a_folder_that_is_not_in_snake_case_is_told(tmp_path: Path) -> None:
    (tmp_path / "MyFeature").mkdir()
    findings = check_target(Target("MyFeature", tmp_path / "MyFeature", Path("MyFeature")))
    (found,) = [item for item in findings if item.code == "name_of_folder"]
    assert found.remedy == "rename it to 'my_feature'"
