"""The command line: its entry point, its list of commands and its help.

This module imports next to nothing, so that ``memplan --help`` answers at once; click comes in with
memplan/cli/group.py, and each command with the module of its own when it runs.
"""

from __future__ import annotations

import gc
import os
import sys

from memplan.cli.streams import drop_output, prepare, settle, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Command -> its module in memplan.cli and its line in the list of commands.
COMMANDS = {
    "simulate": ("simulate", "Print one machine's plan: what is reserved, what can be removed."),
    "explain": ("explain", "Explain an address, node, owner, step, rule or key."),
    "map": ("map", "Draw what holds the memory of each node."),
    "diff": ("diff", "Compare two plans: machines, kernels, boot options, directions."),
    "report": ("report", "Write an HTML page: the map, the boot as a film."),
    "init": ("init", "Write a commented machine description to start from."),
    "sweep": ("sweep", "Plan many cases: KASLR's places, values, machines, kernels."),
    "history": ("history", "Tell which versions change a verdict, and by which rule."),
    "advise": ("advise", "Find the smallest change that gives what is wanted."),
    "import": ("import_", "Make a machine description from logs, ACPI tables and the like."),
    "export": ("export", "Write a machine's tables in binary form."),
    "kernel": ("kernel", "Learn the facts of a kernel build."),
    "verify": ("verify", "Compare the plan with what a real kernel did."),
    "boot": ("boot", "Boot the described machine in QEMU and verify the plan."),
    "check": ("check", "Check firmware tables and boot options by rules."),
    "limits": ("limits", "List what is modelled, and what is not."),
    "hotadd": ("hotadd", "Tell what becomes of memory that is added after boot."),
    "schema": ("schema", "Print the JSON Schema of machine descriptions and of output."),
}
_HELP = """\
Usage: memplan [OPTIONS] COMMAND [ARGS]...

  Plan what Linux does with physical memory in early boot, and what of it can
  be removed again.

  Exit status: 0 fine; 1 the answer is "no"; 2 the input or the usage is bad;
  130 interrupted.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
"""
#: The variable by which a shell asks for completions (see click.shell_completion).
COMPLETION = "_MEMPLAN_COMPLETE"
_INPUT_ERROR = 2
_INTERRUPTED = 130
#: Seconds in which an interrupt that was lost comes again.
_A_LITTLE = 0.001
#: One short run makes hardly any cycles; looking for them as often as by default costs a tenth of the start.
ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status (SystemExit)."""
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    try:
        prepare()
        status = _run(sys.argv[1:] if args is None else list(args))
        settle()
    except KeyboardInterrupt:
        tell("memplan: interrupted")
        settle()
        status = _INTERRUPTED
    # The process ends here: looking through all that is left for cycles would take as long as a plan.
    gc.freeze()
    sys.exit(status)


def available() -> list[str]:
    """The commands whose modules are there, in the table's order."""
    files = {name for folder in __path__ for name in os.listdir(folder)}
    return [name for name, (module, _) in COMMANDS.items() if f"{module}.py" in files]


def help_text() -> str:
    """What ``memplan --help`` prints, without the last line end."""
    names = available()
    # Not by map(): once it is imported, that is the command of this name here.
    width = max(len(name) for name in names)
    return _HELP + "\n".join(f"  {name:{width}}  {COMMANDS[name][1]}" for name in names)


def _run(words: list[str]) -> int:
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout has gone (``| head``): not an error, and nothing more may be written.
        drop_output()
        return 0
    except OSError as error:
        place = f"{error.filename}:" if error.filename else "standard output: can't be written:"
        tell(f"{place} {error.strerror or error}")
        return _INPUT_ERROR
    except MemoryError:
        tell("memplan: there is not enough memory for this")
        return _INPUT_ERROR
    except Exception as error:
        if os.environ.get("MEMPLAN_DEBUG"):
            raise
        tell(_internal(error))
        return _INPUT_ERROR
    return status


def _dispatch(words: list[str]) -> int:
    if words in ([], ["-h"], ["--help"]) and COMPLETION not in os.environ:
        print(help_text(), file=sys.stdout if words else sys.stderr)
        return 0 if words else _INPUT_ERROR
    _heed_signals()
    import click

    from memplan.cli.group import run, told
    from memplan.errors import MemplanError

    try:
        status = run(words)
    except click.exceptions.Abort as error:
        raise KeyboardInterrupt from error
    except click.ClickException as error:
        tell(told(error))
        return _INPUT_ERROR
    except MemplanError as error:
        tell(str(error))
        return _INPUT_ERROR
    finally:
        _heed_no_more()
    return status if isinstance(status, int) else 0


def _heed_signals() -> None:
    """End by exception where a signal asks for it, so that what was begun is undone; what is ignored stays so."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminated)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
        sys.unraisablehook = _unheard


def _heed_no_more() -> None:
    """What was to interrupt a command that is over comes no more."""
    import signal

    signal.setitimer(signal.ITIMER_REAL, 0)


def _terminated(number: int, _: object) -> None:
    sys.exit(128 + number)


def _interrupted(number: int, _: object) -> None:
    """Takes the first interrupt alone: a second one would keep the first from being cleaned up after."""
    import signal

    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _unheard(lost: sys.UnraisableHookArgs) -> None:
    """Where an interrupt comes while a generator is thrown away, nobody hears of it: it comes again a little later."""
    import signal

    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
        return
    signal.signal(signal.SIGALRM, _interrupted)
    signal.setitimer(signal.ITIMER_REAL, _A_LITTLE)


def _internal(error: Exception) -> str:
    """A message for an error that should have been a better one: what it is and where it came up."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" ({os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno})" if place else ""
    name = type(error).__name__
    return f"memplan: internal error: {name}: {error}{where}; with MEMPLAN_DEBUG=1 it shows its traceback"
