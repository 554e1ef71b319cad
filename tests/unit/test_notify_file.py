"""`notify` in files and in settings: what is wrong is said, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kurt.config import load_settings
from kurt.engine.language.jsonschema import workflow_schema
from kurt.engine.language.source import read_source
from kurt.engine.notifiers.registry import BUILT_IN, notifiers
from kurt.engine.notifiers.wanted import Wanted, is_wanted, wanted_by
from kurt.errors import ConfigError, ConflictError, DefinitionError
from tests.support.definitions import BUILT_IN as KINDS
from tests.support.definitions import definition, faults_in

HEAD = "name: x\nsecrets: [HOOK]\ninputs: {mode: fast}\nsteps: [{name: a, type: emit, event: e, value: 1}]\n"
GOOD = """notify:
  - {type: slack, url: "${env.HOOK}", text: "${error.message} ${notice.title} ${mode}"}
  - {type: webhook, on: [failure, success], url: "${env.HOOK}", json: {all: "${outputs}"}, x-why: because}
  - {type: command, on: waiting, command: [echo, "${notice.message}"]}
  - {type: email, on: success, to: a@example.com, text: "${outputs.n} ${run.id}"}
"""


def test_a_file_says_who_is_told_of_what(tmp_path: Path) -> None:
    assert faults_in(tmp_path, HEAD + GOOD) == []
    found = definition(tmp_path, HEAD + GOOD).notify
    assert [(spec.type, spec.on) for spec in found] == [
        ("slack", ["failure"]),
        ("webhook", ["failure", "success"]),
        ("command", ["waiting"]),
        ("email", ["success"]),
    ]
    assert found[1].spec == {"url": "${env.HOOK}", "json": {"all": "${outputs}"}}


@pytest.mark.parametrize(
    ("item", "message", "hint"),
    [
        ("{type: slak, url: x}", "unknown notifier 'slak'", "did you mean `slack`?"),
        ("{url: x}", "`type` is missing", "slack"),
        ("{type: slack, urll: x}", "unknown key `urll` in a `slack` notification", "did you mean `url`?"),
        ("{type: slack}", "`url` is missing in a `slack` notification", "add, for example"),
        ("{type: slack, url: x, on: [failed]}", "must be 'failure', 'success' or 'waiting'", "failure"),
        ("{type: slack, url: x, on: []}", "on", None),
        ("{type: webhook, url: x, allow_private: perhaps}", "`allow_private`", None),
        ('{type: slack, url: "${env.HOK}"}', "`env` has no 'HOK'", "did you mean `HOOK`?"),
        ('{type: slack, url: x, text: "${steps.a}"}', "there is no step 'a'", None),
        ('{type: slack, url: x, text: "${notise.title}"}', "unknown name `notise`", "did you mean `notice`?"),
        ("{type: command, command: 'echo ${mode}'}", "`command` is shell text", '"$NOTICE_TITLE"'),
        ("slack", "a notification must be a mapping", "write `- type: slack`"),
    ],
)
def test_one_mistake_gives_one_message(tmp_path: Path, item: str, message: str, hint: str | None) -> None:
    (fault,) = faults_in(tmp_path, f"{HEAD}notify:\n  - {item}\n", severity="error")
    assert message in fault.message
    assert hint is None or hint in (fault.hint or "")
    assert fault.line == 6


def test_notify_is_a_list(tmp_path: Path) -> None:
    (fault,) = faults_in(tmp_path, f"{HEAD}notify: {{type: slack}}\n")
    assert (fault.message, fault.line) == ("`notify` must be a list", 5)


def test_an_error_that_may_not_be_there_is_warned_of(tmp_path: Path) -> None:
    text = f'{HEAD}notify: [{{type: slack, on: [success, failure], url: x, text: "${{error.message}}"}}]\n'
    (fault,) = faults_in(tmp_path, text)
    assert (fault.severity, "error.message" in fault.message) == ("warning", True)


def test_the_schema_knows_the_fields_of_each_notifier() -> None:
    validator = Draft202012Validator(workflow_schema(KINDS))
    good = read_source(HEAD + GOOD, "x.yaml").value
    assert not list(validator.iter_errors(good))
    for wrong in (
        {"type": "slack", "url": "x", "to": "y"},
        {"type": "slack"},
        {"type": "email", "to": "x", "on": "sometimes"},
        {"type": "webhook", "url": 5},
        {"on": "failure"},
    ):
        assert list(validator.iter_errors({**good, "notify": [wrong]})), wrong
    assert not list(validator.iter_errors({**good, "notify": [{"type": "pager", "room": 5}]}))


def test_built_in_notifiers_are_declared_and_complete() -> None:
    known = notifiers(None)
    assert set(known) == set(BUILT_IN)
    for name, info in known.items():
        assert (info.notifier.type, info.origin) == (name, "kurt")
        assert info.notifier.short in {
            field.alias or key for key, field in info.notifier.Model.model_fields.items()
        }
        for key, field in info.notifier.Model.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert field.examples, f"{name}.{key}"


PAGER = """
from pydantic import Field
from kurt.engine.kinds import Fields
from kurt.engine.notifiers.base import Notifier

