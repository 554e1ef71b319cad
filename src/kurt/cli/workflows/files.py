"""`kurt workflows graph` and `schema`: about workflow files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kurt.cli.command import command
from kurt.cli.options import complete_workflow_file
from kurt.cli.session import current

if TYPE_CHECKING:
    from kurt.types import Json


@command("graph", epilog="kurt workflows graph pages\nkurt workflows graph pages.yaml --as svg > pages.svg")
@click.argument("target", metavar="FILE|NAME", shell_complete=complete_workflow_file)
@click.option(
    "--as",
    "notation",
    type=click.Choice(["mermaid", "dot", "svg"]),
    default="mermaid",
    show_default=True,
    help="How the graph is written.",
)
def graph_cmd(target: str, notation: str) -> Json:
    """Draw the steps of a workflow file."""
    from kurt.app.files import draw

    return draw(current().settings(), target, notation)


@command(
    "schema",
    epilog="kurt workflows schema > kurt-workflow.schema.json\n"
    "kurt workflows schema --tests > kurt-test.schema.json",
)
@click.option("--tests", is_flag=True, help="That of test files.")
def schema_cmd(tests: bool) -> Json:
    """Print the JSON Schema of workflow files.

    With the step kinds of this project; editors use it to complete and check.
    """
    if tests:
        from kurt.engine.cases.jsonschema import case_schema

        return case_schema()
    from kurt.app.files import schema

    return schema(current().settings())
