"""The sources of settings, from the weakest to the strongest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kurt.config.address import redacted
from kurt.config.discovery import CONFIG_FILE, ENV_FILE
from kurt.config.files import Entry, read_config_file, read_env_file, shown
from kurt.config.keys import GROUPS, KNOWN, NOTIFY, PASSED_THROUGH, is_secret
from kurt.errors import ConfigError

PREFIX = "KURT_"
"""What the names of environment variables that set a key begin with."""


class Setting(NamedTuple):
    """A value as it was written.

    Attributes:
        text: the value.
        origin: where it stands, for people: `kurt.config:3`, `environment (KURT_FORMAT)`, `flag`.
    """

    text: str
    origin: str


class Layers(NamedTuple):
    """What the sources say together.

    Attributes:
        values: the strongest value of each key.
        environ: the real environment over `.env`.
        warnings: settings that nobody knows.
    """

    values: dict[str, Setting]
    environ: dict[str, str]
    warnings: tuple[str, ...]


def read(
    root: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, str],
    user_file: str,
    *,
    is_project: bool,
) -> Layers:
    """Read all sources of a project and let the strongest win.

    Args:
        root: the project's folder.
        environ: the real environment.
        overrides: values of flags.
        user_file: the user's own settings.
        is_project: whether `root` holds a project; only then its files count.
    """
    values: dict[str, Setting] = {}
    warnings: list[str] = []
    for path in (user_file, f"{root}/{CONFIG_FILE}") if is_project else (user_file,):
        for entry in read_config_file(path):
            place = f"{shown(path)}:{entry.line}"
            _refuse_secret(entry, place)
            warnings += _doubts(entry.key, place)
            _put(values, entry.key, entry.value, place)
    dotenv = read_env_file(f"{root}/{ENV_FILE}") if is_project else []
    for entry in dotenv:
        _put_variable(values, entry.key, entry.value, f"{shown(f'{root}/{ENV_FILE}')}:{entry.line}")
    for name, text in sorted(environ.items()):  # KURT_DATABASE_URL comes after DATABASE_URL and wins
        _put_variable(values, name, text, f"environment ({name})")
    for key, text in overrides.items():
        _put(values, key, text, "flag")
    return Layers(values, {**{entry.key: entry.value for entry in dotenv}, **environ}, tuple(warnings))


def variable(key: str) -> str:
    """The environment variable that sets a key: `KURT_WORKER__GRACE` for `WORKER.GRACE`, `DATABASE_URL` as it is."""
    return key if key == "DATABASE_URL" else PREFIX + key.upper().replace(".", "__")


def _put_variable(values: dict[str, Setting], name: str, text: str, origin: str) -> None:
    if name == "DATABASE_URL":
        _put(values, name, text, origin)
    elif name.startswith(PREFIX) and len(name) > len(PREFIX):
        _put(values, name.removeprefix(PREFIX).replace("__", "."), text, origin)


def _put(values: dict[str, Setting], key: str, text: str, origin: str) -> None:
    """Set a value; an empty text leaves a key alone that cannot be empty."""
    known = KNOWN.get(key.upper())
    if text or known is None or not known.default:
        values[key.upper()] = Setting(text, origin)


def _refuse_secret(entry: Entry, place: str) -> None:
    key = entry.key.upper()
    if is_secret(key):
        name = variable(key) if key.startswith(NOTIFY) else key.replace(".", "_")
        raise ConfigError(
            f"{place}: {key} looks like a secret, and this file is not secret",
            hint=f"move the line to .env as {name}=... (.env is ignored by git)",
        )
    if redacted(entry.value) != entry.value:
        raise ConfigError(
            f"{place}: the address in {key} holds a password, and this file is not secret",
            hint=f"move the line to .env as {variable(key)}=... (.env is ignored by git)",
        )


_SLIP = 0.9
"""How alike two keys are of which one is a slip."""


def _doubts(key: str, place: str) -> list[str]:
    """A sentence about a key that the core does not know; keys of workflow modules are free, unless the module's name is
    a slip: `WROKER.CONCURRENCY`.
    """
    name = key.upper()
    if name in KNOWN or name.startswith((PASSED_THROUGH, NOTIFY)):
        return []
    group, dot, rest = name.partition(".")
    is_free = bool(dot) and group not in GROUPS
    alike = [known for known in KNOWN if known.endswith(f".{rest}")] if is_free else list(KNOWN)
    if is_free and not alike:
        return []
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    close = get_close_matches(name, alike, n=1, cutoff=_SLIP if is_free else 0.6)
    if is_free and not close:
        return []
    return [f"{place}: nobody knows the setting {name}" + (f"; did you mean {close[0]}?" if close else "")]
