"""`kurt content fetch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from kurt.cli.command import Outcome, command
from kurt.cli.options import add_background_options
from kurt.cli.session import current
from kurt.errors import CredentialsError, KurtError, NotFoundError, UsageError

_ENGINES = ("auto", "http", "playwright", "firecrawl", "tavily", "jina", "file", "cms")
_STATES = ("discovered", "fetched", "error", "gone")
_SOURCES = ("url", "file", "cms")
_SHOWN = 20
"""Documents that people are shown; all of them are in `kurt content list`."""

_SAME = (
    *("limit", "url_contains", "file_ext", "source_type", "engine", "refetch", "full", "respect_robots"),
    *("allow_private", "concurrency", "delay", "embed", "dry_run"),
)
"""Parameters that are fields of the config under the same name."""


def _named_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Documents by their names."""
    options = [
        click.argument("documents", nargs=-1, metavar="[ID|URL]..."),
        click.option("--ids", metavar="ID,ID", help="Documents by their ids, commas between."),
        click.option(
            "--url", multiple=True, metavar="URL", help="A web page, known or not; may be repeated."
        ),
        click.option("--urls", metavar="URL,URL", help="Several of them, commas between."),
        click.option("--file", multiple=True, metavar="PATH", help="A file of the project; may be repeated."),
        click.option("--files", metavar="PATH,PATH", help="Several of them, commas between."),
    ]
    return _with(options, function)


def _choice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Documents by what they are."""
    options = [
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="Only addresses that fit: a glob, or re:EXPRESSION.",
        ),
        click.option("--exclude", multiple=True, metavar="PATTERN", help="No addresses that fit."),
        click.option(
            "--with-status", multiple=True, type=click.Choice(_STATES), help="Only documents in this state."
        ),
        click.option("--limit", type=click.IntRange(1), help="No more documents than this."),
        click.option("--url-contains", metavar="TEXT", help="Only addresses with this text."),
        click.option("--file-ext", metavar="EXT", help="Only addresses that end so, such as pdf."),
        click.option("--source-type", type=click.Choice(_SOURCES), help="Only documents from such a source."),
    ]
    return _with(options, function)


def _manner_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How they are got."""
    options = [
        click.option(
            "--engine",
            type=click.Choice(_ENGINES),
            help="What gets web pages.  [default: auto, which is http]",
        ),
        click.option(
            "--refetch", is_flag=True, help="Ask again for what is here; unchanged pages are not sent again."
        ),
        click.option("--full", is_flag=True, help="Have unchanged pages sent and read again too."),
        click.option(
            "--respect-robots/--ignore-robots",
            default=True,
            help="Whether robots.txt is kept.  [default: it is]",
        ),
        click.option("--allow-private", is_flag=True, help="Let servers have addresses that are not public."),
        click.option(
            "--concurrency", type=click.IntRange(1, 200), help="Documents at work at once.  [default: 20]"
        ),
        click.option(
            "--delay",
            type=click.FloatRange(0, 3600),
            help="Seconds between two requests to a server.",
        ),
        click.option(
            "--embed/--no-embed", default=True, help="Whether vectors are made.  [default: they are]"
        ),
    ]
    return _with(options, function)


