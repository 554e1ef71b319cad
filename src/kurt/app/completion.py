"""Installing the completion script of a shell where the shell looks for it by itself."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kurt.app.primitives.files import replace_content
from kurt.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from kurt.types import JsonObject

MARK = "# completion of kurt"
"""The line that Kurt puts above what it adds to a user's own file."""

CREATED, UPDATED, KEPT = "created", "updated", "kept"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shell's completion belongs.

    Attributes:
        script: the file of the script.
        settings: the user's file that must load it, None where the shell finds the script by itself.
        line: the line for that file.
    """

    script: Path
    settings: Path | None = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done, or would be.

    Attributes:
        shell: the shell.
        changes: `(path, action)`; the action is `created`, `updated` or `kept`.
        undo: what takes it back, in words.
        dry_run: nothing was done.
    """

    shell: str
    changes: tuple[tuple[str, str], ...]
    undo: str
    dry_run: bool

    def to_json(self) -> JsonObject:
        """The changes as JSON."""
        changes = [{"path": path, "action": action} for path, action in self.changes]
        return {"shell": self.shell, "changes": list(changes), "undo": self.undo, "dry_run": self.dry_run}


def place_of(shell: str, environ: Mapping[str, str]) -> Place:
    """Where the completion of a shell belongs for this user.

    Raises:
        UsageError: the user has no home.
    """
    if not environ.get("HOME"):
        raise UsageError("HOME is not set, so there is no place for the script", hint="set HOME")
    home = Path(environ["HOME"])
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    if shell == "fish":
        return Place(config / "fish" / "completions" / "kurt.fish")
    if shell == "zsh":
        # zsh has no folder of the user's own that it searches by itself.
        script = data / "kurt" / "completion.zsh"
        return Place(script, Path(environ.get("ZDOTDIR") or home) / ".zshrc", _zsh_line(script))
    # The package bash-completion looks there; without it ~/.bashrc has to load the script.
    script = data / "bash-completion" / "completions" / "kurt"
    return Place(script, home / ".bashrc", f"[ -r {_quoted(script)} ] && . {_quoted(script)}")


def _zsh_line(script: Path) -> str:
    """Completion must be on before the script can register itself."""
    on = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
    return f"[ -r {_quoted(script)} ] && {{ {on}; . {_quoted(script)}; }}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def install(shell: str, text: str, *, environ: Mapping[str, str], dry_run: bool = False) -> Installed:
    """Write the script, and have the shell load it; a repeat changes nothing.

    Args:
        shell: `bash`, `zsh` or `fish`.
        text: the script.
        environ: names the user's folders.
        dry_run: only tell what would be done.

    Raises:
        UsageError: the user has no home.
        StorageError: a file cannot be written.
    """
    place = place_of(shell, environ)
    changes = [_write(place.script, text, dry_run=dry_run)]
    if place.settings is not None:
        changes.append(_load_in(place.settings, place.line, dry_run=dry_run))
    undo = f"rm {_quoted(place.script)}"
    if place.settings is not None:
        undo += f", and remove the line {MARK!r} and the one below it from {place.settings}"
    return Installed(shell, tuple(changes), undo, dry_run)


def _write(path: Path, text: str, *, dry_run: bool) -> tuple[str, str]:
    with _failures(path):
        before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else None
        if before == text:
            return str(path), KEPT
        if not dry_run:
            replace_content(path, text.encode("utf-8", "surrogateescape"))
    return str(path), CREATED if before is None else UPDATED


def _load_in(path: Path, line: str, *, dry_run: bool) -> tuple[str, str]:
    """Add our two lines to a user's file, at its end; everything else in it stays as it is."""
    with _failures(path):
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
        kept, found = _without_ours(text)
        wanted = kept + ("\n" if kept and not kept.endswith("\n") else "") + f"{MARK}\n{line}\n"
        if found == line:
            return str(path), KEPT
        if not dry_run:
            replace_content(path, wanted.encode("utf-8", "surrogateescape"))
    return str(path), UPDATED if text else CREATED


def _without_ours(text: str) -> tuple[str, str | None]:
    """A user's file without our two lines, and the second of them."""
    lines = text.splitlines(keepends=True)
    for at, one in enumerate(lines[:-1]):
        if one.rstrip("\n") == MARK:
            return "".join(lines[:at] + lines[at + 2 :]), lines[at + 1].rstrip("\n")
    return text, None


@contextlib.contextmanager
def _failures(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} cannot be written: {error.strerror}",
            hint="make it writable, or print the script and load it yourself: kurt completion SHELL",
        ) from error
