"""Sizes of structures: those that version and configuration decide, and what both decide of the large ones.

A build that carries type information tells them all; these stand in where one does not, and for versions of which no
build is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from memplan.kernel.facts import FactValue

_CACHE_LINE = 64
_POINTER = 8
#: struct zoneref, and what stands behind the zones in a zonelist.
_ZONEREF = 16
_DOUBLED = 2
#: Where the name of the task that prints is kept with each record.
_PRINTK_TASK = 24
_MEMCG = ("MEMCG_KMEM", "MEMCG")


class StructRules(NamedTuple):
    """Sizes in bytes that configs/rules/structures.yaml dates; 0: this version has no such structure."""

    page: int
    mem_section: int
    mem_section_doubled_by: Literal["MEMCG", "PAGE_EXTENSION"]
    mem_section_usage: int
    resource: int
    firmware_map_entry: int
    nosave_region: int
    efi_memory_desc_t: int
    wait_queue_head: int
    pcpu_alloc_info: int
    pcpu_group_info: int
    pcpu_block_md: int
    pcpu_chunk: int
    pcpu_chunk_memcg: int
    io_tlb_mem: int
    io_tlb_slot: int
    io_tlb_area: int
    prb_desc: int
    printk_info: int
    kfence_metadata: int
    kfence_metadata_memcg: int
    cpu_entry_area: int
    zonelist_caches: bool
    #: Sizes of which it isn't known whether this version has them already.
    doubts: tuple[str, ...] = ()


def decided_sizes(rules: StructRules, facts: Mapping[str, FactValue]) -> dict[str, int]:
    """The sizes, by the facts' names, that `rules` and the configuration in `facts` decide."""

    def on(*options: str) -> bool:
        return any(facts.get(f"config.{option}") is True for option in options)

    sizes: dict[str, int] = {
        name: size
        for name, size in rules._asdict().items()
        if isinstance(size, int) and not isinstance(size, bool) and not name.endswith("_memcg")
    }
    sizes["__wait_queue_head"] = sizes.pop("wait_queue_head")
    if on(rules.mem_section_doubled_by):
        sizes["mem_section"] *= _DOUBLED
    if on(*_MEMCG):
        sizes["pcpu_chunk"] = rules.pcpu_chunk_memcg
        sizes["kfence_metadata"] = rules.kfence_metadata_memcg
    if sizes["printk_info"] and on("PRINTK_EXECUTION_CTX"):
        sizes["printk_info"] += _PRINTK_TASK
    return {f"struct.{name}": size for name, size in sizes.items()}


def node_data_size(
    rules: StructRules, facts: Mapping[str, FactValue], like_rules: StructRules, like: Mapping[str, FactValue]
) -> int | None:
    """sizeof(struct pglist_data) of a kernel with `rules` and the configuration in `facts`, after the build `like`.

    The zones and the zone lists, which are nearly all of it, follow from the configuration; the rest, and the size of
    a zone where `facts` has none, are those of `like`.  None where one of the two does not tell enough.
    """
    zone = _number(facts, "struct.zone") or _number(like, "struct.zone")
    like_zone, like_size = _number(like, "struct.zone"), _number(like, "struct.pglist_data")
    own, others = _lists(rules, facts), _lists(like_rules, like)
    if zone is None or like_zone is None or like_size is None or own is None or others is None:
        return None
    rest = like_size - others - _zones(like) * like_zone
    return -(-(own + _zones(facts) * zone + max(rest, 0)) // _CACHE_LINE) * _CACHE_LINE


def _number(facts: Mapping[str, FactValue], name: str) -> int | None:
    value = facts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _zones(facts: Mapping[str, FactValue]) -> int:
    """MAX_NR_ZONES: ZONE_NORMAL and ZONE_MOVABLE, and those of the configuration."""
    return 2 + sum(facts.get(f"config.{name}") is True for name in ("ZONE_DMA", "ZONE_DMA32", "ZONE_DEVICE"))


def _lists(rules: StructRules, facts: Mapping[str, FactValue]) -> int | None:
    """Bytes of the zone lists: one with NUMA's fall-back to all nodes, one without."""
    shift = _number(facts, "config.NODES_SHIFT") if facts.get("config.NUMA") is True else 0
    if shift is None:
        return None
    zones = _zones(facts) << shift
    size = (zones + 1) * _ZONEREF
    if facts.get("config.NUMA") is not True:
        return size
    if rules.zonelist_caches:
        size += 2 * _POINTER + 2 * zones + -(-zones // 64) * _POINTER
    return 2 * size
