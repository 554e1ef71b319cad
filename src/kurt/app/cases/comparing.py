"""What a run was to do and did not do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kurt.engine.expressions.evaluation import compile_expression
from kurt.engine.expressions.operators import is_number
from kurt.errors import ExpressionError

if TYPE_CHECKING:
    from kurt.engine.cases.schema import Expectation, StepExpectation
    from kurt.types import Json, JsonObject

_LONGEST = 300
_KEY = re.compile(r"\[[^\]]*\]")
_PLAIN = re.compile(r"[A-Za-z_][\w-]*")
_MOST = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was expected.

    Attributes:
        at: what it is about: `outputs.titles[1]`, `step report`.
        message: what differs, in words.
        expected: what was expected.
        actual: what was there.
    """

    at: str
    message: str
    expected: Json = None
    actual: Json = None

    def to_json(self) -> JsonObject:
        """The difference as JSON."""
        return {"at": self.at, "message": self.message, "expected": self.expected, "actual": self.actual}

    def lines(self) -> Iterator[str]:
        """It for people; long texts as a comparison line by line."""
        first, *others = self.message.splitlines() or [""]
        yield f"{self.at}: {first}"
        yield from (f"  {line}" for line in others)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run, as its process wrote it down.

    Attributes:
        status: how it ended.
        inputs: what it was given.
        outputs: what it returned.
        error: its failure, or None.
        steps: its steps in their order.
        calls: how often models were called, by step.
    """

    status: str
    inputs: JsonObject = field(default_factory=dict)
    outputs: Json = None
    error: JsonObject | None = None
    steps: Sequence[JsonObject] = ()
    calls: Mapping[str, int] = field(default_factory=dict[str, int])


def differences(expect: Expectation, result: Result) -> list[Difference]:
    """All that is not as expected; if the run did not even end as expected, that first."""
    found = [*_status(expect, result)]
    if found and result.status == "refused":
        return found
    if found and result.status != "succeeded":  # what it would have returned is no news
        return [*found, *_steps(expect, result)]
    given = expect.model_fields_set
    if "outputs" in given:
        found += _equal(expect.outputs, result.outputs, "outputs")
    if "includes" in given:
        found += _equal(expect.includes, result.outputs, "outputs", partly=True)
    if expect.error is not None and not any(one.at == "status" for one in found):
        found += _failure(expect.error, result.error, "error")
    return [*found, *_steps(expect, result), *_calls(expect.calls, result), *_that(expect.that, result)]


def _status(expect: Expectation, result: Result) -> Iterator[Difference]:
    wanted = expect.wanted_status
    if result.status != wanted:
        error = result.error or {}
        why = f": {error.get('message')}" if error.get("message") else ""
        causes = [str(cause) for cause in error.get("causes") or ()]
        message = "\n".join([f"expected {wanted}, got {result.status}{why}", *causes])
        yield Difference("status", message, wanted, result.status)


def _equal(expected: Json, actual: Json, at: str, *, partly: bool = False) -> list[Difference]:
    """Where two values differ; `partly` lets mappings have more keys than expected."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [*_mappings(expected, actual, at, partly=partly)]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [
            one
            for index, (left, right) in pairs
            for one in _equal(left, right, f"{at}[{index}]", partly=partly)
        ]
    return [] if _same(expected, actual) else [Difference(at, _told(expected, actual), expected, actual)]


def _mappings(
    expected: Mapping[str, Json], actual: Mapping[str, Json], at: str, *, partly: bool
) -> Iterator[Difference]:
    for key, value in expected.items():
        place = f"{at}{_part(key)}"
        if key not in actual:
            yield Difference(place, f"expected {_short(value)}, got nothing", value, None)
        else:
            yield from _equal(value, actual[key], place, partly=partly)
    for key, value in actual.items():
        if key not in expected and not partly:
            yield Difference(f"{at}{_part(key)}", f"expected nothing, got {_short(value)}", None, value)


