"""A kernel's ELF file (vmlinux): its sections, its load segments, and the bytes at an address."""

from __future__ import annotations

import struct
from typing import NamedTuple

from memplan.errors import InputError

_PT_LOAD = 1
_SHT_NOBITS = 8
_MACHINE_X86_64 = 62
#: A kernel has five segments at most; its names are shorter than KSYM_NAME_LEN.
_MOST_SEGMENTS = 64
_LONGEST_NAME = 512


class ElfSection(NamedTuple):
    """One section: `size` bytes at `address`, in the file at `offset` (unless NOBITS)."""

    name: str
    kind: int
    address: int
    offset: int
    size: int
    link: int
    entry_size: int


class Segment(NamedTuple):
    """One load segment: `file_size` bytes of the file at `offset` go to `address` (physical: `physical`)."""

    offset: int
    address: int
    physical: int
    file_size: int


class Elf:
    """The ELF file `data` of an x86-64 kernel; `source` names it in errors.

    Raises InputError for what is no such file or is cut short.
    """

    def __init__(self, data: bytes, source: str) -> None:
        self.data = data
        self.source = source
        if data[:4] != b"\x7fELF":
            raise InputError.single(source, f"is no ELF file: begins with {data[:4].hex(' ') or 'nothing'}")
        if data[4:6] != b"\x02\x01":
            raise InputError.single(source, "is no 64-bit little-endian ELF file")
        (machine,) = self._unpack("<H", 0x12, "the ELF header")
        if machine != _MACHINE_X86_64:
            raise InputError.single(source, f"is for ELF machine {machine}; memplan plans x86-64 ({_MACHINE_X86_64})")
        program_headers, section_headers = self._unpack("<QQ", 0x20, "the ELF header")
        counts = self._unpack("<HHHHH", 0x36, "the ELF header")
        self._rows: list[tuple[int, ...]] = []
        self.segments = self._read_segments(program_headers, counts[0], counts[1])
        self.sections = self._read_sections(section_headers, counts[2], counts[3], counts[4])

    def _unpack(self, layout: str, offset: int, what: str) -> tuple[int, ...]:
        try:
            return struct.unpack_from(layout, self.data, offset)
        except (struct.error, OverflowError):
            raise InputError.single(
                self.source, f"is cut short: {what} at byte {offset:#x} is beyond the end ({len(self.data):#x} bytes)"
            ) from None

    def _read_segments(self, offset: int, size: int, count: int) -> list[Segment]:
        segments = []
        if count > _MOST_SEGMENTS:
            raise InputError.single(self.source, f"has {count} program headers; a kernel has a handful")
        for number in range(count):
            kind, _, *place = self._unpack("<IIQQQQ", offset + size * number, "a program header")
            if kind == _PT_LOAD:
                segments.append(Segment(*place))
        if not segments:
            raise InputError.single(self.source, "has no load segments, so it is no kernel image")
        return segments

    def _read_sections(self, offset: int, size: int, count: int, names_at: int) -> dict[str, ElfSection]:
        rows = [self._unpack("<IIQQQQIIQQ", offset + size * n, "a section header") for n in range(count)]
        if not rows:
            return {}
        if names_at >= count:
            raise InputError.single(self.source, f"names its sections in section {names_at}, but has {count}")
        names = self.data[rows[names_at][4] : rows[names_at][4] + rows[names_at][5]]
        self._rows = rows
        sections: dict[str, ElfSection] = {}
        for name_at, kind, _, address, place, length, link, _, _, entry_size in rows:
            name = _name(names, name_at)
            sections.setdefault(name, ElfSection(name, kind, address, place, length, link, entry_size))
        return sections

    @property
    def text(self) -> Segment:
        """The segment of the kernel's text, the first one."""
        return self.segments[0]

    def content(self, name: str) -> bytes | None:
        """The bytes of section `name`; None where the file has none, or only room for it."""
        section = self.sections.get(name)
        if section is None or section.kind == _SHT_NOBITS:
            return None
        if section.offset + section.size > len(self.data):
            raise InputError.single(
                self.source, f"is cut short: section {name} should end at byte {section.offset + section.size:#x}"
            )
        return self.data[section.offset : section.offset + section.size]

    def offset_of(self, address: int) -> int | None:
        """Where in the file the byte of virtual `address` is; None where no segment has it."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                return segment.offset + address - segment.address
        return None

    def string(self, address: int) -> str | None:
        """The NUL-ended text at virtual `address`; None where there is none, or one longer than any of a kernel's."""
        offset = self.offset_of(address)
        if offset is None:
            return None
        end = self.data.find(b"\0", offset, offset + _LONGEST_NAME)
        return None if end < 0 else self.data[offset:end].decode("latin-1")

    def symbols(self) -> dict[str, int]:
        """The symbol table's names and addresses; empty for a stripped file."""
        table = self.content(".symtab")
        if table is None:
            return {}
        row = self._rows[self.sections[".symtab"].link]
        names = self.data[row[4] : row[4] + row[5]]
        found: dict[str, int] = {}
        for name_at, _, _, _, value, _ in struct.iter_unpack("<IBBHQQ", table[: len(table) // 24 * 24]):
            found.setdefault(_name(names, name_at), value)
        return found


def _name(names: bytes, at: int) -> str:
    """The NUL-ended name at byte `at` of a string table, cut at the longest that a kernel has."""
    end = names.find(b"\0", at, at + _LONGEST_NAME)
    return names[at : end if end >= 0 else at + _LONGEST_NAME].decode("latin-1")