class PagerFields(Fields):
    room: str = Field(description="Room.")
    loud: bool = False

class Pager(Notifier):
    type = "pager"
    Model = PagerFields
    short = "room"

    def send(self, fields, notice, context):
        return fields.room
"""


def test_a_project_brings_its_own(tmp_path: Path) -> None:
    (tmp_path / "notifiers").mkdir()
    file = tmp_path / "notifiers" / "pager.py"
    file.write_text(PAGER)
    assert notifiers(tmp_path)["pager"].origin == "notifiers/pager.py"
    assert faults_in(tmp_path, f"{HEAD}notify: [{{type: pager, room: x}}]\n") == []
    (fault,) = faults_in(tmp_path, f"{HEAD}notify: [{{type: pager, rom: x}}]\n")
    assert fault.hint == "did you mean `room`?"
    file.write_text(PAGER.replace('"pager"', '"slack"') + "#")
    with pytest.raises(ConflictError, match="two notifiers have the type 'slack'"):
        len(notifiers(tmp_path))
    file.write_text("broken(")
    with pytest.raises(DefinitionError) as caught:
        len(notifiers(tmp_path))
    assert caught.value.faults[0].file == "notifiers/pager.py"
    assert [fault.file for fault in faults_in(tmp_path, f"{HEAD}notify: [{{type: pager}}]\n")] == [
        "notifiers/pager.py"
    ]


def settings_with(folder: Path, config: str, **environ: str) -> tuple[list[Wanted], dict[str, ConfigError]]:
    (folder / "kurt.config").write_text(config)
    return wanted_by(load_settings(folder, environ=environ), notifiers(folder))


def test_settings_say_who_is_told_of_every_run(tmp_path: Path) -> None:
    (tmp_path / "notifiers").mkdir()
    (tmp_path / "notifiers" / "pager.py").write_text(PAGER)
    config = (
        "NOTIFY.ON=failure, waiting\nNOTIFY.EMAIL=a@b.c\nNOTIFY.EMAIL.ON=success\n"
        "NOTIFY.PAGER=room 5\nNOTIFY.PAGER.LOUD=true\n"
    )
    found, faults = settings_with(tmp_path, config, KURT_NOTIFY__SLACK="https://example.com/x")
    assert not faults
    assert found == [
        Wanted("email", ("success",), {"to": "a@b.c"}),
        Wanted("pager", ("failure", "waiting"), {"room": "room 5", "loud": "true"}),
        Wanted("slack", ("failure", "waiting"), {"url": "https://example.com/x"}),
    ]
    assert load_settings(tmp_path, environ={}).warnings == ()


def test_one_wrong_setting_leaves_the_others(tmp_path: Path) -> None:
    found, faults = settings_with(
        tmp_path, "NOTIFY.COMMAND=true\nNOTIFY.PAGR=x\nNOTIFY.EMAIL.TOO=x\nNOTIFY.EMAIL=a@b.c\n"
    )
    assert [one.type for one in found] == ["command"]
    assert faults["pagr"].message.endswith("kurt.config:2: there is no notifier 'pagr'")
    assert (faults["email"].hint, "kurt.config:3" in faults["email"].message) == ("did you mean `to`?", True)
    found, faults = settings_with(tmp_path, "NOTIFY.COMMAND=true\nNOTIFY.ON=sometimes\n")
    assert (found, "sometimes" in faults["command"].message) == ([], True)


def test_without_settings_nobody_is_told(tmp_path: Path) -> None:
    (tmp_path / "kurt.config").write_text("NOTIFY.ON=success\nNOTIFY.SLACK.ON=failure\nNOTIFY.EMAIL=\n")
    assert not is_wanted(load_settings(tmp_path, environ={}))


@pytest.mark.parametrize("key", ["NOTIFY.SLACK", "NOTIFY.WEBHOOK", "NOTIFY.SLACK.URL"])
def test_addresses_that_are_secrets_do_not_stand_in_the_config_file(tmp_path: Path, key: str) -> None:
    (tmp_path / "kurt.config").write_text(f"{key}=https://example.com/x\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path, environ={})
    assert f"KURT_{key.replace('.', '__')}=..." in (caught.value.hint or "")
