"""An editor with the YAML extension, without its window: the language server of that extension, asked by its protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

VARIABLE = "YAML_LANGUAGE_SERVER"
"""Environment variable that names the program, where it is not on the PATH."""

_ANSWER_LIMIT = 60.0


def language_server() -> str | None:
    """The program, None if it is not installed."""
    return os.environ.get(VARIABLE) or shutil.which("yaml-language-server")


class Editor:
    """Files that are open in an editor.

    Args:
        program: the language server.
        schema: the JSON Schema that it checks the files with; None leaves it to their first lines.
        folder: where the files are, which need not be there.
    """

    def __init__(self, program: str, schema: Path | None, folder: Path = Path("/project/workflows")) -> None:
        self._program = program
        self._folder = folder
        self._schema = schema
        self._number = 0
        self._versions: dict[str, int] = {}
        self._answers: Queue[dict[str, Any]] = Queue()
        self._faults: dict[str, list[str]] = {}
        self._checked = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [self._program, "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": self._settings()})
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def show(self, name: str, text: str) -> None:
        """Open a file, or give it another text."""
        uri = (self._folder / name).as_uri()
        with self._checked:
            self._faults.pop(uri, None)
        version = self._versions[uri] = self._versions.get(uri, 0) + 1
        document = {"uri": uri, "version": version}
        if version == 1:
            opened = {**document, "languageId": "yaml", "text": text}
            self._tell("textDocument/didOpen", {"textDocument": opened})
        else:
            changed = {"textDocument": document, "contentChanges": [{"text": text}]}
            self._tell("textDocument/didChange", changed)

    def faults(self, name: str) -> list[str]:
        """What the editor underlines in a file."""
        uri = (self._folder / name).as_uri()
        with self._checked:
            assert self._checked.wait_for(lambda: uri in self._faults, _ANSWER_LIMIT), (
                f"{name} was not checked"
            )
            return self._faults[uri]

    def explanation(self, name: str, line: int, column: int) -> str:
        """What the editor shows of the key under the pointer; lines and columns count from 0."""
        found = self._ask("textDocument/hover", self._place(name, line, column)) or {
            "contents": {"value": ""}
        }
        return found["contents"]["value"]

    def offers(self, name: str, line: int, column: int) -> dict[str, str]:
        """The keys that the editor offers there, each with what it says of it."""
        found = self._ask("textDocument/completion", self._place(name, line, column)) or {"items": []}
        items = found if isinstance(found, list) else found["items"]
        return {item["label"]: _text(item.get("documentation", "")) for item in items}

    def _place(self, name: str, line: int, column: int) -> dict[str, Any]:
        uri = (self._folder / name).as_uri()
        return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}

    def _settings(self) -> dict[str, Any]:
        schemas = {self._schema.as_uri(): "*.yaml"} if self._schema is not None else {}
        yaml = {"schemas": schemas, "hover": True, "completion": True, "validate": True}
        return {"yaml": {**yaml, "schemaStore": {"enable": False}}}

    def _ask(self, method: str, params: Mapping[str, Any]) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            try:
                answer = self._answers.get(timeout=_ANSWER_LIMIT)
            except Empty:
                raise AssertionError(f"no answer to {method}") from None
            if answer["id"] == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _tell(self, method: str, params: Mapping[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = int(header.split(b":")[1])
            while stream.readline().strip():
                pass
            self._take(json.loads(stream.read(length)))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._answers.put(message)
        elif "id" in message:  # a question of the server
            settings = self._settings()
            wanted = [item.get("section") for item in message.get("params", {}).get("items", [])]
            answer = [settings.get(section, {}) for section in wanted]
            self._send({"id": message["id"], "result": answer or None})
        elif message["method"] == "textDocument/publishDiagnostics":
            params = message["params"]
            with self._checked:
                self._faults[params["uri"]] = [fault["message"] for fault in params["diagnostics"]]
                self._checked.notify_all()


def _text(documentation: Any) -> str:
    return documentation if isinstance(documentation, str) else str(documentation.get("value", ""))
