"""``memplan boot``: the described machine booted in QEMU with a real kernel, and the plan held against it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memplan.cli.options import format_option, load, output_option, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.kernel.model import Kernel


@click.command("boot")
@click.argument("machine", type=click.Path())
@click.option(
    "--kernel-image", required=True, metavar="FILE", help="The bzImage to boot; its facts are learned from it."
)
@click.option("--config", metavar="FILE", help="Its configuration, where it isn't inside the image.")
@click.option("--kernel", metavar="NAME", help="Its facts, where they are known already (else learned).")
@click.option("--seconds", default=300.0, show_default=True, help="Give up after this time.")
@click.option("--log", "keep", metavar="FILE", help="Keep the boot's log here.")
@click.option("--show", is_flag=True, help="Only print QEMU's command line.")
@format_option("text", "json")
@output_option
def command(
    machine: str,
    kernel_image: str,
    config: str | None,
    kernel: str | None,
    seconds: float,
    keep: str | None,
    show: bool,
    format_: str,
    output: str | None,
) -> int:
    """Boot a kernel on MACHINE in QEMU, as near as QEMU can build it, and verify the plan of that boot.

    Exit status: 0 the plan equals the boot; 1 it doesn't; 2 for bad input, or where QEMU or the boot fails.
    """
    import memplan
    from memplan import qemu
    from memplan.firmware.combine import import_files
    from memplan.firmware.dmesg import boot_lines
    from memplan.firmware.source import open_source
    from memplan.render.comparison import json_text, text_lines
    from memplan.verify import compare

    guest = qemu.guest_of(load(machine))
    image = Path(kernel_image)
    with tempfile.TemporaryDirectory(prefix="memplan-") as name:
        folder = Path(name)
        words = qemu.command(guest, image, folder)
        if show:
            import shlex

            write_lines([shlex.join(words)], output)
            return 0
        for note in guest.notes:
            print(f"note: {note}", file=sys.stderr)
        facts = _kernel(kernel, image, config, folder)
        lines = qemu.boot(words, seconds, _progress(machine))
        log = Path(keep) if keep else folder / "boot.log"
        write_lines(lines, str(log))
        found = import_files([log])[0]
        plan = memplan.simulate(found, kernel=facts)
        result = compare(boot_lines(open_source(log)), plan)
    write_lines([json_text(result, machine)] if format_ == "json" else text_lines(result, machine), output)
    return 0 if result.same else 1


def _kernel(name: str | None, image: Path, config: str | None, folder: Path) -> Kernel:
    """The kernel's facts: known ones by name, or learned from the image."""
    from memplan.kernel.load import find_kernel

    if name is not None:
        return find_kernel(name)
    from memplan.kernel.learn import Inputs, learn, to_yaml

    print(f"learning the facts of {image}", file=sys.stderr)
    learned = learn(Inputs(image, config=Path(config) if config else None))
    path = folder / f"{learned.release}.yaml"
    write_lines(to_yaml(learned), str(path))
    return find_kernel(str(path))


def _progress(machine: str) -> Callable[[int], None]:
    """Shows how far the boot has come: one line that is rewritten on a terminal, else one every 200 lines."""
    terminal = sys.stderr.isatty()
    shown = 0

    def show(lines: int) -> None:
        nonlocal shown
        if terminal:
            print(f"\rbooting {machine}: {lines} lines", end="", file=sys.stderr, flush=True)
        elif lines // 200 > shown:
            shown = lines // 200
            print(f"booting {machine}: {lines} lines", file=sys.stderr, flush=True)

    return show
