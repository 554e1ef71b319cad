"""`kurt workflows write|read|transform|validate|foreach`: thin shells over `kurt.app.primitives`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.options import complete_workflow_file
from kurt.cli.output import default_view, echo_progress, print_result, to_jsonable, warn
from kurt.cli.session import SILENT, TABLE, current, current_mode, rendering
from kurt.cli.workflows.data_param import Data, data_option

if TYPE_CHECKING:
    from kurt.app.primitives.foreach import OnError
    from kurt.app.primitives.write import Written
    from kurt.errors import Fault
    from kurt.types import Json

_FORMATS = click.Choice(["json", "yaml", "csv", "jsonl", "text", "md"])


def value_view(value: Any) -> Any:
    """A value for people on a terminal; JSON in a pipe, where the next command reads it."""
    value = to_jsonable(value)
    if sys.stdout.isatty() or current().format == TABLE:
        return default_view(value)
    from kurt.app.primitives.codecs.json import dumps

    return dumps(value)


def _written_view(written: Written) -> str:
    records = "1 record" if written.records == 1 else f"{written.records} records"
    return f"wrote {written.path} ({written.format}, {records}, {written.bytes} bytes)"


def _faults_view(faults: list[Any]) -> list[str]:
    """The faults of data, or warnings about files; errors of files are shown with the error that follows."""
    if faults and hasattr(faults[0], "severity"):
        shown = [] if _errors(faults) else faults
        return [f"{fault.location}: {fault.severity}: {fault.message}" for fault in shown]
    return [f"{fault.path}: {fault.message}" for fault in faults]


@command(
    "write",
    view=_written_view,
    epilog='kurt workflows write --data \'[{"name": "Ada"}]\' --output people.csv\n'
    "kurt workflows write --data @people.json --template report.md.j2 --output report.md\n"
    "kurt workflows read people.csv | kurt workflows write --data - --output people.yaml",
)
@data_option(help="What to write; with text and md also plain text. [default: stdin]")
@click.option("--output", default="-", metavar="FILE|-", help="Where to. [default: stdout]")
@click.option("--format", "format_name", type=_FORMATS, help="By default what the suffix says, else json.")
@click.option("--template", metavar="FILE", help="A Jinja2 template that makes the text of `data`.")
@click.option("--append", is_flag=True, help="Add to the file: elements, rows, lines.")
def write_cmd(data: Data, output: str, format_name: str | None, template: str | None, append: bool) -> Any:
    """Write data to a file.

    A crash leaves the old file or the new one, never half of it.
    """
    from kurt.app.primitives.formats import PLAIN_TEXT
    from kurt.app.primitives.write import output_format, render, write
    from kurt.errors import UsageError

    chosen = output_format(output, format_name, template)
    value = data.load(plain_text=chosen in PLAIN_TEXT)
    if output != "-":
        return write(value, output, format_name=format_name, template=template, append=append)
    if append:
        raise UsageError("--append needs a file", hint="give --output FILE")
    return _to_stdout(render(value, chosen, template=template))


def _to_stdout(text: str) -> Any:
    """The text itself, whatever format results are printed in."""
    if current_mode() == SILENT:
        return text
    with rendering(TABLE):
        print_result(text)
    return Outcome(None, printed=True)


@command(
    "read",
    view=value_view,
    epilog="kurt workflows read pages.csv\n"
    "kurt workflows read notes.md\n"
    "curl -s https://example.com/data | kurt workflows read - --format yaml",
)
@click.argument("file", metavar="FILE|-")
@click.option("--format", "format_name", type=_FORMATS, help="By default found by suffix, then by content.")
@click.option(
    "--max-size", default="256MiB", metavar="SIZE", show_default=True, help="Refuse more than this."
)
def read_cmd(file: str, format_name: str | None, max_size: str) -> Any:
    """Read data from a file.

    JSON, YAML, CSV, JSON Lines, Markdown with front matter, or text.
    """
    from kurt.app.primitives.read import read, read_stream
    from kurt.engine.durations import parse_size
    from kurt.errors import UsageError

    try:
        limit = parse_size(max_size)
    except ValueError as error:
        raise UsageError(f"--max-size: {error}") from None
    if file == "-":
        return read_stream(sys.stdin.buffer, "stdin", format_name=format_name, max_bytes=limit)
    return read(file, format_name=format_name, max_bytes=limit)


@command(
    "transform",
    view=value_view,
    epilog="kurt workflows transform --data @pages.json --filter 'len(title) > 0' --sort -date --limit 10\n"
    "kurt workflows read pages.csv | kurt workflows transform --data - --map \"{'url': url}\"",
)
@data_option(help="What to transform. [default: stdin]")
@click.option("--select", metavar="PATH", help="Take a part of the data: `result.pages[0]`.")
@click.option("--filter", "where", metavar="EXPR", help="Keep the elements for which it holds.")
@click.option("--map", "becomes", metavar="EXPR", help="What each element becomes.")
@click.option(
    "--unique", is_flag=False, flag_value="", metavar="[PATH]", help="Keep the first of equal ones."
)
@click.option("--sort", multiple=True, metavar="PATH", help="Sort; -PATH from high to low. May be repeated.")
@click.option("--group", metavar="PATH", help="Make groups: `key`, `count`, `items`.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Keep the first N elements or groups.")
def transform_cmd(
    data: Data,
    select: str | None,
    where: str | None,
    becomes: str | None,
    unique: str | None,
    sort: tuple[str, ...],
    group: str | None,
    limit: int | None,
) -> Any:
    """Filter, map, sort and group data.

    The order is always: select, filter, map, unique, sort, group, limit.

    Expressions see an element as `item`, its place as `index`, and the keys of a mapping as names.
    """
    from kurt.app.primitives.transform import Operations, transform

    operations = Operations(select, where, becomes, unique, sort, group, limit)
    return transform(data.load(), operations)


@command(
    "validate",
    view=_faults_view,
    epilog="kurt workflows validate workflows/pages.yaml\n"
    "kurt workflows validate --data @pages.json --schema pages.schema.json\n"
    "kurt workflows validate --data @pages.json --type list --required url,title",
)
@click.argument("files", nargs=-1, metavar="[FILE|NAME]...", shell_complete=complete_workflow_file)
@data_option(required=False, help="Data to check, in place of workflow files.")
@click.option("--schema", metavar="FILE", help="Check the data against this JSON Schema.")
@click.option(
    "--type", "type_name", metavar="TYPE", help="mapping, list, string, number, integer, boolean, null."
)
@click.option("--required", multiple=True, metavar="KEYS", help="Keys that must be there: `url,title`.")
def validate_cmd(
    files: tuple[str, ...],
    data: Data | None,
    schema: str | None,
    type_name: str | None,
    required: tuple[str, ...],
) -> Any:
    """Check workflow files, or data against a schema.

    The result is the list of faults. Exit status 1 if data is not valid, 2 if a workflow file has errors.
    """
    from kurt.errors import UsageError

    keys = [key.strip() for text in required for key in text.split(",") if key.strip()]
    about_data = data is not None or schema is not None or type_name is not None or bool(keys)
    if files and about_data:
        raise UsageError(
            f"{files[0]!r} is checked as a workflow file, so --data, --schema, --type and --required have no place",
            hint=f"to check the data in it: kurt workflows validate --data @{files[0]} ...",
        )
    if files:
        return _validate_files(files)
    if not about_data:
        raise UsageError(
            "nothing to validate",
            hint="name workflow files, or give --data with --schema, --type or --required",
        )
    return _validate_data(data or Data("-"), schema, type_name, keys)


def _validate_files(targets: tuple[str, ...]) -> Outcome:
    from kurt.app.cases.finding import check_test_file
    from kurt.app.known_workflows import KnownWorkflows
    from kurt.app.targets import no_workflow, workflow_file
    from kurt.cli.project import current_settings
    from kurt.engine.cases.reading import is_test_file
    from kurt.engine.language.parser import check_file
    from kurt.engine.registry import kinds
    from kurt.errors import DefinitionError

    settings = current_settings()
    known = kinds(settings.root)
    workflows = KnownWorkflows(settings)
    faults: list[Fault] = []
    for target in targets:
        file = workflow_file(settings, target)
        if file is None:
            raise no_workflow(settings, target)
        if is_test_file(file):
            found = check_test_file(settings, file)
        else:
            found = check_file(file, root=settings.root, kinds=known, workflows=workflows)
        faults += found
        if not _errors(found):
            echo_progress(f"{target} is valid")
    return Outcome(faults, error=DefinitionError(faults) if _errors(faults) else None)


def _errors(faults: list[Any]) -> list[Any]:
    return [fault for fault in faults if fault.severity == "error"]


def _validate_data(data: Data, schema: str | None, type_name: str | None, keys: list[str]) -> Outcome:
    from pathlib import Path

    from kurt.app.primitives.validate import InvalidDataError, validate

    file = Path(schema) if schema is not None else None
    faults = validate(data.load(), schema=file, type_name=type_name, required=keys)
    return Outcome(faults, error=InvalidDataError(faults) if faults else None)


@command(
    "foreach",
    view=value_view,
    epilog="kurt workflows foreach --data @urls.json --command 'curl -sI {item}' --max-concurrent 5\n"
    "kurt workflows foreach --data @pages.json --command 'workflows write --output out/{item.id}.json'",
)
@data_option(help="The items, a list. [default: stdin]")
@click.option(
    "--command",
    "command_line",
    required=True,
    metavar="COMMAND",
    help="Run for each item, which it gets as JSON on stdin; {item}, {item.key} and {index} are replaced.",
)
@click.option(
    "--max-concurrent",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    show_default=True,
    help="Commands at work at once.",
)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip", "collect"]),
    default="fail",
    show_default=True,
    help="A failed item: ends the whole, is left out, or is an object with its error in the result.",
)
def foreach_cmd(data: Data, command_line: str, max_concurrent: int, on_error: OnError) -> Json:
    """Run a command for each item of a list.

    Several at a time if wanted; the results are in the order of the items. No shell is involved. A Kurt command, with or without `kurt` before it, runs inside this process.
    """
    from kurt.app.primitives.foreach import foreach
    from kurt.cli.workflows.items import item_progress, item_runner

    items = data.load()
    with item_progress() as progress:
        results = foreach(
            items,
            command_line,
            run=item_runner(),
            max_concurrent=max_concurrent,
            on_error=on_error,
            progress=progress,
        )
    if on_error == "skip" and len(results) < len(items):
        warn(f"{len(items) - len(results)} of {len(items)} items failed and were left out")
    return results
