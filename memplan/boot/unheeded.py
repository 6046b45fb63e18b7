"""Boot options about memory that the kernel does not heed: misspelt ones, and those of other kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.kernel.model import Kernel
    from memplan.machine.cmdline import CommandLine

#: Options that decide what early boot does with memory.
MEMORY_OPTIONS = (
    "acpi",
    "cma",
    "crashkernel",
    "debug_pagealloc",
    "default_hugepagesz",
    "dhash_entries",
    "hashdist",
    "hugepages",
    "hugepagesz",
    "hugetlb_cma",
    "ihash_entries",
    "kernelcore",
    "log_buf_len",
    "mem",
    "memblock",
    "memmap",
    "memory_corruption_check",
    "memory_corruption_check_size",
    "memtest",
    "mminit_loglevel",
    "movable_node",
    "movablecore",
    "no5lvl",
    "nogbpages",
    "nokaslr",
    "numa",
    "reserve_mem",
    "reservelow",
    "swiotlb",
    "vmalloc",
)
#: Those that need no handler: the decompressor reads them, or the kernel searches the command line itself.
_WITHOUT_HANDLER = frozenset({"crashkernel", "nokaslr", "no5lvl"})
#: A shorter word is near to too many others.
_LEAST_LENGTH = 4
_NEAR = 0.8


class Unheeded(NamedTuple):
    """An option that does nothing: its name as it is written, the option that is `meant` (None: this one), and why."""

    name: str
    meant: str | None
    text: str


def misspelt(cmdline: CommandLine, kernel: Kernel) -> Iterator[Unheeded]:
    """Words that no handler takes and that are nearly an option about memory."""
    known = kernel.options or frozenset()
    for name in dict.fromkeys(name for name, _ in cmdline.args):
        word = name.replace("-", "_")
        if word in MEMORY_OPTIONS or word in known or len(word) < _LEAST_LENGTH or "." in word:
            continue
        from difflib import get_close_matches

        for near in get_close_matches(word, MEMORY_OPTIONS, 1, _NEAR):
            yield Unheeded(name, near, f"{name} is no option of Linux; {near} is")


def of_other_kernels(cmdline: CommandLine, kernel: Kernel) -> Iterator[Unheeded]:
    """Options about memory for which this kernel has no handler; none where its options are not known."""
    if kernel.options is None:
        return
    for name in dict.fromkeys(name for name, _ in cmdline.args):
        word = name.replace("-", "_")
        if word in MEMORY_OPTIONS and word not in kernel.options and word not in _WITHOUT_HANDLER:
            yield Unheeded(name, None, f"this kernel, {kernel.name}, has no option {name}")


def unheeded(cmdline: CommandLine, kernel: Kernel) -> tuple[Unheeded, ...]:
    """All options about memory that do nothing in this boot for being unknown."""
    return (*misspelt(cmdline, kernel), *of_other_kernels(cmdline, kernel))
