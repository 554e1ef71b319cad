"""Every file of docs/workflows/examples runs and gives what it says itself, under `x-example`.

`inputs` are those of the run (SERVER and MAIL_PORT stand for a web and a mail server on loopback), `outputs` what it must give,
`send` a message and `approve` an answer that it waits for, `needs` a package without which it is not run.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kurt.engine.language.source import read_source
from kurt.testing.model_server import ModelServer
from tests.support.language import Language, working
from tests.support.mail import MailServer
from tests.support.site import Site

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "workflows" / "examples"
FILES = sorted(file.name for file in EXAMPLES.glob("*.yaml") if not file.name.endswith(".test.yaml"))


async def echo(request: web.Request) -> web.Response:
    """What arrived."""
    return web.json_response({"body": await request.text(), "query": dict(request.query)})


@pytest.fixture(scope="module")
def outside() -> Iterator[dict[str, Any]]:
    """Servers on loopback: the words for them in the files, and themselves."""
    pages: Any = {"/echo": echo, "/chat": echo, "/hook": echo}
    with (
        ModelServer() as models,
        Site(pages) as site,
        MailServer(passwords={"kurt": "open-sesame"}) as mail,
    ):
        yield {"SERVER": site.url, "MAIL_PORT": mail.port, "models": models, "site": site, "mail": mail}


@pytest.fixture(scope="module")
def language(
    outside: dict[str, Any], _template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Language]:
    """A project with the files of the examples in its root, and a worker."""
    template = tmp_path_factory.mktemp("examples") / "project"
    shutil.copytree(_template, template)
    shutil.copytree(EXAMPLES, template, dirs_exist_ok=True)
    address = outside["models"].url
    with (template / "kurt.config").open("a") as config:
        config.write(f"LLM.MODEL=openai/gpt-4.1-mini\nLLM.BASE_URL={address}\nEMBEDDING.BASE_URL={address}\n")
    (template / ".env").write_text("OPENAI_API_KEY=none-needed\nMAIL_PASSWORD=open-sesame\n")
    with working(template, home, tmp_path_factory.mktemp("language")) as language:
        yield language


@pytest.mark.parametrize("file", FILES)
def test_an_example_does_what_it_says(file: str, language: Language, outside: dict[str, Any]) -> None:
    example: dict[str, Any] = read_source((EXAMPLES / file).read_text(), file).value["x-example"]
    if "needs" in example and importlib.util.find_spec(example["needs"]) is None:
        pytest.skip(f"needs the package {example['needs']}, which is not installed")
    inputs = {key: outside.get(value, value) if isinstance(value, str) else value
              for key, value in example.get("inputs", {}).items()}  # fmt: skip
    run_id = language.start(file, inputs)
    if "send" in example:
        language.client.send(run_id, example["send"]["data"], topic=example["send"]["topic"])
    if "approve" in example:
        language.until(run_id, "waiting")
        language.client.approve(run_id, fields=example["approve"])
    run = language.client.wait(run_id, timeout=60)
    assert run.status == "succeeded", json.dumps(run.error)
    assert run.outputs == example["outputs"]
    failed = {path: step.error for path, step in language.steps(run).items()
              if path.startswith("notify.") and step.status != "succeeded"}  # fmt: skip
    assert not failed


def test_the_notifications_of_the_example_arrive(language: Language, outside: dict[str, Any]) -> None:
    outside["site"].forget()
    outside["mail"].mails.clear()
    inputs = {"server": outside["SERVER"], "mail_port": outside["MAIL_PORT"]}
    run = language.client.wait(language.start("notify.yaml", inputs), timeout=60)
    sent = {hit.path: json.loads(hit.body) for hit in outside["site"].hits}
    assert sent == {
        "/chat": {"text": "notify succeeded: 5"},
        "/hook": {"summary": "notify succeeded", "outputs": {"n": 5}},
    }
    (mail,) = outside["mail"].mails
    assert (mail.message["Subject"], mail.user, run.id in mail.message.get_content()) == (
        "notify is done",
        "kurt",
        True,
    )
