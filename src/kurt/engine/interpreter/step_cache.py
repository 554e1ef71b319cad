"""Whether a step's value was made before: by an earlier run of the same step with the same inputs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kurt.engine.expressions.references import resolve
from kurt.engine.interpreter.model_terms import model_identity, own_name
from kurt.types import Json, JsonObject

if TYPE_CHECKING:
    from kurt.engine.interpreter.context import WorkflowContext
    from kurt.engine.kept_values import Kept, KeptValues
    from kurt.engine.kinds import StepContext, StepKind
    from kurt.engine.language.model_specs import CacheSpec
    from kurt.engine.language.schema import WorkflowStep


@dataclass(frozen=True, slots=True)
class StepCache:
    """The kept values of one step.

    Attributes:
        spec: what the file says.
        kind: the step's kind.
        declared: its fields as they stand in the file.
        model: which model it asks, where it asks one.
        values: the values.
        reads: earlier values are used; otherwise new ones are kept only.
    """

    spec: CacheSpec
    kind: StepKind
    declared: JsonObject
    model: str | None
    values: KeptValues
    reads: bool

    async def key(self, inputs: Json, names: JsonObject) -> str:
        """What a value is stored under.

        Args:
            inputs: all that decides about the value, unless the file gives a key.
            names: the names in scope, for that key.

        Raises:
            ExpressionError: a reference of the key leads nowhere.
        """
        if self.spec.has_key:
            inputs = {"key": resolve(self.spec.key, names), "fields": self.declared}
        return self.values.key({"kind": self.kind.type, "model": self.model, "inputs": inputs})

    async def get(self, key: str) -> Kept | None:
        """The value of an earlier run, or None."""
        return await self.values.get(key) if self.reads else None

    def put(self, key: str, value: Json) -> None:
        """Keep a value, soon."""
        self.values.put(key, value)

    async def flush(self) -> None:
        """Wait until all values are kept."""
        await self.values.flush()


def opened_cache(context: WorkflowContext, step: WorkflowStep, kind: StepKind) -> StepCache | None:
    """The kept values of a step; None where its file wants none, or the run only pretends."""
    if step.cache is None or not step.cache.enabled or context.mocks.on:
        return None
    from kurt.core.tenancy import current_tenant  # noqa: PLC0415 - most files keep nothing
    from kurt.db import get_engine  # noqa: PLC0415 - as above
    from kurt.engine.kept_values import KeptValues, Owner  # noqa: PLC0415 - as above

    whose = current_tenant()
    name = own_name(context, step)
    owner = Owner(f"{whose.workspace_id or ''}/{whose.user_id or ''}", context.definition.name, name)
    values = KeptValues(
        get_engine(context.settings),
        owner,
        run_id=context.root_id,
        lifetime=step.cache.ttl_seconds,
        warn=lambda text: context.progress.log.write("WARN", name, text),
    )
    model = model_identity(context, step, kind) if kind.calls_models else None
    return StepCache(step.cache, kind, step.spec, model, values, context.use_cache)


async def inputs_of(kind: StepKind, fields: Any, step: StepContext) -> Json:
    """All that decides about the value of a step that is no row, with its variables."""
    found = await asyncio.to_thread(kind.cache_inputs, fields, step)
    return {
        "fields": found,
        "env": {name: text for name, text in step.env.items() if text not in step.secrets},
    }
