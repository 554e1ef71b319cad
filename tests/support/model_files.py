"""Projects whose workflow files ask the fake model server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from kurt.testing.model_server import ModelServer
from tests.support.cli import Kurt, Result
from tests.support.models import configure

KEY = "a-key-that-nobody-may-see"


class Asking:
    """A project with a model; runs workflow files in it.

    Attributes:
        kurt: the commands of the project.
        server: the model.

    Args:
        kurt: the commands of the project.
        server: the model.
        more: lines of the project's settings.
    """

    def __init__(self, kurt: Kurt, server: ModelServer, more: str = "") -> None:
        self.kurt = kurt
        self.server = server
        lines = f'LLM.BASE_URL="{server.url}"\nLLM.MODEL="openai/fake"\nLLM.PRICES="openai/fake=1000/1000"\n{more}'
        configure(kurt, lines)
        kurt.environ["OPENAI_API_KEY"] = KEY

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self.kurt.project

    def write(self, text: str, name: str = "flow.yaml") -> None:
        """Write a workflow file."""
        (self.project / name).write_text(text)

    def run(self, *words: str, code: int = 0, inputs: Mapping[str, Any] | None = None) -> Result:
        """Run the file `flow.yaml`."""
        given = [f"--input={name}={json.dumps(value)}" for name, value in (inputs or {}).items()]
        return self.kurt("workflows", "run", "flow.yaml", *given, *words, code=code)

    def outputs(self, text: str, *words: str, inputs: Mapping[str, Any] | None = None) -> Any:
        """The outputs of a run of a file with this text, which must succeed."""
        self.write(text)
        result = self.run(*words, "--format", "json", inputs=inputs).json()
        assert result["status"] == "succeeded"
        return result["outputs"]

    def status(self, run_id: str) -> dict[str, Any]:
        """How a run stands."""
        return self.kurt.json("workflows", "status", run_id)

    def steps(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The steps of a run by path."""
        found = self.kurt.json("workflows", "steps", run_id, "--values")
        return {step["path"]: step for step in found}

    def stored(self, query: str) -> list[Any]:
        """What the project's database says."""
        with closing(sqlite3.connect(self.project / ".kurt" / "kurt.sqlite", timeout=30)) as connection:
            return connection.execute(query).fetchall()
