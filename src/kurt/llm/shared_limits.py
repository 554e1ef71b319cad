"""Limiters that a process shares, on Postgres with all other processes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError

from kurt.db.failures import storage_error
from kurt.errors import ConfigError, CredentialsError
from kurt.llm.background import in_background
from kurt.llm.limits import HORIZON, LATEST, SPAN, Limiter, OwnPlaces, Place, Timeline, take_all
from kurt.llm.providers import resolve

if TYPE_CHECKING:
    from kurt.config import Settings
    from kurt.llm.limits import Correction, Places, RateLimit

_Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_LIMITS = sa.table(
    "llm_limits",
    sa.column("name", sa.Text),
    sa.column("window", _Json),
    sa.column("updated_at", sa.DateTime(timezone=True)),
)
_places: dict[tuple[str, str], Places] = {}
_limiters: dict[tuple[str, str, RateLimit], Limiter] = {}
_lock = threading.Lock()


def shared_limiter(
    settings: Settings,
    model: str,
    limit: RateLimit,
    *,
    engine: sa.Engine | None = None,
    module: str | None = None,
    step: str | None = None,
) -> Limiter:
    """The limiter of a model at its endpoint; the same object wherever it is asked for.

    Args:
        settings: the project's settings.
        model: `provider/model`.
        limit: what is allowed.
        engine: the project's database. On Postgres all processes share the limit by a row of `llm_limits`; on SQLite,
            and without a database, each process keeps it for itself.
        module: the workflow module for which the address is looked up.
        step: the step of it.
    """
    name = _name(settings, model, module, step)
    shared = engine is not None and engine.dialect.name == "postgresql"
    where = settings.database_url if shared else ""
    with _lock:
        places = _places.get((where, name))
        if places is None:
            places = DatabasePlaces(engine, settings, name) if engine is not None and shared else OwnPlaces()
            _places[where, name] = places
        limiter = _limiters.get((where, name, limit))
        if limiter is None:
            limiter = _limiters[where, name, limit] = Limiter(limit, places)
        return limiter


def _name(settings: Settings, model: str, module: str | None, step: str | None) -> str:
    """What calls that share a limit have in common; a model that only an adapter knows is told by its name."""
    try:
        endpoint = resolve(settings, model, module=module, step=step)
    except (ConfigError, CredentialsError):
        return model
    return f"{endpoint.shown} {endpoint.model}"


class DatabasePlaces:
    """Places on a time line that all processes share: a row that is locked while places are taken."""

    def __init__(self, engine: sa.Engine, settings: Settings, name: str) -> None:
        self._engine = engine
        self._settings = settings
        self._name = name

    async def take(self, limit: RateLimit, tokens: list[int], corrections: list[Correction]) -> list[Place]:
        return await in_background(lambda: self._take(limit, tokens, corrections))

    def _take(self, limit: RateLimit, tokens: list[int], corrections: list[Correction]) -> list[Place]:
        try:
            with self._engine.begin() as connection:
                line = self._locked(connection)
                before = time.monotonic()
                now = _now(connection)
                after = time.monotonic()
                if line.last > now + HORIZON + 2 * SPAN:  # the server's clock was put back
                    line = Timeline()
                found = take_all(line, limit, now, tokens, corrections)
                changed = sa.update(_LIMITS).where(_LIMITS.c.name == self._name)
                connection.execute(changed.values(window=line.to_json(), updated_at=sa.func.now()))
        except SQLAlchemyError as error:
            raise storage_error(self._settings, error) from error
        return [Place(at - now + after, at - now + before + LATEST, at) for at in found]

    def _locked(self, connection: sa.Connection) -> Timeline:
        """The row, held until the transaction ends; made if there is none."""
        query = sa.select(_LIMITS.c.window).where(_LIMITS.c.name == self._name).with_for_update()
        row: Any = connection.execute(query).first()
        if row is None:
            made = postgresql.insert(_LIMITS).values(name=self._name, window={}, updated_at=sa.func.now())
            connection.execute(made.on_conflict_do_nothing())
            row = connection.execute(query).one()
        return Timeline.from_json(row[0])


def _now(connection: sa.Connection) -> float:
    """The server's clock, which all processes share, in seconds."""
    return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
