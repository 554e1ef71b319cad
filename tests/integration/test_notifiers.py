"""Each notifier against a server on loopback, or a real program."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kurt.engine.kinds import Limits
from kurt.engine.notifiers.base import Notice, Notifier
from kurt.engine.notifiers.command import CommandNotifier
from kurt.engine.notifiers.email import EmailNotifier
from kurt.engine.notifiers.slack import LONGEST, SlackNotifier
from kurt.engine.notifiers.texts import make_notice
from kurt.engine.notifiers.webhook import WebhookNotifier
from kurt.errors import StepError
from tests.support.mail import MailServer, certificate
from tests.support.site import Page, Site
from tests.support.steps import Bench

RUN = {
    "id": "run-1",
    "name": "pages",
    "file": "workflows/pages.yaml",
    "project": "/home/me/site",
    "started_at": "2026-11-21T07:00:00Z",
    "attempt": 2,
    "seconds": 75.0,
}
FAILURE = make_notice("failure", RUN, step="fetch", error={"type": "HttpStatus", "message": "<503> & out"})
LIMIT = Limits(timeout=10)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def tell(bench: Bench, notifier: type[Notifier], spec: dict[str, Any], notice: Notice = FAILURE) -> Any:
    """Let a notifier tell something."""
    told = notifier().send(notifier.Model.model_validate(spec), notice, bench.context(limits=LIMIT))
    return await told if hasattr(told, "__await__") else told


async def refused(bench: Bench, notifier: type[Notifier], spec: dict[str, Any]) -> StepError:
    """The error with which it is refused."""
    with pytest.raises(StepError) as caught:
        await tell(bench, notifier, spec)
    return caught.value


def test_a_notice_says_what_has_happened_and_what_to_do() -> None:
    assert FAILURE.text.splitlines() == [
        "pages failed after 1m15s",
        "step: fetch",
        "error: HttpStatus: <503> & out",
        "run: run-1",
        "project: /home/me/site",
        "next: kurt workflows logs run-1",
    ]
    waiting = make_notice(
        "waiting", RUN, step="ok", message="Publish?", fields={"note": "string"}, command="do it"
    )
    assert waiting.title == "pages waits for an answer"
    assert waiting.text.splitlines()[1:4] == ["step: ok", "asks: Publish?", "answer: note (string)"]
    assert (waiting.command, waiting.id) == ("do it", "run-1/2/waiting/ok")
    assert make_notice("success", RUN, lived_with=2).title == "pages succeeded with 2 failures on its way"


async def test_a_webhook_gets_the_notice_and_its_number(bench: Bench) -> None:
    with Site({"/hook": Page(b"ok", "text/plain")}) as site:
        spec = {"url": f"{site.url}/hook", "allow_private": True}
        assert await tell(bench, WebhookNotifier, spec) == "127.0.0.1"
        (hit,) = site.hits
    assert json.loads(hit.body) == FAILURE.to_json()
    assert hit.headers["idempotency-key"] == "run-1/2/failure"
    assert hit.headers["content-type"] == "application/json"


async def test_a_webhook_sends_what_the_file_says(bench: Bench) -> None:
    with Site({"/hook": Page(b"ok", "text/plain")}) as site:
        spec = {"url": f"{site.url}/hook", "allow_private": True, "json": None, "headers": {"X-Count": 3}}
        await tell(bench, WebhookNotifier, {**spec, "method": "put"})
        (hit,) = site.hits
    assert (hit.body, hit.headers["x-count"]) == (b"null", "3")


@pytest.mark.parametrize(("status", "retry"), [(404, False), (429, True), (503, True), (302, False)])
async def test_a_refusal_does_not_tell_the_secret_part_of_the_address(
    bench: Bench, status: int, retry: bool
) -> None:
    secret = "/services/T000/B000/XXXXXXXXXXXX"
    with Site({secret: Page(secret.encode(), "text/plain", status, {"Location": secret})}) as site:
        error = await refused(bench, SlackNotifier, {"url": site.url + secret, "allow_private": True})
    assert (error.details["status"], error.details["retry"]) == (status, retry)
    assert "XXXX" not in f"{error.message} {error.hint} {error.details}"


async def test_addresses_inside_are_refused_unless_allowed(bench: Bench) -> None:
    error = await refused(bench, SlackNotifier, {"url": "http://127.0.0.1:9/x"})
    assert (error.type, error.details["retry"]) == ("AddressRefused", False)
    assert (await refused(bench, WebhookNotifier, {"url": "ftp://example.com"})).type == "InvalidUrl"
    nobody = {"url": "http://127.0.0.1:9/x", "allow_private": True}
    assert (await refused(bench, WebhookNotifier, nobody)).details["retry"] is True


async def test_a_chat_gets_plain_text_that_calls_nobody(bench: Bench) -> None:
    with Site({"/hook": Page(b"ok", "text/plain")}) as site:
        spec = {"url": f"{site.url}/hook", "allow_private": True}
        await tell(bench, SlackNotifier, spec)
        await tell(bench, SlackNotifier, {**spec, "text": "<!channel> " + "x" * 5000})
        first, second = (json.loads(hit.body)["text"] for hit in site.hits)
    assert first.startswith("pages failed\npages failed after 1m15s\n")
    assert "&lt;503&gt; &amp; out" in first
    assert second.startswith("&lt;!channel&gt; xxx")
    assert len(second) == LONGEST


async def test_what_the_server_answers_does_not_matter_once_it_has_taken_it(bench: Bench) -> None:
    pages = {"/json": Page(b"{no", "application/json"), "/bytes": Page(b"\xff\x00", "image/png")}
    with Site(pages) as site:
        for path in pages:
            spec = {"url": site.url + path, "allow_private": True}
            assert await tell(bench, WebhookNotifier, spec) == "127.0.0.1"


async def test_a_command_is_told_by_its_input_and_its_variables(bench: Bench, tmp_path: Path) -> None:
    shell = {"command": 'cat > notice.json; printf "%s|" "$NOTICE_TITLE" "$NOTICE_STEP" > title'}
    assert await tell(bench, CommandNotifier, shell) == "sh"
    assert json.loads((tmp_path / "notice.json").read_text()) == FAILURE.to_json()
    assert (tmp_path / "title").read_text() == "pages failed|fetch|"
    assert await tell(bench, CommandNotifier, {"command": ["true"]}) == "true"
    error = await refused(bench, CommandNotifier, {"command": "echo no >&2; exit 3"})
    assert error.details["exit_code"] == 3


def test_shell_text_takes_no_values() -> None:
    assert CommandNotifier.check({"command": "echo ${run.id}"})
    assert not CommandNotifier.check({"command": ["echo", "${run.id}"]})
    assert not CommandNotifier.check({"command": "echo $${HOME}"})


@pytest.mark.parametrize("starttls", [True, False], ids=["starttls", "tls"])
async def test_mail_goes_over_tls_with_a_login(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starttls: bool
) -> None:
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    (tmp_path / "kurt.config").write_text("SMTP.HOST=127.0.0.1\nSMTP.USER=kurt\nSMTP.FROM=kurt@example.com\n")
    (tmp_path / ".env").write_text("SMTP_PASSWORD=open-sesame\n")
    with MailServer(tls=pem, starttls=starttls, passwords={"kurt": "open-sesame"}) as server:
        spec = {"port": server.port, "security": "starttls" if starttls else "tls"}
        told = await tell(bench, EmailNotifier, {**spec, "to": "a@example.com, b@example.com"})
        wrong = {**spec, "to": ["a@example.com"], "password": "wrong"}
        error = await refused(bench, EmailNotifier, wrong)
    assert told == "a@example.com, b@example.com"
    (mail,) = server.mails
    assert (mail.user, mail.encrypted, mail.to) == ("kurt", True, ["a@example.com", "b@example.com"])
    assert (mail.sender, mail.message["Subject"]) == ("kurt@example.com", "pages failed")
    assert mail.message.get_content().splitlines() == FAILURE.text.splitlines()
    assert (error.type, error.details["status"], error.details["retry"]) == ("MailRefused", 535, False)
    assert "wrong" not in error.details


async def test_the_same_notice_is_the_same_mail(bench: Bench) -> None:
    with MailServer() as server:
        spec = {"host": "127.0.0.1", "port": server.port, "security": "none", "to": "a@example.com"}
        for notice in (FAILURE, FAILURE, replace(FAILURE, id="another")):
            await tell(bench, EmailNotifier, {**spec, "subject": "two\nlines", "text": "Grüße"}, notice)
    first, second, third = (mail.message for mail in server.mails)
    assert first["Message-ID"] == second["Message-ID"] != third["Message-ID"]
    assert (first["Subject"], first["From"]) == ("two lines", "a@example.com")
    assert first.get_content().split() == ["Grüße"]


async def test_what_is_wrong_with_a_mail_server_is_said(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = await refused(bench, EmailNotifier, {"to": "a@b.c"})
    assert (nowhere.type, nowhere.hint) == (
        "FieldError",
        "add a line to kurt.config: SMTP.HOST=smtp.example.com",
    )
    with MailServer(refusals=["451 later", "550 never"]) as server:
        spec = {"host": "127.0.0.1", "port": server.port, "to": "a@b.c"}
        later = await refused(bench, EmailNotifier, {**spec, "security": "none"})
        never = await refused(bench, EmailNotifier, {**spec, "security": "none"})
        plain = await refused(bench, EmailNotifier, spec)  # asks for STARTTLS, which the server does not have
    assert [error.details["retry"] for error in (later, never, plain)] == [True, False, False]
    assert "STARTTLS" in plain.message
    assert not server.mails
    with MailServer(tls=certificate(tmp_path)) as server:
        spec = {"host": "127.0.0.1", "port": server.port, "to": "a@b.c", "security": "tls"}
        stranger = await refused(bench, EmailNotifier, spec)
    assert (stranger.details["retry"], "certificate" in stranger.message) == (False, True)
    clear = {"host": "mail.example.com", "security": "none", "user": "kurt", "to": "a@b.c"}
    assert "in the clear" in (await refused(bench, EmailNotifier, clear)).message
    monkeypatch.setenv("KURT_SMTP__PORT", "9")
    closed = await refused(bench, EmailNotifier, {"host": "127.0.0.1", "to": "a@b.c"})
    assert closed.details["retry"] is True


async def test_a_slow_answer_is_no_answer(bench: Bench) -> None:
    async def slow(request: web.Request) -> web.Response:
        del request
        return web.Response(status=204)

    with Site({"/": Page(b"", delay=5), "/204": slow}) as site:
        context = bench.context(limits=Limits(timeout=0.2))
        fields = SlackNotifier.Model.model_validate({"url": site.url, "allow_private": True})
        with pytest.raises(StepError) as caught:
            await SlackNotifier().send(fields, FAILURE, context)
        assert caught.value.details["retry"] is True
        assert await tell(bench, SlackNotifier, {"url": f"{site.url}/204", "allow_private": True})
