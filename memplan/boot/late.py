"""The small allocations after the zones are laid out: resources, command lines, masks, log buffer, hash tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.errors import NotCoveredError
from memplan.machine.model import E820_RAM, E820_RESERVED_KERN
from memplan.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE, leading_number, memparse, pfn_down, pfn_up, pow2_up, round_up

if TYPE_CHECKING:
    from memplan.boot.state import Boot

_MAX_DMA_PFN = 16 * MIB >> PAGE_SHIFT
_LOG_BUF_MAX = 2 * GIB
#: Words that boot loaders leave on the command line (unknown_bootoption, 6.x).
_LOADER_WORDS = ("BOOT_IMAGE=", "kexec")
#: What reserve_mem= has room for (RESERVE_MEM_MAX_ENTRIES, RESERVE_MEM_NAME_SIZE).
_RESERVE_MEM_ENTRIES = 8
_RESERVE_MEM_NAME = 16
#: Handlers that leave all other values to init; None stands for the word alone.
_VALUES: dict[str, tuple[str | None, ...]] = {
    "numa_balancing": ("enable", "disable"),
    "preempt": ("none", "voluntary", "full"),
    "retain_initrd": (None,),
    "ro": (None,),
    "rootwait": (None,),
    "rw": (None,),
    "schedstats": ("enable", "disable"),
    "transparent_hugepage": ("always", "madvise", "never"),
}
#: Words and environment that init can be given (CONFIG_INIT_ENV_ARG_LIMIT), without HOME and TERM.
_MOST_ARGUMENTS = 32
_MOST_ENVIRONMENT = 31


# -- setup_arch ----------------------------------------------------------------------------------------------------


def setup_log_buf_early(boot: Boot) -> None:
    """The log buffer of ``log_buf_len=``, before the SRAT is read (setup_log_buf(1)); all versions."""
    value = boot.cmdline.last("log_buf_len")
    if value is None:
        return
    size = min(memparse(value)[0], _LOG_BUF_MAX)
    size = pow2_up(size) if size else 0
    if size > 1 << boot.kernel.config_number("LOG_BUF_SHIFT"):
        boot.new_log_buf = _log_buffers(boot, size, early=True)


def setup_log_buf(boot: Boot) -> None:
    """A larger log buffer where many CPUs may come (setup_log_buf(0)); 5.10 on."""
    if boot.new_log_buf:
        return
    shift = boot.kernel.config_number("LOG_BUF_SHIFT")
    extra = (boot.possible_cpus - 1) << boot.kernel.config_number("LOG_CPU_MAX_BUF_SHIFT")
    if extra > 1 << (shift - 1):
        boot.new_log_buf = _log_buffers(boot, pow2_up(extra + (1 << shift)), early=False)


def _log_buffers(boot: Boot, size: int, *, early: bool) -> bool:
    """The text, and from 5.10 on the ring buffer's descriptors and infos, one each for 32 bytes of text."""
    if boot.rules.log_buf == "text":
        if early:
            return bool(boot.alloc_base(size, PAGE_SIZE, owner="log buffer"))
        return bool(boot.alloc(round_up(size, PAGE_SIZE), PAGE_SIZE, owner="log buffer", caller="setup_log_buf"))
    count = size >> 5
    parts = (
        ("log buffer", size),
        ("log descriptors", count * boot.kernel.fact("struct.prb_desc")),
        ("log infos", count * boot.kernel.fact("struct.printk_info")),
    )
    taken: list[tuple[int, int, str]] = []
    for owner, length in parts:
        found = boot.alloc(length, 8, owner=owner, caller="setup_log_buf")
        if not found:
            boot.printk(f"log_buf_len: {length} bytes not available", warning=True)
            for start, end, name in reversed(taken):
                boot.free(start, end, owner=name, caller="setup_log_buf")
            return False
        taken.append((found, found + length, owner))
    return True


