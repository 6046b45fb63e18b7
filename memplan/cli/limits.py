"""``memplan limits``: what is not replayed."""

from __future__ import annotations

import click


@click.command("limits")
def command() -> int:
    """List what of early boot is not replayed, and how a plan tells of it.  Exit status: 0."""
    from memplan.boot.limits import LIMITS, UNSEEN, option_limits

    click.echo("A plan whose machine, kernel or options ask for one of these says so:")
    for limit in LIMITS:
        click.echo(f"  {limit.name}: {limit.what}")
    click.echo("Boot options that are not replayed; a plan names them:")
    for word, effect in sorted(option_limits().items()):
        click.echo(f"  {word}: {effect}")
    click.echo("Not replayed, and no plan can warn of it:")
    for text in UNSEEN:
        click.echo(f"  {text}")
    return 0
