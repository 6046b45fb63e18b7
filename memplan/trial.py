"""One trial: the described machine booted in QEMU with a real kernel, and the plan of that boot held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan import qemu
from memplan.errors import InputError
from memplan.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from memplan.kernel.model import Kernel
    from memplan.qemu import Guest
    from memplan.verification import Comparison


def learned_kernel(image: Path, config: Path | None, folder: Path) -> Kernel:
    """The facts of the build that `image` is of; its kernel file is left in `folder`.

    Raises InputError and UsageError as :func:`memplan.kernel.learn.learn` does.
    """
    from memplan.kernel.learn import Inputs, learn, to_yaml
    from memplan.kernel.load import find_kernel

    learned = learn(Inputs(image, config=config))
    path = folder / f"{learned.release}.yaml"
    path.write_text("\n".join(to_yaml(learned)) + "\n", encoding="utf-8")
    return find_kernel(str(path))


def check_image(image: Path) -> None:
    """Raises InputError where `image` is nothing that QEMU can boot as a kernel."""
    from memplan.kernel.bzimage import is_bzimage
    from memplan.kernel.learn import MOST_IMAGE

    if not is_bzimage(read_regular(image, MOST_IMAGE, "a bzImage")):
        raise InputError.single(
            str(image),
            "is no bzImage (there is no setup header at 0x1f1), so QEMU can't boot it",
            hint="take the distribution's /boot/vmlinuz-…, or arch/x86/boot/bzImage of a build",
        )


def takes_tables(kernel: Kernel) -> bool:
    """Whether the kernel takes ACPI tables from an initrd, by either of the option's names."""
    return kernel.config("ACPI_TABLE_UPGRADE") or kernel.config("ACPI_INITRD_TABLE_OVERRIDE")


def run(
    guest: Guest,
    image: Path,
    kernel: Kernel,
    *,
    initrd: Path,
    log: Path,
    seconds: float,
    progress: Callable[[int, float], None],
) -> Comparison:
    """Boot `guest`, plan the machine that its log tells of with the facts of `kernel`, and compare.

    The guest's initrd is left at `initrd`, its log at `log`.  Raises UsageError where QEMU is not installed, and
    MemplanError where the kernel does not come to the hand-over of memory.
    """
    from memplan.verification import verify

    words = qemu.command(guest, image, initrd)
    initrd.write_bytes(qemu.initrd_of(guest))
    lines = qemu.boot(words, seconds, progress)
    log.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
    return verify(log, kernel=kernel)
