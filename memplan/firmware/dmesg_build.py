"""Facts of the kernel's build that its log tells: sizes and options, where memplan's kernel has others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.units import KIB, round_up

if TYPE_CHECKING:
    from memplan.firmware.source import Found
    from memplan.kernel.model import Kernel, Value
    from memplan.klog.boot import BootLines

#: Bytes of modules' per-CPU memory, where no allocation is profiled.
_MODULE_RESERVE = 8 * KIB
#: Options that show in the list of zones.
_ZONES = {"DMA": "ZONE_DMA", "DMA32": "ZONE_DMA32", "Device": "ZONE_DEVICE"}


def build_facts(boot: BootLines, kernel: Kernel | None, found: Found) -> None:
    """Put kernel.overrides: what `boot` tells of its kernel's build, as far as `kernel` says otherwise."""
    if kernel is None:
        return
    told = {**_sizes(boot, kernel), **_options(boot)}
    other: dict[str, Value] = {name: value for name, value in told.items() if kernel.facts.get(name) != value}
    # An option that is off and one that is not named are the same.
    other = {name: value for name, value in other.items() if value is not False or kernel.facts.get(name)}
    if other:
        line = min((boot.lines[kind] for kind in _KINDS if boot.has(kind)), default=0)
        found.put("kernel.overrides", other, "the sizes and zones that the kernel printed", line=line)
        names = ", ".join(f"{name} = {value}" for name, value in sorted(other.items()))
        found.note(f"facts of this kernel's build that the log tells: {names}", line)


_KINDS = ("node_data", "percpu", "nr_cpus", "log_buf", "zones")


def _sizes(boot: BootLines, kernel: Kernel) -> dict[str, Value]:
    told: dict[str, Value] = {}
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
    if boot.log_buf_cpu and boot.log_buf_cpu & (boot.log_buf_cpu - 1) == 0:
        told["config.LOG_CPU_MAX_BUF_SHIFT"] = boot.log_buf_cpu.bit_length() - 1
    return told


def _options(boot: BootLines) -> dict[str, Value]:
    """Options by what the kernel lists, and by what it does not in a log that has the lines around."""
    told: dict[str, Value] = {}
    if boot.zones_end:
        told |= {f"config.{option}": zone in boot.zones for zone, option in _ZONES.items()}
    if boot.kaslr_off and not {"nokaslr", "kaslr"} & set(boot.words):
        told |= {"config.RANDOMIZE_BASE": False, "config.RANDOMIZE_MEMORY": False}
    if boot.node_data_size or boot.has("no_numa"):
        told["config.NUMA"] = True
    elif boot.zones_end and boot.has("last_pfn") and not boot.has("fake_node"):
        told["config.NUMA"] = False
        told["config.NODES_SHIFT"] = 0
    return told
