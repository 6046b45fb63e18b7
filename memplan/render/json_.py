"""A plan as JSON: the whole of it, for programs.  memplan/render/schema.py says what each part means.

Addresses and sizes are numbers of bytes, and every `end` is inclusive, as the kernel prints ranges.  Each element
of a list stands on a line of its own, so that two outputs can be compared line by line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.events import Change, Checkpoint, Message, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from memplan.events import Event, Region
    from memplan.plan import Blocker, PageTables, Plan, Verdict
    from memplan.wording import Wording

#: Raised when a field changes its meaning or goes; new fields alone do not raise it.
VERSION = 1


def plan_lines(plan: Plan) -> Iterator[str]:
    """The JSON text of `plan`, line by line."""
    return document_lines(plan_document(plan))


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


def plan_document(plan: Plan) -> dict[str, Any]:
    """`plan` as the object that is written: dicts, lists, strings, numbers."""
    return {
        "format": "memplan plan",
        "version": VERSION,
        "machine": plan.machine_name,
        "kernel": {"name": plan.kernel, "version": plan.kernel_version, "notes": list(plan.kernel_notes)},
        "cmdline": plan.cmdline,
        "unheeded_options": list(plan.unheeded),
        "not_modelled": list(plan.limits),
        "direction": "bottom-up" if plan.bottom_up else "top-down",
        "end": {
            "completed": plan.end.completed,
            "step": plan.end.step,
            "text": plan.end.text,
            "cause": plan.end.cause,
        },
        "movable": [{"node": nid, **span(start, end)} for nid, start, end in plan.movable],
        "blocked": [
            {
                "node": verdict.nid,
                **span(verdict.start, verdict.end),
                "hotplug": verdict.hotplug,
                "reason": verdict.reason,
                "blockers": _blockers(verdict.blockers),
            }
            for verdict in plan.verdicts
            if not verdict.movable
        ],
        "verdicts": [verdict_object(verdict) for verdict in plan.verdicts],
        "warnings": [message.text for message in plan.warnings],
        "block_size": plan.block_size,
        "movable_start": [{"node": nid, "pfn": pfn} for nid, pfn in plan.movable_start_pfn],
        "nodes": [
            {
                "node": node.nid,
                "pxm": node.pxm,
                "online": node.online,
                "hotplug": node.hotplug,
                "size": node.memory,
                "ranges": [span(start, end) for start, end in node.ranges],
                "node_data": None if node.node_data is None else span(*node.node_data),
                "cpus": list(node.cpus),
            }
            for node in plan.nodes
        ],
        "zones": [
            {
                "node": zone.nid,
                "name": zone.name,
                "start_pfn": zone.start_pfn,
                "spanned": zone.spanned,
                "present": zone.present,
            }
            for zone in plan.zones
        ],
        "page_tables": _page_tables(plan.page_tables),
        "reservations": [
            {
                **span(part.start, part.end),
                "node": part.nid,
                "owner": str(part.owner),
                "step": part.step,
                "before_srat": part.before_srat,
            }
            for part in plan.reservations
        ],
        **_events(plan.events, plan.wording),
    }


def span(start: int, end: int) -> dict[str, int]:
    """The range ``[start, end)`` as JSON has it: `end` inclusive, and its size."""
    return {"start": start, "end": end - 1, "size": end - start}


def verdict_object(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON has it."""
    return {
        "node": verdict.nid,
        **span(verdict.start, verdict.end),
        "hotplug": verdict.hotplug,
        "movable": verdict.movable,
        "start_pfn": verdict.start_pfn,
        "blocks": verdict.blocks,
        "total_blocks": verdict.total_blocks,
        "reason": verdict.reason,
        "blockers": _blockers(verdict.blockers),
    }


def _blockers(blockers: Iterable[Blocker]) -> list[dict[str, Any]]:
    return [
        {**span(part.start, part.end), "owner": str(part.owner), "step": part.step, "remedy": part.remedy.text}
        for part in blockers
    ]


def _page_tables(tables: PageTables) -> dict[str, Any]:
    return {
        "levels": tables.levels,
        "direct_map_base": tables.direct_map_base,
        "pages": {"brk": tables.pages("brk"), "memblock": tables.pages("memblock")},
        "tables": [
            {
                "level": run.level,
                "source": run.source,
                "pages": run.pages,
                "node": run.nid,
                **span(run.start, run.end),
            }
            for run in tables.runs
        ],
        "mappings": [{**span(part.start, part.end), "page_size": part.page_size} for part in tables.mappings],
    }


def _events(events: Iterable[Event], wording: Wording) -> dict[str, list[dict[str, Any]]]:
    """What happened, by kind; `event` in the others is how many of `events` came before."""
    changes: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    checkpoints: list[dict[str, Any]] = []
    for event in events:
        at = {"event": len(changes), "step": event.step}
        if isinstance(event, Change):
            changes.append(
                {
                    "op": event.op,
                    **span(event.start, event.end),
                    "step": event.step,
                    "owner": str(event.owner),
                    "caller": wording.caller(event),
                    "count": event.count,
                    "descending": event.descending,
                    "request": wording.request(event.request, event.caller) if event.request is not None else "",
                    "logged": event.logged,
                    "before_srat": event.before_srat,
                }
            )
        elif isinstance(event, Message):
            messages.append({**at, "text": event.text, "warning": event.warning, "logged": event.logged})
        elif isinstance(event, Checkpoint):
            checkpoints.append(
                {
                    **at,
                    "name": event.name,
                    "dumped": event.dumped,
                    "memory_size": event.memory_size,
                    "reserved_size": event.reserved_size,
                    "memory": [_region(region) for region in event.memory],
                    "reserved": [_region(region) for region in event.reserved],
                }
            )
        elif isinstance(event, Refused) and (text := wording.request(event.request, event.caller)):
            refused.append({**at, "text": text, "owner": str(event.owner), "logged": event.logged})
    return {"checkpoints": checkpoints, "messages": messages, "refused": refused, "events": changes}


def _region(region: Region) -> dict[str, int | None]:
    return {**span(region.start, region.end), "node": region.nid, "flags": region.flags}
