"""Several sources, one machine: later sources fill in or override what earlier ones told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.errors import InputError, Problem
from memplan.firmware.blocks import beyond_boot
from memplan.firmware.source import Fact, SourceFacts, read_source
from memplan.machine.model import Acpi, Bios, Cpus, Efi, KernelImage, Machine, Srat

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel

#: The parts of a machine whose fields are told one by one, and what they begin as.
_PARTS: dict[str, Any] = {"acpi": Acpi, "bios": Bios, "cpus": Cpus, "efi": Efi, "kernel": KernelImage, "srat": Srat}


class Imported(NamedTuple):
    """What sources told: the machine, where each of its fields was taken from (by the field's path), and notes."""

    machine: Machine
    origins: dict[str, str]
    notes: list[str]


def import_files(
    paths: Sequence[str | PathLike[str]],
    *,
    force: bool = False,
    live: bool = False,
    boot: int = 0,
    kernel: str | None = None,
) -> Imported:
    """The machine that the sources at `paths` tell of together ("-": standard input).

    With `live`, this computer is the first source; `boot` says which boot of a log is meant (from 1; 0: the first), and
    `kernel` which kernel it is, whatever the log says.  Damage is an error unless `force`; then what can be used is
    used, and the damage is among the notes.  Raises InputError, and UsageError for an unknown kernel.
    """
    found: list[SourceFacts] = []
    problems: list[Problem] = []
    if live:
        from memplan.firmware.live import read_live

        found += read_live()
    for path in paths:
        try:
            found.append(read_source(Path(path), boot, kernel))
        except InputError as error:
            if not force or len(paths) == 1:
                raise
            problems += error.problems
    return machine_of(found, problems, force=force, kernel=kernel)


def machine_of(
    found: list[SourceFacts],
    problems: Sequence[Problem] = (),
    *,
    force: bool = False,
    kernel: str | Kernel | None = None,
) -> Imported:
    """The machine that the sources tell of together, some of which couldn't be read for `problems`.

    `force` and `kernel` are as for `import_files`, and so is what is raised.
    """
    problems = [*problems, *(problem for source in found for problem in source.problems)]
    if problems and not force:
        problems[-1].hint = "; ".join(filter(None, (problems[-1].hint, "--force uses what can be used")))
        raise InputError(problems)
    if kernel is not None:
        found = [*found, _named(kernel)]
    machine, comments = combine(found)
    seen = [note for source in found if source.blocks is not None for note in beyond_boot(source.blocks, machine)]
    untold = any(source.evidence or "kernel.load_address" in source.lacking for source in found)
    if untold and machine.kernel.load_address is None:
        from memplan.firmware.image_place import with_image

        machine = with_image(machine, comments, found, kernel)
    return Imported(machine, comments, [*_notes(found), *seen, *map(str, problems)])


def _reasons(sources: list[SourceFacts]) -> list[str]:
    """Why lists of memory blocks tell nothing of it."""
    return [source.lacking["e820"] for source in sources if source.blocks is not None]


def _notes(sources: list[SourceFacts]) -> list[str]:
    """The sources' notes, without those on fields that another source tells."""
    told = {path for source in sources for path, fact in source.facts.items() if not fact.weak}
    known = {path for source in sources if not source.coarse for path in source.facts}
    notes: dict[str, None] = {}
    for source in sources:
        lacking = (
            text
            for path, text in source.lacking.items()
            if not {path, path.partition(".")[0]} & (known if source.coarse else told)
        )
        notes |= dict.fromkeys((*source.notes, *lacking))
    return list(notes)


def _named(kernel: str | Kernel) -> SourceFacts:
    """The kernel that the user names, as the last source of all."""
    from memplan.kernel.load import kernel_named

    found = SourceFacts("--kernel", "the user's word")
    name = kernel_named(kernel).name
    found.put("kernel.build", kernel if isinstance(kernel, str) else name)
    return found


def combine(sources: Iterable[SourceFacts]) -> tuple[Machine, dict[str, str]]:
    """The machine of all facts, and the origin of each field.

    A fact of a later source replaces an earlier one's; a weak fact only fills a field of which no other tells, and
    what is coarse gives way to any.  Raises InputError where no source tells of the memory map.
    """
    sources = sorted(sources, key=lambda source: not source.coarse)
    facts: dict[str, Fact] = {}
    for source in sources:
        for path, fact in source.facts.items():
            parts = [known for known in facts if known.startswith(f"{path}.")]
            held = [facts[known] for known in (path, *parts) if known in facts]
            if fact.weak and any(not other.weak for other in held):
                continue
            for known in parts:
                del facts[known]
            facts[path] = fact
    if "e820" not in facts:
        raise InputError.single(
            ", ".join(source.source for source in sources) or "no source",
            "; ".join(("nothing here tells of the memory map (e820)", *_reasons(sources))),
            hint="add a boot log that has the BIOS-e820 lines, or /sys/firmware/memmap",
        )
    values: dict[str, Any] = {}
    for path in sorted(facts, key=lambda path: path.count(".")):
        part, _, name = path.partition(".")
        if not name:
            values[part] = facts[path].value
        else:
            whole = values.get(part)
            values[part] = (_PARTS[part]() if whole is None else whole)._replace(**{name: facts[path].value})
    machine = Machine(**values)
    return machine, {path: fact.origin for path, fact in facts.items()}
