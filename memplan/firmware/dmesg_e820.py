"""The memory map, and the setup_data that cuts it, as a boot log tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.klog.boot import BootLines
from memplan.machine.model import E820_ACPI, E820_NVS, E820_RAM, E820_RESERVED, E820Entry, SetupData
from memplan.units import PAGE_SIZE

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts

#: A setup_data node's header.
_SETUP_HEADER = 16


def memory_map(boot: BootLines, found: SourceFacts) -> None:
    """The e820 map: firmware's where the log has it whole, else what the kernel made of it."""
    _choose_map(boot, found)
    if "e820" in found.facts:
        for name, entries in boot.maps.items():
            found.put_entries("e820", found.facts["e820"].value, entries, boot.places[name])


def _choose_map(boot: BootLines, found: SourceFacts) -> None:
    bios, first = boot.maps["BIOS-e820"], boot.lines.get("bios", 0)
    if boot.maps["extended"]:
        _broken(boot, "extended", found)
        found.put("e820", tuple(boot.maps["extended"]), "extended physical RAM map", line=boot.lines["derived"])
        return
    whole = "BIOS-provided" in boot.map_heads or (bool(bios) and bios[0].start == 0)
    _broken(boot, "BIOS-e820", found)
    if bios and whole:
        found.put("e820", _trimmed(boot, bios, found), "BIOS-e820", line=first)
        if (
            boot.last_kind == "bios"
            and set(boot.lines) <= {"bios", "map_head"}
            and boot.last not in boot.broken["BIOS-e820"]
        ):
            found.note("the file holds the map alone; it is taken for whole", boot.last)
        elif boot.last_kind == "bios":
            found.damage(
                "the log ends in the BIOS-e820 map, which may go on",
                line=boot.last,
                hint="take the whole log",
            )
        return
    for name in ("modified", "user"):
        entries = boot.maps[name]
        if entries and (f"{'user-defined' if name == 'user' else name}" in boot.map_heads or entries[0].start == 0):
            _broken(boot, name, found)
            found.put("e820", _rejoined(boot, entries), f"{name} map", line=boot.lines["derived"])
            found.note(f"the log lacks firmware's own map (BIOS-e820); the kernel's {name} map is taken instead")
            return
    if bios:
        found.put("e820", tuple(bios), "BIOS-e820", line=first)
        found.damage(
            "the log begins in the BIOS-e820 map, of which the first entries are missing",
            line=first,
            hint="take the whole log",
        )
    elif any(boot.maps.values()):
        found.damage("the log holds only a part of a memory map", line=boot.lines.get("derived", 0))
        found.put("e820", tuple(boot.maps["modified"] or boot.maps["user"]), "part of a map", weak=True)
    else:
        found.lacks("e820", "the log has no memory map (it begins after the BIOS-e820 lines)")


def _broken(boot: BootLines, name: str, found: SourceFacts) -> None:
    """Damage for each line of a map that can't be read; the last one of the log may be cut."""
    for number in boot.broken[name]:
        if number != boot.last:
            message = f"this {name} line is broken, so an entry of the map is missing"
            found.damage(message, line=number, hint="take another copy")


def _trimmed(boot: BootLines, entries: list[E820Entry], found: SourceFacts) -> tuple[E820Entry, ...]:
    """The map without the holes that no MTRR covers (mtrr_trim_uncached_memory); RAM cut off at the end is no hole."""
    last = max((entry.end for entry in entries if entry.type == E820_RAM), default=0)
    holes = [hole for hole in boot.trimmed if hole[1] < last and any(_cut(entry, hole) for entry in entries)]
    if not holes:
        return tuple(entries)
    found.note("the MTRRs leave a hole, whose RAM the kernel takes for reserved; so does the map", boot.lines["mtrr"])
    for hole in holes:
        entries = [piece for entry in entries for piece in (_cut(entry, hole) or [entry])]
    return tuple(entries)


def _cut(entry: E820Entry, hole: tuple[int, int]) -> list[E820Entry]:
    """The pieces of `entry`, which is RAM, around the hole in it; [] where there is none."""
    start, end = max(entry.start, hole[0]), min(entry.end, hole[1])
    if entry.type != E820_RAM or start >= end:
        return []
    pieces = [
        E820Entry(entry.start, start, E820_RAM),
        E820Entry(start, end, E820_RESERVED),
        E820Entry(end, entry.end, E820_RAM),
    ]
    return [piece for piece in pieces if piece.start < piece.end]


def _rejoined(boot: BootLines, entries: list[E820Entry]) -> tuple[E820Entry, ...]:
    """The kernel's map without the kernel's changes: page 0 and the place of upgraded tables are RAM again."""
    upgraded = sum(length for _, length in boot.upgrades)
    joined: list[E820Entry] = []
    for index, entry in enumerate(entries):
        following = entries[index + 1] if index + 1 < len(entries) else None
        before_ram = bool(following and following.type == E820_RAM and following.start == entry.end)
        page_0 = not index and entry.start == 0 and entry.end == PAGE_SIZE
        tables = entry.type in (E820_ACPI, E820_NVS) and entry.end - entry.start == upgraded
        if before_ram and (page_0 or tables):
            entry = E820Entry(entry.start, entry.end, E820_RAM)
        if joined and entry.type == joined[-1].type == E820_RAM and joined[-1].end == entry.start:
            entry = E820Entry(joined.pop().start, entry.end, E820_RAM)
        joined.append(entry)
    return tuple(joined)


def setup_data(boot: BootLines, found: SourceFacts) -> None:
    """setup_data, from the map that is printed where there is any: its nodes cut the RAM entries in pieces.

    RAM and a node are printed alike, so a run of entries that touch is RAM, node, RAM, node, …
    """
    nodes: list[SetupData] = []
    run: list[E820Entry] = []
    firmware = {e.start for e in boot.maps["BIOS-e820"] + boot.maps["extended"]}
    for entry in [*boot.setup_data_map, None]:
        if entry is not None and _continues(run, entry) and entry.start not in firmware:
            run.append(entry)
            continue
        for piece in _nodes_in(run):
            nodes.append(SetupData(piece.start, max(0, piece.end - piece.start - _SETUP_HEADER)))
        run = [entry] if entry is not None and entry.type == E820_RAM else []
    if nodes:
        found.put("setup_data", tuple(nodes), "reserve setup_data", line=boot.lines["derived"])


def _continues(run: list[E820Entry], entry: E820Entry) -> bool:
    return entry.type == E820_RAM and bool(run) and run[-1].end == entry.start


def _nodes_in(run: list[E820Entry]) -> list[E820Entry]:
    if len(run) == 2:
        return [min(run, key=lambda e: e.end - e.start)]
    return run[1::2]
