"""kill -9 at random moments around the end of runs: every notification arrives, and at most those at work arrive twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chaos import Chaos
from tests.support.cli import Kurt
from tests.support.processes import Spawned
from tests.support.site import Page, Site
from tests.support.waiting import wait_until

PATHS = ("/one", "/two", "/three")


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_no_notification_is_lost(
    kurt: Kurt, project: Path, spawn_kurt: Callable[..., Spawned], chaos: Chaos
) -> None:
    with Site({path: Page(b"ok", "text/plain", delay=0.2) for path in PATHS}) as site:
        notify = "".join(
            f'  - {{type: webhook, on: success, url: "{site.url}{path}", allow_private: true}}\n'
            for path in PATHS
        )
        (project / "told.yaml").write_text(
            f"name: told\nsteps: [{{name: a, type: script, code: result = 1}}]\nnotify:\n{notify}"
        )
        worker = spawn_kurt("worker", "start")
        for number in range(chaos.rounds):
            site.forget()
            run_id = f"told-{number}"
            kurt("workflows", "run", "told.yaml", "--run-id", run_id, "--background")
            wait_until(
                lambda: bool(site.hits) or chaos.random.random() < 0.02, 30, what="somebody to be told"
            )
            time.sleep(chaos.moment(0.4))
            worker.kill()
            worker = spawn_kurt("worker", "start")
            kurt("workflows", "wait", run_id, "--timeout", "60s")
            told = Counter(site.paths())
            assert set(told) == set(PATHS), f"round {number}: {told}"
            assert max(told.values()) <= 2, f"round {number}: {told}"
            keys = {hit.headers["idempotency-key"] for hit in site.hits}
            assert keys == {f"{run_id}/1/success"}