def _with(options: list[Callable[..., Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        function = option(function)
    return function


def _config(params: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the config that parameters of the command give."""
    given: dict[str, Any] = {name: params[name] for name in _SAME}
    given = {name: value for name, value in given.items() if value is not None}
    given |= {
        "documents": list(params["documents"]) or None,
        "ids": _names((), params["ids"]),
        "urls": _names(params["url"], params["urls"]),
        "files": _names(params["file"], params["files"]),
        "include_patterns": list(params["include"]),
        "exclude_patterns": list(params["exclude"]),
        "with_status": list(params["with_status"]),
    }
    return given


def _names(single: tuple[str, ...], several: str | None) -> list[str] | None:
    """All names; None, which is no choice, where the option was not given."""
    if not single and several is None:
        return None
    return [*single, *(name.strip() for name in (several or "").split(",") if name.strip())]


def _starts(params: dict[str, Any]) -> Any:
    """The run that the command executes."""
    from kurt.engine.starts import RunStart  # noqa: PLC0415 - only steps of a workflow ask

    misplaced = {
        name: "remove it: the step waits for the run, which takes no place in a queue"
        for name in ("background", "priority")
        if params.get(name)
    }
    return RunStart(
        workflow="fetch", inputs=_config(params), misplaced=misplaced, elsewhere=params["background"] is True
    )


def _view(result: Any) -> list[str]:
    """What came of it, for people."""
    if "rows" not in result:
        if result.get("status") != "queued":  # it has failed, which is said as an error
            return []
        run_id = result.get("run_id") or result["workflow_id"]
        return [f"Workflow started: {run_id}", f"Follow: kurt workflows follow {run_id}"]
    lines = [_line(row) for row in result["rows"][:_SHOWN]]
    if len(result["rows"]) > _SHOWN:
        lines.append(f"... and {len(result['rows']) - _SHOWN:,} more: kurt content list")
    return [*lines, _summary(result)]


def _line(row: Mapping[str, Any]) -> str:
    return f"{row['status']:<10}  {row['uri']}  {row['error'] or row['path'] or ''}".rstrip()


def _summary(result: Mapping[str, Any]) -> str:
    documents = "document" if result["total"] == 1 else "documents"
    if result["dry_run"]:
        return f"{result['total']:,} {documents} would be fetched (--dry-run)"
    counted = (("unchanged_count", "unchanged"), ("skipped_count", "skipped"), ("gone_count", "gone"))
    parts = [f"{result['success_count']:,} fetched", f"{result['error_count']:,} errors"]
    parts += [f"{result[key]:,} {word}" for key, word in counted if result[key]]
    return f"{result['total']:,} {documents}: {', '.join(parts)}"


def _then(result: Mapping[str, Any]) -> list[str]:
    """What can be done where nothing was meant."""
    if result["total"]:
        return []
    return [
        "no document is meant; those whose text is here are asked for again by --refetch: kurt content list"
    ]


def _check_addresses(inputs: Mapping[str, Any]) -> None:
    """Refuse addresses that can be none before anything is started.

    Raises:
        UsageError: one is no web address, or no file of the project.
    """
    from kurt.content.identity import canonical_url, file_path, file_uri  # noqa: PLC0415 - as below

    root = str(current().settings().root)
    try:
        for text in inputs["urls"] or ():
            canonical_url(text)
        for text in inputs["files"] or ():
            uri = file_uri(file_path(text, root) if text.startswith("file:") else text, root)
            if uri.startswith("file:///"):
                raise UsageError(
                    f"{text!r} is not in the project", hint="map its folder: kurt content map --folder PATH"
                )
    except KurtError as error:
        raise UsageError(error.message, hint=error.hint) from None


def _ended(result: Any) -> Any:
    """A run all of whose documents failed has done nothing: the command fails."""
    if not isinstance(result, dict) or "rows" not in result:
        return result
    failed = result["error_count"] + result["gone_count"]
    if not failed or failed < result["total"]:
        return result
    codes = {row["code"] for row in result["rows"]}
    if CredentialsError.code in codes:
        return Outcome(result, exit_code=CredentialsError.exit_code)
    return Outcome(result, exit_code=NotFoundError.exit_code if codes == {NotFoundError.code} else 1)


@command(
    "fetch",
    view=_view,
    starts_run=_starts,
    epilog="kurt content fetch\n"
    "kurt content fetch --url https://docs.example.com/start\n"
    "kurt content fetch --include '*/guides/*' --limit 100 --background\n"
    "kurt content fetch --with-status error",
)
@_named_options
@_choice_options
@_manner_options
@add_background_options()
def fetch_cmd(background: bool, priority: int | None, **params: Any) -> Any:
    """Get the texts of documents as Markdown, and make them searchable."""
    from kurt.cli.content_runs import checked, run_content  # noqa: PLC0415 - commands import what they need when they run

    from .config import FetchConfig, with_settings  # noqa: PLC0415 - as above
    from .workflow import run_fetch  # noqa: PLC0415 - as above

    def run(inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_fetch(config=inputs, **options)

    inputs = checked(FetchConfig, with_settings(_config(params), current().settings()))
    _check_addresses(inputs)
    secrets = _secrets(inputs["engine"])
    result = run_content(
        "fetch", run, inputs, background=background, priority=priority, then=_then, secrets=secrets
    )
    if isinstance(result, Outcome):
        if result.error is None and isinstance(ended := _ended(result.value), Outcome):
            return Outcome(ended.value, exit_code=ended.exit_code, closing=result.closing)
        return result
    return _ended(result)


def _secrets(engine: str) -> tuple[str, ...]:
    """The name of the key that an engine needs; refuses before anything is started what cannot work.

    Raises:
        UsageError: the engine needs a library that is not installed.
    """
    from .needs import check_library, key_of  # noqa: PLC0415 - as above

    check_library(engine)
    key = key_of(engine)
    return (key,) if key is not None and current().settings().secret(key) is not None else ()
