"""What may stand in a test file."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from kurt.engine.language.fields import Condition, Model, Seconds, Text, Variable
from kurt.types import Json

Status = Literal["succeeded", "failed", "cancelled", "refused"]
State = Literal["succeeded", "failed", "skipped", "not run"]

STATES = ("succeeded", "failed", "skipped", "not run")
"""How a step may be expected to end."""

OUTCOME_KEYS = frozenset({"value", "error", "attempts"})
"""A mapping that has only these keys says how a step goes; any other one is the step's value."""


class Failure(Model):
    """How something fails.

    Attributes:
        message: what it says.
        type: the name of the kind of failure, `error.type` in a workflow file.
        status: status of HTTP.
        exit_code: of a program.
        retryable: for a model: whether it is asked again.
    """

    message: Text | None = Field(None, description="What the failure says.", examples=["out of memory"])
    type: Text | None = Field(None, description="Its kind, `error.type` in a file.", examples=["HttpError"])
    status: int | None = Field(None, description="Status of HTTP, `error.status`.", examples=[503])
    exit_code: int | None = Field(
        None, description="Exit code of a program, `error.exit_code`.", examples=[1]
    )
    retryable: bool | None = Field(
        None, description="Of a model: whether the same is asked again.", examples=[False]
    )


def _failure(value: Any) -> Any:
    return {"message": value} if isinstance(value, str) else value


Fails: TypeAlias = Annotated[Failure, BeforeValidator(_failure)]


