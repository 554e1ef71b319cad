"""What is wrong with a `dspy` step, found before anything begins: by its fields and by the text of the project's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kurt.engine.kinds import Finding
from kurt.engine.signatures.annotations import Own
from kurt.engine.signatures.modules import ADDED, ENDS, PARTS, read_program
from kurt.engine.signatures.shapes import ARROW, Shape, ShapeError, shape_of_mapping, shape_of_text
from kurt.engine.signatures.sources import (
    SIGNATURES,
    ModuleSource,
    SourceError,
    file_of_module,
    read_module,
)
from kurt.engine.suggestions import closest, did_you_mean, listing
from kurt.errors import StepError

if TYPE_CHECKING:
    from kurt.engine.signatures.shapes import ShapeField

_REFERENCE = "${"
_ONE_LINE = '"question -> answer: str"'


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a signature.

    Attributes:
        inputs: by name.
        outputs: likewise.
        name: how messages call it.
    """

    inputs: Mapping[str, ShapeField]
    outputs: Mapping[str, ShapeField]
    name: str


def findings(spec: Mapping[str, Any], root: Path) -> Iterator[Finding]:
    """What is wrong with the fields of a step.

    Args:
        spec: the fields as they stand in the file; what the model refuses is reported by it.
        root: the project's root.
    """
    try:
        known = _known(spec.get("signature"), root)
    except _WrongError as error:
        yield error.finding
        known = None
    module = spec.get("module", "predict")
    if known is not None:
        yield from _inputs(spec.get("inputs", {}), known)
        if isinstance(module, str):
            yield from _added(module, known)
    if module in PARTS:
        yield from _tools(spec.get("tools"), module, root)
        yield from _program(spec.get("program"), module, root)


class _WrongError(Exception):
    """A signature cannot be used."""

    def __init__(self, message: str, hint: str, place: tuple[str, ...] = ("signature",)) -> None:
        super().__init__(message)
        self.finding = Finding(message, hint, place)


def _known(signature: Any, root: Path) -> _Known | None:
    """The signature, None where nobody can know it before the run.

    Raises:
        _WrongError: it cannot be used.
    """
    if isinstance(signature, Mapping):
        return _of_mapping(signature, root)
    if not isinstance(signature, str):
        return None
    if _REFERENCE in signature:
        raise _WrongError(
            "a signature in one line holds no references",
            "values enter by `inputs`; instructions with references stand in `signature: {prompt: ...}`",
        )
    return _of_line(signature, root) if ARROW in signature else _of_class(signature, root)


def _of_mapping(signature: Mapping[str, Any], root: Path) -> _Known | None:
    sides: list[dict[str, Any]] = []
    for side in ("inputs", "outputs"):
        fields = signature.get(side)
        if not isinstance(fields, Mapping):
            return None  # reported by the model
        sides.append({str(name): _Typed(item) for name, item in fields.items()})
        for name, item in fields.items():
            text = item.get("type") if isinstance(item, Mapping) else item
            if isinstance(text, str) and _REFERENCE in text:
                raise _WrongError(
                    "a type holds no references", "write the type itself", ("signature", side, str(name))
                )
    own, names = _own_types(root)
    try:
        shape = shape_of_mapping(sides[0], sides[1], None, own, names)
    except ShapeError as error:
        raise _WrongError(str(error), error.hint, ("signature", *error.part.split("."))) from None
    except SourceError as error:
        raise _WrongError(str(error), error.hint) from None
    return _of_shape(shape)


class _Typed:
    """A field of a mapping as the file has it."""

    def __init__(self, item: Any) -> None:
        found = item.get("type") if isinstance(item, Mapping) else item
        self.type = found if isinstance(found, str) else "str"
        self.description = None


def _of_line(text: str, root: Path) -> _Known:
    own, names = _own_types(root)
    try:
        return _of_shape(shape_of_text(text, own, names))
    except (ShapeError, SourceError) as error:
        raise _WrongError(str(error), error.hint) from None


def _of_shape(shape: Shape) -> _Known:
    return _Known(shape.inputs, shape.outputs, "the signature")


def _own_types(root: Path) -> tuple[Own, Sequence[str]]:
    """Stands for the classes of `signatures.py`, and their names; a file that is no Python matters once a type needs it."""
    file = file_of_module(root, SIGNATURES)
    fault: SourceError | None = None
    source: ModuleSource | None = None
    try:
        source = read_module(file) if file is not None else None
    except SourceError as error:
        fault = error

    def own(name: str) -> Any:
        if fault is not None:
            raise fault
        if source is None or not source.knows(name):
            raise KeyError(name)
        return Any

    return own, sorted(source.classes) if source is not None else ()


def _of_class(text: str, root: Path) -> _Known | None:
    module, colon, name = text.strip().rpartition(":")
    module = module if colon else SIGNATURES
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise _WrongError(
            f"{text!r} is neither a class nor a signature",
            f"write the name of a class in signatures.py, `module:Class`, or one in a line such as {_ONE_LINE}",
        )
    source = _source(root, module, name, is_named=bool(colon))
    if source is None:
        return None
    found = source.classes.get(name)
    if found is None:
        if source.knows(name):
            return None
        near = did_you_mean(name, source.classes)
        raise _WrongError(f"{source.file.name} has no class {name!r}", near or f"add the class {name} to it")
    if found.is_signature is False:
        raise _WrongError(
            f"the class {name!r} in {source.file.name} is no signature",
            f"write `class {name}(dspy.Signature):`",
        )
    return _Known(found.inputs, found.outputs, name) if found.is_signature else None


