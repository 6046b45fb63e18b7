"""Added memory for people: what became of each DIMM, step by step, and whether it can go again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.hotadd.running import block_numbers
from memplan.render.table import Table, Text
from memplan.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memplan.hotadd.result import BlockRange, DimmReport, HotaddPlan, RatioReport, StepResult
    from memplan.render.table import Block

_UNKNOWN = "not known"
_ANSWERS = {True: "", False: "refused: ", None: ""}
_REMOVAL = {"nothing there": "-"}
#: What became of DIMMs, and whether they can go again, in the words of the report's first lines.
_OUTCOMES = {
    "there": "{size} of added memory is there in the end",
    "at risk": "{size} is at risk, as its memory map may not fit",
    "perhaps there": "{size} may be gone, and is taken to be there",
    "perhaps gone": "{size} may still be there, and is taken to be gone",
    "gone": "{size} is gone again",
    "refused": "{size} is refused",
}
_GOES = {
    "yes": "Can go again, as nothing of it is the kernel's",
    "not before": "not before a later one",
    "no promise": "no promise that it goes, as some of it is the kernel's",
}


def hotadd_blocks(result: HotaddPlan) -> Iterator[Block]:
    """The report of `result`."""
    yield Text("", tuple(answers(result)))
    yield Text(
        "",
        (
            f"machine       {result.machine_name or '-'}",
            f"kernel        {result.kernel} (rules of Linux {result.kernel_version})",
            f"boot options  {result.cmdline or '-'}",
            f"memory block  {size_text(result.block_size)}",
            f"added memory  {_default(result)}",
            f"MemTotal      {memory_text(result.before_total)} after boot, {memory_text(result.total)} in the end",
        ),
    )
    if result.dimms:
        yield dimm_table(result)
    for step in result.steps:
        yield Text(f"Step {step.number}: {step.text}", tuple(_step_lines(step)))
    yield block_table("Memory blocks in the end", result.blocks)
    if result.warnings:
        yield Text("Look out", result.warnings)


def answers(result: HotaddPlan) -> Iterator[str]:
    """What became of each DIMM, and whether it can go again, alike ones together."""
    if not result.dimms:
        yield "No memory is added"
        return
    parts = []
    for outcome, text in _OUTCOMES.items():
        dimms = [dimm for dimm in result.dimms if dimm.outcome == outcome]
        if dimms:
            parts.append(f"{text.format(size=size_text(sum(dimm.size for dimm in dimms)))}: {_names(dimms)}")
    yield "; ".join(parts)
    parts = []
    for removal, text in _GOES.items():
        dimms = [dimm for dimm in result.dimms if dimm.accepted and dimm.removal == removal]
        if dimms:
            parts.append(f"{text}: {_names(dimms)}")
    if parts:
        yield "; ".join(parts)


def _names(dimms: Sequence[DimmReport]) -> str:
    """DIMMs by their names, neighbours put together: ``d0-d2, d4``."""
    runs: list[list[int]] = []
    for number in (int(dimm.name[1:]) for dimm in dimms):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"d{first}" if first == last else f"d{first}-d{last}" for first, last in runs)


def _default(result: HotaddPlan) -> str:
    state = {"offline": "stays off-line until it is put on-line"}.get(result.default_state)
    return f"{state or f'comes on-line by itself ({result.default_state})'}; policy {result.policy}"


def dimm_table(result: HotaddPlan) -> Table:
    """The DIMMs as they are in the end, a row each."""
    rows = []
    for dimm in result.dimms:
        rows.append(
            (
                dimm.name,
                size_text(dimm.size),
                "-" if dimm.address is None else f"{dimm.address:#x}",
                "-" if dimm.nid is None else str(dimm.nid),
                _found(dimm),
                memory_text(dimm.map_bytes) if dimm.accepted else "-",
                growth_text(dimm),
                _REMOVAL.get(dimm.removal, dimm.removal),
            )
        )
    columns = ("DIMM", "size>", "address", "node>", "in the end", "memory map>", "MemTotal>", "can go again")
    return Table("DIMMs", columns, tuple(rows))


def _found(dimm: DimmReport) -> str:
    if not dimm.accepted:
        return "no blocks"
    return f"at risk: {_zones(dimm.blocks)}" if dimm.risk else _zones(dimm.blocks)


def growth_text(dimm: DimmReport) -> str:
    """By how much the DIMM made MemTotal grow."""
    return f"+{memory_text(dimm.total_growth)}" if dimm.total_growth else "+0"


def _zones(blocks: tuple[BlockRange, ...]) -> str:
    counts: dict[str, int] = {}
    for part in blocks:
        name = part.zones[0] if part.state == "online" else "off-line"
        counts[name] = counts.get(name, 0) + part.last - part.first + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _step_lines(step: StepResult) -> Iterator[str]:
    if step.reason:
        yield f"{_ANSWERS[step.accepted]}{step.reason}"
    for line in step.lines:
        yield f"the kernel says: {line}"
    if step.dimm is not None and step.adds:
        yield from (f"{name:<12}{text}" for name, text in dimm_facts(step.dimm))
    if not step.text.startswith("show"):
        yield from (f"{'ratio':<12}{text}" for text in ratio_texts(step.ratio))
        yield f"MemTotal    {memory_text(step.total)}"
    else:
        yield from (_block_text(part) for part in step.blocks)


def dimm_facts(dimm: DimmReport) -> Iterator[tuple[str, str]]:
    """What is to be told of a DIMM, each thing with its name: where it is and why, and whether it can go again."""
    if dimm.address is not None:
        yield "address", f"[{dimm.address:#x}-{dimm.address + dimm.size - 1:#x}]"
    if dimm.nid is not None:
        yield "node", f"{dimm.nid}: {dimm.node_why}"
    for reason in dimm.zone_why:
        yield "zone", f"blocks {block_numbers(reason.blocks)}: {reason.why}"
    if dimm.map_place:
        yield "memory map", f"{memory_text(dimm.map_bytes)} out of {dimm.map_place}"
    if dimm.accepted:
        yield "goes again", f"{dimm.removal}: {dimm.removal_why}"


def ratio_texts(ratio: tuple[RatioReport, ...]) -> Iterator[str]:
    """What auto-movable leaves, of the machine and of each node."""
    for one in ratio:
        where = "the machine" if one.nid is None else f"node {one.nid}"
        left = max(0, one.limit - one.movable)
        yield f"{where}: {_mib(one.movable)} of at most {_mib(one.limit)} are movable, {_mib(left)} left"


def block_table(title: str, blocks: tuple[BlockRange, ...]) -> Table:
    """Memory blocks as sysfs shows them, a row for neighbours that are alike."""
    rows = tuple(
        (
            f"{part.first}-{part.last}" if part.last > part.first else str(part.first),
            str(part.nid),
            part.state,
            " ".join(part.zones),
        )
        for part in blocks
    )
    return Table(title, ("blocks", "node>", "state", "zones"), rows)


def _block_text(part: BlockRange) -> str:
    return f"blocks {part.first}-{part.last} node{part.nid} {part.state} {' '.join(part.zones)}"


def memory_text(size: int | None) -> str:
    """Bytes of memory in the largest unit that divides them, KiB at the least; None is not known."""
    if size is None:
        return _UNKNOWN
    return size_text(size) if size % (1 << 20) == 0 and size else f"{size >> 10}K"


def _mib(size: int) -> str:
    return f"{size >> 20}M"