class Outcome(Model):
    """What a mocked step comes to.

    Attributes:
        value: what it returns.
        error: how it fails, in place of a value.
    """

    value: Any = Field(None, description="What the step returns.", examples=[{"title": "A"}])
    error: Fails | None = Field(
        None, description="How it fails instead: a text, or a mapping.", examples=["timed out"]
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "Outcome":
        if self.error is not None and "value" in self.model_fields_set:
            raise ValueError("an outcome has a value or an error, not both; keep one of them")
        return self

    def to_json(self) -> dict[str, Json]:
        """As it is stored with the run."""
        if self.error is not None:
            return {"error": self.error.model_dump(exclude_none=True)}
        return {"value": self.value}


class StepMock(Outcome):
    """What a mocked step comes to in all its attempts.

    Attributes:
        attempts: the outcome of each attempt; the last one counts for all further ones.
    """

    attempts: list[Outcome] | None = Field(
        None,
        min_length=1,
        description="The outcome of each attempt; the last one counts for all further ones.",
        examples=[[{"error": "busy"}, {"value": 1}]],
    )

    @model_validator(mode="after")
    def _alone(self) -> "StepMock":
        if self.attempts is not None and self.model_fields_set != {"attempts"}:
            raise ValueError("`attempts` says it all; write value and error in its items")
        return self

    @property
    def outcomes(self) -> list[dict[str, Json]]:
        """One for each attempt."""
        return [one.to_json() for one in self.attempts] if self.attempts else [self.to_json()]


def _mock(value: Any) -> Any:
    said = isinstance(value, dict) and value and OUTCOME_KEYS.issuperset(value)
    return value if said or isinstance(value, StepMock) else {"value": value}


Mock: TypeAlias = Annotated[StepMock, BeforeValidator(_mock)]


class ModelMock(Model):
    """What a model answers, and when.

    Attributes:
        step: only to this step: its name, or its path.
        prompt: only where the prompt holds this text, upper or lower case.
        model: only in place of this model.
        answer: the answer: a text, or a mapping whose missing fields are made up.
        error: how the call fails instead.
    """

    step: Text | None = Field(
        None, description="Only when this step asks: name or path.", examples=["questions"]
    )
    prompt: Text | None = Field(
        None, description="Only when the prompt holds this text, in upper or lower case.", examples=["price"]
    )
    model: Text | None = Field(
        None, description="Only in place of this model.", examples=["openai/gpt-4.1-mini"]
    )
    answer: Any = Field(
        None,
        description="What it answers: a text, or a mapping; fields that are missing in it are made up.",
        examples=[{"questions": ["What is Kurt?"]}],
    )
    error: Fails | None = Field(
        None, description="How the call fails instead: a text, or a mapping.", examples=["overloaded"]
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "ModelMock":
        if (self.error is not None) == ("answer" in self.model_fields_set):
            raise ValueError("a rule for models has either an answer or an error; write one of them")
        return self

    def to_json(self) -> dict[str, Json]:
        """As it is stored with the run."""
        return self.model_dump(exclude_none=True, exclude_unset=True)


class MockSpec(Model):
    """What a run only pretends.

    Attributes:
        steps: steps that do nothing, by path.
        models: answers of models; the first that fits counts, without one an answer is made up by its schema.
    """

    steps: dict[str, Mock] = Field(
        default_factory=dict,
        description="Steps that do nothing and return what stands here, by path; `pages.fetch` is the step `fetch` of "
        "all items of `pages`, `pages[a].fetch` that of the item with the key `a`.",
        examples=[{"fetch": {"title": "A"}}],
    )
    models: list[ModelMock] = Field(
        default_factory=list,
        description="Answers of models; the first that fits counts. Without one, an answer is made up by its schema: no "
        "test calls a model.",
        examples=[[{"step": "questions", "answer": {"questions": ["What is Kurt?"]}}]],
    )


class StepExpectation(Model):
    """What is expected of a step.

    Attributes:
        state: how it ended.
        value: exactly its value.
        includes: a part of its value.
        given: a part of the fields with which it would have worked; of mocked steps only.
        error: a part of what its failure says, or parts of it by key.
        attempts: how often it was tried.
        count: how often it ran: once for each item.
    """

    state: State | None = Field(None, description="How the step ended.", examples=["skipped"])
    value: Any = Field(None, description="Exactly what it returned.", examples=[{"title": "A"}])
    includes: Any = Field(
        None,
        description="A part of what it returned: keys that must be there, and what is in them.",
        examples=[{"title": "A"}],
    )
    given: Any = Field(
        None,
        description="A part of the fields that a mocked step was given, with all references replaced.",
        examples=[{"url": "https://example.com"}],
    )
    error: str | dict[str, Any] | None = Field(
        None, description="A part of what its failure says, or its parts by key.", examples=["timed out"]
    )
    attempts: int | None = Field(None, ge=1, description="How often it was tried.", examples=[3])
    count: int | None = Field(None, ge=0, description="How often it ran: once for each item.", examples=[2])


def _state(value: Any) -> Any:
    return {"state": value} if isinstance(value, str) else value


Expected: TypeAlias = Annotated[StepExpectation, BeforeValidator(_state)]


class Expectation(Model):
    """What is expected of a run.

    Attributes:
        status: how it ended.
        outputs: exactly its outputs.
        includes: a part of its outputs.
        error: a part of what its failure says, or parts of it by key.
        steps: what is expected of steps, by path.
        calls: how often models were called: all together, or by step.
        that: expressions that must be true.
    """

    status: Status = Field(
        "succeeded",
        description="How the run ended; `refused` when it was not started, because its inputs do not fit. Without this key "
        "`failed` where an `error` is expected, else `succeeded`.",
        examples=["failed"],
    )
    outputs: Any = Field(None, description="Exactly the outputs.", examples=[{"titles": ["A"]}])
    includes: Any = Field(
        None,
        description="A part of the outputs: keys that must be there, and what is in them.",
        examples=[{"titles": ["A"]}],
    )
    error: str | dict[str, Any] | None = Field(
        None,
        description="A part of what the failure says, or its parts by key.",
        examples=["no such page"],
    )
    steps: dict[str, Expected] = Field(
        default_factory=dict,
        description="What is expected of steps, by path; without keys of items, of all items.",
        examples=[{"report": "skipped"}],
    )
    calls: int | dict[str, int] | None = Field(
        None,
        description="How often models were called, all together or by step.",
        examples=[2],
    )
    that: list[Condition] = Field(
        default_factory=list,
        description="Expressions that must be true, over `outputs`, `steps`, `inputs`, `status`, `error` and `calls`.",
        examples=[["len(outputs.titles) == 2"]],
    )

    @property
    def wanted_status(self) -> str:
        """How the run is to end: who expects an error expects a failure."""
        said = self.status if "status" in self.model_fields_set else None
        return said or ("succeeded" if self.error is None else "failed")


class CaseSpec(Model):
    """One test.

    Attributes:
        name: what it shows.
        inputs: the run's inputs.
        files: texts of files in the copy of the project, by path.
        secrets: values of secrets; those that are not given are made up.
        mocks: what is pretended, over what the file says for all cases.
        answers: what people and other programs answer to steps that wait, by path.
        expect: what is expected.
        timeout: seconds that it may take.
    """

    name: Text = Field(min_length=1, description="What the case shows.", examples=["a page without a title"])
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="Inputs of the run.", examples=[{"limit": 2}]
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="Files that are written into the copy of the project first: path to text.",
        examples=[{"sources/a.md": "# A"}],
    )
    secrets: dict[Variable, str] = Field(
        default_factory=dict,
        description="Values of secrets; those that the workflow declares and that are missing here are made up. No "
        "test sees a real one.",
        examples=[{"API_TOKEN": "not-the-real-one"}],
    )
    mocks: MockSpec = Field(
        default_factory=MockSpec,
        description="What is only pretended.",
        examples=[{"steps": {"fetch": "text"}}],
    )
    answers: dict[str, Any] = Field(
        default_factory=dict,
        description="What steps that wait are answered, by path: for `wait` the message, for `approval` a mapping with "
        "`approved`, `comment` and its fields.",
        examples=[{"review": {"approved": True}}],
    )
    expect: Expectation = Field(
        default_factory=lambda: Expectation.model_validate({}),
        description="What is expected of the run.",
        examples=[{"status": "failed"}],
    )
    timeout: Seconds = Field(
        default=60.0, description="How long the case may take.", examples=["10s"], validate_default=False
    )


class CaseFile(Model):
    """A test file.

    Attributes:
        workflow: the workflow file, from the test file's own folder or from the project's root.
        mocks: what is pretended in all cases.
        copy_files: which files of the project the runs need; `copy:` in a file.
        cases: the tests.
    """

    workflow: Text | None = Field(
        None,
        description="The workflow file; by default `x.yaml` for `x.test.yaml`.",
        examples=["pages.yaml"],
    )
    mocks: MockSpec = Field(
        default_factory=MockSpec,
        description="What is pretended in all cases; those of a case win.",
        examples=[{"steps": {"fetch": "text"}}],
    )
    copy_files: list[str] | None = Field(
        None,
        alias="copy",
        description="What of the project the runs see, as patterns of paths from its root; by default everything but "
        "its database, `.env` and what tools leave behind.",
        examples=[["workflows", "prompts/*.md"]],
    )
    cases: list[CaseSpec] = Field(min_length=1, description="The tests.", examples=[[{"name": "it runs"}]])
