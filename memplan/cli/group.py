"""The group of all commands; it imports a command's module when that command is asked for."""

from __future__ import annotations

import os
from io import StringIO
from typing import Any

import click

from memplan.cli import COMMANDS, COMPLETION, available, help_text


class LazyGroup(click.Group):
    """A group that knows its commands by name only."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands whose modules are there."""
        return available()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name; None where there is none."""
        if cmd_name not in available():
            return None
        from importlib import import_module

        from memplan.cli.examples import examples_text

        command: click.Command = import_module(f"memplan.cli.{COMMANDS[cmd_name][0]}").command
        command.epilog = examples_text(cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own, with the nearest right name for a misspelt one."""
        name = args[0]
        if not name.startswith("-") and name not in available():
            from difflib import get_close_matches

            near = get_close_matches(name, available(), 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        """The help that is printed without click, too."""
        return help_text()


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from memplan import __version__

        click.echo(f"memplan {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version)
def group() -> None:
    """The memplan command; its help is memplan.cli.help_text."""


def run(words: list[str]) -> Any:
    """Run the command of `words`; what it returns, or its status where it ends early (``--help``).

    Errors are left to the caller, those of a closed pipe as well, which click would make a status of its own.
    """
    if instruction := os.environ.get(COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(group, {}, "memplan", COMPLETION, instruction)
    try:
        with group.make_context("memplan", list(words)) as context:
            return group.invoke(context)
    except click.exceptions.Exit as error:
        return error.exit_code


def told(error: click.ClickException) -> str:
    """The message of `error` as click words it, with the usage it belongs to."""
    text = StringIO()
    error.show(file=text)
    return text.getvalue().rstrip("\n")
