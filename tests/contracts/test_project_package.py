"""What is shipped: the wheel holds every file of the packages, and nothing that it needs has a licence we cannot use."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.conventions

ROOT = Path(__file__).parents[2]
PACKAGES = ("kurt", "kurt_new")
FREE = re.compile(r"MIT|BSD|Apache|PSF|LGPL|Lesser General Public|ISC|MPL", re.IGNORECASE)
COPYLEFT = re.compile(r"(?<!L)GPL|(?<!Lesser )General Public License", re.IGNORECASE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (`make test` installs it)")
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    shipped = set(wheel.namelist())
    ours = {
        path.relative_to(ROOT / "src").as_posix()
        for package in PACKAGES
        for path in (ROOT / "src" / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "kurt/py.typed" in ours
    assert not ours - shipped


def test_the_wheel_installs_the_command_and_nothing_beside_the_packages(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "kurt = kurt.__main__:main" in wheel.read(entry_points).decode()


def test_the_version_is_written_once() -> None:
    import kurt

    assert kurt.__version__ == metadata.version("kurt")


def locked() -> list[str]:
    text = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8")
    return re.findall(r"^([\w.-]+)==", text, re.MULTILINE)


@pytest.mark.parametrize("name", locked())
def test_a_dependency_has_a_licence_that_can_be_used(name: str) -> None:
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not needed on this Python")
    named = [*found.get_all("License-Expression", []), *(text[:200] for text in found.get_all("License", []))]
    text = "\n".join(
        [*named, *(line for line in found.get_all("Classifier", []) if line.startswith("License"))]
    )
    assert FREE.search(text), f"{name}: unknown licence {text[:200]!r}"
    assert any(not COPYLEFT.search(choice) for choice in choices(found, text)), f"{name}: {text[:200]!r}"


def choices(found: metadata.PackageMetadata, text: str) -> list[str]:
    """The licences of which one may be chosen; an expression `A OR B` leaves the choice."""
    expression = next(iter(found.get_all("License-Expression", [])), None)
    return expression.split(" OR ") if expression else [text]
