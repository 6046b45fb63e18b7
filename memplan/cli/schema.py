"""``memplan schema``: JSON Schemas, of machine descriptions for editors and of the output for programs."""

from __future__ import annotations

from typing import Any

import click


@click.command("schema")
@click.argument("what", type=click.Choice(("machine", "plan", "diff")), default="machine")
def command(what: str) -> None:
    """Print the JSON Schema of machine descriptions, of plans or of diffs.

    plan and diff are what `simulate` and `diff` write with --format json.
    """
    import json

    click.echo(json.dumps(_schema(what), indent=2))


def _schema(what: str) -> dict[str, Any]:
    if what == "machine":
        from memplan.machine.schema import machine_schema

        return machine_schema()
    from memplan.render.schema import diff_schema, plan_schema

    return plan_schema() if what == "plan" else diff_schema()
