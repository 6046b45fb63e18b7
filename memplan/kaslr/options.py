"""What the decompressor reads from the command line: memory that the kernel must keep away from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.machine.cmdline import command_line
from memplan.units import GIB, leading_number, memparse

if TYPE_CHECKING:
    from memplan.kernel.rules import Rules

#: MAX_MEMMAP_REGIONS: so many ranges of memmap= it can avoid.
_MOST_RANGES = 4
#: The buffer for the value of memmap= where only the last one counts.
_LONGEST_VALUE = 127
#: EFI_MEMORY_SP, the attribute of soft-reserved memory.
_SPECIAL_PURPOSE = 0x40000


class MemoryOptions(NamedTuple):
    """`avoid` are ranges [start, end); above `limit` (None: there is none) nothing is taken.

    `spared` counts the gigantic pages to be left free; `gives_up` is True where the kernel stays where it is.
    """

    avoid: tuple[tuple[int, int], ...] = ()
    limit: int | None = None
    spared: int = 0
    gives_up: bool = False


def memory_options(cmdline: str, rules: Rules) -> MemoryOptions:
    """What `cmdline` asks of the decompressor (handle_mem_options; mem_avoid_memmap alone before 4.13)."""
    way = rules.kaslr_mem_options
    if way == "none":
        return MemoryOptions()
    reader = _Reader(rules)
    args = command_line(cmdline).args
    if way == "last memmap":
        values = [value for name, value in args if name == "memmap" and value is not None]
        if values:
            reader.memmap(values[-1][:_LONGEST_VALUE])
        return reader.result()
    for name, value in args:
        if name == "memmap":
            reader.memmap(value)
        elif "hugepages" in name and rules.kaslr_gb_pages != "none":
            reader.hugepages(name, value or "")
        elif name == "mem" and value is not None and value != "nopentium":
            size = memparse(value)[0]
            if not size:
                break
            reader.limit(size)
        elif name == "efi_fake_mem" and rules.kaslr_efi_fake_mem:
            reader.efi_fake_mem(value or "")
    return reader.result()


class _Reader:
    """The walk over the words, with what it has found so far."""

    def __init__(self, rules: Rules) -> None:
        self._way = rules.kaslr_mem_options
        self._avoid: list[tuple[int, int]] = []
        self._limit: int | None = None
        self._whole_counts = rules.kaslr_gb_pages_whole
        self._gigantic = False
        self._spared = 0
        self._gives_up = False

    def result(self) -> MemoryOptions:
        """What was found."""
        return MemoryOptions(tuple(self._avoid), self._limit, self._spared, self._gives_up)

    def limit(self, size: int) -> None:
        """Nothing above `size`; once lowered the limit is not raised again from 5.10 on."""
        lower = self._way == "lowest limit" and self._limit is not None and self._limit < size
        self._limit = self._limit if lower else size

    def memmap(self, value: str | None) -> None:
        """One memmap= with its pieces; what comes behind four ranges makes KASLR give up, a fifth option doesn't."""
        if len(self._avoid) >= _MOST_RANGES:
            return
        pieces = value.split(",") if value is not None else []
        while pieces and len(self._avoid) < _MOST_RANGES:
            found = _piece(pieces[0], bare_counts=self._way != "last memmap")
            if found is None:
                break
            pieces.pop(0)
            start, size = found
            if self._way == "last memmap":
                self._avoid += [(start, start + size)] if size else []
            elif start:
                self._avoid.append((start, start + size))
            elif size:
                self.limit(size)
        if pieces and len(self._avoid) >= _MOST_RANGES:
            self._gives_up = True

    def hugepages(self, name: str, value: str) -> None:
        """hugepages= behind hugepagesz=1G counts the pages to be spared."""
        if name == "hugepagesz":
            self._gigantic = memparse(value)[0] == GIB
        elif name == "hugepages" and self._gigantic:
            count, rest = leading_number(value.removeprefix("+") if self._whole_counts else value)
            if not self._whole_counts or (count is not None and not rest):
                self._spared = count or 0

    def efi_fake_mem(self, value: str) -> None:
        """Ranges that are given the attribute of special-purpose memory are avoided as those of memmap= are."""
        for piece in value.split(","):
            size, rest = memparse(piece)
            if not size or not rest.startswith("@"):
                return
            start, rest = memparse(rest[1:])
            attribute = leading_number(rest[1:])[0] if rest.startswith(":") else None
            if attribute is None:
                return
            if start and attribute & _SPECIAL_PURPOSE and len(self._avoid) < _MOST_RANGES:
                self._avoid.append((start, start + size))


def _piece(text: str, *, bare_counts: bool) -> tuple[int, int] | None:
    """(start, size) of one piece of memmap=; None where the decompressor can't read it (parse_memmap)."""
    if text.startswith("exactmap"):
        return None
    if leading_number(text)[0] is None:
        return None
    size, rest = memparse(text)
    if rest[:1] in ("#", "$", "!") and rest:
        return memparse(rest[1:])[0], size
    if rest.startswith("@"):
        return 0, 0
    return (0, size) if bare_counts else None
