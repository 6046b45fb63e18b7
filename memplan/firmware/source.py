"""What every reader of real things takes and gives: a `Source` in, the `SourceFacts` of it out.

A reader is a module of this package with two functions (and two more where it also takes folders):

    recognises(head)            whether a file that begins with these bytes is of its kind
    read(source)                the facts in that file, as `SourceFacts`
    recognises_folder(path)     the same for a folder
    read_folder(path)

Which reader a source goes to is decided by its content alone, in the order of `READERS`.  A fact is named by its
dotted field path in `memplan.machine.model.Machine` (``e820``, ``acpi.tables``, ``cpus.possible``) and carries
where it was taken from.  Damage that leaves something usable is a `Problem` of the `SourceFacts`; whether such facts
may be used (``--force``) is decided by the caller.  Readers raise `InputError` where nothing can be used.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, cast

from memplan.errors import InputError, Problem
from memplan.files import is_pipe, open_input, read_input, unreadable
from memplan.firmware.unpack import unpacked

if TYPE_CHECKING:
    from memplan.firmware.blocks import Listing
    from memplan.kernel.model import Kernel

#: Bytes of a file that detection looks at, the longest line and the largest file that is read whole.
HEAD_SIZE = 64 * 1024
LINE_LIMIT = 64 * 1024
WHOLE_LIMIT = 64 * 1024 * 1024
#: The most that is read from a pipe.
_PIPE_LIMIT = 256 << 20
_INPUT = "a file or a pipe"

#: The readers in the order in which they are asked; the boot log's, which is the most lenient, comes last.
READERS = (
    "acpi",
    "acpidump",
    "iasl",
    "boot_params",
    "efi",
    "memmap",
    "iomem",
    "lsmem",
    "memory_blocks",
    "dmesg",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """The value of one field and where it was taken from (``boot.log:17 BIOS-e820``).

    A `weak` fact only fills a field that no other source tells.
    """

    value: object
    origin: str
    weak: bool = False


class Evidence(NamedTuple):
    """Where a log says that the NODE_DATA of node `nid` lies, ``[start, end)``, and which line says so.

    An allocator decided that, so no field of a machine comes of it; but it shows where the kernel image can lie.
    """

    nid: int
    start: int
    end: int
    origin: str


@dataclass(slots=True)
class SourceFacts:
    """What one source told: facts by field path, notes for the user, and damage.

    `kind` says what was recognised (``boot log``), `places` at which line and column (0: unknown) a field or an entry
    of one stands, by its path (``e820[3]``), `lacking` what the user is told of a field that no source tells,
    `evidence` what shows where the kernel image can lie, which no line tells, and `blocks` the memory blocks of the
    running machine.  What is `coarse` knows its fields less well than any other source, and counts as the first one.
    """

    source: str
    kind: str
    facts: dict[str, Fact] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    blocks: Listing | None = None
    coarse: bool = False

    def put(self, path: str, value: object, origin: str = "", *, line: int = 0, weak: bool = False) -> None:
        """Set the fact of field `path`; `origin` says what told it, at `line` of the source where given."""
        place = f"{self.source}:{line}" if line else self.source
        self.facts[path] = Fact(value, f"{place} {origin}".rstrip(), weak)
        if line:
            self.places[path] = line, 0

    def put_entries(
        self, path: str, entries: object, told: Sequence[object], places: Sequence[tuple[int, int]]
    ) -> None:
        """Set the places of those of the `entries` at `path` that are as they were `told` at `places`."""
        assert isinstance(entries, tuple)
        known = {id(entry): place for entry, place in zip(told, places, strict=True)}
        for index, entry in enumerate(entries):
            if id(entry) in known:
                self.places[f"{path}[{index}]"] = known[id(entry)]

    def note(self, text: str, line: int = 0) -> None:
        """Add a note for the user, with its place."""
        self.notes.append(f"{self.source}:{line}: {text}" if line else f"{self.source}: {text}")

    def lacks(self, path: str, text: str, line: int = 0) -> None:
        """Add a note that only counts while no other source tells the field at `path`."""
        self.lacking[path] = f"{self.source}:{line}: {text}" if line else f"{self.source}: {text}"

    def damage(self, message: str, *, line: int = 0, hint: str = "") -> None:
        """Add a problem: what is wrong with the source, while the rest of it can be used."""
        self.problems.append(Problem(self.source, message, line=line, hint=hint))


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is to be read (a regular one, a virtual one of /proc or /sys, or a pipe); `name` is for messages.

    What is packed is read unpacked.  `data` is the content of what can be read only once; `boot` says which of the
    boots in a log is meant (from 1; 0: the first), and `kernel` names its kernel where the log is not to tell it.
    """

    path: Path
    name: str
    head: bytes
    data: bytes | None = None
    boot: int = 0
    kernel: str | Kernel | None = None

    def open(self) -> BinaryIO:
        """The bytes, unpacked."""
        return unpacked(open_input(self.path, _INPUT) if self.data is None else io.BytesIO(self.data), self.name)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers from 1, without line ends; memory stays bounded.

        A line longer than `LINE_LIMIT` is cut there, and its rest skipped.
        """
        with self.open() as file:
            number = 0
            while line := file.readline(LINE_LIMIT):
                number += 1
                rest = line
                while len(rest) == LINE_LIMIT and not rest.endswith(b"\n"):
                    rest = file.readline(LINE_LIMIT)
                yield number, line.rstrip(b"\r\n")

    def content(self, limit: int = WHOLE_LIMIT) -> bytes:
        """The whole file.

        Raises InputError where it is longer than `limit`.
        """
        with self.open() as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise InputError.single(self.name, f"the file is longer than {limit >> 20} MiB, too long for what it holds")
        return data


class Reader(Protocol):
    """A reader's module, see the head of this file."""

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins with `head` is of the reader's kind."""

    def read(self, source: Source) -> SourceFacts:
        """The facts in that file."""


