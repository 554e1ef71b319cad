"""The kind `emit`: tells readers outside of the run something."""

from __future__ import annotations

from pydantic import Field, model_validator

from kurt.engine.kinds import Fields, StepContext, StepKind
from kurt.types import Json


class EmitFields(Fields):
    """Fields of an `emit` step."""

    event: str | None = Field(
        default=None,
        min_length=1,
        description="Key of the event to set; a later value replaces an earlier one.",
        examples=["report_url"],
    )
    stream: str | None = Field(
        default=None,
        min_length=1,
        description="Key of the stream to append to.",
        examples=["findings"],
    )
    value: Json = Field(description="What to write.", examples=["${report.url}"])

    @model_validator(mode="after")
    def _one_target(self) -> EmitFields:
        if (self.event is None) == (self.stream is None):
            raise ValueError("give either `event` or `stream`")
        return self


class EmitKind(StepKind):
    """Sets an event of the run or appends to a stream of it; its value is what it wrote."""

    type = "emit"
    Model = EmitFields

    def execute(self, fields: EmitFields, context: StepContext) -> Json:
        """Write the value."""
        if fields.event is not None:
            context.emit_event(fields.event, fields.value)
        elif fields.stream is not None:
            context.emit_stream(fields.stream, fields.value)
        return fields.value
