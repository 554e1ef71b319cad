"""Who is to be told of the runs of a project, as its settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from kurt.config.keys import NOTIFY
from kurt.engine.notifiers.base import EVENTS, Event, NotifierInfo, split_words
from kurt.engine.suggestions import did_you_mean, listing
from kurt.errors import ConfigError

if TYPE_CHECKING:
    from kurt.config import Settings

_ON = "ON"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One notification.

    Attributes:
        type: its notifier.
        on: of what it tells.
        spec: the notifier's own fields; those of a file may hold references.
    """

    type: str
    on: tuple[Event, ...]
    spec: Mapping[str, Any]


def is_wanted(settings: Settings) -> bool:
    """Whether the settings name anybody, checked or not."""
    return bool(_types(settings))


def wanted_by(
    settings: Settings, known: Mapping[str, NotifierInfo]
) -> tuple[list[Wanted], dict[str, ConfigError]]:
    """What the settings `NOTIFY.*` ask for, in the order of their types, and what is wrong with others, by type.

    Args:
        settings: the project's settings.
        known: the notifiers by type.
    """
    found: list[Wanted] = []
    faults: dict[str, ConfigError] = {}
    for name, keys in sorted(_types(settings).items()):
        try:
            found.append(_wanted(settings, name, keys, known))
        except ConfigError as error:
            faults[name] = error
    return found, faults


def _types(settings: Settings) -> dict[str, list[str]]:
    """The keys that are set, by the type that they are about."""
    found: dict[str, list[str]] = {}
    for key, setting in settings.values.items():
        if key.startswith(NOTIFY) and key != NOTIFY + _ON and setting.text:
            found.setdefault(key.split(".")[1].lower(), []).append(key)
    # Words such as NOTIFY.SLACK.ON alone ask for nothing: whoever gets it stands elsewhere, or nowhere.
    return {name: keys for name, keys in found.items() if any(not key.endswith(f".{_ON}") for key in keys)}


def _wanted(settings: Settings, name: str, keys: list[str], known: Mapping[str, NotifierInfo]) -> Wanted:
    info = known.get(name)
    if info is None:
        hint = did_you_mean(name, known, f"the notifiers are {listing(known)}")
        raise ConfigError(f"{settings.origin(keys[0])}: there is no notifier {name!r}", hint=hint)
    model = info.notifier.Model
    fields = {field.alias or key: field for key, field in model.model_fields.items()}
    on, spec = NOTIFY + _ON, dict[str, Any]()
    for key in keys:
        word = key.partition(".")[2].partition(".")[2].lower()
        if word == _ON.lower():
            on = key
            continue
        word = word or info.notifier.short or ""
        if word not in fields:
            hint = did_you_mean(word, fields, f"its fields are {listing(fields)}")
            raise ConfigError(
                f"{settings.origin(key)}: the notifier {name!r} has no field {word!r}", hint=hint
            )
        spec[word] = settings.values[key].text
    return Wanted(name, _events(settings, on), spec)


def _events(settings: Settings, key: str) -> tuple[Event, ...]:
    words = split_words(str(settings.get(key) or "failure"))
    for word in words:
        if word not in get_args(Event):
            raise ConfigError(
                f"{settings.origin(key)}: {key} knows no {word!r}",
                hint=f"use {listing(EVENTS)}, with commas between",
            )
    return tuple(words)