def _part(key: str) -> str:
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _same(left: Json, right: Json) -> bool:
    """Whether two values are the same in JSON: 1 is 1.0, but not true."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def _told(expected: Json, actual: Json) -> str:
    both_texts = isinstance(expected, str) and isinstance(actual, str)
    if both_texts and ("\n" in expected or "\n" in actual):
        compared = difflib.unified_diff(
            expected.splitlines(), actual.splitlines(), "expected", "got", lineterm="", n=1
        )
        return "\n".join(["the texts differ", *compared])
    if isinstance(expected, list) and isinstance(actual, list):
        return f"expected {len(expected)} items, got {len(actual)}: {_short(actual)}"
    return f"expected {_short(expected)}, got {_short(actual)}"


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _failure(expected: Json, actual: JsonObject | None, at: str) -> list[Difference]:
    """Where a failure is not as expected: a text must be a part of its message, and so must `message` of a mapping."""
    if actual is None:
        return [Difference(at, f"expected a failure with {_short(expected)}, there was none", expected)]
    wanted = expected if isinstance(expected, dict) else {"message": expected}
    found: list[Difference] = []
    for key, value in wanted.items():
        said = actual.get(key)
        if key == "message" and isinstance(value, str):
            if value not in str(said):
                message = f"expected a text with {_short(value)}, got {_short(said)}"
                found.append(Difference(f"{at}.message", message, value, said))
        else:
            found += _equal(value, said, f"{at}.{key}", partly=True)
    return found


def _steps(expect: Expectation, result: Result) -> Iterator[Difference]:
    for path, wanted in expect.steps.items():
        steps = [step for step in result.steps if path in (step["path"], _KEY.sub("", step["path"]))]
        yield from _step(path, wanted, steps)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _step(path: str, wanted: StepExpectation, steps: Sequence[JsonObject]) -> Iterator[Difference]:
    if wanted.count is not None and wanted.count != len(steps):
        message = f"expected to run {_times(wanted.count)}, ran {_times(len(steps))}"
        yield Difference(f"step {path}", message, wanted.count, len(steps))
    if wanted.state == "not run":
        for step in steps[:1]:
            yield Difference(
                f"step {path}", f"expected not to run, got {step['state']}", "not run", step["state"]
            )
        return
    asks_more = wanted.model_fields_set - {"count"}
    if not steps and asks_more and wanted.count != 0:
        expected = f"expected {wanted.state}, it" if wanted.state else "it"
        yield Difference(f"step {path}", f"{expected} did not run", wanted.state or "run", "not run")
    for step in steps[:_MOST]:
        yield from _one_step(f"step {step['path']}", wanted, step)


def _one_step(at: str, wanted: StepExpectation, step: JsonObject) -> Iterator[Difference]:
    given = wanted.model_fields_set
    if wanted.state is not None and wanted.state != step["state"]:
        why = f": {step['error'].get('message')}" if step.get("error") else ""
        yield Difference(
            at, f"expected {wanted.state}, got {step['state']}{why}", wanted.state, step["state"]
        )
    if "value" in given:
        yield from _equal(wanted.value, step["value"], f"{at}: value")
    if "includes" in given:
        yield from _equal(wanted.includes, step["value"], f"{at}: value", partly=True)
    if "given" in given and not step["mocked"]:
        yield Difference(
            at, "`given` is known of mocked steps only, and this one really worked", wanted.given
        )
    elif "given" in given:
        yield from _equal(wanted.given, step["given"], f"{at}: given", partly=True)
    if wanted.error is not None:
        yield from _failure(wanted.error, step["error"], f"{at}: error")
    if wanted.attempts is not None and wanted.attempts != step["attempts"]:
        message = f"expected {wanted.attempts} attempts, got {step['attempts']}"
        yield Difference(at, message, wanted.attempts, step["attempts"])


def _calls(expected: int | Mapping[str, int] | None, result: Result) -> Iterator[Difference]:
    from kurt.llm.mock import is_step  # noqa: PLC0415 - few cases count calls

    if expected is None:
        return
    told = ", ".join(f"{step}: {count}" for step, count in result.calls.items())
    by_step = f" ({told})" if told else ""
    wanted: Mapping[str | None, int] = {None: expected} if isinstance(expected, int) else {**expected}
    for step, count in wanted.items():
        made = sum(number for path, number in result.calls.items() if step is None or is_step(step, path))
        if made != count:
            at = "calls" if step is None else f"calls.{step}"
            yield Difference(at, f"expected {count} calls of models, got {made}{by_step}", count, made)


def _that(conditions: Sequence[str], result: Result) -> Iterator[Difference]:
    scope: dict[str, Any] = {
        "outputs": result.outputs,
        "steps": {step["path"]: step["value"] for step in result.steps},
        "inputs": result.inputs,
        "status": result.status,
        "error": result.error,
        "calls": sum(result.calls.values()),
    }
    for text in conditions:
        expression = compile_expression(text)
        try:
            if expression.is_true(scope):
                continue
            told = "; ".join(
                f"{_path(path)} is {_short(_at(scope, path))}" for path in dict.fromkeys(expression.paths)
            )
            yield Difference(text, f"not true{f'; {told}' if told else ''}", True, False)
        except ExpressionError as error:
            yield Difference(text, error.message, True, None)


def _path(path: Sequence[str | int]) -> str:
    first, *others = path
    return str(first) + "".join(f"[{part}]" if isinstance(part, int) else _part(part) for part in others)


def _at(scope: Mapping[str, Any], path: Sequence[str | int]) -> Json:
    """The value at a path; None where it leads nowhere."""
    value: Any = scope
    for part in path:
        try:
            value = value[part]
        except (TypeError, KeyError, IndexError):
            return None
    return value
