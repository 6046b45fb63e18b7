"""How much memory can be added after boot, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.render.table import Table, Text
from memplan.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.howmuch import HowMuch
    from memplan.render.table import Block


def how_much_blocks(result: HowMuch) -> Iterator[Block]:
    """The report of `result`."""
    yield Text("", (_headline(result),))
    yield Text(
        "",
        (
            f"machine       {result.machine_name or '-'}",
            f"kernel        {result.kernel} (rules of Linux {result.kernel_version})",
            f"boot options  {result.cmdline or '-'}",
            f"DIMMs         {size_text(result.size)}" + ("" if result.pxm is None else f" for domain {result.pxm}"),
        ),
    )
    if result.bounds:
        rows = tuple(
            (
                bound.name,
                "-" if bound.dimms is None else str(bound.dimms),
                "-" if bound.dimms is None else size_text(bound.dimms * result.size),
                "can't be passed" if bound.hard else "good sense",
                bound.why,
            )
            for bound in result.bounds
        )
        yield Table("What bounds it", ("bound", "DIMMs>", "memory>", "kind", "why"), rows)
    if result.warnings:
        yield Text("Look out", result.warnings)


def how_much_document(result: HowMuch) -> dict[str, Any]:
    """`result` as the object that is written as JSON."""
    return {
        "dimm": result.size,
        "node": result.pxm,
        "dimms": result.dimms,
        "bytes": None if result.dimms is None else result.dimms * result.size,
        "movable_dimms": result.movable,
        "refused": result.refused,
        "bounds": [
            {"name": bound.name, "dimms": bound.dimms, "hard": bound.hard, "why": bound.why} for bound in result.bounds
        ],
        "warnings": list(result.warnings),
    }


def _headline(result: HowMuch) -> str:
    size = size_text(result.size)
    if result.refused:
        return f"No DIMM of {size} can be added: {result.refused}"
    if result.dimms is None:
        most = f"No bound is known for DIMMs of {size}"
    else:
        what = f"{result.dimms} DIMM{'' if result.dimms == 1 else 's'} of {size}"
        most = f"Never more than {what} ({size_text(result.dimms * result.size)}) can be added"
    if result.movable is None:
        return most
    return f"{most}; the bounds below leave room for {result.movable} that are movable, and so can go again"
