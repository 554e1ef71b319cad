"""Files of other systems are named as what they are, in place of a list of unknown keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.definitions import faults_in


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("name: ci\non: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: ls}]\n", "GitHub Actions"),
        ("id: a\nnamespace: b\ntasks:\n  - {id: c, type: io.kestra.plugin.core.log.Log}\n", "Kestra"),
        ("steps:\n  - pypyr.steps.debug\n  - name: pypyr.steps.cmd\n    in: {cmd: ls}\n", "pypyr"),
    ],
)
def test_a_file_of_another_system_is_named(tmp_path: Path, text: str, system: str) -> None:
    (fault,) = faults_in(tmp_path, text)
    assert fault.message == f"this is a workflow of {system}, not of Kurt"
    assert "Coming from another system" in (fault.hint or "")


@pytest.mark.parametrize(
    "text", ["name: x\ntasks: [1]\n", "jobs: 5\n", "steps:\n  - {name: pypyr, type: run, command: ls}\n"]
)
def test_what_only_looks_like_one_is_checked_as_ever(tmp_path: Path, text: str) -> None:
    assert not any("this is a workflow of" in fault.message for fault in faults_in(tmp_path, text))
