"""Files that somebody took for a workflow: programs, Python, pictures, and the workflows of other systems."""

from __future__ import annotations

from kurt.errors import Fault
from kurt.types import Json, JsonObject

_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs of Linux and macOS begin."""

_LOOKED_AT = 4096
_OWN = (".yaml", ".yml")


def foreign_fault(data: bytes, file: str) -> Fault | None:
    """What a file is that holds no workflow, and what to do with it; None where nothing better can be said than what
    the reader of YAML says.

    Args:
        data: its bytes.
        file: its name, as it is shown.
    """
    if file.endswith(".py"):
        hint = "run a Python workflow by its name; a script is run by a step: " + _step("python", file)
        return Fault("this is Python, not a workflow file", hint, file, 1, 1)
    is_own = file.endswith(_OWN)
    if data.startswith(_MAGIC) or (data.startswith(b"#!") and not is_own):
        program = file if "/" in file else f"./{file}"
        hint = f"a program is run by a step of a workflow file: {_step(program)}"
        return Fault("this is a program, not a workflow file", hint, file, 1, 1)
    if b"\0" in data[:_LOOKED_AT] or (not is_own and not _is_text(data[:_LOOKED_AT])):
        hint = "name a YAML file; `kurt workflows list --files` shows those of the project"
        return Fault("this is binary data, not a workflow file", hint, file, 1, 1)
    return None


def other_system(value: JsonObject, file: str) -> Fault | None:
    """Say of which other system a file is, None where it is of none that is known.

    Args:
        value: what it holds.
        file: its name, as it is shown.
    """
    system = next((name for name, fits in _SYSTEMS.items() if fits(value)), None)
    if system is None:
        return None
    hint = (
        'the page "Coming from another system" of the documentation shows the same work in both; '
        "kurt workflows new NAME.yaml begins a file"
    )
    return Fault(f"this is a workflow of {system}, not of Kurt", hint, file, 1, 1)


def _is_actions(value: JsonObject) -> bool:
    return isinstance(value.get("jobs"), dict) and "steps" not in value


def _is_kestra(value: JsonObject) -> bool:
    return isinstance(value.get("tasks"), list) and bool({"id", "namespace"} & value.keys())


def _is_pypyr(value: JsonObject) -> bool:
    steps = value.get("steps")
    names = [_name(step) for step in steps] if isinstance(steps, list) else []
    return any(name.startswith("pypyr.") for name in names)


def _name(step: Json) -> str:
    name = step.get("name") if isinstance(step, dict) else step
    return name if isinstance(name, str) else ""


_SYSTEMS = {"GitHub Actions": _is_actions, "Kestra": _is_kestra, "pypyr": _is_pypyr}


def _step(*command: str) -> str:
    return f"`- {{name: it, type: run, command: [{', '.join(command)}]}}`"


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(data) - 4  # a character that the end cuts in two
    return True
