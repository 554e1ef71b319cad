"""Commands that others bring: packages by the entry-point group `kurt.commands`, projects by their `commands/` folder.

Help and completion need only names. Looking for entry points reads the metadata of every installed package, so the
names are kept in a cache that holds as long as the folders of `sys.path` and the files of `commands/` do not change.
The files are read, not run, until one of their commands is called.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from kurt.cli import plugin_cache
from kurt.errors import ConfigError, KurtError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import click

GROUP = "kurt.commands"
"""The entry-point group of commands."""

FOLDER = "commands"
"""The project's folder of commands."""


class Plugin(NamedTuple):
    """A command of others.

    Attributes:
        name: the word after `kurt`.
        origin: the distribution or the file that brings it.
        target: `package.module:attribute`, or the file's path.
        help: one line.
    """

    name: str
    origin: str
    target: str
    help: str


def find(project: str | None) -> dict[str, list[Plugin]]:
    """Commands of packages and of a project by name; more than one under a name is a mistake that `load` reports."""
    found: dict[str, list[Plugin]] = {}
    for plugin in _of_packages() + (_of_project(project) if project else []):
        found.setdefault(plugin.name, []).append(plugin)
    return found


def load(plugins: list[Plugin]) -> click.Command:
    """Import a command.

    Args:
        plugins: what `find` gives for its name.

    Raises:
        ConfigError: several bring a command of this name.
        KurtError: it cannot be imported, or is no command.
    """
    if len(plugins) > 1:
        origins = " and ".join(plugin.origin for plugin in plugins)
        raise ConfigError(
            f"the command {plugins[0].name!r} is defined twice: in {origins}",
            hint="rename or remove one of them",
        )
    (plugin,) = plugins
    try:
        return _from_file(plugin) if plugin.target.endswith(".py") else _from_package(plugin)
    except KurtError:
        raise
    except Exception as error:  # a plug-in may raise anything when it is imported
        raise KurtError(
            f"the command {plugin.name!r} of {plugin.origin} cannot be loaded: {type(error).__name__}: {error}",
            hint="--debug shows the traceback",
        ) from error


def problems(found: Mapping[str, list[Plugin]], *, own: Container[str]) -> list[str]:
    """What is wrong with commands, one sentence each; imports all of them.

    Args:
        found: what `find` gives.
        own: names of Kurt's own commands, which win over others.
    """
    wrong: list[str] = []
    for name, plugins in found.items():
        if name in own:
            wrong.append(f"{name!r} of {plugins[0].origin} is hidden by Kurt's own command")
            continue
        try:
            load(plugins)
        except KurtError as error:
            wrong.append(error.message)
    return wrong


def _from_package(plugin: Plugin) -> click.Command:
    from kurt.cli.lazy import load_command

    return load_command(plugin.target)


def _from_file(plugin: Plugin) -> click.Command:
    import click

    module = _import_file(plugin.target)
    commands = {value.name: value for value in vars(module).values() if isinstance(value, click.Command)}
    if plugin.name not in commands:
        raise KurtError(
            f"{plugin.origin} defines no command {plugin.name!r}",
            hint=f'write @group("{plugin.name}") or @command("{plugin.name}") in it',
        )
    return commands[plugin.name]


def _import_file(path: str) -> Any:
    """The module of a file of `commands/`; it can import from the project's root."""
    from kurt.project_code import load_file, make_importable

    folder, file = os.path.split(path)
    name = f"{FOLDER}.{file.removesuffix('.py')}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == path:
        return known
    make_importable(os.path.dirname(folder))  # noqa: PTH120 - pathlib is slow to import
    return load_file(name, path)


def _of_packages() -> list[Plugin]:
    folders = [
        path for path in sys.path if path not in {"", _here()}
    ]  # `python -m` adds the working directory
    key = [(path, plugin_cache.time_of(path)) for path in folders]
    return _plugins(plugin_cache.remembered(f"packages of {sys.prefix}", key, lambda: _entry_points(folders)))


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib is slow to import
    except FileNotFoundError:  # it was removed
        return ""


def _plugins(rows: list[list[str]]) -> list[Plugin]:
    return [Plugin(name, origin, target, text) for name, origin, target, text in rows]


def _entry_points(folders: list[str]) -> list[list[str]]:
    from importlib.metadata import distributions

    found = {
        (point.name, distribution.name): point
        for distribution in distributions(path=folders)
        for point in distribution.entry_points
        if point.group == GROUP
    }
    return [
        [name, origin, point.value, f"A command of the package {origin}."]
        for (name, origin), point in sorted(found.items())
    ]


def _of_project(root: str) -> list[Plugin]:
    folder = f"{root}/{FOLDER}"
    try:
        with os.scandir(folder) as entries:
            files = sorted(entry.path for entry in entries if _is_command_file(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    if not files:
        return []
    key = [(path, plugin_cache.time_of(path)) for path in files]
    return _plugins(plugin_cache.remembered(f"commands of {root}", key, lambda: _read_files(files)))


def _is_command_file(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".py") and not entry.name.startswith(("_", ".", "test_")) and entry.is_file()


def _read_files(files: list[str]) -> list[list[str]]:
    from kurt.cli.plugin_names import names_in

    rows: list[list[str]] = []
    for path in files:
        origin = f"{FOLDER}/{os.path.basename(path)}"  # noqa: PTH119 - pathlib is slow to import
        rows += [[name, origin, path, text] for name, text in names_in(path)]
    return rows
