"""What is modelled, verified and left out (``memplan limits``), as text."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.coverage import Coverage
    from memplan.kernel.unreplayed import Case

_WIDTH = 100


def limits_lines(found: Coverage) -> Iterator[str]:
    """The list for people."""
    verified = found.verified
    yield f"Modelled: what Linux {found.oldest} to {found.newest} does with memory from its first reservation to the"
    yield f"page allocator, on x86-64, in {sum(map(len, found.steps.values()))} steps"
    for source, names in found.steps.items():
        yield from _wrapped(f"  {source}: ", ", ".join(names))
    yield ""
    yield "Verified against"
    yield from _wrapped(
        "  boots: ",
        f"{sum(verified.boots.values())} of real kernels, range for range ({_counts(verified.boots)})",
    )
    yield from _wrapped(
        "  traces of memblock: ",
        f"{sum(verified.traces.values())} of the kernels' own code, {verified.operations:,} operations "
        f"({_counts(verified.traces)})",
    )
    yield f"  published logs: {verified.reports} of machines in use, by all that each tells"
    yield f"  added memory: {verified.hotadd_runs} runs, block by block"
    yield f"  sources: {len(found.read)} versions (memplan kernel --list tells which)"
    yield ""
    yield "Not modelled: a plan whose machine, kernel or options ask for it says so, and check's rule MP706 does"
    for limit in found.limits:
        times = f" ({limit.releases})" if limit.releases else ""
        yield from _wrapped(f"  {limit.name}{times}: ", limit.what)
        yield from _wrapped("    asked for by ", "; ".join(dict.fromkeys(map(_case_text, limit.cases))))
    yield ""
    yield "Not modelled, and no plan can tell of it"
    for text in found.unseen:
        yield from _wrapped("  ", text)


def _counts(by_release: Mapping[str, int]) -> str:
    return ", ".join(f"{release}: {count}" for release, count in by_release.items())


def _wrapped(head: str, text: str) -> list[str]:
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    return wrap(text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)


def _case_text(case: Case) -> str:
    if case.machine:
        return {"foreign": "a kernel's name of another architecture"}.get(
            case.machine, f"the description ({case.machine})"
        )
    if case.table:
        return f"the ACPI table {case.table}"
    if not case.options:
        return f"CONFIG_{case.config}"
    return f"{', '.join(case.options)}{' (some values)' if case.value else ''}"