def memblock_find_dma_reserve(boot: Boot) -> None:
    """Counts the pages below 16 MiB that are taken by now; hash tables are sized without them (up to 6.7)."""
    present = sum(min(end, _MAX_DMA_PFN) - min(start, _MAX_DMA_PFN) for start, end, _ in boot.memblock.pfn_ranges(None))
    free = 0
    for start, end in boot.free_gaps():
        first, last = min(pfn_up(start), _MAX_DMA_PFN), min(pfn_down(end), _MAX_DMA_PFN)
        free += max(last - first, 0)
    boot.dma_reserve = present - free


def acpi_parse_hpet(boot: Boot) -> None:
    """The HPET's resource, with its name of nine characters; all versions."""
    if boot.machine.acpi.hpet and not boot.acpi_disabled and boot.kernel.config("HPET_TIMER"):
        boot.alloc_or_panic(boot.kernel.fact("struct.resource") + 9, owner="HPET resource", caller="acpi_parse_hpet")


def io_apic_init_mappings(boot: Boot) -> None:
    """The IO-APICs' resources, with names of eleven characters; all versions."""
    count = boot.ioapics
    if count:
        size = count * (boot.kernel.fact("struct.resource") + 11)
        boot.alloc_or_panic(size, owner="IO-APIC resources", caller="io_apic_init_mappings")


def kvmclock_init(boot: Boot) -> None:
    """3.13 on KVM: the guest clock's pages."""
    if boot.machine.hypervisor == "kvm" and boot.kernel.config("KVM_GUEST") and not boot.cmdline.has("no-kvmclock"):
        raise NotCoveredError(
            "the KVM guest clock of Linux 3.13 is not replayed yet (boot option no-kvmclock avoids it)"
        )


def e820__reserve_resources(boot: Boot) -> None:
    """The e820 entries' resources, and an entry of /sys/firmware/memmap for each of firmware's; all versions."""
    size = boot.kernel.fact("struct.resource") * len(boot.e820)
    boot.alloc_or_panic(size, owner="e820 resources", caller="e820__reserve_resources")
    if not boot.kernel.config("FIRMWARE_MEMMAP"):
        return
    size = boot.kernel.fact("struct.firmware_map_entry")
    for _ in boot.e820_firmware:
        boot.alloc_or_panic(size, owner="firmware memory map", caller="firmware_map_add_early")


def e820__register_nosave_regions(boot: Boot) -> None:
    """What hibernation must not save: the gaps of RAM; rules.nosave names how a version walks the map."""
    if not boot.kernel.config("HIBERNATION"):
        return
    last_end: int | None = None
    for start_pfn, end_pfn in _nosave_regions(boot):
        if start_pfn >= end_pfn:
            continue
        if start_pfn != last_end:
            boot.alloc_or_panic(
                boot.kernel.fact("struct.nosave_region"), owner="nosave region", caller="register_nosave_region"
            )
        last_end = end_pfn


def _nosave_regions(boot: Boot) -> list[tuple[int, int]]:
    entries = list(boot.e820)
    regions = []
    if boot.rules.nosave == "gaps":
        last = 0
        for start, end, kind in entries:
            if kind in (E820_RAM, E820_RESERVED_KERN):
                if last < start:
                    regions.append((pfn_down(last), pfn_up(start)))
                last = end
        return [*regions, (pfn_down(last), boot.max_pfn)]
    # "entries": every hole between entries, and every entry that is not RAM; 3.13 ends at the low memory.
    limit = boot.max_low_pfn if boot.rules.nosave == "low entries" else boot.max_pfn
    pfn = pfn_down(entries[0][1]) if boot.rules.nosave == "low entries" else 0
    for start, end, kind in entries[1:] if boot.rules.nosave == "low entries" else entries:
        if pfn < pfn_up(start):
            regions.append((pfn, pfn_up(start)))
        pfn = pfn_down(end)
        if kind not in (E820_RAM, E820_RESERVED_KERN):
            regions.append((pfn_up(start), pfn))
        if pfn >= limit:
            break
    return regions


# -- start_kernel --------------------------------------------------------------------------------------------------


