"""`validate` for data: schemas, types, required keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kurt.app.primitives.validate import InvalidDataError, validate
from kurt.errors import DataError, NotFoundError, UsageError


def schema(folder: Path, content: Any, name: str = "schema.json") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def faults(data: Any, **against: Any) -> list[tuple[str, str]]:
    return [(fault.path, fault.message) for fault in validate(data, **against)]


def test_valid_data_has_no_faults(tmp_path: Path) -> None:
    file = schema(tmp_path, "type: object\nrequired: [a]\n", "schema.yaml")
    assert faults({"a": 1}, schema=file) == []


def test_every_fault_is_reported_with_its_path_and_in_plain_words(tmp_path: Path) -> None:
    file = schema(
        tmp_path,
        {
            "type": "array",
            "items": {
                "required": ["url"],
                "additionalProperties": False,
                "properties": {
                    "url": {"type": ["string", "null"], "pattern": "^https:"},
                    "n": {"type": "integer", "maximum": 3},
                    "state": {"enum": ["on", None]},
                    "kind": {"const": {"a": 1}},
                    "day": {"format": "date"},
                    "any": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "one": {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
                },
            },
        },
    )
    data = [
        {"url": "http://x", "n": 4, "state": "of", "kind": True, "day": "21.11.", "any": 1, "one": 3},
        {"n": "4", "more": None},
        *[{"url": None}] * 9,
        {"url": [1]},
    ]
    assert faults(data, schema=file) == [
        ("$[0].any", "1 fits none of the 2 alternatives"),
        ("$[0].day", "\"21.11.\" is not of the format 'date'"),
        ("$[0].kind", 'true is not {"a": 1}'),
        ("$[0].n", "4 breaks the rule 'maximum': 3"),
        ("$[0].one", "3 fits more than one of the 2 alternatives"),
        ("$[0].state", '"of" is none of ["on", null]'),
        ("$[0].url", '"http://x" does not match "^https:"'),
        ("$[1]", "the key 'url' is missing"),
        ("$[1]", "additional properties are not allowed ('more' was unexpected)"),
        ("$[1].n", "is a text, not of type integer"),
        ("$[11].url", "is a list, not of type null or string"),
    ]


def test_long_values_are_cut_in_messages(tmp_path: Path) -> None:
    [(_, message)] = faults("x" * 10_000, schema=schema(tmp_path, {"maxLength": 3}))
    assert len(message) < 150


@pytest.mark.parametrize(
    ("draft", "valid"),
    [
        ("http://json-schema.org/draft-07/schema#", True),
        ("https://json-schema.org/draft/2020-12/schema", False),
    ],
)
def test_the_draft_is_what_the_schema_says(tmp_path: Path, draft: str, valid: bool) -> None:
    file = schema(tmp_path, {"$schema": draft, "prefixItems": [{"type": "string"}]})
    assert (faults([1], schema=file) == []) is valid


def test_references_lead_into_the_schema_and_into_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    schema(tmp_path, {"$defs": {"n": {"$ref": "more.json"}}}, "parts/defs.json")
    schema(tmp_path, {"type": "number"}, "parts/more.json")
    file = schema(
        tmp_path,
        {
            "$defs": {"s": {"type": "string"}},
            "items": {"anyOf": [{"$ref": "#/$defs/s"}, {"$ref": "parts/defs.json#/$defs/n"}]},
        },
    )
    assert faults([1, "x", None], schema=file) == [("$[2]", "null fits none of the 2 alternatives")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"$ref": "https://example.com/schema.json"}, "nothing is fetched from the network"),
        ({"$ref": "file:///etc/hosts"}, "nothing is fetched from the network"),
        ({"$id": "http://127.0.0.1:9/a.json", "$ref": "b.json"}, "nothing is fetched from the network"),
        ({"$ref": "none.json"}, "there is no file"),
        ({"$ref": "#/$defs/none"}, "which is not there"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "itself without end"),
        ({"type": "text"}, "is not a valid JSON Schema: at"),
        ({"$schema": "https://example.com/mine"}, "is not known"),
        ("[1]", "it is a list"),
    ],
)
def test_a_schema_that_cannot_be_used_is_a_usage_error(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        validate({}, schema=schema(tmp_path, content))
    assert message in caught.value.message


def test_a_schema_may_hold_itself_where_the_data_goes_down(tmp_path: Path) -> None:
    tree = {"$defs": {"tree": {"type": "object", "additionalProperties": {"$ref": "#/$defs/tree"}}}}
    file = schema(tmp_path, {**tree, "$ref": "#/$defs/tree"})
    assert faults({"a": {"b": {}, "c d": 1}}, schema=file) == [
        ("$.a['c d']", "is a number, not of type object")
    ]


def test_rules_without_a_value_have_words_of_their_own(tmp_path: Path) -> None:
    rules = {"uniqueItems": True, "contains": {"type": "null"}, "not": {"minItems": 2}}
    assert [message for _, message in faults([1, 1], schema=schema(tmp_path, rules))] == [
        "[1, 1] has no element, or too many, of the kind in 'contains'",
        '[1, 1] fits {"minItems": 2}, which it must not',
        "[1, 1] has an element twice",
    ]
    names = {"propertyNames": {"maxLength": 2}}
    assert faults({"long": 1}, schema=schema(tmp_path, names)) == [
        ("$", "a key is not allowed: \"long\" breaks the rule 'maxLength': 2")
    ]


def test_what_is_nested_too_deeply_is_told(tmp_path: Path) -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"items": deep}
    with pytest.raises(UsageError, match="cannot be used as a schema: recursion limit"):
        validate([], schema=schema(tmp_path, deep))
    with pytest.raises(DataError, match="the data cannot be checked: recursion limit"):
        validate(deep, schema=schema(tmp_path, {"minProperties": 5}))


def test_a_schema_may_be_a_boolean(tmp_path: Path) -> None:
    assert faults(1, schema=schema(tmp_path, "true")) == []
    assert len(faults(1, schema=schema(tmp_path, "false"))) == 1


def test_a_schema_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        validate({}, schema=tmp_path / "none.json")


@pytest.mark.parametrize(
    ("type_name", "good", "bad"),
    [
        ("mapping", {}, []), ("object", {}, 1), ("list", [], {}), ("array", [], "x"), ("string", "x", 1),
        ("number", 1.5, True), ("integer", 1, 1.5), ("boolean", False, 0), ("null", None, 0),
    ],
)  # fmt: skip
def test_types(type_name: str, good: Any, bad: Any) -> None:
    assert faults(good, type_name=type_name) == []
    [(path, message)] = faults(bad, type_name=type_name)
    assert path == "$"
    assert message.endswith(f"not of type {type_name}")


def test_required_keys_of_a_mapping_and_of_every_element() -> None:
    assert faults({"a": 0, "b": ""}, required=["a", "b"]) == []
    assert faults({"a": None}, required=["a", "b"]) == [
        ("$.a", "is null, a value is required"),
        ("$", "the key 'b' is missing"),
    ]
    assert faults([{"a": 1}, {}, 3], required=["a"], type_name="list") == [
        ("$[1]", "the key 'a' is missing"),
        ("$[2]", "is a number, so it has no keys"),
    ]


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ({}, "nothing to validate"),
        ({"type_name": "text"}, "no type 'text'"),
        ({"schema": Path("x"), "type_name": "list"}, "cannot be combined"),
        ({"schema": Path("x"), "required": ["a"]}, "cannot be combined"),
    ],
)
def test_wrong_combinations_are_usage_errors(against: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        validate({}, **against)


def test_the_error_carries_all_faults() -> None:
    error = InvalidDataError(validate({}, required=["a", "b"]))
    assert error.exit_code == 1
    assert error.message == "the data has 2 errors, the first at $: the key 'a' is missing"
    assert [fault["message"] for fault in error.to_json()["errors"]] == [
        "the key 'a' is missing",
        "the key 'b' is missing",
    ]
