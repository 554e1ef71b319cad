"""The operations that write DBOS's tables themselves, on Postgres too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import test_commands_fork as forks
from tests.e2e import test_commands_retry as retries
from tests.support.cli import Kurt
from tests.support.database import postgres_server
from tests.support.language import Language
from tests.support.postgres import Server
from tests.support.waiting import wait_until

__all__ = ["postgres_server"]

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def language(
    postgres_server: Server, _template: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Language]:
    name = postgres_server.create()
    folder = tmp_path_factory.mktemp("language")
    root = folder / "project"
    shutil.copytree(_template, root, ignore=shutil.ignore_patterns(".kurt"))
    (root / ".env").write_text(f"DATABASE_URL={postgres_server.url(name)}\n", encoding="utf-8")
    kurt = Kurt(root, home, folder)
    kurt.spawn("worker", "start", "--concurrency", "20")  # on a database that has no tables yet
    language = Language(root, kurt)
    wait_until(lambda: language.here.json("worker", "list"), 30, what="the worker")
    yield language
    kurt.end()
    postgres_server.drop(name)


@pytest.mark.parametrize(
    "check",
    [
        retries.test_in_a_list_the_failed_step_and_what_follows,
        retries.test_inside_items_of_several_steps,
        retries.test_what_depends_on_a_repeated_item_gets_new_values,
        forks.test_from_a_step_of_a_list,
        forks.test_from_a_fan_out_finished_items_are_kept,
        forks.test_children_of_every_kind_are_taken_over,
        forks.test_a_python_workflow,
    ],
)
def test_on_postgres(language: Language, check: Callable[[Language], None]) -> None:
    check(language)
