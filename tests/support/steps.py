"""Running a single step kind in a test, without a workflow around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kurt.engine.kinds import Limits, StepContext, StepKind


@dataclass
class Bench:
    """Executes kinds and remembers what they log and emit.

    Attributes:
        root: the project's folder.
        lines: what was logged, as (level, text), one for each line.
        emitted: events and streams, as (what, key, value).
    """

    root: Path
    lines: list[tuple[str, str]] = field(default_factory=list)
    emitted: list[tuple[str, str, Any]] = field(default_factory=list)

    @property
    def log(self) -> str:
        """All logged lines."""
        return "\n".join(text for _, text in self.lines)

    def context(
        self,
        *,
        env: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        limits: Limits | None = None,
        path: str = "a.b",
    ) -> StepContext:
        """A context whose log and events end here."""
        return StepContext(
            run_id="run-1",
            path=path,
            attempt=1,
            project_root=self.root,
            env=env or {},
            secrets=secrets,
            limits=limits or Limits(),
            log=self._log,
            log_file=self.root / "run.log",
            emit_event=lambda key, value: self.emitted.append(("event", key, value)),
            emit_stream=lambda key, value: self.emitted.append(("stream", key, value)),
        )

    async def do(self, kind: type[StepKind], spec: Mapping[str, Any], **context: Any) -> Any:
        """Execute a kind with these fields; `context` goes to `Bench.context`."""
        result = kind().execute(kind.Model.model_validate(dict(spec)), self.context(**context))
        return await result if hasattr(result, "__await__") else result

    def _log(self, level: str, text: str) -> None:
        self.lines += [(level, line) for line in text.split("\n")]
