"""What a kernel version does with memory that is added after boot, as named rules (configs/rules/hotplug.yaml)."""

from typing import Literal, NamedTuple


class HotplugRules(NamedTuple):
    """The rules of one version; configs/rules/hotplug.yaml explains each and dates its values."""

    retries_failed: bool
    unknown_domain: Literal["new node", "by address"]
    possible_nodes_only: bool
    alignment: Literal["section", "block"]
    mem_option: Literal["boot", "always"]
    address_limit: Literal["none", "address bits", "direct map"]
    direct_map_whole: bool
    memmap_on_memory: Literal["none", "single blocks", "every block"]
    memmap_on_memory_force: bool
    hugetlb_excludes_memmap: bool
    default_online: Literal["never", "MEMORY_HOTPLUG_DEFAULT_ONLINE", "MHP_DEFAULT_ONLINE_TYPE"]
    online_types: Literal["none", "two", "four"]
    zones: Literal["added to Normal", "added", "in order", "spans"]
    auto_movable: bool
    short_pfns: bool
    spans_shrink: Literal["on removal", "off-line"]
    boot_block_zone: Literal["pages", "spans"]
    hugetlb_freed_map: int
    #: Rules of which it isn't known whether this version has them already.
    doubts: tuple[str, ...] = ()
