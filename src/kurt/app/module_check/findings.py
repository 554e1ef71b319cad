"""What a check finds: a place, what is wrong there, and the remedy."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kurt.errors import UsageError

if TYPE_CHECKING:
    from kurt.types import JsonObject

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be, in a module.

    Attributes:
        code: stable snake_case name of the kind of finding.
        message: what is wrong.
        remedy: the exact thing to do.
        file: path as people write it.
        line: 1-based line.
        column: 1-based column.
        severity: `error`, or `warning` for what does not stop a run.
    """

    code: str
    message: str
    remedy: str
    file: str
    line: int = 1
    column: int = 1
    severity: str = ERROR

    @property
    def location(self) -> str:
        """`file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"

    def to_json(self) -> JsonObject:
        """The finding as JSON, one key an attribute."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "remedy": self.remedy,
            "file": self.file,
            "line": self.line,
            "column": self.column,
        }


class ModuleError(UsageError):
    """The workflow module has errors.

    Attributes:
        findings: all of them, warnings too.
    """

    code: ClassVar[str] = "module"

    def __init__(self, module: str, findings: list[Finding]) -> None:
        self.findings = findings
        count = sum(finding.severity == ERROR for finding in findings)
        super().__init__(f"{module} has {count} error" + ("" if count == 1 else "s"))


def at(file: str, node: ast.AST) -> tuple[str, int, int]:
    """File, line and column of a node, for the end of a finding."""
    return file, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
