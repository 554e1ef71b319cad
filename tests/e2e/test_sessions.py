"""An executor in a process of the user's own, and where its prints go."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from tests.support.cli import Kurt

WORKFLOW = """
import logging
from dbos import DBOS

@DBOS.step()
def double(n):
    print("doubling", n)
    logging.getLogger("mine").warning("careful with %s", n)
    return 2 * n

@DBOS.workflow()
def double_workflow(n):
    print("hunter2 begins")
    return {"doubled": double(n)}
"""

SESSION = """
import kurt
from kurt.core import destroy_dbos, init_dbos

executor = init_dbos()
client = kurt.Client()
submitted = client.submit("double", {"n": 21})
print("result", client.result(submitted.run_id, timeout=30))
print("executor", client.get(submitted.run_id).executor_id == executor.id)
destroy_dbos()
print("run", submitted.run_id)
"""


def test_a_session_serves_its_own_runs_and_keeps_their_prints(kurt: Kurt, project: Path) -> None:
    module = project / "workflows" / "double"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "workflow.py").write_text(textwrap.dedent(WORKFLOW))
    (project / ".env").write_text("MY_PASSWORD=hunter2\n")
    (project / "session.py").write_text(SESSION)
    process = kurt.spawn_program([sys.executable, "session.py"])
    assert process.wait(60) == 0, process.stderr
    printed = dict(line.split(" ", 1) for line in process.stdout.splitlines())
    assert printed["result"] == "{'doubled': 42}"
    assert printed["executor"] == "True"
    log = kurt("workflows", "logs", printed["run"]).stdout
    assert "] doubling 21" in log
    assert "WARN  [step-1] mine: careful with 21" in log
    assert "begins" in log
    assert "hunter2" not in log
    assert "doubling" not in process.stdout
    assert kurt.json("worker", "list") == []


IN_A_THREAD = """
import threading
from kurt.engine import run_yaml_workflow

def work():
    print(run_yaml_workflow("one.yaml", {"n": 2}))

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_a_file_runs_from_a_thread_of_a_program(kurt: Kurt, project: Path) -> None:
    (project / "one.yaml").write_text(
        "name: one\ninputs: {n: 1}\nsteps:\n"
        "  - {name: a, type: script, inputs: {n: '${n}'}, code: 'result = n + 1', output: m}\n"
        "outputs: {m: '${m}'}\n"
    )
    (project / "thread.py").write_text(IN_A_THREAD)
    process = kurt.spawn_program([sys.executable, "thread.py"])
    assert process.wait(60) == 0, process.stderr
    assert process.stdout.strip() == "{'m': 3}"
