"""``memplan advise``: the smallest change that gives what is wanted."""

from __future__ import annotations

import click

from memplan.cli.bar import Bar
from memplan.cli.options import OTHER_KERNEL, format_option, kernel_option, load, output_option, set_option
from memplan.cli.output import write_lines
from memplan.errors import UsageError


@click.command("advise")
@click.argument("machine", type=click.Path())
@click.option(
    "--want",
    "wanted",
    metavar="WISH",
    multiple=True,
    required=True,
    help="removable:nodeN, removable:all, crashkernel, crashkernel>=SIZE or boots; may be given more than once.",
)
@kernel_option(OTHER_KERNEL)
@set_option()
@click.option("--apply", "applied", metavar="FILE", type=click.Path(dir_okay=False), help="Write the changed machine.")
@format_option("table", "json")
@output_option
def command(
    machine: str,
    wanted: tuple[str, ...],
    kernel: str | None,
    sets: tuple[str, ...],
    applied: str | None,
    format_: str,
    output: str | None,
) -> int:
    """Find the smallest change to MACHINE that gives all that is wanted, or tell what nobody can move.

    Every change is tried by planning it.  Exit status: 0; 1 where no change gives it; 2 for bad input.
    """
    import json
    import shlex

    from memplan.advise.search import advise, settings_of
    from memplan.machine.fields import FrozenMap
    from memplan.sweep.case import kernel_of
    from memplan.sweep.settings import setting_words
    from memplan.sweep.wants import read_want

    if applied is not None and applied == output:
        raise UsageError("--apply and --output name the same file")
    described = load(machine, sets)
    wants = [read_want(text) for text in wanted]
    with Bar("trying changes") as bar:
        advice = advise(described, kernel_of(described, kernel), wants, bar.plans)
    simulate = shlex.join(
        [
            *("memplan", "simulate", machine),
            *(("--kernel", kernel) if kernel is not None else ()),
            *(word for text in sets for word in ("--set", text)),
            *setting_words(described, settings_of(advice.steps)),
        ]
    )
    if format_ == "json":
        from memplan.render.advice_json import advice_document

        document = advice_document(machine, kernel, wanted, advice, simulate)
        write_lines(json.dumps(document, indent=2).splitlines(), output)
    else:
        from memplan.render.advice import advice_lines

        write_lines(advice_lines(wanted, advice, simulate), output)
    if advice.refusal is not None:
        return 1
    if applied is not None:
        from memplan.machine.dump import dump_machine

        changed = advice.machine
        if kernel is not None:
            changed = changed._replace(kernel=changed.kernel._replace(build=kernel, overrides=FrozenMap()))
        write_lines(dump_machine(changed).splitlines(), applied)
    return 0
