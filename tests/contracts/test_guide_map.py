"""The guide's test classes for `map` pass as they are written there, with the fixtures that Kurt ships.

They are read from the guide where it lies beside the project, and nothing is copied from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kurt.db import managed_session
from tests.support.guide import execute

# The guide asks by SQLModel's older `session.query()`.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*session.exec:DeprecationWarning")


def guide_class(name: str) -> Any:
    """A test class of the guide, with what the blocks before it have imported."""
    names = {"Path": Path, "managed_session": managed_session, "pytest": pytest}
    return execute(23, 24, names=names)[name]()


@pytest.mark.parametrize(
    "test",
    ["test_discover_and_persist_folder", "test_dry_run_does_not_persist", "test_rediscovery_marks_existing"],
)
def test_folders(test: str, tmp_kurt_project: Path, tmp_docs_folder: Path) -> None:
    getattr(guide_class("TestMapFolderE2E"), test)(tmp_kurt_project, tmp_docs_folder)


def test_sites(tmp_kurt_project: Path) -> None:
    guide_class("TestMapUrlE2E").test_discover_and_persist_url(tmp_kurt_project)


def test_every_test_of_the_guide_is_run() -> None:
    tests = [name for name in dir(guide_class("TestMapFolderE2E")) if name.startswith("test_")]
    assert len(tests) == 3
    assert [name for name in dir(guide_class("TestMapUrlE2E")) if name.startswith("test_")] == [
        "test_discover_and_persist_url"
    ]
