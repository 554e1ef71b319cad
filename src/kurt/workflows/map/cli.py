"""`kurt content map`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from kurt.cli.command import command
from kurt.cli.options import add_background_options
from kurt.cli.session import current
from kurt.errors import KurtError, UsageError

from .config import WEB_METHODS

_URI_WIDTH = 60

_SHOWN = 20
"""Documents that people are shown; all of them are in `kurt content list`."""


def _source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where to look."""
    options = [
        click.argument("url", required=False),
        click.option(
            "--folder",
            type=click.Path(exists=True, file_okay=False),
            help="Search this folder: md, mdx, html, ipynb, txt, pdf, docx.",
        ),
        click.option("--cms", metavar="PLATFORM[:INSTANCE]", help="Search this CMS, such as sanity:prod."),
        click.option("--full", "full_sync", is_flag=True, help="List the CMS from the beginning."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _web_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How to look on a site."""
    options = [
        click.option(
            "--method",
            "discovery_method",
            type=click.Choice(WEB_METHODS),
            help="How to look for pages.  [default: auto: sitemaps, feeds, llms.txt, then links]",
        ),
        click.option("--sitemap-path", metavar="PATH", help="The sitemap, where it is in no usual place."),
        click.option(
            "--max-depth", type=click.IntRange(0, 100), help="Links from the start to the farthest page."
        ),
        click.option("--allow-subdomains", is_flag=True, help="Take pages of the site's other hosts too."),
        click.option("--allow-external", is_flag=True, help="Take pages of all hosts."),
        click.option(
            "--allow-private", is_flag=True, help="Let the site have an address that is not public."
        ),
        click.option(
            "--respect-robots/--ignore-robots",
            default=True,
            help="Whether robots.txt is kept.  [default: it is]",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _config(params: dict[str, Any]) -> dict[str, Any]:
    """The fields of the config that parameters of the command give."""
    platform, _, instance = (params["cms"] or "").partition(":")
    given = {
        "source_url": params["url"],
        "source_folder": params["folder"],
        "cms_platform": platform or None,
        "cms_instance": instance or None,
        "discovery_method": params["discovery_method"] or "auto",
        "include_patterns": list(params["include"]),
        "exclude_patterns": list(params["exclude"]),
    }
    same = ("sitemap_path", "max_depth", "max_pages", "allow_subdomains", "allow_external", "allow_private")
    return {**given, **{name: params[name] for name in (*same, "respect_robots", "full_sync", "dry_run")}}


def _starts(params: dict[str, Any]) -> Any:
    """The run that the command executes."""
    from kurt.engine.starts import RunStart  # noqa: PLC0415 - only steps of a workflow ask

    misplaced = {
        name: "remove it: the step waits for the run, which takes no place in a queue"
        for name in ("background", "priority")
        if params.get(name)
    }
    return RunStart(
        workflow="map", inputs=_config(params), misplaced=misplaced, elsewhere=params["background"] is True
    )


def _view(result: Any) -> list[str]:
    """What was found, for people."""
    if "documents_discovered" not in result:
        if result.get("status") != "queued":  # it has failed, which is said as an error
            return []
        run_id = result["workflow_id"]
        return [f"Workflow started: {run_id}", f"Follow: kurt workflows follow {run_id}"]
    rows = [(row["status"], row["uri"], row["title"] or "") for row in result["rows"]]
    rows += [("error", fault["uri"], fault["error"]) for fault in result["errors"]]
    shown = rows[:_SHOWN]
    width = min(max((len(uri) for _, uri, _ in shown), default=0), _URI_WIDTH)
    lines = [f"{status:<10}  {uri:<{width}}  {text}".rstrip() for status, uri, text in shown]
    if len(rows) > _SHOWN:
        lines.append(f"... and {len(rows) - _SHOWN:,} more: kurt content list")
    return [*lines, _summary(result)]


def _then(result: Mapping[str, Any]) -> list[str]:
    """What can be done next."""
    return ["fetch them: kurt content fetch"] if result["total"] and not result["dry_run"] else []


def _summary(result: Mapping[str, Any]) -> str:
    counted = (
        ("documents_discovered", "new"),
        ("documents_existing", "known"),
        ("documents_changed", "changed"),
        ("documents_renamed", "renamed"),
        ("documents_gone", "gone"),
        ("documents_errors", "errors"),
    )
    always = ("new", "known")
    parts = [f"{result[key]:,} {word}" for key, word in counted if result[key] or word in always]
    documents = "document" if result["total"] == 1 else "documents"
    text = f"{result['total']:,} {documents} by {result['discovery_method']}: {', '.join(parts)}"
    if result["truncated"]:
        text += "; there are more (--max-pages, --max-depth)"
    return f"{text}; nothing was stored (--dry-run)" if result["dry_run"] else text


@command(
    "map",
    view=_view,
    starts_run=_starts,
    epilog="kurt content map https://docs.example.com --include '*/guides/*' --max-pages 500\n"
    "kurt content map --folder ./notes\n"
    "kurt content map --cms sanity:prod --background",
)
@_source_options
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Only addresses that fit: a glob, or re:EXPRESSION."
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="No addresses that fit; may be repeated too."
)
@click.option(
    "--max-pages",
    "--limit",
    "max_pages",
    type=click.IntRange(1, 500_000),
    help="No more documents than this.",
)
@_web_options
@add_background_options()
def map_cmd(background: bool, priority: int | None, **params: Any) -> Any:
    """Find the documents of a site, a folder or a CMS, and note them."""
    from kurt.cli.content_runs import checked, one_of, run_content  # noqa: PLC0415 - commands import what they need when they run

    from .config import MapConfig, with_settings  # noqa: PLC0415 - as above
    from .workflow import run_map  # noqa: PLC0415 - as above

    sources = {"URL": params["url"], "--folder": params["folder"], "--cms": params["cms"]}
    one_of(sources, "kurt content map https://docs.example.com, or --folder PATH, or --cms PLATFORM:INSTANCE")
    _check_options(params)
    inputs = checked(MapConfig, with_settings(_config(params), current().settings()))
    if inputs["source_folder"] is not None:
        inputs["source_folder"] = str(Path(inputs["source_folder"]).absolute())
    secrets = _secrets(inputs) if inputs["cms_platform"] is not None else ()
    return run_content(
        "map", run_map, inputs, background=background, priority=priority, then=_then, secrets=secrets
    )


_ONLY_SITES = {
    "--method": "discovery_method",
    "--sitemap-path": "sitemap_path",
    "--max-depth": "max_depth",
    "--allow-subdomains": "allow_subdomains",
    "--allow-external": "allow_external",
}


def _check_options(params: Mapping[str, Any]) -> None:
    """Refuse what would say nothing about the source that is searched.

    Raises:
        UsageError: naming the option, or an address that is none.
    """
    from kurt.content.identity import canonical_url  # noqa: PLC0415 - as above

    if params["full_sync"] and params["cms"] is None:
        raise UsageError("--full says nothing here: only a CMS is listed by its changes", hint="remove it")
    if params["url"] is None:
        for option, name in _ONLY_SITES.items():
            if params[name]:
                raise UsageError(
                    f"{option} says nothing here: it is for sites", hint="remove it, or give a URL"
                )
        return
    try:
        canonical_url(params["url"])
    except KurtError as error:
        raise UsageError(error.message, hint=error.hint) from None


def _secrets(inputs: dict[str, Any]) -> tuple[str, ...]:
    """The name of the key that the CMS needs; refuses before anything is started what cannot work.

    Raises:
        UsageError: there is no such kind of CMS.
        ConfigError: nothing says where it is.
        CredentialsError: its key is missing.
    """
    from kurt.integrations.cms.registry import access  # noqa: PLC0415 - as above

    found = access(inputs["cms_platform"], inputs["cms_instance"], current().settings())
    return (found.secret_name,) if found.secret is not None else ()