def setup_command_line(boot: Boot) -> None:
    """Copies of the command line, each with its final NUL; all versions."""
    for _ in range(boot.rules.command_line_copies):
        boot.alloc_or_panic(len(boot.machine.cmdline) + 1, owner="command line", caller="start_kernel")


def setup_boot_config(boot: Boot) -> None:
    """Boot configuration attached to the initrd: its text is not part of a machine description yet."""
    if boot.kernel.config("BOOT_CONFIG") and boot.cmdline.has("bootconfig"):
        raise NotCoveredError("boot option bootconfig: a boot configuration inside the initrd is not replayed yet")


def alloc_bootmem_cpumasks(boot: Boot) -> None:
    """CPU masks kept off the stack: one a node (setup_node_to_cpumask_map), then the scheduler's and others'."""
    if not boot.kernel.config("CPUMASK_OFFSTACK"):
        return
    size = 8 * -(-boot.possible_cpus // 64)
    for _ in range(boot.numa.nr_node_ids + boot.rules.cpumasks):
        boot.alloc_or_panic(size, owner="CPU mask", caller="alloc_bootmem_cpumask_var")


def reserve_mem(boot: Boot) -> None:
    """``reserve_mem=size:align:name``: memory that keeps its place over a warm boot (6.12 on).

    What is malformed, a name that is taken or too long and the words behind the eighth are passed over.
    """
    names: set[str] = set()
    for value in boot.cmdline.all("reserve_mem"):
        size, rest = memparse(value)
        align, name = memparse(rest[1:])
        if not size or rest[:1] != ":" or name[:1] != ":":
            continue
        name = name[1:]
        if not name.strip() or len(name) >= _RESERVE_MEM_NAME or name in names or len(names) >= _RESERVE_MEM_ENTRIES:
            continue
        if boot.phys_alloc(size, max(align, 64), owner=f"reserve_mem {name}", caller="reserve_mem"):
            names.add(name)


def print_unknown_bootoptions(boot: Boot) -> None:
    """Lists the words that no handler takes, for which it borrows a buffer; 5.13 on (commit 86d1919232a3)."""
    unknown = _unknown_options(boot)
    if not unknown:
        return
    size = 1 + sum(1 + len(word) for word in unknown)
    found = boot.alloc(size, owner="unknown options", caller="start_kernel")
    boot.printk(
        f'Unknown kernel command line parameters "{" ".join(unknown)}", will be passed to user space.', warning=False
    )
    if found:
        boot.free(found, found + size, owner="unknown options", caller="start_kernel")


def _unknown_options(boot: Boot) -> list[str]:
    """Words for init (no value) and then for its environment (name=value), in the kernel's order.

    Where they are more than init takes, the kernel lists none, and panics over them later.
    """
    known = boot.kernel.options
    if known is None:
        raise NotCoveredError(
            f"kernel {boot.kernel.name}: the boot options that it handles are not known, so it can't be told for "
            "which words it prints a list of unknown ones"
        )
    arguments: list[str] = []
    environment: dict[str, str] = {}
    for name, value in boot.cmdline.args:
        word = name if value is None else f"{name}={value}"
        option = name.replace("-", "_")
        handled = option in known and (option not in _VALUES or value in _VALUES[option])
        if handled or "." in name or word.startswith(_LOADER_WORDS):
            continue
        if value is None:
            arguments.append(word)
        elif name not in ("HOME", "TERM"):
            environment[name] = word
    if len(arguments) > _MOST_ARGUMENTS or len(environment) > _MOST_ENVIRONMENT:
        return []
    return arguments + list(environment.values())


def pidhash_init(boot: Boot) -> None:
    """The hash of process ids, up to 4.14: one bucket of 8 bytes for 256 KiB of kernel memory, 16 to 4096 of them."""
    entries = round_up(boot.zones.nr_kernel_pages, 256) >> 6
    entries = min(max(pow2_up(entries), 16), 4096)
    boot.alloc(8 * entries, owner="PID hash", caller="alloc_large_system_hash")


def vfs_caches_init_early(boot: Boot) -> None:
    """Dentry and inode hash tables, where they don't wait for vmalloc: on machines of one node, or as hashdist= has it.

    The tables grow by one bucket for 8 KiB (dentries) and 16 KiB (inodes) of kernel memory, less on large machines
    (4.13 on), at most a sixteenth of all memory.
    """
    hashdist = boot.kernel.config("NUMA")
    if boot.rules.hash_single_node and sum(1 for nid in boot.numa.online if any(boot.memblock.pfn_ranges(nid))) == 1:
        hashdist = False
    for value in boot.cmdline.all("hashdist"):
        hashdist = bool(leading_number(value)[0])
    if hashdist:
        return
    for owner, option, scale in (("dentry hash", "dhash_entries", 13), ("inode hash", "ihash_entries", 14)):
        asked = leading_number(boot.cmdline.last(option) or "")[0] or 0
        entries = _hash_entries(boot, scale, asked)
        while not boot.alloc(8 * entries, owner=owner, caller="alloc_large_system_hash") and 8 * entries > PAGE_SIZE:
            entries >>= 1


def _hash_entries(boot: Boot, scale: int, asked: int) -> int:
    entries = asked
    if not entries:
        entries = round_up(boot.zones.nr_kernel_pages, MIB >> PAGE_SHIFT)
        if boot.rules.hash_adapt:
            threshold = 64 * GIB >> PAGE_SHIFT
            while threshold < entries:
                scale += 1
                threshold <<= 2
        entries = max(entries >> (scale - PAGE_SHIFT), PAGE_SIZE // 8)
    limit = (boot.zones.nr_all_pages << PAGE_SHIFT >> 4) // 8
    return 1 << (min(pow2_up(entries), limit).bit_length() - 1)


def xsave_init(boot: Boot) -> None:
    """3.13: the extended state's initial image and offsets, and a second image with eager switching."""
    cpus = boot.machine.cpus
    if not cpus.xsave_size:
        return
    boot.alloc_or_panic(cpus.xsave_size, owner="xsave state", caller="setup_init_fpu_buf")
    for _ in range(2):
        boot.alloc_or_panic(4 * cpus.xsave_features, owner="xsave offsets", caller="setup_xstate_features")
    if boot.cmdline.last("eagerfpu") != "off" and cpus.xsaveopt:
        boot.alloc_or_panic(cpus.xsave_size, owner="xsave state", caller="eager_fpu_init_bp")


def kfence_alloc_pool(boot: Boot) -> None:
    """KFENCE's pool, where its sample interval is not 0; 6.5 on also its metadata; 5.12 on."""
    kernel = boot.kernel
    if not kernel.config("KFENCE"):
        return
    value = boot.cmdline.last("kfence.sample_interval")
    interval = memparse(value)[0] if value else kernel.config_number("KFENCE_SAMPLE_INTERVAL")
    if not interval:
        return
    objects = kernel.config_number("KFENCE_NUM_OBJECTS")
    boot.alloc((objects + 1) * 2 * PAGE_SIZE, PAGE_SIZE, owner="KFENCE pool", caller="kfence_alloc_pool_and_metadata")
    if boot.rules.kfence == "pool and metadata":
        size = round_up(objects * kernel.fact("struct.kfence_metadata"), PAGE_SIZE)
        boot.alloc(size, PAGE_SIZE, owner="KFENCE metadata", caller="kfence_alloc_pool_and_metadata")


def memblock_free_all(boot: Boot) -> None:
    """The hand-over: the arrays as they are are what stays reserved; all versions (3.13: free_all_bootmem).

    From 6.x on (rules.free_all_sets_nid) reserved regions first get the node that their memory has.
    """
    if boot.rules.free_all_sets_nid:
        for base, size, nid, _ in list(boot.memblock.memory):
            boot.memblock.set_node_reserved(base, size, nid)
    boot.recorder.checkpoint("memblock_free_all", boot.memblock, dumped=False)
