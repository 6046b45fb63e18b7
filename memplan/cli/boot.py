"""``memplan boot``: the described machine booted in QEMU with a real kernel, and the plan held against it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from memplan.cli.options import format_option, kernel_option, load, output_option
from memplan.cli.output import write_lines
from memplan.cli.streams import tell
from memplan.printable import printable

#: Seconds between two reports of progress: on a terminal, and elsewhere.
_REDRAW, _REPORT = 0.2, 5.0


@click.command("boot")
@click.argument("machine", type=click.Path())
@click.option(
    "--kernel-image", required=True, metavar="FILE", help="The bzImage to boot; its facts are learned from it."
)
@click.option("--config", metavar="FILE", help="Its configuration, where it isn't inside the image.")
@kernel_option("Its facts, where they are known already (else learned).")
@click.option("--firmware", metavar="FILE", help="EFI firmware, for machines that boot by EFI (else searched for).")
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=300, show_default=True, help="Give up after this time."
)
@click.option("--log", "keep", metavar="FILE", type=click.Path(dir_okay=False), help="Keep the boot's log here.")
@click.option("--initrd", metavar="FILE", type=click.Path(dir_okay=False), help="Keep the guest's initrd here.")
@click.option("--show", is_flag=True, help="Only print QEMU's command line (and write the file of --initrd).")
@format_option("text", "json")
@output_option
def command(
    machine: str,
    kernel_image: str,
    config: str | None,
    kernel: str | None,
    firmware: str | None,
    seconds: float,
    keep: str | None,
    initrd: str | None,
    show: bool,
    format_: str,
    output: str | None,
) -> int:
    """Boot a kernel on MACHINE in QEMU, as near as QEMU can build it, and verify the plan of that boot.

    Where the guest differs from MACHINE, notes say so; the plan is that of the guest.  Exit status: 0 the plan
    equals the boot; 1 it doesn't; 2 for bad input, or where QEMU or the boot fails.
    """
    from memplan import qemu, trial
    from memplan.kernel.load import find_kernel
    from memplan.render.comparison import json_text, text_lines

    described = load(machine)
    image = Path(kernel_image)
    trial.check_image(image)
    qemu.find_program()
    with tempfile.TemporaryDirectory(prefix="memplan-") as name:
        folder = Path(name)
        if kernel is not None:
            facts = find_kernel(kernel)
        else:
            tell(f"learning the facts of {image}")
            facts = trial.learned_kernel(image, Path(config) if config else None, folder)
        guest = qemu.guest_of(described, firmware=firmware, upgrades=trial.takes_tables(facts))
        for note in guest.notes:
            tell(f"note: {note}")
        archive = Path(initrd) if initrd else folder / "initrd.cpio"
        if show:
            import shlex

            words = qemu.command(guest, image, archive)
            if initrd:
                archive.write_bytes(qemu.initrd_of(guest))
            write_lines([shlex.join(words)], output)
            return 0
        log = Path(keep) if keep else folder / "boot.log"
        with _Progress(machine) as progress:
            result = trial.run(guest, image, facts, initrd=archive, log=log, seconds=seconds, progress=progress)
    write_lines([json_text(result, machine)] if format_ == "json" else text_lines(result, machine), output)
    return 0 if result.same else 1


class _Progress:
    """Shows how far the boot has come: one line that is rewritten on a terminal, else a line every few seconds."""

    def __init__(self, name: str) -> None:
        self._name = printable(name, "")
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, lines: int, seconds: float) -> None:
        """Called often, with the number of lines that the guest has printed in so many seconds."""
        if seconds < self._next:
            return
        self._next = seconds + (_REDRAW if self._terminal else _REPORT)
        text = f"booting {self._name}: {lines} lines in {seconds:.0f} s"
        print(f"\r{text}" if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr, flush=True)
