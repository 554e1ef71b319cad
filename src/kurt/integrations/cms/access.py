"""Where a CMS is and how to get in: settings of the project, and a key from the environment or `.env`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kurt.errors import ConfigError, CredentialsError

if TYPE_CHECKING:
    from kurt.config import Settings

DEFAULT_INSTANCE = "default"
"""The name of a CMS where the user gives none."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the access to a kind of CMS consists of.

    Attributes:
        fields: settings with their defaults; None where there is none and the user has to say it.
        secret: the last part of the key's name, such as `TOKEN`.
        secret_needed: nothing works without the key.
        where: where people find the key.
    """

    fields: Mapping[str, str | None]
    secret: str
    secret_needed: bool
    where: str


@dataclass(frozen=True, slots=True)
class Access:
    """Where a CMS is and how to get in.

    Attributes:
        platform: its kind.
        instance: its name in this project.
        values: its settings.
        secret: its key, None where there is none.
        secret_name: the variable that holds the key, or would.
    """

    platform: str
    instance: str
    values: Mapping[str, str]
    secret: str | None
    secret_name: str

    def listed(self, field: str) -> list[str]:
        """A setting with commas as a list."""
        return [part.strip() for part in self.values[field].split(",") if part.strip()]

    def refused(self) -> CredentialsError:
        """What to say when the CMS does not accept the key, or asks for one."""
        said = "is not accepted" if self.secret else "is needed"
        return CredentialsError(
            f"{self.platform} says that a key {said}: {self.secret_name}",
            hint=f"write a valid {self.secret_name}=... into .env",
        )


def secret_name(settings: Settings, platform: str, instance: str, needs: Needs) -> str:
    """The variable with the key: that of the instance if it is set, else that of the platform."""
    own = f"{platform}_{instance}_{needs.secret}".upper().replace("-", "_")
    return own if settings.secret(own) is not None else f"{platform}_{needs.secret}".upper()


def access_to(settings: Settings, platform: str, instance: str, needs: Needs) -> Access:
    """The access to a CMS.

    `CMS.SANITY.PROD.DATASET` is a setting of the instance `prod`, `CMS.SANITY.DATASET` one of all instances.

    Raises:
        ConfigError: a setting is missing.
        CredentialsError: the key is missing.
    """
    values: dict[str, str] = {}
    for field, default in needs.fields.items():
        names = (f"CMS.{platform}.{instance}.{field}".upper(), f"CMS.{platform}.{field}".upper())
        found = next((value for name in names if (value := settings.get(name))), default)
        if found is None:
            raise ConfigError(
                f"nothing says where the {platform} {instance!r} is: {names[0]} is not set",
                hint=f"add the line {names[1]}=... to {settings.root / 'kurt.config'}",
            )
        values[field] = str(found)
    name = secret_name(settings, platform, instance, needs)
    secret = settings.secret(name)
    if secret is None and needs.secret_needed:
        raise CredentialsError(
            f"the key of {platform} is not set: {name}",
            hint=f"add the line {name}=... to {settings.root / '.env'}; you find it in {needs.where}",
        )
    return Access(platform, instance, values, secret, name)
