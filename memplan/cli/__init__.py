"""The command line: one group, and one small module a command, imported when the command runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from memplan.errors import MemplanError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Command -> its module in memplan.cli and its line in the list of commands.
COMMANDS = {
    "simulate": ("simulate", "Print the plan of one machine: reserved ranges, page tables, what can be removed."),
    "diff": ("diff", "Compare two plans: machines, kernels, command lines or directions."),
    "import": ("import_", "Make a machine description from logs, ACPI tables and other real sources."),
    "export": ("export", "Write a machine's tables in binary form."),
    "kernel": ("kernel", "Learn the facts of a kernel build."),
    "verify": ("verify", "Compare the plan with what a real kernel did."),
    "boot": ("boot", "Boot the described machine in QEMU and verify the plan."),
    "check": ("check", "Check firmware tables and boot options by rules."),
    "schema": ("schema", "Print the JSON Schema of machine descriptions, or of the JSON output."),
}
#: Exit status: the answer is "no"; the input or the usage is bad.
STATUS_NO = 1
STATUS_INPUT = 2


class LazyGroup(click.Group):
    """A group whose commands' modules are imported only when they are run, not to be listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands whose modules are installed, in the table's order."""
        return [name for name, (module, _) in COMMANDS.items() if _exists(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name; None where there is none."""
        if cmd_name not in COMMANDS or not _exists(COMMANDS[cmd_name][0]):
            return None
        from importlib import import_module

        command: click.Command = import_module(f"memplan.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own, with the nearest right name for a misspelt one."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(ctx), 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        rows = [(name, COMMANDS[name][1]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _exists(module: str) -> bool:
    import os

    return any(os.path.exists(os.path.join(folder, f"{module}.py")) for folder in __path__)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"memplan {version('memplan')}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def group() -> None:
    """Plan what Linux does with physical memory in early boot, and what of it can be removed again.

    Exit status: 0 fine; 1 the answer is "no"; 2 the input or the usage is bad.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status (SystemExit)."""
    sys.exit(_run(args))


def _run(args: Sequence[str] | None) -> int:
    try:
        status = group.main(args, prog_name="memplan", standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        print("memplan: interrupted", file=sys.stderr)
        return 130
    except click.ClickException as error:
        error.show()
        return STATUS_INPUT
    except MemplanError as error:
        print(error, file=sys.stderr)
        return STATUS_INPUT
    except BrokenPipeError:
        return _closed_pipe()
    except OSError as error:
        print(f"{error.filename or 'memplan'}: {error.strerror or error}", file=sys.stderr)
        return STATUS_INPUT
    return status if isinstance(status, int) else 0


def _closed_pipe() -> int:
    """The reader of stdout has gone (``| head``): not an error, and nothing more may be written."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
