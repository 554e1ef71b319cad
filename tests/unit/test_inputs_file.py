"""Inputs of a run from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kurt.app.inputs import read_inputs_file
from kurt.errors import InputError


def test_yaml_and_json(tmp_path: Path) -> None:
    file = tmp_path / "inputs"
    for text in ("limit: 5\nurls: [a]\n", '{"limit": 5, "urls": ["a"]}'):
        file.write_text(text)
        assert read_inputs_file(str(file)) == {"limit": 5, "urls": ["a"]}


def test_a_large_value_comes_in_json(tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    value = {"text": "'; rm -rf ~\n${x} \u2028" * 400_000}
    file.write_text(json.dumps(value))
    assert read_inputs_file(str(file)) == value
    file.write_text(f"text: {value['text']!r}")
    with pytest.raises(InputError, match="bytes, for which it has to be JSON") as caught:
        read_inputs_file(str(file))
    assert caught.value.hint == "write it as JSON, or let a step read the file"
