"""Fixtures of all tests: a clean environment, a project in a temporary folder, and Kurt as real processes."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.chaos import FULL_SERIES, SHORT_SERIES, Chaos
from tests.support.cli import Kurt
from tests.support.environment import notice_signals, scrub
from tests.support.processes import Spawned, end_executors
from tests.support.waiting import wait_until as wait_until_true

scrub(os.environ)  # before any test module is imported
notice_signals()

hypothesis.settings.register_profile("kurt", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("kurt")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kurt")
    group.addoption("--chaos", action="store_true", help=f"kill {FULL_SERIES} times, not {SHORT_SERIES}")
    group.addoption("--chaos-seed", type=int, help="repeat the series with this seed")


def pytest_configure(config: pytest.Config) -> None:
    inherited = getattr(config, "workerinput", {}).get("chaos_seed")  # a worker of xdist has the controller's
    if config.option.chaos_seed is None:
        config.option.chaos_seed = inherited or random.SystemRandom().randrange(1, 1_000_000)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["chaos_seed"] = node.config.option.chaos_seed


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whatever kills by chance belongs to `make chaos`."""
    if "chaos" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.chaos)


def pytest_report_header(config: pytest.Config) -> str:
    return f"chaos: seed {config.option.chaos_seed} (repeat with --chaos-seed={config.option.chaos_seed})"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder that tests and their processes see."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _clean_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's machine steers a test, nothing of a test reaches the user's home."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A project with its database, made once by the real commands and copied for each test."""
    root = tmp_path_factory.mktemp("template")
    kurt = Kurt(root, home, root)
    kurt("init")
    kurt("db", "upgrade")
    return root


@pytest.fixture
def project(_template: Path, tmp_path: Path) -> Iterator[Path]:
    """A project of its own for each test, in `tmp_path / "project"`; executors left in it are ended."""
    root = tmp_path / "project"
    shutil.copytree(_template, root)
    yield root
    end_executors(root)


@pytest.fixture
def kurt(project: Path, home: Path, tmp_path: Path) -> Iterator[Kurt]:
    """`kurt("workflows", "list")` in the test's project: a real process; see `tests.support.cli.Kurt`."""
    runner = Kurt(project, home, tmp_path)
    yield runner
    runner.end()


@pytest.fixture
def spawn_kurt(kurt: Kurt) -> Callable[..., Spawned]:
    """`spawn_kurt("worker", "start")`: a real process that runs beside the test and ends with it."""
    return kurt.spawn


@pytest.fixture
def wait_until() -> Callable[..., object]:
    """`wait_until(condition, limit)`: polls, fails with what was awaited."""
    return wait_until_true


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> Chaos:
    """How often to kill, and the random moments; the same for the same seed and test."""
    seed = request.config.option.chaos_seed
    rounds = FULL_SERIES if request.config.option.chaos else SHORT_SERIES
    return Chaos(rounds, seed, random.Random(f"{seed}:{request.node.nodeid}"))
