"""`kurt notify test`: what the settings and a file say is tried out, without a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.site import Page, Site


@pytest.fixture
def kurt(tmp_path: Path) -> Command:
    (tmp_path / "kurt.config").write_text("NOTIFY.COMMAND=cat > notice.json\n")
    return Command(tmp_path)


def test_everybody_is_told_once(kurt: Command, tmp_path: Path) -> None:
    with Site({"/hook": Page(b"ok", "text/plain")}) as site:
        (tmp_path / ".env").write_text(f"HOOK={site.url}/hook\n")
        (tmp_path / "report.yaml").write_text(
            "name: report\nsecrets: [HOOK]\ninputs: {n: 5}\n"
            "steps: [{name: a, type: emit, event: e, value: 1}]\nnotify:\n"
            '  - {type: slack, url: "${env.HOOK}", allow_private: true, text: "${notice.title} ${n} ${error.type}"}\n'
            '  - {type: webhook, on: success, url: "${env.HOOK}", allow_private: true}\n'
        )
        rows = kurt.json("notify", "test", str(tmp_path / "report.yaml"))
        (hit,) = site.hits
    assert json.loads(hit.body) == {"text": "report failed 5 TryOut"}
    assert [(row["type"], row["from"], row["state"], row["to"]) for row in rows] == [
        ("command", "settings", "told", "sh"),
        ("slack", "report.yaml", "told", "127.0.0.1"),
        ("webhook", "report.yaml", "not asked", None),
    ]
    assert json.loads((tmp_path / "notice.json").read_text())["error"]["type"] == "TryOut"


def test_what_is_wrong_is_said_and_the_others_are_told(kurt: Command, tmp_path: Path) -> None:
    with (tmp_path / "kurt.config").open("a") as config:
        config.write("NOTIFY.PAGR=x\nNOTIFY.EMAIL=a@example.com\nNOTIFY.ON=waiting\n")
    rows = {row["type"]: row for row in kurt.json("notify", "test", "--event", "waiting", code=1)}
    assert rows["command"]["state"] == "told"
    assert (rows["email"]["error"], "SMTP.HOST" in rows["email"]["hint"]) == ("no mail server is named", True)
    assert "there is no notifier 'pagr'" in rows["pagr"]["error"]
    shown = kurt("notify", "test", "--event", "waiting", code=1).stdout
    assert "hint: add a line to kurt.config: SMTP.HOST=smtp.example.com" in shown
    kurt("notify", "test", "nowhere.yaml", code=3)


def test_with_nobody_to_tell_it_says_how_to_name_somebody(tmp_path: Path) -> None:
    (tmp_path / "kurt.config").write_text("")
    assert "nobody is told: name somebody by" in Command(tmp_path)("notify", "test").stdout
