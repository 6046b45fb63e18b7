"""The JSON Schemas of the output (draft 2020-12): which parts there are and what they mean."""

from __future__ import annotations

from typing import Any

from memplan.render import diff, json_


def plan_schema() -> dict[str, Any]:
    """The schema of what ``memplan simulate --format json`` writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan plan",
        "description": "One replayed boot. Addresses and sizes are bytes; every end is inclusive, as the kernel prints "
        "ranges (an empty range ends one below its start). New members may come without a new version.",
        "$defs": _definitions(),
        **_object(
            "",
            format={"const": "memplan plan"},
            version={"const": json_.VERSION, "description": _VERSION},
            machine=_text("the machine's name"),
            kernel=_object(
                "The kernel build.",
                name=_text("its name"),
                version=_text("the version whose rules it follows"),
                notes=_list("what its facts fall back on", {"type": "string"}),
            ),
            cmdline=_text("the boot options"),
            unheeded_options=_list("Boot options about memory that the kernel does not know.", {"type": "string"}),
            not_modelled=_list("What the boot asks for and is not replayed.", {"type": "string"}),
            direction={"enum": ["bottom-up", "top-down"], "description": "of allocations before the SRAT is read"},
            end={"$ref": "#/$defs/end"},
            movable=_list("The ranges in ZONE_MOVABLE that hold nothing unmovable.", _object("", node=_NODE, **_SPAN)),
            blocked=_list(
                "The ranges that can't be movable, and what stands in the way.",
                _object("", node=_NODE, **_SPAN, hotplug=_HOTPLUG, reason=_REASON, blockers=_BLOCKERS),
            ),
            verdicts=_list(
                "For every node and every hot-pluggable range, whether it can be movable.", {"$ref": "#/$defs/verdict"}
            ),
            warnings=_list("The warnings that the kernel prints, word for word.", {"type": "string"}),
            block_size=_number("bytes in one memory block, the unit that goes off-line"),
            movable_start=_list(
                "Where ZONE_MOVABLE begins on each node that has one.",
                _object("", node=_NODE, pfn=_number("page frame number")),
            ),
            nodes=_list(
                "The NUMA nodes.",
                _object(
                    "",
                    node=_NODE,
                    pxm={"type": ["integer", "null"], "description": "its proximity domain in the SRAT"},
                    online=_flag("whether it has NODE_DATA"),
                    hotplug=_HOTPLUG,
                    size=_number("bytes of RAM"),
                    ranges=_list("its RAM", {"$ref": "#/$defs/place"}),
                    node_data={"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
                    cpus=_list("its CPUs", {"type": "integer"}),
                ),
            ),
            zones=_list(
                "The zones of each node.",
                _object(
                    "",
                    node=_NODE,
                    name=_text("DMA, DMA32, Normal, Movable, Device"),
                    start_pfn=_number("its first page frame number"),
                    spanned=_number("pages from its first to its last"),
                    present=_number("pages of RAM among them"),
                ),
            ),
            page_tables=_object(
                "The direct map's tables.",
                levels={"enum": [4, 5]},
                direct_map_base=_number("the virtual address of physical address 0"),
                pages=_object("Table pages.", brk=_number("from the brk"), memblock=_number("from memblock")),
                tables=_list(
                    "Pages of one level made while one range was mapped; they lie in the range given.",
                    _object(
                        "",
                        level=_text("p4d, pud, pmd or pte"),
                        source={"enum": ["brk", "memblock"]},
                        pages=_number("how many"),
                        node=_NODE_OR_NONE,
                        **_SPAN,
                    ),
                ),
                mappings=_list(
                    "What is mapped with which pages.",
                    _object("", **_SPAN, page_size=_number("4096, 2 MiB or 1 GiB")),
                ),
            ),
            reservations=_list(
                "Reserved memory at the end of the boot, by who has it.",
                _object("", **_SPAN, node=_NODE_OR_NONE, **_WHO, before_srat=_BEFORE),
            ),
            checkpoints=_list(
                "Both arrays at certain moments.",
                _object(
                    "",
                    **_AT,
                    name=_text("the moment"),
                    dumped=_flag("whether memblock=debug prints the arrays there"),
                    memory_size=_number("bytes of RAM"),
                    reserved_size=_number("bytes reserved"),
                    memory=_list("RAM", {"$ref": "#/$defs/region"}),
                    reserved=_list("reserved memory", {"$ref": "#/$defs/region"}),
                ),
            ),
            messages=_list(
                "What the kernel prints beside memblock's lines.",
                _object(
                    "",
                    **_AT,
                    text=_text("word for word"),
                    warning=_flag("whether it tells of trouble"),
                    logged=_LOGGED,
                ),
            ),
            refused=_list(
                "Allocations that failed.",
                _object("", **_AT, text=_text("the request's line"), owner=_WHO["owner"], logged=_LOGGED),
            ),
            events=_list(
                "The changes of memblock's arrays, in order. A run of count equal requests of size / count bytes, "
                "taken one beside the other, is one event.",
                _object(
                    "",
                    op={"enum": ["add", "reserve", "remove", "free"]},
                    **_SPAN,
                    **_WHO,
                    caller=_text("the symbol that memblock=debug prints"),
                    count=_number("how many requests"),
                    descending=_flag("whether a run was taken downwards"),
                    request=_text("the allocation line before it, or empty"),
                    logged=_LOGGED,
                    before_srat=_BEFORE,
                ),
            ),
        ),
    }


def diff_schema() -> dict[str, Any]:
    """The schema of what ``memplan diff --format json`` writes."""
    place = _maybe(_object("A reserved range.", **_SPAN, node=_NODE_OR_NONE, step=_WHO["step"]))
    zone = _maybe(
        _object(
            "A zone.",
            start_pfn=_number("its first page frame number"),
            spanned=_number("pages from its first to its last"),
            present=_number("pages of RAM among them"),
        )
    )
    verdict = _maybe({"$ref": "#/$defs/verdict"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan diff",
        "description": "What changes from one plan to another; numbers and ranges as in a plan. Pairs are [first, "
        "second]; null where that plan has no such thing.",
        "$defs": _definitions(),
        **_object(
            "",
            format={"const": "memplan diff"},
            version={"const": diff.VERSION, "description": _VERSION},
            plans=_pair("what the plans are called", {"type": "string"}),
            equal=_flag("whether both boots leave the same behind"),
            movable=_pair("bytes that can go off-line", {"type": "integer"}),
            reserved=_pair("bytes reserved", {"type": "integer"}),
            ends=_pair("how the boots ended", {"$ref": "#/$defs/end"}),
            owners=_list(
                "Reserved ranges that differ.",
                _object(
                    "",
                    kind={"enum": ["moved", "appeared", "vanished", "resized"]},
                    owner=_WHO["owner"],
                    before=place,
                    after=place,
                ),
            ),
            verdicts=_list(
                "Ranges whose verdicts differ.", _object("", node=_NODE, **_SPAN, before=verdict, after=verdict)
            ),
            zones=_list("Zones that differ.", _object("", node=_NODE, name=_text("zone"), before=zone, after=zone)),
            page_tables=_list(
                "Page-table pages, all side by side.",
                _object(
                    "",
                    level=_text("p4d, pud, pmd or pte"),
                    source={"enum": ["brk", "memblock"]},
                    node=_NODE_OR_NONE,
                    pages=_pair("how many", {"type": "integer"}),
                ),
            ),
            mapped=_list(
                "What is mapped with which pages, side by side.",
                _object("", page_size=_number("bytes"), size=_pair("bytes mapped", {"type": "integer"})),
            ),
            warnings=_pair("the warnings that only one of them has", _list("", {"type": "string"})),
            not_modelled=_pair("what the boots ask for and is not replayed", _list("", {"type": "string"})),
            unheeded_options=_pair("boot options that the kernels do not know", _list("", {"type": "string"})),
            rules=_list(
                "Where only the kernels differ: what makes an outcome differ, nothing of which can be left out.",
                _object(
                    "",
                    outcome=_text("how the boot ends, what can be removed, or what the crash kernel gets"),
                    causes=_list(
                        "Rules, steps and facts.",
                        _object(
                            "",
                            name=_text("of the rule, or of the step, or facts"),
                            what=_text("what it is about"),
                            before=_text("its value in the first kernel"),
                            after=_text("its value in the second"),
                            commit=_text("what brought it, or empty"),
                        ),
                    ),
                ),
            ),
        ),
    }


def _definitions() -> dict[str, Any]:
    return {
        "place": _object("A range of physical memory.", **_SPAN),
        "blocker": _object(
            "A reservation that keeps a range from being movable.",
            **_SPAN,
            **_WHO,
            remedy=_text("what would move it away"),
        ),
        "region": _object(
            "A region of one of memblock's arrays.",
            **_SPAN,
            node=_NODE_OR_NONE,
            flags=_number("MEMBLOCK_ flags: 1 hotplug, 2 mirror, 4 nomap, 8 driver managed, 16 not initialised"),
        ),
        "verdict": _object(
            "Whether a range can be movable.",
            node=_NODE,
            **_SPAN,
            hotplug=_HOTPLUG,
            movable=_flag("whether it can be"),
            start_pfn={"type": ["integer", "null"], "description": "the first page in ZONE_MOVABLE"},
            blocks=_number("memory blocks that can go off-line"),
            total_blocks=_number("memory blocks in all"),
            reason=_REASON,
            blockers=_BLOCKERS,
        ),
        "end": _object(
            "How a boot ended.",
            completed=_flag("whether it came to the hand-over to the page allocator"),
            step=_text("the step it died in"),
            text=_text("the kernel's last words"),
            cause=_text("why it died"),
        ),
    }


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _pair(description: str, element: dict[str, Any]) -> dict[str, Any]:
    return {**_list(description, element), "minItems": 2, "maxItems": 2}


def _object(description: str, **members: Any) -> dict[str, Any]:
    found = {"type": "object", "required": list(members), "properties": members}
    return {"description": description, **found} if description else found


def _list(description: str, element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": description, "items": element}


def _number(description: str) -> dict[str, Any]:
    return {"type": "integer", "description": description}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


_VERSION = "raised when a member changes its meaning or goes"
_SPAN = {
    "start": _number("the first byte"),
    "end": _number("the last byte"),
    "size": _number("bytes"),
}
_WHO = {"owner": _text("what the memory is for"), "step": _text("the boot step that asked")}
_AT = {"event": _number("how many of events came before"), "step": _text("the boot step")}
_NODE = _number("node")
_NODE_OR_NONE = {"type": ["integer", "null"], "description": "node, null for none"}
_HOTPLUG = _flag("whether the SRAT marks it hot-pluggable")
_REASON = _text("why, in one sentence")
_BEFORE = _flag("whether it happened before the SRAT was read")
_LOGGED = _flag("false before the kernel has parsed memblock=debug")
_BLOCKERS = _list("what stands in the way", {"$ref": "#/$defs/blocker"})
