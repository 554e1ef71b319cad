"""Answers of the fake model server to prompts in DSPy's format: the fields that they ask for, of the right types."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kurt.llm.shapes import shaped

if TYPE_CHECKING:
    from kurt.types import Json, JsonObject

_WANTED = re.compile(r"`\[\[ ## (\w+) ## \]\]`")
_REMINDER = "Respond with the corresponding output fields, starting with the field "
_JSON_WANTED = re.compile(r"`(\w+)`")
_JSON_REMINDER = "Respond with a JSON object in the following order of fields: "
_JSON_FIELDS = "Outputs will be a JSON object with the following fields."
_NOTE = "# note: the value you produce "
_END = "completed"
_LAST_TOOL = "finish"


def dspy_answer(body: JsonObject) -> str | None:
    """An answer with each field that the last message asks for, None where no message is in DSPy's format.

    An agent ends its turns at once.

    Args:
        body: the request of a chat.
    """
    texts = [str(message.get("content")) for message in body.get("messages") or []] or [""]
    _, marked, reminder = texts[-1].rpartition(_REMINDER)
    if marked:
        names = [name for name in _WANTED.findall(reminder) if name != _END]
        return written({name: _value(name, _note(texts[0], name)) for name in names})
    _, as_json, reminder = texts[-1].rpartition(_JSON_REMINDER)
    if as_json:
        told = _json_fields(texts[0])
        return json.dumps({name: _value(name, told.get(name, "")) for name in _JSON_WANTED.findall(reminder)})
    return None


def written(fields: JsonObject) -> str:
    """Fields as DSPy's format writes them."""
    parts = [f"[[ ## {name} ## ]]\n{_text(value)}\n" for name, value in fields.items()]
    return "\n".join([*parts, f"[[ ## {_END} ## ]]"])


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _note(instructions: str, name: str) -> str:
    """What the instructions say of a field's type."""
    found = re.search(rf"^\{{{re.escape(name)}\}}\s*{re.escape(_NOTE)}(.*)$", instructions, re.MULTILINE)
    return found[1] if found else ""


def _json_fields(instructions: str) -> dict[str, str]:
    """What the instructions say of each field, where the answer is to be JSON."""
    start = instructions.find("{", instructions.find(_JSON_FIELDS))
    try:
        found, _ = json.JSONDecoder().raw_decode(instructions[start:])
    except ValueError:
        return {}
    return {name: str(text).partition(_NOTE)[2] for name, text in found.items()}


def _value(name: str, note: str) -> Any:
    _, separator, words = note.partition("one of: ")
    if separator:
        choices = words.split("; ")
        return _LAST_TOOL if _LAST_TOOL in choices else choices[0]
    _, separator, schema = note.partition("must adhere to the JSON schema: ")
    if separator:
        return shaped(json.loads(schema))
    kinds = {"int": "integer", "float": "number", "True or False": "boolean"}
    kind = next((kind for word, kind in kinds.items() if word in note), "string")
    return shaped({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})[name]
