"""The workflows that Kurt ships to be copied: what there is, and a copy under another name.

A template is a folder in `library`. What is in it lies as it will lie in a project, with the template's name where the
copy's will stand: `workflows/NAME.yaml`, `workflows/NAME.test.yaml`, `templates/NAME.md.j2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.app.scaffold.names import as_yaml
from kurt.engine.suggestions import did_you_mean
from kurt.errors import NotFoundError

if TYPE_CHECKING:
    from kurt.types import JsonObject

LIBRARY = Path(__file__).with_name("library")
"""The folder of the templates."""

_PYTHON = ".tmpl"  # so that Kurt's own tools do not take helpers of a project for their own
_NEEDS = {
    "llm": "a model",
    "dspy": "a model, kurt[dspy]",
    "approval": "somebody who approves",
    "schedule": "a worker for its schedule",
}


@dataclass(frozen=True, slots=True)
class Template:
    """A shipped workflow.

    Attributes:
        name: what `--template` takes.
        description: what it does, one sentence.
        needs: what a run needs that a new project does not have.
        files: what a copy under the template's own name consists of, from the project's root.
    """

    name: str
    description: str
    needs: list[str]
    files: list[str]

    def to_json(self) -> JsonObject:
        """The template as JSON: its fields, and the command that copies it."""
        return {**asdict(self), "command": f"kurt workflows new {self.name} --template {self.name}"}


def templates() -> list[Template]:
    """All of them, those first that need least."""
    found = [_template(folder) for folder in LIBRARY.iterdir() if (folder / "workflows").is_dir()]
    return sorted(found, key=lambda one: (len(one.needs), one.name))


def copied(template: str, name: str) -> Iterator[tuple[str, str]]:
    """Paths from the project's root and texts of a copy, the workflow file first.

    Args:
        template: which one.
        name: what the copy is called.

    Raises:
        NotFoundError: there is no such template.
    """
    folder = LIBRARY / template
    if "/" in template or not (folder / "workflows").is_dir():
        known = sorted(one.name for one in LIBRARY.iterdir() if one.is_dir())
        raise NotFoundError(
            f"there is no template {template!r}",
            hint=did_you_mean(template, known, "kurt workflows templates lists those that there are"),
        )
    for path in _files(folder):
        target = path.relative_to(folder).as_posix().removesuffix(_PYTHON)
        yield _renamed(target, template, name), _renamed(path.read_text(encoding="utf-8"), template, name)


def _files(folder: Path) -> list[Path]:
    main = f"{folder.name}.yaml"
    found = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(found, key=lambda path: (path.name != main, path.as_posix()))


def _renamed(text: str, template: str, name: str) -> str:
    """A text in which the copy's name stands for the template's: in paths, and as the name of the workflow."""
    old = re.escape(template)
    text = re.sub(rf"\b(workflows|templates)/{old}(?=[./])", lambda match: f"{match[1]}/{name}", text)
    return re.sub(rf"^name: {old}$", lambda _: f"name: {as_yaml(name)}", text, count=1, flags=re.MULTILINE)


def _template(folder: Path) -> Template:
    from kurt.engine.language.source import read_source  # noqa: PLC0415 - copying does without

    text = (folder / "workflows" / f"{folder.name}.yaml").read_text(encoding="utf-8")
    body = read_source(text).value
    assert isinstance(body, dict)  # noqa: S101 - a shipped file, which a test checks
    used = set(_uses(body))
    if "dspy" in used:
        used.discard("llm")  # what it needs, the other needs too
    needs = [need for word, need in _NEEDS.items() if word in used]
    files = [target for target, _ in copied(folder.name, folder.name)]
    return Template(folder.name, str(body["description"]), needs, files)


def _uses(body: Mapping[str, Any]) -> Iterator[str]:
    """Kinds of steps in a file, at any depth, and `schedule` where it has one."""
    if "schedule" in body:
        yield "schedule"
    todo: list[Any] = [body.get("steps")]
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo += value
        elif isinstance(value, dict):
            yield str(value.get("type", ""))
            yield from (key for key in _NEEDS if key in value)
            todo += value.values()
