"""``memplan export``: a machine's tables in binary form."""

from __future__ import annotations

import os

import click

from memplan.cli.options import load
from memplan.cli.output import write_bytes
from memplan.errors import UsageError


@click.command("export")
@click.argument("machine", type=click.Path())
@click.option("--srat", metavar="FILE", type=click.Path(), help="Write the SRAT to FILE (-: stdout).")
@click.option("--slit", metavar="FILE", type=click.Path(), help="Write the SLIT to FILE (-: stdout).")
def command(machine: str, srat: str | None, slit: str | None) -> None:
    """Write the ACPI tables of MACHINE as binary files (AML), as firmware would have them.

    ``iasl -d`` lists such a file, and the kernel takes one from kernel/firmware/acpi/ in the initrd's head.  A file
    is written whole or not at all.  Exit status: 0; 2 for bad input.
    """
    from memplan.firmware.acpi_encode import encode_slit, encode_srat

    if srat is None and slit is None:
        raise UsageError("nothing to write: name a file with --srat or --slit")
    if srat is not None and slit is not None and os.path.realpath(srat) == os.path.realpath(slit):
        raise UsageError(f"{srat}: --srat and --slit name the same file")
    described = load(machine)
    files: list[tuple[str, bytes]] = []
    if srat is not None:
        if described.srat is None:
            raise UsageError(f"{machine}: the machine has no SRAT (field srat) to write")
        files.append((srat, encode_srat(described.srat)))
    if slit is not None:
        if not described.acpi.slit:
            raise UsageError(f"{machine}: the machine has no SLIT (field acpi.slit) to write")
        files.append((slit, encode_slit(described.acpi.slit)))
    for path, data in files:
        write_bytes(data, path)