class FolderReader(Reader, Protocol):
    """A reader's module that also takes folders."""

    def recognises_folder(self, path: Path) -> bool:
        """Whether the folder at `path` is of the reader's kind."""

    def read_folder(self, path: Path) -> SourceFacts:
        """The facts in that folder."""


def open_source(path: Path) -> Source:
    """The file at `path` ("-": standard input), its head read.

    A pipe is read to its end, once: who opens it again gets the same.  Raises InputError for what is no file and no
    pipe, can't be read, or is empty.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    try:
        data = read_input(path, _PIPE_LIMIT, _INPUT) if is_pipe(path) else None
        with Source(path, name, b"", data).open() as file:
            head = file.read(HEAD_SIZE)
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if not head:
        raise InputError.single(name, "is empty")
    return Source(path, name, head, data)


def read_source(path: Path, boot: int = 0, kernel: str | Kernel | None = None) -> SourceFacts:
    """The facts of the file or folder at `path`, by the first reader that recognises it.

    `boot` and `kernel` are for logs, see `Source`.

    Raises InputError where no reader does.
    """
    if str(path) != "-" and path.is_dir():
        for reader in _readers():
            if hasattr(reader, "recognises_folder") and cast(FolderReader, reader).recognises_folder(path):
                return cast(FolderReader, reader).read_folder(path)
        raise InputError.single(
            str(path),
            "this folder holds nothing that can be imported",
            hint="ACPI tables (as /sys/firmware/acpi/tables), a memory map (as /sys/firmware/memmap) or memory blocks "
            "(as /sys/devices/system/memory) would be read",
        )
    return read_file(replace(open_source(path), boot=boot, kernel=kernel))


def is_source_folder(path: Path) -> bool:
    """Whether one of the readers takes the folder at `path`."""
    readers = (cast(FolderReader, reader) for reader in _readers() if hasattr(reader, "recognises_folder"))
    return any(reader.recognises_folder(path) for reader in readers)


def read_file(source: Source) -> SourceFacts:
    """The facts of `source`, by the first reader that recognises it.

    Raises InputError where no reader does.
    """
    reader = _reader_of(source)
    if reader is not None:
        return reader.read(source)
    raise InputError.single(
        source.name,
        "not recognised: neither a Linux boot log nor an ACPI table, acpidump, iasl listing, memory map or list of "
        "memory blocks",
    )


def is_recognised(source: Source) -> bool:
    """Whether one of the readers takes `source`."""
    return _reader_of(source) is not None


def _reader_of(source: Source) -> Reader | None:
    return next((reader for reader in _readers() if reader.recognises(source.head)), None)


def _readers() -> Iterator[Reader]:
    return (cast(Reader, import_module(f"memplan.firmware.{name}")) for name in READERS)
