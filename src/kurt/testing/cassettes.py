"""Record the answers of real models once, and replay them in tests.

    with cassette("tests/cassettes/extract.json", [extract_step]):
        table = extract_step.run(rows)

The first time the models are asked and their answers written down; from then on they are read, and nothing is asked. An
answer belongs to its model, prompt and schema: when one of these changes, the replay fails and says which prompt has no
answer.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from kurt.errors import KurtError

if TYPE_CHECKING:
    from kurt.core.llm_steps import LLMStep
    from kurt.llm.types import Request, Response

FORMAT = 1

Mode = Literal["auto", "replay", "record"]
"""`auto` replays a file that exists and records otherwise; `record` asks again for everything."""


class CassetteError(KurtError):
    """The cassette has no answer: the step ends with this error, no row is recorded as failed."""

    code = "cassette"
    ends_step = True


class Cassette:
    """Answers in a file.

    Args:
        path: the file; made with the first answer.
        mode: whether it is read or written.

    Attributes:
        recording: whether answers are written down.
    """

    def __init__(self, path: str | Path, mode: Mode = "auto") -> None:
        self._path = Path(path)
        self._lock = Lock()
        self.recording = mode == "record" or (mode == "auto" and not self._path.exists())
        self._entries: dict[str, dict[str, Any]] = {} if self.recording else self._read()
        self.used: set[str] = set()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CassetteError(f"the cassette {self._path} cannot be read: {error}") from None
        if content.get("format") != FORMAT:
            raise CassetteError(f"the cassette {self._path} has another format", hint=f"rm {self._path}")
        return content["answers"]

    def get(self, key: str, what: dict[str, Any]) -> dict[str, Any]:
        """The recorded answer.

        Raises:
            CassetteError: there is none.
        """
        found = self._entries.get(key)
        if found is None:
            raise CassetteError(
                f"the cassette {self._path} has no answer to this prompt for {what['model']}: "
                f"{what['prompt'][:200]!r}; {self._nearest(what)}",
                hint=f"record it anew: rm {self._path}, and run the test once with the model's key",
            )
        self.used.add(key)
        return found

    def _nearest(self, what: dict[str, Any]) -> str:
        """What has changed, where that can be told."""
        same = [entry for entry in self._entries.values() if entry["prompt"] == what["prompt"]]
        if not same:
            return f"it has {len(self._entries)} answers, none to this prompt"
        if all(entry["model"] != what["model"] for entry in same):
            return f"this prompt was recorded with the model {same[0]['model']}"
        return "this prompt was recorded with another schema"

    def put(self, key: str, entry: dict[str, Any]) -> None:
        """Write an answer down."""
        with self._lock:
            self._entries[key] = entry
            content = {"format": FORMAT, "answers": dict(sorted(self._entries.items()))}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.replace(self._path)


@contextmanager
def cassette(
    path: str | Path, steps: Iterable[LLMStep] | LLMStep, *, mode: Mode = "auto"
) -> Generator[Cassette]:
    """Let some steps record their models' answers in a file, or take them from it, while the block runs.

    Args:
        path: the file.
        steps: those steps.
        mode: `auto`, `replay` or `record`.

    Raises:
        CassetteError: it cannot be read.
    """
    made = Cassette(path, mode)
    with ExitStack() as stack:
        for step in [steps] if not isinstance(steps, Iterable) else list(steps):
            stack.enter_context(_through(step, made))
        yield made


@contextmanager
def _through(step: LLMStep, made: Cassette) -> Generator[None]:
    if step.llm_fn is not None:
        before, step.substitute = step.substitute, _function(step, made)
        try:
            yield
        finally:
            step.substitute = before
    else:
        completer, step.completer = step.completer, _Completer(step, made)
        try:
            yield
        finally:
            step.completer = completer


def key_of(model: str, prompt: str, schema: Any) -> str:
    """Under what an answer is kept."""
    text = json.dumps([model, prompt, schema], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _function(step: LLMStep, made: Cassette) -> Any:
    """The step's own function, recorded or replayed."""
    import inspect  # noqa: PLC0415 - beside its use

    from kurt.core.answers import fields_of, interpret  # noqa: PLC0415 - as above

    model, schema, asked = "llm_fn", step.output_schema.model_json_schema(), step.llm_fn
    assert asked is not None  # noqa: S101 - the caller has looked

    async def answer(prompt: str) -> Any:
        key, what = key_of(model, prompt, schema), {"model": model, "prompt": prompt}
        if not made.recording:
            entry = made.get(key, what)
            return entry["answer"], entry["metrics"]
        returned = asked(prompt)
        returned = await returned if inspect.isawaitable(returned) else returned
        found, metrics = interpret(returned)
        fields = fields_of(step.output_schema, found)
        usage = {"tokens_in": metrics.tokens_in, "tokens_out": metrics.tokens_out, "cost": metrics.cost}
        made.put(key, {**what, "answer": fields, "metrics": usage})
        return found, usage

    return answer


class _Completer:
    """Kurt's client, recorded or replayed."""

    def __init__(self, step: LLMStep, made: Cassette) -> None:
        self._step = step
        self._made = made

    async def complete(self, request: Request) -> Response:
        from kurt.config.current import current_settings  # noqa: PLC0415 - beside their use
        from kurt.llm.client import client_for_loop  # noqa: PLC0415 - as above
        from kurt.llm.types import Response, Usage  # noqa: PLC0415 - as above

        prompt = "\n\n".join(f"{message.role}: {message.content}" for message in request.messages)
        what = {"model": request.model, "prompt": prompt}
        key = key_of(request.model, prompt, request.schema)
        if not self._made.recording:
            entry = self._made.get(key, what)
            return Response(entry["text"], Usage(**entry["usage"]), entry["answered_by"], entry["provider"])
        step = self._step
        response = await client_for_loop(current_settings(), module=step.module, step=step.name).complete(
            request
        )
        usage = {"input_tokens": response.usage.input_tokens, "output_tokens": response.usage.output_tokens}
        entry = {"text": response.text, "usage": usage, "answered_by": response.model}
        self._made.put(key, {**what, **entry, "provider": response.provider})
        return response
