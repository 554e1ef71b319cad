"""The models of the parts of a workflow file that hold no steps."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from kurt.engine.language.fields import Bytes, Condition, Model, Name, Seconds, Text, Variable, Variables

InputType = Literal["string", "int", "float", "bool", "list", "object", "any", "date", "path"]

_SYNONYMS = {
    "str": "string",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "dict": "object",
    "array": "list",
}


class RetryPolicy(Model):
    """How often a step is tried, and how long to wait in between.

    Attributes:
        max_attempts: attempts in all, the first included.
        delay_seconds: wait after the first failure.
        backoff: how the wait grows.
        max_delay_seconds: the longest wait.
        jitter: shorten each wait at random, by up to half, so that many steps do not try again at once.
        when: expression over `error`; without one every failure is tried again.
    """

    max_attempts: int = Field(
        3, ge=1, le=100, description="Attempts in all, the first included.", examples=[5]
    )
    delay_seconds: Seconds = Field(
        1.0, alias="delay", description="Wait after the first failure.", examples=["2s"]
    )
    backoff: Literal["fixed", "linear", "exponential"] = Field(
        "exponential",
        description="How the wait grows: not at all, by `delay`, or doubling.",
        examples=["linear"],
    )
    max_delay_seconds: Seconds = Field(
        60.0, alias="max_delay", description="The longest wait.", examples=["1m"]
    )
    jitter: bool = Field(True, description="Shorten each wait at random, by up to half.", examples=[False])
    when: Condition | None = Field(
        None,
        description="Expression over `error` that says whether to try again.",
        examples=["error.status in [429, 503]"],
    )


class LimitsSpec(Model):
    """Limits of a step's child processes.

    Attributes:
        memory: bytes of address space.
        cpu: seconds of processor time.
    """

    memory: Bytes | None = Field(None, description="Memory of a child process.", examples=["1GB"])
    cpu: Seconds | None = Field(None, description="Processor time of a child process.", examples=["60s"])


class ForeachSpec(Model):
    """The fan-out of a `foreach` block.

    Attributes:
        items: a list, or a reference to one.
        variable: name of the item inside the block, `as:` in a file.
        key: template that gives each item a key of its own.
        max_concurrent: how many items are at work at once.
        on_item_error: `fail` stops, `skip` leaves the item out, `collect` puts its error in its place.
    """

    items: Any = Field(description="A list, a mapping, or a reference to one.", examples=["${urls}"])
    variable: Variable = Field(
        "item", alias="as", description="Name of the item inside the block.", examples=["url"]
    )
    key: str | None = Field(
        None,
        description="A text that is different for each item; it names the item when the run is resumed.",
        examples=["${url}"],
    )
    max_concurrent: int = Field(10, ge=1, le=1000, description="Items at work at once.", examples=[3])
    on_item_error: Literal["fail", "skip", "collect"] = Field(
        "fail",
        description="`fail` stops, `skip` leaves the item out, `collect` puts its error in its place.",
        examples=["collect"],
    )


class WorkflowCall(Model):
    """The other workflow that a `workflow` block runs.

    Attributes:
        target: path of a file as it is frozen, or name of a registered workflow.
        is_file: which of the two.
        inputs: its inputs.
    """

    target: str
    is_file: bool = False
    inputs: dict[str, Any] = Field(default_factory=dict)


class WaitSpec(Model):
    """What a `wait` block waits for; exactly one of the three.

    Attributes:
        for_: a duration, `for:` in a file.
        until: a time, or an expression that gives one.
        message: topic of a message.
    """

    for_: str | float | None = Field(None, alias="for", description="A duration.", examples=["10m"])
    until: str | float | None = Field(
        None, description="A time, or an expression that gives one.", examples=["2026-11-21T07:00:00Z"]
    )
    message: str | None = Field(
        None, description="Topic of a message sent with `kurt workflows send`.", examples=["go"]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [value for value in (self.for_, self.until, self.message) if value is not None]
        if len(given) != 1:
            raise ValueError("`wait` takes exactly one of `for`, `until` and `message`; write one of them")
        return self


class InputSpec(Model):
    """What an input accepts.

    Attributes:
        type: its type.
        items: what the items of a list accept.
        required: there is no run without it.
        default: its value when it is not given.
        enum: the values allowed.
        min: least number, length of a text, or count of items.
        max: greatest number, length of a text, or count of items.
        pattern: regular expression that is found in the text.
        description: for people.
    """

    type: InputType = Field("any", description="Type of the value.", examples=["string", "list"])
    items: "InputSpec | None" = Field(None, description="Type of the items of a list.", examples=["string"])
    required: bool = Field(False, description="Refuse to run without it.", examples=[True])
    default: Any = Field(None, description="Value when it is not given.", examples=[10])
    enum: list[Any] | None = Field(
        None, min_length=1, description="The values allowed.", examples=[["fast", "full"]]
    )
    min: float | None = Field(
        None, description="Least number, length of a text or count of items.", examples=[1]
    )
    max: float | None = Field(
        None, description="Greatest number, length of a text or count of items.", examples=[100]
    )
    pattern: str | None = Field(
        None, description="Regular expression that must be found in the text.", examples=["^https?://"]
    )
    description: Text | None = Field(None, description="What the input is for.", examples=["Pages to fetch"])

    @model_validator(mode="before")
    @classmethod
    def _synonyms(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"type": value}
        kind = value.get("type") if isinstance(value, Mapping) else None
        return {**value, "type": _SYNONYMS[kind]} if isinstance(kind, str) and kind in _SYNONYMS else value

    @property
    def has_default(self) -> bool:
        """Whether a default was written, be it null."""
        return "default" in self.model_fields_set


class ApprovalSpec(Model):
    """What an `approval` block asks a person.

    Attributes:
        message: the question, which may hold references.
        fields: what the person may or must give with the answer.
        on_timeout: what an answer that does not come within `timeout` counts as.
        on_reject: whether a rejection fails the step.
    """

    message: Text = Field(description="The question.", examples=["Publish ${post.title}?"])
    fields: dict[Name, InputSpec] = Field(
        default_factory=dict,
        description="What is given with the answer, declared as inputs are; a default may hold references.",
        examples=[{"channel": {"type": "string", "enum": ["blog", "newsletter"]}, "urgent": False}],
    )
    on_timeout: Literal["fail", "approve", "reject", "skip"] = Field(
        "fail",
        description="What happens when no answer has come within `timeout`.",
        examples=["reject"],
    )
    on_reject: Literal["fail", "continue"] = Field(
        "fail",
        description="`fail` fails the step with the error type `Rejected`, `continue` gives the answer as its value.",
        examples=["continue"],
    )


class Defaults(Model):
    """What holds for every step that says nothing else.

    Attributes:
        timeout: seconds for each attempt of a step; not for blocks.
        retry: for every step; not for blocks.
        on_error: for every step.
        env: variables for child processes.
    """

    timeout: Seconds | None = Field(None, description="Time limit of each step's attempts.", examples=["5m"])
    retry: RetryPolicy | None = Field(
        None, description="Attempts of each step.", examples=[{"max_attempts": 2}]
    )
    on_error: Literal["fail", "skip", "retry"] | None = Field(
        None, description="What a failed step does.", examples=["skip"]
    )
    env: Variables = Field(
        default_factory=dict, description="Variables for child processes.", examples=[{"LANG": "C"}]
    )
