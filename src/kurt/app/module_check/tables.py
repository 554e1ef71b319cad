"""The tables of a workflow module: names, tenancy, references, migrations."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from kurt.app.module_check.findings import WARNING, Finding, at
from kurt.app.module_check.sources import Source


def tables(sources: list[Source], home: Path, *, package: str, shown: Path) -> Iterator[Finding]:
    """What is unusual or missing in the module's tables; all of these are warnings."""
    found = [(source, node) for source in sources for node in _tables_in(source)]
    for source, node in found:
        if source.part != "models":
            text = (
                f"the table of {node.name} is not in models.py, where `kurt db revision --autogenerate` looks"
            )
            place = at(source.shown, node)
            yield Finding("table_elsewhere", text, "move the class to models.py", *place, severity=WARNING)
        for code, message, remedy, place in _in_table(node, package):
            yield Finding(code, message, remedy, *at(source.shown, place), severity=WARNING)
    if found and not any((home / "migrations" / "versions").glob("*.py")):
        yield Finding(
            "missing_migration",
            "the module has tables and no migration that makes them",
            f'run kurt db revision {package} -m "create the tables", and write upgrade() and downgrade()',
            str(shown / "migrations" / "versions"),
            severity=WARNING,
        )


def _tables_in(source: Source) -> Iterator[ast.ClassDef]:
    if source.part.startswith("tests"):
        return
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and any(item.arg == "table" for item in node.keywords):
            yield node


def _in_table(node: ast.ClassDef, package: str) -> Iterator[tuple[str, str, str, ast.AST]]:
    """Code, message, remedy and place of each finding."""
    name = _table_name(node)
    if name is None:
        text = f"the model {node.name} has no __tablename__"
        yield "name_of_table", text, f'write __tablename__ = "{package}_..."', node
    elif name != package and not name.startswith(f"{package}_"):
        text = f"the table {name!r} does not begin with the workflow's name"
        yield "name_of_table", text, f'write __tablename__ = "{package}_{name}"', node
    if "_" in node.name or not node.name[0].isupper() or _is_plural(node.name):
        text = f"the model {node.name!r} is not singular in PascalCase"
        yield (
            "name_of_model",
            text,
            f"rename it, such as {node.name.rstrip('s').replace('_', '').capitalize()}",
            node,
        )
    fields = {item.target.id: item for item in node.body if _is_field(item)}  # pyright: ignore[reportAttributeAccessIssue] - checked there
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    if "TenantMixin" not in bases and not {"user_id", "workspace_id"} <= set(fields):
        text = f"the table of {node.name} has no user_id and workspace_id"
        yield (
            "no_tenancy",
            text,
            "add TenantMixin from kurt.db.models to the bases, if tenants share it",
            node,
        )
    for field, item in fields.items():
        yield from _in_field(field, item)


def _in_field(name: str, item: ast.stmt) -> Iterator[tuple[str, str, str, ast.AST]]:
    assert isinstance(item, ast.AnnAssign)  # noqa: S101 - what _is_field lets through
    types = {node.id for node in ast.walk(item.annotation) if isinstance(node, ast.Name)}
    if (name == "status" or name.endswith("_status")) and "str" in types:
        text = f"the status column {name!r} is a text"
        yield "status_not_enum", text, "define an Enum in models.py and use it as the type", item
    if isinstance(item.value, ast.Call):
        given = {keyword.arg: keyword.value for keyword in item.value.keywords}
        if "foreign_key" in given and "index" not in given and "primary_key" not in given:
            yield "foreign_key_not_indexed", f"the foreign key {name!r} has no index", "add index=True", item


def _is_field(item: ast.stmt) -> bool:
    return isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)


def _table_name(node: ast.ClassDef) -> str | None:
    for item in node.body:
        match item:
            case ast.Assign(targets=[ast.Name(id="__tablename__")], value=ast.Constant(value=str(name))):
                return name
            case ast.AnnAssign(target=ast.Name(id="__tablename__"), value=ast.Constant(value=str(name))):
                return name
            case _:
                pass
    return None


def _is_plural(name: str) -> bool:
    return name.endswith("s") and not name.endswith(("ss", "us", "is", "Status", "News", "Series"))
