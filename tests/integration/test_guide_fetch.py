"""The tests that the guide shows for a command with `--background`, as a project would write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from sqlalchemy import text

from kurt.core import run_workflow
from kurt.db import managed_session
from kurt.testing import assert_cli_success, assert_output_contains, invoke_cli
from kurt.workflows.fetch.cli import fetch_cmd
from kurt.workflows.fetch.models import FetchDocument, FetchStatus
from kurt.workflows.fetch.workflow import fetch_workflow, run_fetch


class TestBackgroundExecution:
    def test_background_returns_workflow_id(
        self, cli_runner: CliRunner, tmp_project_with_docs: Path, dbos_launched: Any
    ) -> None:
        result = invoke_cli(cli_runner, fetch_cmd, ["--ids", "doc-1", "--background", "--format", "json"])
        assert_cli_success(result)
        assert json.loads(result.stdout)["workflow_id"]

    def test_background_workflow_appears_in_dbos(
        self, cli_runner: CliRunner, tmp_project_with_docs: Path, dbos_launched: Any
    ) -> None:
        result = invoke_cli(cli_runner, fetch_cmd, ["--ids", "doc-1", "--background", "--format", "json"])
        assert_cli_success(result)
        workflow_id = json.loads(result.stdout)["workflow_id"]
        with managed_session() as session:
            row = (
                session.connection()
                .execute(
                    text("SELECT status FROM workflow_status WHERE workflow_uuid = :wf_id"),
                    {"wf_id": workflow_id},
                )
                .fetchone()
            )
        assert row is not None, f"Workflow {workflow_id} not found in DBOS"

    def test_foreground_completes_synchronously(
        self, cli_runner: CliRunner, tmp_project_with_docs: Path, dbos_launched: Any
    ) -> None:
        result = invoke_cli(cli_runner, fetch_cmd, ["--ids", "doc-1", "--dry-run", "--format", "json"])
        assert_cli_success(result)
        data = json.loads(result.stdout)
        assert data["workflow_id"]
        assert data["dry_run"] is True
        assert data["rows"][0]["uri"] == "https://example.com/doc-1"

    def test_priority_affects_workflow(
        self, cli_runner: CliRunner, tmp_project_with_docs: Path, dbos_launched: Any
    ) -> None:
        words = ["--ids", "doc-1", "--priority", "1", "--background", "--format", "json"]
        result = invoke_cli(cli_runner, fetch_cmd, words)
        assert_cli_success(result)
        query = text("SELECT priority FROM workflow_status WHERE workflow_uuid = :id")
        with managed_session() as session:
            found = session.connection().execute(query, {"id": json.loads(result.stdout)["workflow_id"]})
            assert found.scalar_one() == 1


def test_help_shows_background_options(cli_runner: CliRunner) -> None:
    result = invoke_cli(cli_runner, fetch_cmd, ["--help"])
    assert_output_contains(result, "--background")
    assert_output_contains(result, "--priority")


class TestFetchE2E:
    def test_a_document_is_fetched_and_noted(self, tmp_kurt_project: Path) -> None:
        (tmp_kurt_project / "a.md").write_text("# Tea")
        result = run_fetch("file:a.md", {"embed": False})
        assert result["success_count"] == 1
        with managed_session() as session:
            found = session.get_one(FetchDocument, result["id"])
            assert (found.status, found.workflow_id) == (FetchStatus.FETCHED, result["workflow_id"])

    def test_the_workflow_runs_by_itself_too(self, tmp_kurt_project: Path) -> None:
        assert run_workflow(fetch_workflow, {"dry_run": True})["total"] == 0
