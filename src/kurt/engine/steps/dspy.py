"""The kind `dspy`: a signature of DSPy, answered by a model through Kurt's own client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kurt.engine.kinds import Fields, Finding, StepContext, StepKind
from kurt.engine.signatures.checks import findings
from kurt.engine.signatures.modules import Module
from kurt.engine.signatures.shapes import ARROW
from kurt.engine.signatures.sources import SIGNATURES, file_of_module
from kurt.types import Json


class SignatureField(BaseModel):
    """A field of a signature."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(
        default="str",
        description='Its type: `str`, `int`, `float`, `bool`, `list[str]`, `Literal["a", "b"]`, `str | None`, or a class '
        "of the project's signatures.py.",
        examples=["list[str]", 'Literal["low", "high"]'],
    )
    description: str | None = Field(
        default=None, description="What the model is told of it.", examples=["at most three words"]
    )


class SignatureMapping(BaseModel):
    """A signature as a mapping."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, str | SignatureField | None] = Field(
        description="What goes in: types by name; null is text.", examples=[{"question": "str"}]
    )
    outputs: dict[str, str | SignatureField | None] = Field(
        description="What comes out, likewise.",
        examples=[{"answer": "str", "confidence": {"type": "float", "description": "from 0 to 1"}}],
    )
    prompt: str | None = Field(
        default=None, description="What the model is to do.", examples=["Answer in one short sentence."]
    )


class DspyFields(Fields):
    """Fields of a `dspy` step."""

    signature: str | SignatureMapping = Field(
        description="What is asked: a class of the project's `signatures.py`, a class elsewhere as `module:Class`, one in "
        'a line such as `"question -> answer: str"`, or a mapping with `inputs`, `outputs` and `prompt`.',
        examples=[
            "AnalyzeQuestions",
            "question, context: list[str] -> answer: str, score: float",
            {
                "inputs": {"text": "str"},
                "outputs": {"mood": 'Literal["good", "bad"]'},
                "prompt": "How does the writer feel?",
            },
        ],
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of the signature's inputs, by name.",
        examples=[{"questions": "${questions}"}],
    )
    module: Module = Field(
        default="predict",
        description="How the model is asked: `predict` at once; `chain_of_thought` lets it reason first; `react` lets it "
        "use `tools` in turns.",
        examples=["chain_of_thought"],
    )
    tools: list[str] = Field(
        default_factory=list[str],
        description="Functions of the project that `react` may use, as `module:function`; their docstrings and types tell "
        "the model how. Each call runs in a child process.",
        examples=[["research:search"]],
    )
    max_iterations: int = Field(
        default=20, ge=1, le=200, description="How often `react` may use a tool.", examples=[5]
    )
    program: str | None = Field(
        default=None,
        description='A program that DSPy has optimised, as a JSON file (`program.save("program.json")`): its examples and '
        "instructions are used.",
        examples=["programs/clusters.json"],
    )
    model: str | None = Field(
        default=None,
        description="The model as `provider/model`; by default LLM.MODEL of the settings.",
        examples=["openai/gpt-4.1-mini"],
    )
    adapter: Literal["chat", "json", "xml"] = Field(
        default="chat",
        description="How DSPy writes prompts and reads answers; `json` has the provider keep to a JSON Schema.",
        examples=["json"],
    )
    temperature: float | None = Field(
        default=None, ge=0, description="Randomness of the answers.", examples=[0.2]
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Limit of each answer.", examples=[2000])
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="More parameters of the provider's own.",
        examples=[{"reasoning_effort": "low"}],
    )

    def request_params(self) -> dict[str, Any]:
        """What goes with each call."""
        own = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {**self.params, **{name: value for name, value in own.items() if value is not None}}


class DspyKind(StepKind):
    """Has a model answer a signature of DSPy; its value is a mapping with the outputs."""

    type = "dspy"
    Model = DspyFields
    calls_models = True

    @classmethod
    def check_project(cls, spec: Mapping[str, Any], root: Path) -> list[Finding]:
        """Say what is wrong with the signature, its inputs, the tools and the program."""
        from kurt.llm.adapters.dspy import INSTALL, is_installed  # noqa: PLC0415 - beside its use

        found = list(findings(spec, root))
        if not is_installed():
            found.append(
                Finding(
                    "a step of type `dspy` needs DSPy, which is not installed", f"run: {INSTALL}", ("type",)
                )
            )
        return found

    def cache_inputs(self, fields: DspyFields, context: StepContext) -> Json:
        """The fields, and the text of the files that they name: signatures, tools, and the program."""
        told = fields.model_dump(mode="json")
        return {**told, "files": dict(_digests(fields, context.project_root))}

    async def execute(self, fields: DspyFields, context: StepContext) -> Json:
        """Ask the model.

        Raises:
            StepError: DSPy (`MissingExtra`), the signature, a tool or the program is not there or does not fit; the model
                did not answer (`RateLimited`, `BudgetSpent`, ...); its answer breaks the format (`InvalidAnswer`).
            StepSkippedError: the budget is spent, and its file says to go on.
        """
        from kurt.engine.steps.dspy_asking import Asking  # noqa: PLC0415 - a run without such steps does not load it

        return await Asking(fields, context).value()


def _digests(fields: DspyFields, root: Path) -> Iterator[tuple[str, str]]:
    """The files of the project that a step names, each with the SHA-256 of its content."""
    module, colon, _ = str(fields.signature).rpartition(":")
    names = [SIGNATURES, *(tool.partition(":")[0] for tool in fields.tools)]
    if colon and isinstance(fields.signature, str) and ARROW not in fields.signature:
        names.append(module)
    files = [file for name in names if (file := file_of_module(root, name)) is not None]
    if fields.program is not None:
        files.append(root / fields.program)
    for file in files:
        if file.is_file():
            yield str(file.relative_to(root) if file.is_relative_to(root) else file), _digest(file)


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
