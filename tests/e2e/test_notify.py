"""Notifications of real runs: who is told of what, once, without secrets, and never at the run's expense."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.cli import Kurt
from tests.support.language import Language, language
from tests.support.processes import Spawned
from tests.support.site import Page, Site
from tests.support.waiting import wait_until

__all__ = ["language"]

PATHS = ("/hook", "/first", "/second")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({path: Page(b"ok", "text/plain") for path in PATHS}) as site:
        yield site


def told(site: Site, path: str = "/hook") -> list[dict[str, Any]]:
    """The notices that a path was given."""
    return [json.loads(hit.body) for hit in site.hits if hit.path == path]


def test_success_and_failure_are_told_to_those_who_asked(language: Language, site: Site) -> None:
    text = f"""
        name: pages
        inputs: {{fail: false}}
        steps:
          - {{name: count, type: script, inputs: {{fail: "${{fail}}"}}, code: "assert not fail, 'boom'\\nresult = 5", output: n}}
        on_error: [{{name: handler, type: emit, event: e, value: "${{error.type}}"}}]
        finally: [{{name: always, type: emit, event: f, value: 1}}]
        outputs: {{n: "${{n}}"}}
        notify:
          - {{type: webhook, url: "{site.url}/hook", allow_private: true}}
          - {{type: slack, on: [success, failure], url: "{site.url}/first", allow_private: true, text: "n ${{outputs.n ?? 'none'}} ${{error.message ?? 'fine'}}"}}
          - {{type: slack, on: success, url: "{site.url}/second", allow_private: true}}
        """
    good = language.run(text)
    assert good.outputs == {"n": 5}
    assert language.states(good) == dict.fromkeys(
        ["count", "finally.always", "notify.slack", "notify.slack-2"], "succeeded"
    )
    assert not told(site)
    assert told(site, "/first") == [{"text": "n 5 fine"}]
    bad = language.run(text, {"fail": True})
    assert bad.status == "failed"
    assert set(language.states(bad)) == {
        "count", "on_error.handler", "finally.always", "notify.webhook", "notify.slack",
    }  # fmt: skip
    (notice,) = told(site)
    assert (notice["run_id"], notice["event"], notice["step"]) == (bad.id, "failure", "count")
    assert (notice["error"]["type"], notice["command"]) == ("AssertionError", f"kurt workflows logs {bad.id}")
    assert told(site, "/first")[1] == {"text": "n none boom (line 1 of the script: assert not fail, 'boom')"}
    assert len(told(site, "/second")) == 1


def test_what_cannot_be_told_never_fails_the_run(language: Language, site: Site) -> None:
    answers = iter([503, 503, 200])

    async def flaky(request: web.Request) -> web.Response:
        del request
        return web.Response(status=next(answers))

    site.pages["/flaky"] = flaky
    run = language.run(
        f"""
        steps: [{{name: a, type: emit, event: e, value: 1}}]
        notify:
          - {{type: webhook, on: success, url: "{site.url}/flaky", allow_private: true}}
          - {{type: webhook, on: success, url: "{site.url}/nothing/secret-part", allow_private: true}}
          - {{type: webhook, on: success, url: "{site.url}/hook"}}
          - {{type: email, on: success, to: a@example.com}}
          - {{type: slack, on: success, url: "{site.url}/hook", allow_private: true, text: "${{outputs.none}}"}}
        """
    )
    assert run.status == "succeeded"
    steps = language.steps(run)
    assert {path: (step.error or {}).get("type") for path, step in steps.items()} == {
        "a": None,
        "notify.webhook": None,
        "notify.webhook-2": "HttpStatus",
        "notify.webhook-3": "AddressRefused",
        "notify.email": "FieldError",
        "notify.slack": "ExpressionError",
    }
    assert len([path for path in site.paths() if path == "/flaky"]) == 3
    assert steps["notify.webhook"].value == {"webhook": "127.0.0.1"}
    log = language.log(run)
    assert "503 Service Unavailable; next attempt in 3 s" in log
    assert "secret-part" not in log + json.dumps([step.error for step in steps.values()])


def test_secrets_are_used_and_not_told(language: Language, site: Site) -> None:
    with (language.root / ".env").open("a") as env:
        env.write(f"HOOK_URL={site.url}/hook\nHOOK_TOKEN=very-secret-token\n")
    run = language.run(
        """
        name: hidden
        secrets: [HOOK_URL, HOOK_TOKEN]
        inputs: {said: {type: string, required: true}}
        steps: [{name: a, type: run, command: 'echo "$HOOK_TOKEN" >&2; exit 3'}]
        notify:
          - {type: webhook, url: "${env.HOOK_URL}", allow_private: true, headers: {Authorization: "Bearer ${env.HOOK_TOKEN}"}}
          - {type: webhook, url: "${env.HOOK_URL}", allow_private: true, json: {key: "${env.HOOK_TOKEN}", said: "${said}", error: "${error.stderr}"}}
        """,
        {"said": "it is very-secret-token"},
    )
    assert language.states(run) == {
        "a": "failed",
        "notify.webhook": "succeeded",
        "notify.webhook-2": "succeeded",
    }
    first, second = sorted(site.hits, key=lambda hit: len(hit.body), reverse=True)
    assert first.headers["authorization"] == "Bearer very-secret-token"
    assert b"very-secret-token" not in first.body
    # Whoever writes a secret into the body means it; values of the run hold none.
    assert json.loads(second.body) == {"key": "very-secret-token", "said": "it is ***", "error": "***"}
    assert "very-secret" not in language.log(run)
    assert "/hook" not in language.log(run)


def test_only_the_run_that_was_started_tells(language: Language, site: Site) -> None:
    language.write(
        f"""
        steps: [{{name: a, type: python, call: probe:mark, args: {{name: inner}}}}]
        notify: [{{type: webhook, on: [success, failure], url: "{site.url}/first", allow_private: true}}]
        """,
        "inner.yaml",
    )
    run = language.run(
        f"""
        steps: [{{name: call, workflow: inner.yaml}}]
        notify: [{{type: webhook, on: success, url: "{site.url}/hook", allow_private: true}}]
        """
    )
    assert run.status == "succeeded"
    assert ([notice["run_id"] for notice in told(site)], told(site, "/first")) == ([run.id], [])


def test_a_retry_tells_again(language: Language, site: Site) -> None:
    run = language.run(
        f"""
        steps:
          - {{name: first, type: python, call: probe:mark, args: {{name: told-again}}}}
          - {{name: broken, type: python, call: probe:broken, args: {{name: told}}}}
        notify: [{{type: webhook, on: [success, failure], url: "{site.url}/hook", allow_private: true}}]
        """
    )
    assert run.status == "failed"
    language.mend("told")
    language.client.retry(run.id)
    assert language.until(run.id, "succeeded").status == "succeeded"
    assert [notice["event"] for notice in told(site)] == ["failure", "success"]
    assert len({notice["id"] for notice in told(site)}) == 2
    assert language.marks("told-again") == 1


def test_a_run_whose_time_is_over_is_told_as_a_failure(language: Language, site: Site) -> None:
    run = language.run(
        f"""
        timeout: 1s
        steps: [{{name: a, type: run, command: sleep 60}}]
        notify: [{{type: webhook, url: "{site.url}/hook", allow_private: true}}]
        """
    )
    assert run.status == "cancelled"
    wait_until(lambda: told(site), 30, what="the notice")  # the state is known at once
    (notice,) = told(site)
    assert (notice["status"], notice["error"]["type"]) == ("cancelled", "RunTimeout")


def test_a_run_that_cannot_begin_is_told(kurt: Kurt, project: Path, site: Site) -> None:
    """Its secret has gone between the request and the run, as it may before a schedule is due."""
    (project / ".env").write_text("GONE=a-secret\n")
    (project / "x.yaml").write_text(
        "name: x\nsecrets: [GONE]\nsteps: [{name: a, type: emit, event: e, value: 1}]\n"
        f'notify: [{{type: webhook, url: "{site.url}/hook", allow_private: true}}]\n'
    )
    kurt("workflows", "run", "x.yaml", "--run-id", "slow", "--background", "--in", "2s")
    (project / ".env").write_text("")
    wait_until(lambda: told(site), 30, what="the notice")
    assert told(site)[0]["error"]["message"] == "the secret GONE is not set"
    wait_until(lambda: states(kurt) == {"notify.webhook": "succeeded"}, 30, what="the step")


def test_who_is_asked_for_an_approval_is_told_at_once(language: Language, site: Site) -> None:
    language.write(
        """
        steps:
          - name: ask
            approval:
              message: Publish ${title}?
              fields: {channel: {type: string, enum: [blog, news]}, urgent: false}
        inputs: {title: {type: string, required: true}}
        outputs: {channel: "${steps.ask.channel}"}
        """,
        "asking.yaml",
    )
    with (language.root / ".env").open("a") as env:
        env.write(f"ASK_URL={site.url}/hook\n")
    run_id = language.start(
        f"""
        name: outer
        secrets: [ASK_URL]
        inputs: {{title: Tea}}
        steps: [{{name: inner, workflow: asking.yaml, inputs: {{title: "${{title}}"}}}}]
        outputs: {{channel: "${{steps.inner.channel}}"}}
        notify:
          - {{type: webhook, on: [waiting, success], url: "${{env.ASK_URL}}", allow_private: true}}
          - {{type: slack, on: waiting, url: "{site.url}/first", allow_private: true, text: "${{title}}: ${{notice.message}} ${{notice.command}}"}}
        """
    )
    language.until(run_id, "waiting")
    wait_until(lambda: told(site) and told(site, "/first"), 30, what="the notices")
    (notice,) = told(site)
    assert (notice["event"], notice["status"], notice["run_id"]) == ("waiting", "waiting", run_id)
    assert (notice["message"], notice["workflow"], notice["step"]) == ("Publish Tea?", "outer", "inner.ask")
    assert set(notice["fields"]) == {"channel", "urgent"}
    assert notice["command"].startswith(f"kurt workflows approve {run_id}")
    assert told(site, "/first") == [{"text": f"Tea: Publish Tea? {notice['command']}"}]
    language.client.approve(run_id, fields={"channel": "blog"})
    assert language.client.wait(run_id, timeout=60).outputs == {"channel": "blog"}
    assert [one["event"] for one in told(site)] == ["waiting", "success"]


def test_settings_and_notifiers_of_the_project(kurt: Kurt, project: Path, site: Site) -> None:
    (project / "notifiers").mkdir()
    (project / "notifiers" / "pager.py").write_text(
        "from kurt.engine.kinds import Fields\n"
        "from kurt.engine.notifiers.base import Notifier\n"
        "class PagerFields(Fields):\n    room: str\n"
        "class Pager(Notifier):\n    type = 'pager'\n    Model = PagerFields\n    short = 'room'\n"
        "    def send(self, fields, notice, context):\n"
        "        (context.project_root / 'paged').write_text(f'{fields.room} {notice.title}')\n"
        "        return fields.room\n"
    )
    with (project / "kurt.config").open("a") as config:
        config.write("NOTIFY.PAGER=room 5\nNOTIFY.ON=success\nNOTIFY.COMMAND=exit 7\n")
    kurt.environ["KURT_NOTIFY__WEBHOOK"] = f"{site.url}/hook"
    kurt.environ["KURT_NOTIFY__WEBHOOK__ALLOW_PRIVATE"] = "true"
    (project / "x.yaml").write_text("name: x\nsteps: [{type: emit, event: e, value: 1}]\n")
    run = kurt("workflows", "run", "x.yaml", "--format", "json", "--quiet").json()
    assert run["status"] == "succeeded"
    assert (project / "paged").read_text() == "room 5 x succeeded"
    assert [notice["run_id"] for notice in told(site)] == [run["run_id"]]
    steps = kurt("workflows", "steps", run["run_id"], "--format", "json").json()
    (last,) = [step for step in steps if step["path"] == "notify.project"]
    assert (last["status"], last["error"]["type"]) == ("failed", "ExitCode")


def states(kurt: Kurt) -> dict[str, str]:
    """The states of the steps of the run `slow`."""
    steps = kurt("workflows", "steps", "slow", "--format", "json").json()
    return {step["path"]: step["status"] for step in steps}


def test_what_was_told_is_not_told_again_after_a_kill(
    kurt: Kurt, project: Path, site: Site, spawn_kurt: Callable[..., Spawned]
) -> None:
    """Killed while the second of two is being told: the first is not repeated, the second is."""
    site.pages["/second"] = Page(b"ok", "text/plain", delay=9)
    (project / "slow.yaml").write_text(
        f"""
        name: slow
        steps: [{{name: a, type: emit, event: e, value: 1}}]
        notify:
          - {{type: webhook, on: success, url: "{site.url}/first", allow_private: true}}
          - {{type: webhook, on: success, url: "{site.url}/second", allow_private: true}}
        """
    )
    victim = spawn_kurt("worker", "start")
    kurt("workflows", "run", "slow.yaml", "--run-id", "slow", "--background")
    wait_until(lambda: set(site.paths()) == {"/first", "/second"}, 30, what="both to be told")
    wait_until(lambda: states(kurt).get("notify.webhook") == "succeeded", 8, what="the first to be kept")
    victim.kill()
    site.pages["/second"] = Page(b"ok", "text/plain")
    spawn_kurt("worker", "start")
    wait_until(
        lambda: kurt("workflows", "status", "slow", "--format", "json").json()["status"] == "succeeded",
        40,
        what="the run to end",
    )
    assert site.paths().count("/first") == 1
    assert site.paths().count("/second") == 2
    keys = [hit.headers["idempotency-key"] for hit in site.hits if hit.path == "/second"]
    assert keys[0] == keys[1]


def test_a_run_that_pretends_tells_nobody(kurt: Kurt, project: Path, site: Site) -> None:
    (project / "x.yaml").write_text(
        "name: x\nsteps: [{type: emit, event: e, value: 1}]\n"
        f'notify: [{{type: webhook, on: success, url: "{site.url}/hook", allow_private: true}}]\n'
    )
    run = kurt("workflows", "run", "x.yaml", "--mock-llm", "--format", "json", "--quiet").json()
    assert run["status"] == "succeeded"
    assert not site.hits
