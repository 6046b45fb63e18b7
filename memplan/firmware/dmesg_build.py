"""Facts of the kernel's build that its log tells: sizes and options, where memplan's kernel has others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.parameters import page_table_buffer
from memplan.firmware.dmesg_image import size_before_brk
from memplan.kernel.facts import is_right
from memplan.units import KIB, PAGE_SIZE, round_up

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts
    from memplan.kernel.facts import FactValue
    from memplan.kernel.model import Kernel
    from memplan.klog.boot import BootLines

#: Bytes of modules' per-CPU memory, where no allocation is profiled.
_MODULE_RESERVE = 8 * KIB
#: Boot options that reserve CMA areas, whatever the build's own size.
_CMA_OPTIONS = ("cma", "hugetlb_cma", "crashkernel", "numa_cma", "cma_pernuma", "reserve_mem")
#: Options that show in the list of zones.
_ZONES = {"DMA": "ZONE_DMA", "DMA32": "ZONE_DMA32", "Device": "ZONE_DEVICE"}


def build_facts(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    """Put kernel.overrides: what `boot` tells of its kernel's build, as far as `kernel` says otherwise."""
    if kernel is None:
        return
    told = {**_image(boot, kernel), **_sizes(boot, kernel), **_options(boot, kernel)}
    # A damaged line tells numbers that no build has.
    right = {name: value for name, value in told.items() if is_right(name, value)}
    other: dict[str, FactValue] = {name: value for name, value in right.items() if kernel.facts.get(name) != value}
    # An option that is off and one that is not named are the same.
    other = {name: value for name, value in other.items() if value is not False or kernel.facts.get(name)}
    if other:
        line = min((boot.lines[kind] for kind in _KINDS if boot.has(kind)), default=0)
        found.put("kernel.overrides", other, "the sizes and zones that the kernel printed", line=line)
        names = ", ".join(f"{name} = {value}" for name, value in sorted(other.items()))
        found.note(f"facts of this kernel's build that the log tells: {names}", line)


_KINDS = ("dump", "node_data", "percpu", "nr_cpus", "log_buf", "zones")


def _image(boot: BootLines, kernel: Kernel) -> dict[str, FactValue]:
    """The size of an image that memplan does not know; what lies in the brk is as long as in the one that it knows."""
    size = size_before_brk(boot, kernel)
    known = kernel.facts.get("image.brk_start")
    if size is None or not isinstance(known, int):
        return {}
    behind = {name: kernel.fact(name) - known for name in ("image.brk_limit", "image.end", "image.total_size")}
    told = {"image.kernel_reserve_end": size, "image.brk_start": size}
    return {**told, **{name: size + more for name, more in behind.items()}}


def _sizes(boot: BootLines, kernel: Kernel) -> dict[str, FactValue]:
    told: dict[str, FactValue] = {}
    size = boot.node_data_size
    known = kernel.facts.get("struct.pglist_data", 0)
    if size and (not isinstance(known, int) or round_up(known, kernel.rules.node_data_round) != size):
        told["struct.pglist_data"] = size
    if boot.percpu is not None:
        told["image.percpu_static"] = boot.percpu[0]
        told["config.MODULES"] = boot.percpu[1] > 0
        if kernel.rules.percpu_profiling_reserve != _MODULE_RESERVE:
            told["config.MEM_ALLOC_PROFILING"] = boot.percpu[1] == kernel.rules.percpu_profiling_reserve
    if boot.config_nr_cpus:
        told["config.NR_CPUS"] = boot.config_nr_cpus
    if boot.log_buf and boot.log_buf & (boot.log_buf - 1) == 0 and "log_buf_len" not in boot.cmdline:
        told["config.LOG_BUF_SHIFT"] = boot.log_buf.bit_length() - 1
    if boot.cma is not None and not any(word.split("=")[0] in _CMA_OPTIONS for word in boot.words):
        told |= {"config.CMA": True, "config.DMA_CMA": True, "config.CMA_SIZE_SEL_MBYTES": True}
        told["config.CMA_SIZE_MBYTES"] = boot.cma
    if boot.log_buf_cpu and boot.log_buf_cpu & (boot.log_buf_cpu - 1) == 0:
        told["config.LOG_CPU_MAX_BUF_SHIFT"] = boot.log_buf_cpu.bit_length() - 1
    return told


def _options(boot: BootLines, kernel: Kernel) -> dict[str, FactValue]:
    """Options by what the kernel lists, and by what it does not in a log that has the lines around."""
    told: dict[str, FactValue] = {}
    if boot.zones_end:
        told |= {f"config.{option}": zone in boot.zones for zone, option in _ZONES.items()}
    if kernel.rules.pgt_buffer_doubled and boot.brk_pages * PAGE_SIZE > page_table_buffer(kernel):
        told["config.RANDOMIZE_MEMORY"] = True
    if boot.kaslr_off and not {"nokaslr", "kaslr"} & set(boot.words):
        told |= {"config.RANDOMIZE_BASE": False, "config.RANDOMIZE_MEMORY": False}
    if boot.node_data_size or boot.has("no_numa"):
        told["config.NUMA"] = True
    elif boot.zones_end and boot.has("last_pfn") and not boot.has("fake_node"):
        told["config.NUMA"] = False
        told["config.NODES_SHIFT"] = 0
    return told
