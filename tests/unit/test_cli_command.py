"""Commands that return their result: printed once, in every form, alone and inside groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kurt.cli.command import KurtGroup, Outcome, command, group
from kurt.cli.lazy import Lazy
from kurt.cli.options import add_background_options, format_option, run_id_argument
from kurt.cli.output import Table, echo_progress, warn
from kurt.cli.project import current_settings, project_root
from kurt.cli.session import current
from kurt.errors import NotFoundError, RunFailedError, StepError

ROWS = [{"run_id": "a", "n": 1}, {"run_id": "b", "n": 2}]


@command(
    "list", view=lambda rows: Table(["id"], [[row["run_id"]] for row in rows]), epilog="kurt x list\nkurt x"
)
@click.option("--empty", is_flag=True)
def list_cmd(empty: bool) -> list[dict[str, Any]]:
    """List things. And more."""
    echo_progress("looking")
    return [] if empty else ROWS


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def run(runner: CliRunner, target: click.Command, *argv: str, code: int = 0, **options: Any) -> Result:
    result = runner.invoke(target, list(argv), **options)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


class TestForms:
    def test_a_person_sees_the_view(self, runner: CliRunner) -> None:
        result = run(runner, list_cmd)
        assert (result.stdout, result.stderr) == ("ID\na\nb\n", "looking\n")

    def test_a_program_gets_json_and_nothing_on_stderr(self, runner: CliRunner) -> None:
        result = run(runner, list_cmd, "--format", "json")
        assert json.loads(result.stdout) == ROWS
        assert result.stderr == ""
        assert run(runner, list_cmd, "--empty", "--format=json").stdout == "[]\n"

    def test_or_a_line_an_object(self, runner: CliRunner) -> None:
        lines = run(runner, list_cmd, "--format", "jsonl").stdout.splitlines()
        assert [json.loads(line) for line in lines] == ROWS

    def test_the_variable_chooses_and_the_option_wins(self, runner: CliRunner) -> None:
        environ = {"KURT_FORMAT": "json"}
        assert json.loads(run(runner, list_cmd, env=environ).stdout) == ROWS
        assert run(runner, list_cmd, "--format", "table", env=environ).stdout.startswith("ID")

    def test_a_wrong_variable_is_named(self, runner: CliRunner) -> None:
        result = run(runner, list_cmd, code=2, env={"KURT_FORMAT": "xml"})
        assert result.stderr.startswith("error: KURT_FORMAT='xml'")  # and nothing was done
        assert "table, json, jsonl" in result.stderr

    def test_the_projects_settings_choose(self, runner: CliRunner, tmp_path: Path) -> None:
        (tmp_path / "kurt.config").write_text("FORMAT=json\n")
        assert json.loads(run(runner, list_cmd).stdout) == ROWS

    def test_a_command_that_needs_no_settings_does_without_broken_ones(
        self, runner: CliRunner, tmp_path: Path
    ) -> None:
        (tmp_path / "kurt.config").write_text("nonsense\n")
        assert run(runner, list_cmd).stdout.startswith("ID")

    def test_a_caller_in_this_process_gets_the_value(self, runner: CliRunner) -> None:
        result = run(runner, list_cmd, standalone_mode=False)
        assert result.return_value == ROWS
        assert result.output == ""

    def test_a_view_may_be_an_import_string(self, runner: CliRunner) -> None:
        @command("x", view="json:dumps")
        def x() -> list[int]:
            return [1]

        assert run(runner, x).stdout == "[1]\n"

    def test_a_command_may_have_a_format_of_its_own(self, runner: CliRunner) -> None:
        @command("write")
        @click.option("--format", "form", type=click.Choice(["csv"]))
        def write(form: str) -> dict[str, str]:
            return {"form": form}

        assert run(runner, write, "--format", "csv").stdout == "form  csv\n"
        assert (
            run(runner, write, "--format", "csv", env={"KURT_FORMAT": "json"}).stdout == '{"form": "csv"}\n'
        )

    def test_items_come_one_by_one(self, runner: CliRunner) -> None:
        @command("follow", view=lambda item: f"line {item}")
        def follow() -> Iterator[int]:
            yield 1
            yield 2

        assert run(runner, follow).stdout == "line 1\nline 2\n"
        assert run(runner, follow, "--format", "json").stdout == "[1, 2]\n"
        assert run(runner, follow, standalone_mode=False).return_value == [1, 2]

    def test_nothing_is_null_for_a_program(self, runner: CliRunner) -> None:
        @command("quiet")
        def quiet() -> None:
            return None

        assert run(runner, quiet).stdout == ""
        assert run(runner, quiet, "--format", "json").stdout == "null\n"


class TestOutcome:
    @command("x")
    @click.option("--how", type=click.Choice(["error", "code"]))
    @staticmethod
    def cmd(how: str) -> Outcome:
        if how == "error":
            return Outcome({"a": 1}, error=NotFoundError("the run failed", hint="kurt workflows logs ID"))
        return Outcome({"a": 1}, exit_code=7)

    def test_a_result_may_come_with_an_error(self, runner: CliRunner) -> None:
        result = run(runner, self.cmd, "--how", "error", code=3)
        assert (result.stdout, result.stderr) == (
            "a  1\n",
            "error: the run failed\nhint: kurt workflows logs ID\n",
        )

    def test_in_json_both_are_objects(self, runner: CliRunner) -> None:
        result = run(runner, self.cmd, "--how", "error", "--format", "json", code=3)
        assert json.loads(result.stdout) == {"a": 1}
        assert json.loads(result.stderr) == {
            "error": {"code": "not_found", "message": "the run failed", "hint": "kurt workflows logs ID"}
        }

    def test_a_result_may_come_with_an_exit_status(self, runner: CliRunner) -> None:
        result = run(runner, self.cmd, "--how", "code", code=7)
        assert (result.stdout, result.stderr) == ("a  1\n", "")

    def test_inside_this_process_both_are_errors(self) -> None:
        with pytest.raises(NotFoundError):
            self.cmd.main(["--how", "error"], standalone_mode=False)
        with pytest.raises(StepError, match="exit status 7") as caught:
            self.cmd.main(["--how", "code"], standalone_mode=False)
        assert caught.value.details == {"exit_code": 7, "result": {"a": 1}}


class TestGroups:
    @pytest.fixture
    def root(self) -> KurtGroup:
        @group(
            "root",
            lazy={"loads": Lazy("json:loads", "Not a command."), "gone": Lazy("no.such:x", "Missing.")},
        )
        def root() -> None:
            """The root."""

        root.add_command(list_cmd)

        @root.command("own", epilog="root own")
        def own() -> dict[str, int]:
            """Mine."""
            return {"a": 1}

        @root.group("sub")
        def sub() -> None:
            """Below."""

        @sub.command("deep")
        def deep() -> str:
            """Deep."""
            return current().command

        @click.command("plain")
        @format_option
        def plain() -> dict[str, int]:
            """Made with click alone."""
            return {"a": 1}

        root.add_command(plain)
        return root

    def test_results_are_printed_once(self, runner: CliRunner, root: KurtGroup) -> None:
        assert run(runner, root, "list").stdout == "ID\na\nb\n"
        assert run(runner, root, "own").stdout == "a  1\n"
        assert run(runner, root, "sub", "deep").stdout == "root sub deep\n"

    def test_the_result_of_a_plain_command_is_printed_too(self, runner: CliRunner, root: KurtGroup) -> None:
        assert run(runner, root, "plain", "--format", "json").stdout == '{"a": 1}\n'
        assert run(runner, root, "plain", standalone_mode=False).return_value == {"a": 1}

    def test_help_imports_nothing(self, runner: CliRunner, root: KurtGroup) -> None:
        shown = run(runner, root, "-h").stdout
        for line in (
            "gone   Missing.",
            "loads  Not a command.",
            "list   List things.",
            "plain  Made with click alone.",
        ):
            assert line in shown, shown

    def test_a_command_that_cannot_be_loaded_is_told(self, runner: CliRunner, root: KurtGroup) -> None:
        assert "no module 'no'" in run(runner, root, "gone", code=1).stderr
        assert "is no click command but function" in run(runner, root, "loads", code=1).stderr

    def test_a_typing_error_is_answered_with_a_name(self, runner: CliRunner, root: KurtGroup) -> None:
        shown = run(runner, root, "gome", code=2).stderr
        assert shown == "error: No such command 'gome'. Did you mean 'gone'?\nhint: root --help\n"

    def test_global_options_may_stand_anywhere(self, runner: CliRunner, root: KurtGroup) -> None:
        for argv in (["--quiet", "list"], ["list", "-q"], ["--format", "json", "list"]):
            assert run(runner, root, *argv).stderr == "", argv
        assert run(runner, root, "--format", "json", "sub", "deep").stdout == '"root sub deep"\n'
        assert run(runner, root, "sub", "--format", "json", "deep").stdout == '"root sub deep"\n'

    def test_the_last_format_counts(self, runner: CliRunner, root: KurtGroup) -> None:
        assert run(runner, root, "--format", "json", "own", "--format", "table").stdout == "a  1\n"

    def test_completion_offers_names_without_importing(self, root: KurtGroup) -> None:
        names = [item.value for item in root.shell_complete(click.Context(root), "")]
        assert names == ["loads", "gone", "list", "own", "sub", "plain"]
        assert [item.value for item in root.shell_complete(click.Context(root), "g")] == ["gone"]


class TestHelp:
    def test_examples_stand_line_by_line(self, runner: CliRunner) -> None:
        shown = run(runner, list_cmd, "--help").stdout
        assert shown.endswith("Examples:\n  kurt x list\n  kurt x\n")
        assert "--format [table|json|jsonl]" in shown

    def test_global_options_are_hidden_below_the_root(self, runner: CliRunner) -> None:
        shown = run(runner, list_cmd, "-h").stdout
        assert "--debug" not in shown
        assert "--project" not in shown


class TestGlobalOptions:
    @pytest.fixture
    def probe(self) -> click.Command:
        @command("probe")
        def probe() -> dict[str, Any]:
            warn("careful")
            echo_progress("working")
            return {"root": str(project_root()), "user": current_settings().get("USER_ID")}

        return probe

    def test_project_chooses_the_project(
        self, runner: CliRunner, probe: click.Command, tmp_path: Path
    ) -> None:
        below = tmp_path / "other" / "docs"
        below.mkdir(parents=True)
        (tmp_path / "other" / "kurt.config").write_text("USER_ID=me\n")
        result = run(runner, probe, "--project", str(below), "--format", "json")
        assert json.loads(result.stdout) == {"root": str(tmp_path / "other"), "user": "me"}

    def test_a_project_that_does_not_exist_is_refused(self, runner: CliRunner, probe: click.Command) -> None:
        assert "does not exist" in run(runner, probe, "--project", "nowhere", code=2).stderr

    def test_quiet_leaves_results_and_warnings(self, runner: CliRunner, probe: click.Command) -> None:
        result = run(runner, probe, "--quiet")
        assert result.stderr == "warning: careful\n"
        assert result.stdout.startswith("root")

    def test_quiet_holds_in_threads_too(self, runner: CliRunner) -> None:
        import threading

        @command("x")
        def x() -> None:
            thread = threading.Thread(target=echo_progress, args=("from a thread",))
            thread.start()
            thread.join()

        assert run(runner, x).stderr == "from a thread\n"
        assert run(runner, x, "--quiet").stderr == ""
        assert run(runner, x, "--format", "json").stderr == ""

    def test_color_always(self, runner: CliRunner, probe: click.Command) -> None:
        assert "\x1b[" in run(runner, probe, "--color", "always", color=True).stderr
        assert "\x1b[" not in run(runner, probe, "--color", "never", color=True).stderr

    def test_color_reaches_clicks_own_output(self, runner: CliRunner) -> None:
        @command("x")
        def x() -> None:
            click.secho("red", fg="red")

        assert run(runner, x, "--color", "always", color=False).stdout == "\x1b[31mred\x1b[0m\n"
        assert run(runner, x, "--color", "never", color=True).stdout == "red\n"

    def test_unknown_settings_are_told_once(self, runner: CliRunner, tmp_path: Path) -> None:
        (tmp_path / "kurt.config").write_text("PATH_DBB=x\n")

        @command("x")
        def x() -> None:
            current_settings()
            project_root()

        shown = run(runner, x).stderr
        assert shown.count("did you mean PATH_DB?") == 1
        assert run(runner, x, "--format", "json").stderr == ""


class TestSharedOptions:
    @command("go")
    @add_background_options()
    @staticmethod
    def go(background: bool, priority: int | None, dry_run: bool) -> dict[str, Any]:
        return {"background": background, "priority": priority, "dry_run": dry_run}

    def test_defaults(self, runner: CliRunner) -> None:
        assert json.loads(run(runner, self.go, "--format", "json").stdout) == {
            "background": False,
            "priority": None,
            "dry_run": False,
        }

    def test_all_are_handed_on(self, runner: CliRunner) -> None:
        shown = run(
            runner, self.go, "--background", "--priority", "3", "--dry-run", "--format", "json"
        ).stdout
        assert json.loads(shown) == {"background": True, "priority": 3, "dry_run": True}

    @pytest.mark.parametrize("value", ["0", "-1", "x", str(2**31)])
    def test_a_priority_is_a_positive_number(self, runner: CliRunner, value: str) -> None:
        assert "--priority" in run(runner, self.go, f"--priority={value}", code=2).stderr

    def test_they_fit_any_click_command_from_above_and_below(self, runner: CliRunner) -> None:
        @add_background_options(dry_run=False)
        @command("above")
        def above(background: bool, priority: int | None) -> dict[str, Any]:
            return {"background": background, "priority": priority}

        seen: list[object] = []

        @click.command("plain")
        @add_background_options()
        def plain(**given: object) -> None:
            seen.append(given)

        assert run(runner, above, "--background", "--format", "json").stdout.startswith('{"background": true')
        assert "--dry-run" not in run(runner, above, "--help").stdout
        run(runner, plain, "--priority", "2", "--format", "json")
        assert seen == [{"background": False, "priority": 2, "dry_run": False}]

    def test_a_run_id_is_required(self, runner: CliRunner) -> None:
        @command("x")
        @run_id_argument
        def x(run_id: str) -> str:
            return run_id

        assert run(runner, x, "abc").stdout == "abc\n"
        assert "RUN_ID" in run(runner, x, code=2).stderr


def test_a_failed_run_never_exits_0(runner: CliRunner) -> None:
    @command("x")
    def x() -> Outcome:
        return Outcome(None, error=RunFailedError())

    assert run(runner, x, code=1).stderr == "error: The run did not succeed\n"
