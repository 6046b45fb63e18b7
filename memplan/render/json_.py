"""JSON for programs: how documents are written, and the parts that several of them have.

Addresses and sizes are numbers of bytes, and every `end` is inclusive, as the kernel prints ranges.  Each element
of a list stands on a line of its own, so that two outputs can be compared line by line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from memplan.render.forms import Form, Member, flag, listed, maybe, number, one_of, part, record, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.plan import Blocker, End, Plan, Verdict, Zone


def document_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The text of a JSON object; the elements of its lists stand one on a line."""
    from json import dumps

    yield "{"
    left = len(document)
    for name, value in document.items():
        left -= 1
        comma = "," if left else ""
        if isinstance(value, list) and value:
            yield f"  {dumps(name)}: ["
            for element in value[:-1]:
                yield f"    {dumps(element)},"
            yield f"    {dumps(value[-1])}"
            yield f"  ]{comma}"
        else:
            yield f"  {dumps(name)}: {dumps(value)}{comma}"
    yield "}"


class Extent(NamedTuple):
    """A bare range ``[start, end)``."""

    start: int
    end: int


#: Where something lies that has a `start` and an exclusive `end`: its first and last byte, and its size.
SPAN: tuple[Member[Any], ...] = (
    Member("start", number("the first byte"), lambda own: own.start),
    Member("end", number("the last byte"), lambda own: own.end - 1),
    Member("size", number("bytes"), lambda own: own.end - own.start),
)
#: The first and the last byte alone.
EDGES = SPAN[:2]
NODE = number("node")
NODE_OR_NONE = maybe(number("node, null for none"))
OWNER = text("what the memory is for")
STEP = text("the boot step that asked")
TEXTS = listed(text())
CRASH_PLACE = one_of("low", "high", "none")
PAGE_TABLE_LEVEL = text("p4d, pud, pmd or pte")
PAGE_TABLE_SOURCE = one_of("brk", "memblock")
PLACE: Form[Extent] = part("place", record("A range of physical memory.", *SPAN))
END: Form[End] = part(
    "end",
    record(
        "How a boot ended.",
        Member("completed", flag("whether it came to the hand-over to the page allocator"), lambda end: end.completed),
        Member("step", text("the step it died in"), lambda end: end.step),
        Member("text", text("the kernel's last words"), lambda end: end.text),
        Member("cause", text("why it died"), lambda end: end.cause),
    ),
)
HOTPLUG = flag("whether the SRAT marks it hot-pluggable")
REASON = text("why, in one sentence")
_BLOCKER: Form[Blocker] = part(
    "blocker",
    record(
        "A reservation that keeps a range from being movable.",
        *SPAN,
        Member("owner", OWNER, lambda own: own.owner),
        Member("step", STEP, lambda own: own.step),
        Member("remedy", text("what would move it away"), lambda own: own.remedy.text),
    ),
)
BLOCKERS = listed(_BLOCKER, "what stands in the way")
VERDICT: Form[Verdict] = part(
    "verdict",
    record(
        "Whether a range can be movable.",
        Member("node", NODE, lambda verdict: verdict.nid),
        *SPAN,
        Member("hotplug", HOTPLUG, lambda verdict: verdict.hotplug),
        Member("movable", flag("whether it can be"), lambda verdict: verdict.movable),
        Member("start_pfn", maybe(number("the first page in ZONE_MOVABLE")), lambda verdict: verdict.start_pfn),
        Member("blocks", number("memory blocks that can go off-line"), lambda verdict: verdict.blocks),
        Member("total_blocks", number("memory blocks in all"), lambda verdict: verdict.total_blocks),
        Member("reason", REASON, lambda verdict: verdict.reason),
        Member("blockers", BLOCKERS, lambda verdict: verdict.blockers),
    ),
)
#: What a zone has beside its name.
ZONE_PAGES: tuple[Member[Zone], ...] = (
    Member("start_pfn", number("its first page frame number"), lambda zone: zone.start_pfn),
    Member("spanned", number("pages from its first to its last"), lambda zone: zone.spanned),
    Member("present", number("pages of RAM among them"), lambda zone: zone.present),
)
#: What is to be said beside every answer of a plan's.
REMARKS: tuple[Member[Plan], ...] = (
    Member(
        "unheeded_options",
        TEXTS.told("Boot options about memory that the kernel does not know."),
        lambda plan: plan.unheeded,
    ),
    Member("not_modelled", TEXTS.told("What the boot asks for and is not replayed."), lambda plan: plan.limits),
)
