"""The settings of a project: where each value comes from, and what it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kurt.config import address, layers
from kurt.config.discovery import find_root, user_file
from kurt.config.keys import KEYS, KNOWN
from kurt.config.layers import Setting
from kurt.config.values import Value, convert
from kurt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project has chosen; values are looked up with `get`.

    Attributes:
        root: folder of `kurt.config`; the working directory where there is none.
        is_project: whether there is a `kurt.config`.
        environ: the real environment over the variables of `.env`.
        warnings: settings that nobody knows, as sentences with file and line.
        values: what is set, by upper-case key; `get` adds the defaults.
    """

    root: Path
    is_project: bool
    environ: Mapping[str, str]
    warnings: tuple[str, ...]
    values: Mapping[str, Setting]

    def get(self, key: str, *, module: str | None = None, step: str | None = None) -> Value:
        """The value of a setting: the step's, else the module's, else the global one, else the default.

        Args:
            key: the name without module and step, such as `LLM_MODEL`.
            module: a workflow module, such as `extract`.
            step: a step of that module.

        Returns:
            the type of the known key (seconds for a duration, bytes for a size, None for an empty one), the text
            as it was written for other keys, None for an unknown key that nobody has set.
        """
        for name in ladder(key, module, step):
            if name in self.values:
                known = KNOWN.get(name) or KNOWN.get(key.upper())
                text = self.values[name].text
                return convert(known, text) if known else text
        known = KNOWN.get(key.upper())
        return convert(known, "") if known else None

    def origin(self, key: str) -> str:
        """Where a value comes from: `flag`, `environment (NAME)`, `FILE:LINE`, `default`, or `unset`."""
        setting = self.values.get(key.upper())
        if setting is not None:
            return setting.origin
        return "default" if key.upper() in KNOWN else "unset"

    def items(self) -> Iterator[tuple[str, Value]]:
        """Every known key and every other one that is set, with its value."""
        for key in KEYS:
            yield key.name, self.get(key.name)
        for name in sorted(self.values.keys() - KNOWN.keys()):
            yield name, self.values[name].text

    def secret(self, name: str) -> str | None:
        """A secret from the environment or `.env`; None if it is missing or empty."""
        return self.environ.get(name) or None

    @property
    def database_url(self) -> str:
        """`sqlite:////absolute/file` or `postgresql://...`."""
        return address.database_url(self._database_text, str(self.root))

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.database_url.startswith(address.SQLITE)

    @property
    def sqlite_path(self) -> Path:
        """The database's file.

        Raises:
            ConfigError: the database is Postgres.
        """
        if not self.is_sqlite:
            raise ConfigError(
                "the database of this project is no file", hint="DATABASE_URL names a Postgres server"
            )
        return Path(self.database_url.removeprefix(address.SQLITE))

    @property
    def state_dir(self) -> Path:
        """`.kurt`, where Kurt keeps what it writes; ignored by git."""
        return self.root / ".kurt"

    @property
    def logs_dir(self) -> Path:
        """Log files of runs and workers."""
        return self.state_dir / "logs"

    @property
    def executors_dir(self) -> Path:
        """Lock files of living executors: beside the SQLite file, so that projects which share one see each other."""
        if not self.is_sqlite:
            return self.state_dir / "executors"
        return Path(os.path.realpath(self.sqlite_path)).parent / "executors"

    @property
    def sources_dir(self) -> Path:
        """Folder of fetched content."""
        return self.root / str(self.get("PATH_SOURCES"))

    @property
    def workflows_dir(self) -> Path:
        """Folder of workflow files and workflow modules."""
        return self.root / "workflows"

    @property
    def steps_dir(self) -> Path:
        """Folder of the project's own step kinds."""
        return self.root / "steps"

    @property
    def commands_dir(self) -> Path:
        """Folder of the project's own commands."""
        return self.root / "commands"

    @property
    def _database_text(self) -> str:
        """What the project says about its database: `DATABASE_URL`, else the SQLite file of `PATH_DB`."""
        return str(self.get("DATABASE_URL")) or address.SQLITE + str(self.get("PATH_DB"))


def load_settings(
    start: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings that hold for a folder.

    A value set by a flag wins over the environment, that over `.env`, the project's file, the user's file and the
    default.

    Args:
        start: where to look for a project, and in the folders above it; the working directory by default.
        environ: the environment; that of the process by default.
        overrides: values that flags have set, by key.

    Raises:
        ConfigError: a file cannot be read, a value is not legal, or a secret stands in a `kurt.config`.
    """
    real = dict(os.environ if environ is None else environ)
    folder = str(start) if start is not None else _working_directory()
    found = find_root(folder, environ=real)
    root = found or os.path.abspath(folder)  # noqa: PTH100 - `Path.resolve` would follow symbolic links
    read = layers.read(root, real, overrides or {}, user_file(real), is_project=found is not None)
    settings = Settings(Path(root), found is not None, read.environ, read.warnings, read.values)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Refuse illegal values at once, with their place, not when a run needs them."""
    for name, setting in settings.values.items():
        known = KNOWN.get(name)
        if known is None:
            continue
        try:
            convert(known, setting.text)
        except ValueError as error:
            raise ConfigError(
                f"{setting.origin}: {name}={setting.text!r} is not valid", hint=str(error)
            ) from None
    try:
        address.database_url(str(settings.get("DATABASE_URL")) or address.SQLITE, str(settings.root))
    except ConfigError as error:
        raise ConfigError(f"{settings.origin('DATABASE_URL')}: {error.message}", hint=error.hint) from None


def ladder(key: str, module: str | None, step: str | None) -> Iterator[str]:
    """The names under which a value may stand, nearest first."""
    if module and step:
        yield f"{module}.{step}.{key}".upper()
    if module:
        yield f"{module}.{key}".upper()
    yield key.upper()


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - the text is what is needed
    except FileNotFoundError:
        raise ConfigError(
            "the working directory does not exist any more", hint="cd to an existing folder"
        ) from None
