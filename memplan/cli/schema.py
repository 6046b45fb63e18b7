"""`memplan schema`: the JSON Schema of machine descriptions, for editors."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of machine descriptions."""
    import json

    from memplan.machine.schema import machine_schema

    click.echo(json.dumps(machine_schema(), indent=2))
