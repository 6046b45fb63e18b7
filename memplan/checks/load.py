"""What is to be checked: a description, or any source that import understands, and several of them as one machine."""

from __future__ import annotations

import re
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from memplan.checks.model import Subject
from memplan.checks.places import table_places, text_places
from memplan.errors import InputError
from memplan.firmware.acpi import read_tables
from memplan.firmware.acpi_facts import problem_of
from memplan.firmware.combine import combine
from memplan.firmware.source import SourceFacts, is_recognised, open_source, read_source
from memplan.kernel.load import find_kernel, override
from memplan.machine.load import changed, load_machine
from memplan.machine.model import KernelImage, Machine
from memplan.machine.places import Place, Places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from memplan.firmware.acpi_tables import RawTable
    from memplan.kernel.model import Kernel
    from memplan.machine.assignment import Assignment

#: A page of memplan report carries a description.
_DESCRIPTIONS = (".yaml", ".yml", ".html", ".htm")
#: What a description begins a line with, by which one is known that has another name, or none.
_KEY = re.compile(rb"^(?:e820|srat) *:", re.MULTILINE)
_cached_kernel = cache(find_kernel)


def load_subject(
    text: str, kernel: str | None = None, *, force: bool = False, changes: Sequence[Assignment] = ()
) -> Subject:
    """What the input `text` tells: one source, or several of one machine with ``+`` between them.

    `kernel` names the kernel to check for (None: the machine's own, and the newest generic one for bare tables).
    With `force`, what can be used of a damaged source is used.  Raises InputError for what can't be read, UsageError
    for an unknown kernel.
    """
    found: list[SourceFacts] = []
    tables: list[RawTable] = []
    descriptions: dict[Path, Places] = {}
    paths = sources(text)
    described_alone = len(paths) == 1 and _is_description(paths[0])
    for path in paths:
        if _is_description(path):
            described = load_machine(path, changes if described_alone else ())
            descriptions[path] = described.places
            found.append(_described(path, described))
        else:
            own = read_tables(path)
            tables += own
            found.append(_imported(path, own, force))
    has_map = any("e820" in source.facts for source in found)
    blank = SourceFacts(text, "nothing")
    blank.put("e820", (), weak=True)
    machine, _ = combine(found if has_map else [blank, *found])
    if changes and has_map and not described_alone:
        machine = changed(machine, changes)
    if not has_map and not tables and machine.srat is None:
        raise InputError.single(text, "tells of no memory map, no SRAT and no ACPI table: there is nothing to check")
    return Subject(
        text,
        _kernel(kernel, machine.kernel),
        machine if has_map else None,
        machine.srat,
        machine.acpi,
        tuple(tables),
        Places(*_place_makers(found, descriptions, tables, machine if has_map else None)),
    )


def sources(text: str) -> list[Path]:
    """The paths in `text`: one, or several with ``+`` between them (which a file's own name may hold, too).

    Raises InputError where one of them is empty.
    """
    words = text.split("+")
    if text and Path(text).exists():
        return [Path(text)]
    if not all(words):
        raise InputError.single(text or "''", "the name of a source is empty", hint="SRAT.aml+memmap.txt is two")
    cuts = [0]
    while cuts[-1] < len(words):
        ends = range(cuts[-1] + 1, len(words) + 1)
        cuts.append(next((end for end in ends if Path("+".join(words[cuts[-1] : end])).exists()), cuts[-1] + 1))
    return [Path("+".join(words[start:end])) for start, end in pairwise(cuts)]


def _is_description(path: Path) -> bool:
    """Whether the file, or what comes through the pipe, is a description: by its name, or what it holds."""
    if path.suffix.lower() in _DESCRIPTIONS:
        return True
    if str(path) != "-" and path.is_dir():
        return False
    source = open_source(path)
    return _KEY.search(source.head) is not None and not is_recognised(source)


def _described(path: Path, machine: Machine) -> SourceFacts:
    """A description's facts: the fields that are not at their defaults."""
    found = SourceFacts(str(path), "description")
    for name, value in machine._asdict().items():
        if name == "e820" or value != Machine._field_defaults[name]:
            found.put(name, value)
    return found


def _imported(path: Path, tables: list[RawTable], force: bool) -> SourceFacts:
    """A real source's facts.  What is wrong with its tables is for the rules to say; other damage is an InputError."""
    found = read_source(path)
    known = {str(problem_of(table, defect)) for table in tables for defect in table.defects}
    damage = [problem for problem in found.problems if str(problem) not in known]
    if damage and not force:
        damage[-1].hint = "; ".join(filter(None, (damage[-1].hint, "--force uses what can be used")))
        raise InputError(damage)
    return found


def _kernel(name: str | None, image: KernelImage) -> Kernel:
    if name is not None:
        return _cached_kernel(name)
    kernel = _cached_kernel(image.build)
    return override(kernel, image.overrides) if image.overrides else kernel


def _place_makers(
    found: list[SourceFacts], descriptions: Mapping[Path, Places], tables: list[RawTable], machine: Machine | None
) -> list[Callable[[], Mapping[str, Place]] | Mapping[str, Place]]:
    makers: list[Callable[[], Mapping[str, Place]] | Mapping[str, Place]] = []
    for source in found:
        path = Path(source.source)
        if path in descriptions:
            makers.append(descriptions[path])
        elif path.is_file():
            makers.append(partial(text_places, source, machine))
    if tables:
        makers.append(partial(table_places, tables))
    return makers
