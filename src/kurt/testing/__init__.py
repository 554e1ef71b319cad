"""What tests of workflows use: fakes of the outside world, fixtures, crashes on demand; each name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kurt.testing.cassettes import CassetteError, cassette
    from kurt.testing.commands import (
        assert_cli_failure,
        assert_cli_success,
        assert_json_output,
        assert_output_contains,
        invoke_cli,
    )
    from kurt.testing.crashes import crash_after
    from kurt.testing.mocks import (
        create_content_aware_factory,
        create_embedding_response,
        create_mock_embedding,
        create_response_factory,
        mock_embedding_step,
        mock_embeddings,
        mock_llm,
    )
    from kurt.testing.model_server import ModelServer
    from kurt.testing.yaml_runs import YamlRun, run_yaml

__all__ = [
    "CassetteError",
    "ModelServer",
    "YamlRun",
    "assert_cli_failure",
    "assert_cli_success",
    "assert_json_output",
    "assert_output_contains",
    "cassette",
    "crash_after",
    "create_content_aware_factory",
    "create_embedding_response",
    "create_mock_embedding",
    "create_response_factory",
    "invoke_cli",
    "mock_embedding_step",
    "mock_embeddings",
    "mock_llm",
    "run_yaml",
]

_HOMES = {
    "CassetteError": "kurt.testing.cassettes",
    "ModelServer": "kurt.testing.model_server",
    "YamlRun": "kurt.testing.yaml_runs",
    "assert_cli_failure": "kurt.testing.commands",
    "assert_cli_success": "kurt.testing.commands",
    "assert_json_output": "kurt.testing.commands",
    "assert_output_contains": "kurt.testing.commands",
    "cassette": "kurt.testing.cassettes",
    "crash_after": "kurt.testing.crashes",
    "create_content_aware_factory": "kurt.testing.mocks",
    "create_embedding_response": "kurt.testing.mocks",
    "create_mock_embedding": "kurt.testing.mocks",
    "create_response_factory": "kurt.testing.mocks",
    "invoke_cli": "kurt.testing.commands",
    "mock_embedding_step": "kurt.testing.mocks",
    "mock_embeddings": "kurt.testing.mocks",
    "mock_llm": "kurt.testing.mocks",
    "run_yaml": "kurt.testing.yaml_runs",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
