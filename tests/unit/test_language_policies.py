"""What a file says about when and how often it runs: schedules, `concurrency`, `debounce`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.definitions import definition, faults_in

STEPS = "\nsteps: [{name: one, type: run, command: [echo, hi]}]\n"
INPUTS = "inputs:\n  day: {type: date, default: 2026-01-01}\n  site: {type: string, required: true}\n"


def test_one_schedule_and_a_list_of_them_are_read(tmp_path: Path) -> None:
    one = definition(tmp_path, f"schedule: {{cron: ' 0  7 * * 1', timezone: Europe/Paris}}{STEPS}").schedule
    assert [(item.cron, item.timezone, item.catch_up, item.overlap) for item in one] == [
        ("0 7 * * 1", "Europe/Paris", False, "skip")
    ]
    text = (
        "schedule:\n"
        "  - {cron: '@daily', catch_up: true, inputs: {site: a, day: '${tick.date}'}}\n"
        "  - {cron: '@hourly', name: often, overlap: cancel, inputs: {site: b}}\n"
    )
    two = definition(tmp_path, f"{INPUTS}{text}{STEPS}").schedule
    assert [(item.name, item.cron, item.timezone, item.overlap) for item in two] == [
        (None, "@daily", "UTC", "skip"),
        ("often", "@hourly", "UTC", "cancel"),
    ]
    assert two[0].inputs == {"site": "a", "day": "${tick.date}"}


def test_debounce_is_a_time_or_a_mapping(tmp_path: Path) -> None:
    short = definition(tmp_path, f"debounce: 90s{STEPS}").debounce
    long = definition(
        tmp_path, f"{INPUTS}debounce: {{period: 1m, key: '${{site}}', max: 10m}}{STEPS}"
    ).debounce
    assert short is not None
    assert long is not None
    assert (short.period, short.key, short.longest) == (90, None, None)
    assert (long.period, long.key, long.longest) == (60, "${site}", 600)


GIVEN = "inputs: {site: a}"


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("schedule: daily", "1:11", "`schedule` must be a mapping", "schedule: {cron:"),
        ("schedule: []", "1:11", "`schedule` is empty", "cron: 0 7 * * 1"),
        ("schedule: [daily]", "1:12", "a schedule must be a mapping", "- cron:"),
        ("schedule: {timezone: UTC}", "1:11", "`cron` is missing in `schedule`", "add, for example, `cron:"),
        ("schedule: {crom: '@daily'}", "1:12", "unknown key `crom` in `schedule`", "did you mean `cron`?"),
        ("schedule: {cron: '0 7 * *'}", "1:18", "`cron`: '0 7 * *' has 4 fields", "as in '0 7 * * 1'"),
        ("schedule: {cron: '@daily', timezone: Mars}", "1:38", "'Mars' is not a time zone", "Europe/Paris"),
        (
            "schedule: {cron: '@daily', overlap: skipp}",
            "1:37",
            "must be 'skip', 'queue'",
            "did you mean `skip`?",
        ),
        (
            "schedule: [{cron: '@daily'}, {cron: '@hourly'}]",
            "1:30",
            "two schedules are named 'flow'",
            "`name:`",
        ),
        ("concurrency: 0", "1:14", "greater than or equal to 1, not 0", "concurrency: 1"),
        ("debounce: soon", "1:11", "'soon' is not a duration", "30s"),
        ("debounce: {max: 1m}", "1:11", "`period` is missing in `debounce`", "period: 60s"),
        (
            "debounce: {period: 60s, key: '${site}'}",
            "1:30",
            "there is no input `site`",
            "here are the inputs",
        ),
        ("debounce: 60s\npriority: 1", "1:1", "`debounce` and `priority` exclude each other", "remove one"),
    ],
)
def test_mistakes_are_told_with_their_place_and_remedy(
    tmp_path: Path, text: str, place: str, message: str, hint: str
) -> None:
    faults = faults_in(tmp_path, f"{text}{STEPS}")
    assert [f"{fault.line}:{fault.column}" for fault in faults] == [place], faults
    assert message in faults[0].message
    assert hint in str(faults[0].hint)


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        ("{}", "the schedule gives no value for the required input `site`", "add `inputs: {site: ...}`"),
        ("{site: a, dya: 1}", "there is no input `dya`", "did you mean `day`?"),
        ("{site: a, day: soon}", "`day` must be a date", "change the value or the input `day`"),
        ("{site: '${run.id}'}", "`run` is not known in a schedule", "`tick.date`"),
        ("{site: '${tick.dat}'}", "`tick` has no `dat`", "did you mean `date`?"),
        ("{site: '${'}", "`${` is not closed", "${tick.date}"),
    ],
)
def test_inputs_of_a_schedule_are_checked_before_anybody_is_away(
    tmp_path: Path, inputs: str, message: str, hint: str
) -> None:
    faults = faults_in(tmp_path, f"{INPUTS}schedule: {{cron: '@daily', inputs: {inputs}}}{STEPS}")
    assert len(faults) == 1, faults
    assert message in faults[0].message
    assert hint in str(faults[0].hint)
