"""Sweeps as text: what becomes of how many places, where answers change, one line a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.sweep.case import Case, Record

#: So many ranges of one class are told; the rest is counted.
_MOST_RANGES = 8


def case_lines(case: Case, record: Record, *, titled: bool) -> Iterator[str]:
    """The lines about one case, under its title where there are several."""
    if titled:
        yield printable(title(case), "")
    indent = "  " if titled else ""
    for line in _lines(case, record):
        yield printable(f"{indent}{line}".rstrip(), "")


def title(case: Case) -> str:
    """What tells a case from the others of its sweep."""
    words = [case.machine, *([case.kernel] if case.kernel is not None else [])]
    return " ".join([*words, *(f"{name}={value}" for name, value in case.settings)])


def _lines(case: Case, record: Record) -> Iterator[str]:
    if "classes" in record:
        yield from _kaslr_lines(record)
    elif "segments" in record:
        yield from _segment_lines(case, record)
    else:
        yield _answer(record)
        if "simulate" in record:
            yield record["simulate"]
    yield from (f"not modelled: {text}" for text in record.get("not_modelled", ()))
    yield from (f"no effect: {text}" for text in record.get("unheeded_options", ()))


def _answer(record: Record) -> str:
    if "error" in record:
        return f"can't be planned: {record['error']}"
    if record.get("died"):
        return f"the boot dies: {record['died']}"
    return f"{removable_words(record['removable'])}, {crash_words(record['crash_kernel_place'])}"


def crash_words(place: str) -> str:
    """Where the crash kernel has its memory ("low", "high", "none"), in words."""
    return "no crash kernel" if place == "none" else f"crash kernel {place}"


def removable_words(nodes: list[int]) -> str:
    """Which nodes are removable, in words."""
    if not nodes:
        return "no node is removable"
    return f"{node_words(nodes)} {'is' if len(nodes) == 1 else 'are'} removable"


def node_words(nodes: list[int]) -> str:
    """Nodes by their numbers, neighbours as ranges: node 1; nodes 1-3, 5."""
    return f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {_short(nodes)}"


def _short(nodes: list[int]) -> str:
    """Numbers with neighbours as ranges: 1-3, 5."""
    runs: list[list[int]] = []
    for node in nodes:
        if runs and runs[-1][1] == node - 1:
            runs[-1][1] = node
        else:
            runs.append([node, node])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def _kaslr_lines(record: Record) -> Iterator[str]:
    total = record["slots"]
    if record["reason"]:
        yield f"KASLR has no choice: {record['reason']}; the kernel lies at {record['classes'][0]['example']:#x}"
    else:
        replays = f"replayed {record['replays']} ways through parts of a boot"
        yield f"{total} places, chosen from by the {record['chooser']}; {replays}"
    for note in record["notes"]:
        yield f"note: {note}"
    for own in sorted(record["classes"], key=lambda own: (-own["slots"], own["example"])):
        what = f"the boot dies: {own['died']}" if own["died"] else removable_words(own["removable"])
        crash = "" if own["died"] else f", {'with' if own['crash_kernel'] else 'without'} a crash kernel"
        yield ""
        yield f"{own['slots']} of {total} places ({own['slots'] / total:.1%}): {what}{crash}"
        for span in own["ranges"][:_MOST_RANGES]:
            yield f"  {span['start']:#x}" + (f" to {span['end']:#x}" if span["end"] > span["start"] else "")
        if len(own["ranges"]) > _MOST_RANGES:
            yield f"  and {len(own['ranges']) - _MOST_RANGES} more ranges"
        yield f"  {own['simulate']}"
    if len(record["classes"]) > 1:
        yield ""
        rank = sorted(record["classes"], key=lambda own: (bool(own["died"]), -len(own["removable"]), -own["slots"]))
        yield f"best place {rank[0]['example']:#x}, worst place {rank[-1]['example']:#x}"


def _segment_lines(case: Case, record: Record) -> Iterator[str]:
    span = case.span
    assert span is not None
    shown = []
    for own in record["segments"]:
        low, high = span.shown(own["from"]), span.shown(own["to"])
        shown.append(low if low == high else f"{low} to {high}")
    width = max(map(len, shown))
    for values, own in zip(shown, record["segments"], strict=True):
        yield f"{span.name} {values:{width}}  {_answer(own)}"
    if span.name == "crashkernel":
        fitting = [own for own in record["segments"] if own.get("crash_kernel")]
        yield f"the largest that fits: {span.shown(fitting[-1]['to'])}" if fitting else "none of these sizes fits"
    if not record["exact"]:
        yield "not exact: of so many values some were planned, and more where the answer changes; give a larger step"
    yield from {_answer(own): own["simulate"] for own in record["segments"]}.values()
