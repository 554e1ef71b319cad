"""`fork`: a new run that begins with recorded steps of another, with copies of the children that these started."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from kurt.runtime import names, recovery, serializer
from kurt.runtime.history import History, rewind
from kurt.runtime.operations import Member

if TYPE_CHECKING:
    from dbos import DBOSClient

_DECLARED = frozenset({names.RUN_WORKFLOW, names.BRANCH_WORKFLOW})
_NEW = {
    "output": None,
    "error": None,
    "executor_id": None,
    "recovery_attempts": 0,
    "workflow_deadline_epoch_ms": None,
    "started_at_epoch_ms": None,
    "deduplication_id": None,
    "was_forked_from": False,
    "owner_xid": None,
    "creator_xid": None,
    "parent_workflow_id": None,
    "delay_until_epoch_ms": None,
    "debounce_deadline_epoch_ms": None,
    "is_debounced": False,
    "schedule_name": None,
}
"""What a new run does not take over from the row of the other."""


def fork(  # noqa: PLR0913 - what is taken over, and what is different
    client: DBOSClient,
    family: Sequence[History],
    *,
    new_id: str,
    forget: Mapping[str, Collection[int]],
    drop: Collection[str] = (),
    alone: Collection[str] = (),
    payload: Any = None,
    queue: str | None = None,
) -> None:
    """Make a new run out of another one and put it on a queue.

    Nothing executes it before it is complete: it is written as a cancelled run in one transaction, then resumed.

    Args:
        client: of the project's database.
        family: the histories of the run to take from and of its descendants.
        new_id: id of the new run.
        forget: for each member that is to be executed again, numbers of the steps that are not taken over.
        drop: children that are not taken over, with all below them.
        alone: attempts of a block that keep nothing of those before them.
        payload: the new run's argument, in place of the other's.
        queue: where the new run goes, in place of the other's queue.
    """
    copier = _Copier(client, family, new_id, forget, drop)
    copier.alone = alone
    copier.copy(payload)
    for old in family[1:]:
        if old.id in copier.ids and old.id in forget:
            copied = History(copier.member(old), None, old.checkpoints)
            rewind(client, copied, forget[old.id], queue=queue)
    database = recovery.database_of(client)
    own = recovery.home_queue(database, family[0].member.row)
    database.resume_workflows([new_id], queue_name=queue or own)


class _Copier:
    """Copies rows of DBOS's tables, whatever columns they have."""

    def __init__(
        self,
        client: DBOSClient,
        family: Sequence[History],
        new_id: str,
        forget: Mapping[str, Collection[int]],
        drop: Collection[str],
    ) -> None:
        self._database = recovery.database_of(client)
        self._family = family
        self._forget = forget
        self.alone: Collection[str] = ()
        self.ids = {family[0].id: new_id}
        # Only under declared runs do ids follow from places; children of Python workflows stay where they are.
        declared = {one.id for one in family if one.member.name in _DECLARED}
        for old in family[1:]:
            parent = old.member.parent or ""
            if old.id not in drop and parent in self.ids and parent in declared:
                path, key = _place(old)
                self.ids[old.id] = names.child_id(self.ids[parent], path, key)

    def member(self, old: History) -> Member:
        """The copy of a child, as it is found in the database."""
        return replace(old.member, id=self.ids[old.id], parent=self.ids.get(old.member.parent or ""))

    def copy(self, payload: Any) -> None:
        """Write the new run and its children."""
        with self._database.engine.begin() as connection:
            for old in self._family:
                if old.id in self.ids:
                    self._copy_one(connection, old, payload if old is self._family[0] else None)
            status = self._database.tables.workflow_status
            source = status.c.workflow_uuid == self._family[0].id
            connection.execute(sa.update(status).where(source).values(was_forked_from=True))

    def _copy_one(self, connection: sa.Connection, old: History, payload: Any) -> None:
        tables = self._database.tables
        is_root = old is self._family[0]
        dropped = set(self._forget.get(old.id, ())) if is_root else set[int]()

        def kept(row: dict[str, Any]) -> bool:
            return row["function_id"] not in dropped

        self._rows(connection, tables.workflow_status, old, self._root if is_root else self._child)
        self._rows(connection, tables.workflow_input, old, lambda row: self._input(row, old, payload))
        self._rows(connection, tables.operation_outputs, old, self._step, only=kept)
        if is_root:
            self._streams(connection, old, kept)
            self._events(connection, old, kept)
        else:
            self._rows(connection, tables.workflow_output, old)

    def _rows(
        self,
        connection: sa.Connection,
        table: sa.Table,
        old: History,
        change: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        *,
        only: Callable[[dict[str, Any]], bool] | None = None,
    ) -> None:
        found = connection.execute(sa.select(table).where(table.c.workflow_uuid == old.id)).mappings()
        rows = [{**row, "workflow_uuid": self.ids[old.id]} for row in found]
        rows = [change(row) if change else row for row in rows if only is None or only(row)]
        if rows:
            connection.execute(sa.insert(table), rows)

    def _root(self, row: dict[str, Any]) -> dict[str, Any]:
        now = int(time.time() * 1000)
        more = {"status": "CANCELLED", "queue_name": None, "forked_from": self._family[0].id}
        times = {"created_at": now, "updated_at": now, "completed_at": now}
        version = {"application_version": names.APPLICATION_VERSION}
        return {**row, **_NEW, **more, **times, **version}

    def _child(self, row: dict[str, Any]) -> dict[str, Any]:
        attributes = dict(row["attributes"] or {})
        facts = dict(attributes.get(names.ATTRIBUTES_KEY) or {})
        facts["root"] = self.ids[self._family[0].id]
        attributes[names.ATTRIBUTES_KEY] = facts
        parent = self.ids[row["parent_workflow_id"]]
        more = {"owner_xid": None, "creator_xid": None, "deduplication_id": None}
        return {**row, **more, "attributes": attributes, "parent_workflow_id": parent}

    def _input(self, row: dict[str, Any], old: History, payload: Any) -> dict[str, Any]:
        moved = payload if payload is not None else self._moved(old)
        if moved is None:
            return row
        return {**row, "inputs": serializer.dumps({"args": [moved], "kwargs": {}})}

    def _moved(self, old: History) -> Any:
        """The argument of a copied item, branch or file, which names the runs around it."""
        payload = old.payload
        if old.member.name not in _DECLARED or not isinstance(payload, dict):
            return None
        moved = {
            **payload,
            **{
                key: self.ids[payload[key]]
                for key in ("root", "owner", "parent")
                if payload.get(key) in self.ids
            },
        }
        if "earlier" in payload:
            moved["earlier"] = None if old.id in self.alone else self.ids.get(payload["earlier"])
        if payload.get("waits_for"):
            moved["waits_for"] = [
                {**one, "child": self.ids.get(one["child"] or "", one["child"])}
                for one in payload["waits_for"]
            ]
        return moved

    def _step(self, row: dict[str, Any]) -> dict[str, Any]:
        child = row["child_workflow_id"]
        return {**row, "child_workflow_id": self.ids.get(child, child)}

    def _streams(
        self, connection: sa.Connection, old: History, kept: Callable[[dict[str, Any]], bool]
    ) -> None:
        """Streams that the run's own code has written; Kurt's tell of the other run."""
        kurts = names.STREAM_KEYS if old.member.name == names.RUN_WORKFLOW else ()
        self._rows(
            connection,
            self._database.tables.streams,
            old,
            only=lambda row: row["key"] not in kurts and kept(row),
        )

    def _events(
        self, connection: sa.Connection, old: History, kept: Callable[[dict[str, Any]], bool]
    ) -> None:
        """Events that the run's own code has set; Kurt's say how the other run stands."""
        tables = self._database.tables

        def wanted(row: dict[str, Any]) -> bool:
            return row["key"] not in names.EVENT_KEYS and not row["key"].startswith(names.ANSWER_PREFIX)

        self._rows(
            connection, tables.workflow_events_history, old, only=lambda row: wanted(row) and kept(row)
        )
        self._rows(connection, tables.workflow_events, old, only=wanted)


def _place(child: History) -> tuple[str, str]:
    """Path and key from which the id of a child was made."""
    facts = (child.member.row.attributes or {}).get(names.ATTRIBUTES_KEY) or {}
    path, key = str(facts.get("path", "")), str(facts.get("key", ""))
    return path.removesuffix(f"[{key}]"), key
