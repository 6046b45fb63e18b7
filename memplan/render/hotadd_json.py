"""Added memory as JSON, for programs, and the schema of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memplan.hotadd.result import State
from memplan.render.forms import (
    Document,
    Form,
    Member,
    flag,
    listed,
    literal,
    maybe,
    number,
    one_of,
    record,
    text,
    versioned,
)
from memplan.render.json_ import TEXTS, document_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.hotadd.result import BlockRange, HotaddPlan, StepResult

#: Raised when a member changes its meaning or goes.
VERSION = 1


def hotadd_lines(result: HotaddPlan) -> Iterator[str]:
    """The JSON text of `result`, line by line."""
    return document_lines(hotadd_document(result))


def hotadd_document(result: HotaddPlan) -> dict[str, Any]:
    """`result` as the object that is written: dicts, lists, strings, numbers."""
    return _HOTADD.written(result)


def hotadd_schema() -> dict[str, Any]:
    """The schema of what ``memplan hotadd --format json`` writes."""
    return _HOTADD.schema()


_BLOCKS: Form[BlockRange] = record(
    "",
    Member(
        "first",
        number("the first block's number: its address divided by the block size", least=0),
        lambda own: own.first,
    ),
    Member("last", number("the last block's number; the blocks between are alike", least=0), lambda own: own.last),
    Member(
        "node",
        text("the node that the blocks belong to", pattern="^node[0-9]+$"),
        lambda own: f"node{own.nid}",
    ),
    Member("state", literal(State), lambda own: own.state),
    Member(
        "zones",
        listed(
            one_of("DMA", "DMA32", "Normal", "Movable", "none"),
            "as valid_zones tells them: the zone that the blocks are in (none: more than one); of blocks off-line, the "
            "zone that plain online leads to, then the others that are possible",
        ),
        lambda own: own.zones,
    ),
)
_STEP: Form[StepResult] = record(
    "",
    Member("step", number("the step's number, from 0", least=0), lambda step: step.number),
    Member(
        "accepted",
        maybe(
            flag(
                "whether the step did what it asked for; null where that can't be known before it is tried: blocks "
                "then show the guess that reason names"
            )
        ),
        lambda step: step.accepted,
    ),
    Member("reason", text("what became of it, and why"), lambda step: step.reason),
    Member("blocks", listed(_BLOCKS, "all memory blocks after the step, upwards"), lambda step: step.blocks),
    Member(
        "map_bytes",
        number("bytes in the memory maps of all added memory, wherever they lie", least=0),
        lambda step: step.map_bytes,
    ),
    Member(
        "memtotal",
        maybe(
            number("MemTotal in bytes (/proc/meminfo tells it in units of 1024); null where it is not known", least=0)
        ),
        lambda step: step.total,
    ),
)
_HOTADD: Document[HotaddPlan] = versioned(
    "memplan hotadd",
    VERSION,
    "Memory that is added after boot, step by step. New members may come.",
    Member("block_size", number("bytes in one memory block", least=0), lambda plan: plan.block_size),
    Member("steps", listed(_STEP, "the state after each step of the scenario"), lambda plan: plan.steps),
    Member(
        "warnings", TEXTS.told("what to look out for, in the order in which it came up"), lambda plan: plan.warnings
    ),
)