def _source(root: Path, module: str, name: str, *, is_named: bool) -> ModuleSource | None:
    """The text of a module, None for one that is installed.

    Raises:
        _WrongError: there is none.
    """
    file = file_of_module(root, module)
    if file is not None:
        try:
            return read_module(file)
        except SourceError as error:
            raise _WrongError(str(error), error.hint) from None
    if is_named and _is_installed(module):
        return None
    if is_named:
        raise _WrongError(
            f"there is no module {module!r}",
            f"write a file {module.replace('.', '/')}.py into the project, or install its package",
        )
    raise _WrongError(
        f"there is no signatures.py with the class {name!r}",
        f"write the class into signatures.py at the project's root, or give one in a line such as {_ONE_LINE}",
    )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _inputs(given: Any, known: _Known) -> Iterator[Finding]:
    if not isinstance(given, Mapping):
        return
    misspelt: set[str | None] = set()
    for name in given:
        if name not in known.inputs:
            misspelt.add(closest(str(name), known.inputs))
            hint = did_you_mean(str(name), known.inputs, f"its inputs are {listing(known.inputs)}")
            place = ("inputs", str(name))
            yield Finding(f"{known.name} has no input `{name}`", hint or "", place, is_key=True)
    needed = [name for name, field in known.inputs.items() if field.required]
    missing = [name for name in needed if name not in given and name not in misspelt]
    if missing:
        what = f"the input `{missing[0]}`" if len(missing) == 1 else f"the inputs {listing(missing)}"
        example = ", ".join(f"{name}: ..." for name in missing)
        is_or_are = "is" if len(missing) == 1 else "are"
        yield Finding(
            f"{what} of {known.name} {is_or_are} missing", f"add `inputs: {{{example}}}`", ("inputs",)
        )


def _added(module: str, known: _Known) -> Iterator[Finding]:
    for name in ADDED.get(module, ()):
        if name in known.outputs or name in known.inputs:
            yield Finding(
                f"`{name}` is what `module: {module}` adds to the outputs itself",
                "give the field of the signature another name",
                ("signature",),
            )


def _tools(tools: Any, module: str, root: Path) -> Iterator[Finding]:
    if module != "react":
        if tools:
            yield Finding(
                f"`module: {module}` uses no tools", "write `module: react`, or remove them", ("tools",)
            )
        return
    if not tools:
        yield Finding(
            "`module: react` needs tools",
            "add `tools: [module:function]`",
            ("tools",) if tools == [] else ("module",),
        )
        return
    if isinstance(tools, str) and _REFERENCE in tools:
        yield Finding(
            "the names of tools hold no references", "write the functions' names themselves", ("tools",)
        )
        return
    names = [tool for tool in tools if isinstance(tool, str)] if isinstance(tools, list) else []
    for number, tool in enumerate(names):
        finding = _tool(tool, root, ("tools", number)) or _clash(names, number)
        if finding is not None:
            yield finding


def _clash(tools: list[str], number: int) -> Finding | None:
    """A name under which a model could not call one of the tools."""
    name = _called(tools[number])
    if name == ENDS:
        what = f"`{ENDS}` is how a model ends its turns"
    elif name in map(_called, tools[:number]):
        what = f"two tools are called `{name}`"
    else:
        return None
    return Finding(what, "give the function another name", ("tools", number))


def _called(tool: str) -> str:
    return tool.rpartition(":")[2].rpartition(".")[2]


def _tool(tool: str, root: Path, place: tuple[str | int, ...]) -> Finding | None:
    try:
        _check_tool(tool, root)
    except _WrongError as error:
        return replace(error.finding, place=place)
    except SourceError as error:
        return Finding(str(error), error.hint, place)
    return None


def _check_tool(tool: str, root: Path) -> None:
    """Look for a function.

    Raises:
        _WrongError: it is not there.
        SourceError: its file is not Python.
    """
    if _REFERENCE in tool:
        raise _WrongError("the name of a tool holds no references", "write the function's name itself")
    module, colon, name = tool.partition(":")
    if not colon or not name:
        raise _WrongError(f"{tool!r} is no function", "write `module:function`")
    file = file_of_module(root, module)
    if file is None:
        if _is_installed(module):
            return
        remedy = f"write a file {module.replace('.', '/')}.py into the project"
        raise _WrongError(f"there is no module {module!r}", remedy)
    source, first = read_module(file), name.partition(".")[0]
    if not source.knows(first):
        near = did_you_mean(first, source.functions)
        raise _WrongError(f"{file.name} has no function {first!r}", near or f"add the function {first} to it")


def _program(program: Any, module: str, root: Path) -> Iterator[Finding]:
    if not isinstance(program, str) or _REFERENCE in program:
        return
    file = root / program
    if file.suffix != ".json":
        yield Finding(
            f"a program is a JSON file, and {program!r} is none: other forms would run code when they are read",
            'save it by `program.save("program.json")`',
            ("program",),
        )
        return
    try:
        read_program(file, module, program)
    except StepError as error:
        yield Finding(error.message, error.hint or "change the file", ("program",))
