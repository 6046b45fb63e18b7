"""``memplan import``: a machine description from logs, ACPI tables and other real sources."""

from __future__ import annotations

import click

from memplan.cli.options import kernel_option, output_option
from memplan.cli.output import write_lines
from memplan.cli.streams import tell
from memplan.errors import InputError, UsageError


@click.command("import")
@click.argument("sources", nargs=-1, metavar="SOURCE...", type=click.Path())
@output_option
@click.option("--force", is_flag=True, help="Use what can be used of damaged sources.")
@click.option("--live", is_flag=True, help="This computer is the first source, as far as your rights go.")
@kernel_option("The kernel: a version, a build, or a file, whatever the log says.")
@click.option("--boot", metavar="N", type=click.IntRange(1), help="Take the Nth boot of a log that holds several.")
def command(
    sources: tuple[str, ...], output: str | None, force: bool, live: bool, kernel: str | None, boot: int | None
) -> int:
    """Make a machine description from real sources, later ones filling in and overriding earlier ones.

    SOURCE is a boot log, ACPI tables (binary files, a folder of them, acpidump's text, iasl's listings), a copy of
    /sys/firmware/memmap, /proc/iomem, an EFI memory map, or memory blocks (/sys/devices/system/memory, a copy or tar
    of it, its files as text, what lsmem prints); "-" is standard input.  Each is told by its content.
    Exit status: 0; 2 for bad input.
    """
    if not sources and not live:
        raise UsageError("nothing to import: name at least one SOURCE, or give --live")

    from memplan.firmware.combine import import_files
    from memplan.machine.dump import dump_machine
    from memplan.machine.load import parse_machine

    machine, comments, notes = import_files(sources, force=force, live=live, boot=boot or 0, kernel=kernel)
    text = dump_machine(machine, comments)
    try:
        parse_machine(text, output or "<stdout>")
    except InputError as error:
        # Sources may tell what no plan can be made of; the user may want to mend that.
        notes += [f"{problem}: to be mended before a plan can be made" for problem in error.problems]
    for note in notes:
        tell(note)
    write_lines(text.splitlines(), output)
    return 0
