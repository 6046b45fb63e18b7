"""The command line: options that act at once, its copies, and the words that nothing takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.boot.steps.e820 import parse_early_mem, parse_early_memmap
from memplan.boot.steps.swiotlb import setup_io_tlb_npages
from memplan.errors import NotCoveredError
from memplan.owner import Purpose

if TYPE_CHECKING:
    from memplan.boot.context import Boot

#: Words that boot loaders leave on the command line (unknown_bootoption, 6.x).
_LOADER_WORDS = ("BOOT_IMAGE=", "kexec")
#: Handlers that leave all other values to init; None stands for the word alone.
_VALUES: dict[str, tuple[str | None, ...]] = {
    "numa_balancing": ("enable", "disable"),
    "preempt": ("none", "voluntary", "full"),
    "retain_initrd": (None,),
    "ro": (None,),
    "rootwait": (None,),
    "rw": (None,),
    "schedstats": ("enable", "disable"),
    "transparent_hugepage": ("always", "madvise", "never"),
}
#: Words and environment that init can be given (CONFIG_INIT_ENV_ARG_LIMIT), without HOME and TERM.
_MOST_ARGUMENTS = 32
_MOST_ENVIRONMENT = 31


@step("init/main.c")
def parse_early_param(boot: Boot) -> None:
    """Reads the options that act at once, in their order; from here on memblock=debug prints."""
    boot.recorder.logged = True
    for name, value in boot.cmdline.args:
        if name == "mem":
            boot.user_map |= parse_early_mem(boot, value)
        elif name == "memmap":
            boot.user_map |= parse_early_memmap(boot, value)
    setup_io_tlb_npages(boot)
    boot.memblock.movable_node = boot.params.movable_node
    boot.memblock.mirrored_kernelcore = boot.rules.kernelcore_mirror and "mirror" in boot.cmdline.all("kernelcore")
    boot.memblock.kernel_end = boot.params.kernel_end


@step("arch/x86/kernel/setup.c")
def memblock_set_bottom_up(boot: Boot) -> None:
    """Allocate upwards from here to the SRAT where movable_node asks for it, or as the user forces."""
    forced = boot.forced_bottom_up
    boot.memblock.bottom_up = boot.params.movable_node if forced is None else forced
    boot.bottom_up = boot.memblock.bottom_up


@step("init/main.c")
def setup_command_line(boot: Boot) -> None:
    """Copies of the command line, each with its final NUL."""
    for _ in range(boot.rules.command_line_copies):
        boot.memory.alloc_or_panic(
            len(boot.machine.cmdline) + 1, owner=Purpose.COMMAND_LINE, caller="setup_command_line"
        )


@step("init/main.c")
def print_unknown_bootoptions(boot: Boot) -> None:
    """Lists the words that no handler takes, for which it borrows a buffer; 5.14 on (commit 86d1919a4fb0)."""
    unknown = _unknown_options(boot)
    if not unknown:
        return
    size = 1 + sum(1 + len(word) for word in unknown)
    found = boot.memory.alloc(size, owner=Purpose.UNKNOWN_OPTIONS, caller="start_kernel")
    boot.printk(
        f'Unknown kernel command line parameters "{" ".join(unknown)}", will be passed to user space.', warning=False
    )
    if found:
        boot.memory.free(found, found + size, owner=Purpose.UNKNOWN_OPTIONS, caller="start_kernel")


def _unknown_options(boot: Boot) -> list[str]:
    """Words for init (no value) and then for its environment (name=value), in the kernel's order.

    Where they are more than init takes, the kernel lists none, and panics over them later.
    """
    known = boot.kernel.options
    if known is None:
        raise NotCoveredError(
            f"kernel {boot.kernel.name}: the boot options that it handles are not known, so it can't be told for "
            "which words it prints a list of unknown ones"
        )
    arguments: list[str] = []
    environment: dict[str, str] = {}
    for name, value in boot.cmdline.args:
        word = name if value is None else f"{name}={value}"
        option = name.replace("-", "_")
        handled = option in known and (option not in _VALUES or value in _VALUES[option])
        if handled or "." in name or word.startswith(_LOADER_WORDS):
            continue
        if value is None:
            arguments.append(word)
        elif name not in ("HOME", "TERM"):
            environment[name] = word
    if len(arguments) > _MOST_ARGUMENTS or len(environment) > _MOST_ENVIRONMENT:
        return []
    return arguments + list(environment.values())
