"""What a boot's own log tells of the state after boot: MemTotal, and the size of memory blocks.

A plan of the boot tells the same where the machine and the build's facts are exact; a log tells it for any kernel.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from memplan.firmware.source import open_source
from memplan.klog.layout import kernel_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_LINES = 200_000
_MEMORY = re.compile(r"(?a)Memory: (\d{1,20})K/(\d{1,20})K available \((.*)\)")
_PART = re.compile(r"(?a)(\d{1,20})K ([a-z-]+(?: [a-z-]+)*)")
_FREEING = re.compile(r"(?a)Freeing (.*?)(?: memory)?: (\d{1,20})[kK]")
_BLOCK_SIZE = re.compile(r"(?a)x86/mm: Memory block size: (\d{1,20})MB")
_INITRD = "initrd"
_LOCKS = "SMP alternatives"


class BootLog(NamedTuple):
    """What the log tells, in bytes; None for what it does not.

    `block_size` is that of memory blocks, `handed_over` what the page allocator had in mem_init's line, `freed` what of
    the image was freed behind that line, `initrd` the same of the initrd, `locks_before` whether the alternatives for
    one CPU had been freed before.
    """

    block_size: int | None
    handed_over: int | None
    freed: int | None
    initrd: int | None
    locks_before: bool


def read_boot_log(path: str) -> BootLog:
    """What the first boot in the log at `path` tells.  Raises InputError where it can't be read."""
    block_size = handed_over = freed = initrd = None
    locks = locks_before = False
    for text in _lines(path):
        if handed_over is None:
            found = _MEMORY.search(text)
            if found is not None:
                parts = {name: int(size) for size, name in _PART.findall(found[3])}
                # CMA's areas are handed over later, but counted from then on.
                handed_over = (int(found[2]) - parts.get("reserved", 0)) << 10
                locks_before = locks
                continue
        size_line = _BLOCK_SIZE.match(text)
        if size_line is not None and block_size is None:
            block_size = int(size_line[1]) << 20
        freeing = _FREEING.match(text)
        if freeing is None:
            if handed_over is not None and text.startswith("Linux version "):
                break
            continue
        what, size = freeing[1], int(freeing[2]) << 10
        locks = locks or what.startswith(_LOCKS)
        if handed_over is None:
            continue
        if what.startswith(_INITRD):
            initrd = (initrd or 0) + size
        elif what.startswith(("unused", "init", _LOCKS)):
            freed = (freed or 0) + size
    return BootLog(block_size, handed_over, freed, initrd, locks_before)


def _lines(path: str) -> Iterator[str]:
    for line in kernel_lines(open_source(Path(path))):
        if line.number > _MOST_LINES:
            return
        yield line.text
