"""Reports of cases: for people, for programs, and as JUnit's XML for build servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from kurt.app.cases.running import FAILED, CaseResult

if TYPE_CHECKING:
    from kurt.types import JsonObject

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all cases.

    Attributes:
        results: of each, in their order.
        seconds: how long all of it took.
        not_run: for each test file the steps of its workflow that no case has come to.
    """

    results: Sequence[CaseResult]
    seconds: float
    not_run: dict[str, list[str]]

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return sum(one.status == FAILED for one in self.results)

    def to_json(self) -> JsonObject:
        """The report as JSON."""
        return {
            "passed": len(self.results) - self.failed,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "cases": [one.to_json() for one in self.results],
            "steps_not_run": self.not_run,
        }


def case_lines(result: CaseResult) -> Iterator[str]:
    """A case for people; what is wrong with it below its name."""
    yield f"  {'FAIL' if result.status == FAILED else 'ok':<4}  {result.case}  ({result.seconds:.1f}s)"
    for difference in result.differences:
        yield from (f"          {line}" for line in difference.lines())
    if result.folder is not None:
        yield f"          kept: {result.folder}"


def closing_line(report: JsonObject) -> str:
    """How it went as a whole: `3 passed, 1 failed in 2.1s`."""
    failed = f", {report['failed']} failed" if report["failed"] else ""
    return f"{report['passed']} passed{failed} in {report['seconds']:.1f}s"


def write_junit(file: Path, report: Report) -> None:
    """Write the report as JUnit's XML: a suite for each test file."""
    root = ET.Element("testsuites", _counts(report.results))
    for name in dict.fromkeys(one.file for one in report.results):
        cases = [one for one in report.results if one.file == name]
        suite = ET.SubElement(root, "testsuite", {"name": name, **_counts(cases)})
        for one in cases:
            case = ET.SubElement(
                suite,
                "testcase",
                {"classname": name, "name": _fit(one.case), "file": name, "time": f"{one.seconds:.3f}"},
            )
            if one.status == FAILED:
                _failure(case, one)
    ET.indent(root)
    file.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _counts(results: Sequence[CaseResult]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(one.status == FAILED for one in results)),
        "errors": "0",
        "time": f"{sum(one.seconds for one in results):.3f}",
    }


def _failure(case: ET.Element, result: CaseResult) -> None:
    lines = [line for difference in result.differences for line in difference.lines()]
    failure = ET.SubElement(case, "failure", {"message": _fit(lines[0]), "type": "difference"})
    failure.text = _fit("\n".join(lines))
    if result.log:
        ET.SubElement(case, "system-out").text = _fit("\n".join(result.log))


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
