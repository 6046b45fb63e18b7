"""How much memory can be added after boot, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.render.forms import Document, Form, Member, flag, listed, maybe, number, record, text, versioned
from memplan.render.json_ import TEXTS, document_lines
from memplan.render.table import Table, Text
from memplan.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.howmuch import HowMuch, HowMuchBound
    from memplan.render.table import Block

VERSION = 1


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


def how_much_lines(result: HowMuch) -> Iterator[str]:
    """The JSON text of `result`, line by line."""
    return document_lines(_HOW_MUCH.written(result))


def how_much_schema() -> dict[str, Any]:
    """The schema of what ``memplan hotadd --how-much --format json`` writes."""
    return _HOW_MUCH.schema()


_BOUND: Form[HowMuchBound] = record(
    "",
    Member("name", text("what bounds it"), lambda bound: bound.name),
    Member("dimms", maybe(number("so many DIMMs; null where it sets no bound", least=0)), lambda bound: bound.dimms),
    Member(
        "hard",
        flag("whether it can't be passed; else more can be added, but not used as it is meant"),
        lambda bound: bound.hard,
    ),
    Member("why", text(), lambda bound: bound.why),
)
_HOW_MUCH: Document[HowMuch] = versioned(
    "memplan hotadd --how-much",
    VERSION,
    "The most memory that can be added after boot, in DIMMs of one size. New members may come.",
    Member("dimm", number("bytes in a DIMM", least=1), lambda own: own.size),
    Member(
        "node", maybe(number("the DIMMs' proximity domain; null where none is named", least=0)), lambda own: own.pxm
    ),
    Member("dimms", maybe(number("the most DIMMs; null where nothing bounds them", least=0)), lambda own: own.dimms),
    Member("bytes", maybe(number("the bytes in them", least=0)), lambda own: own.bytes),
    Member(
        "movable_dimms",
        maybe(number("how many of them can be movable, and so go again; null where nothing bounds them", least=0)),
        lambda own: own.movable,
    ),
    Member("refused", text("why none can be added; else empty"), lambda own: own.refused),
    Member("bounds", listed(_BOUND, "each bound by itself"), lambda own: own.bounds),
    Member("warnings", TEXTS.told("what to look out for"), lambda own: own.warnings),
)


def _headline(result: HowMuch) -> str:
    size = size_text(result.size)
    if result.refused:
        return f"No DIMM of {size} can be added: {result.refused}"
    if result.dimms is None or result.bytes is None:
        most = f"No bound is known for DIMMs of {size}"
    else:
        what = f"{result.dimms} DIMM{'' if result.dimms == 1 else 's'} of {size}"
        most = f"Never more than {what} ({size_text(result.bytes)}) can be added"
    if result.movable is None:
        return most
    return f"{most}; the bounds below leave room for {result.movable} that are movable, and so can go again"
