"""Runs, rows and listings belong to a user and a workspace, and one tenant never sees another's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID

from kurt.app.session import destroy_dbos, init_dbos
from kurt.app.targets import attributes
from kurt.config import Settings, load_settings
from kurt.core.tenancy import Tenant, current_tenant, tenant, tenant_attributes
from kurt.core.transactions import transaction
from kurt.db.models import Document
from kurt.db.sessions import dispose_engines, managed_session
from kurt.errors import NotFoundError
from kurt.runtime.runs import RunQuery, open_reader


@transaction(name="test_tenant_store")
def store(name: str) -> None:
    with managed_session() as session:
        session.add(Document(id=name, uri=name))


@DBOS.workflow(name="test_tenant_child")
def child_workflow(name: str) -> list[str | None]:
    store(name)
    found = current_tenant()
    return [found.user_id, found.workspace_id]


@DBOS.workflow(name="test_tenant")
def tenant_workflow(name: str) -> list[str | None]:
    return DBOS.start_workflow(child_workflow, name).get_result()


@pytest.fixture
def launched(database: Settings) -> Iterator[Settings]:
    init_dbos(settings=database)
    yield database
    destroy_dbos()
    dispose_engines()


def scoped(settings: Settings, **flags: str) -> Settings:
    """The settings of a command with `--user` or `--workspace`."""
    environ = {} if settings.is_sqlite else {"DATABASE_URL": settings.database_url}
    return load_settings(settings.root, environ=environ, overrides=flags)


def run_as(name: str, workspace: str) -> None:
    with tenant(user_id=f"u-{name}", workspace_id=workspace), SetWorkflowID(f"run-{name}"):
        assert tenant_workflow(name) == [f"u-{name}", workspace]


def two_runs() -> None:
    threads = [threading.Thread(target=run_as, args=pair) for pair in (("a", "w1"), ("b", "w2"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with SetWorkflowID("run-c"):
        assert tenant_workflow("c") == [None, None]


def test_what_runs_store_belongs_to_their_tenant_children_included(launched: Settings) -> None:
    two_runs()
    with managed_session(launched) as session:
        rows = session.scalars(sa.select(Document).order_by(sa.column("id"))).all()
    assert [(row.id, row.user_id, row.workspace_id) for row in rows] == [
        ("a", "u-a", "w1"),
        ("b", "u-b", "w2"),
        ("c", None, None),
    ]


def test_a_scoped_reader_sees_one_tenant_only(launched: Settings) -> None:
    two_runs()
    with open_reader(launched) as reader:
        assert {run.id for run in reader.list()} == {"run-a", "run-b", "run-c"}
        child = reader.children("run-b")[0].id
    for flags in ({"WORKSPACE_ID": "w1"}, {"USER_ID": "u-a"}, {"USER_ID": "u-a", "WORKSPACE_ID": "w1"}):
        with open_reader(scoped(launched, **flags)) as reader:
            assert [run.id for run in reader.list()] == ["run-a"]
            assert reader.list(RunQuery(status=("succeeded",)))[0].id == "run-a"
            assert reader.get("run-").id == "run-a"
            assert [run.parent_id for run in reader.children("run-a")] == ["run-a"]
            for hidden in ("run-b", "run-c", child):
                with pytest.raises(NotFoundError):
                    reader.get(hidden)
            with pytest.raises(NotFoundError):
                reader.children("run-b")
            with pytest.raises(NotFoundError):
                reader.steps("run-b")
    with open_reader(scoped(launched, USER_ID="u-a", WORKSPACE_ID="w2")) as reader:
        assert reader.list() == []


class TestPrecedence:
    @pytest.fixture
    def settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "kurt.config").write_text('USER_ID="me"\nWORKSPACE_ID="home"\n')

    @pytest.mark.usefixtures("settings")
    def test_outside_runs_the_settings_say_it(self) -> None:
        assert current_tenant() == Tenant("me", "home")
        with tenant(workspace_id="w"):
            assert current_tenant() == Tenant(None, "w")
            with tenant(user_id="u"):
                assert tenant_attributes() == {"user_id": "u"}
            assert tenant_attributes() == {"workspace_id": "w"}
        assert tenant_attributes(replace(current_tenant(), user_id=None)) == {"workspace_id": "home"}

    @pytest.mark.usefixtures("settings")
    def test_what_is_submitted_is_the_block_s(self) -> None:
        settings = load_settings()
        facts = attributes(settings, kind="yaml", workflow="w")
        assert (facts["user_id"], facts["workspace_id"]) == ("me", "home")
        with tenant(workspace_id="w"):
            facts = attributes(settings, kind="yaml", workflow="w")
        assert facts == {"kind": "yaml", "workflow": "w", "workspace_id": "w"}

    @pytest.mark.usefixtures("settings")
    def test_new_rows_are_filled(self) -> None:
        assert Document(id="a", uri="a").workspace_id == "home"
        with tenant(workspace_id="w"):
            assert Document(id="a", uri="a").workspace_id == "w"
        assert Document(id="a", uri="a", workspace_id="x").workspace_id == "x"
