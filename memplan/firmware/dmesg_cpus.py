"""CPUs by a boot log: how many, their APIC ids, nodes and features, and what they run on."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from memplan.machine.model import CpuAffinity

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts
    from memplan.kernel.model import Kernel
    from memplan.klog.boot import BootLines

#: max_arch_pfn of a kernel that runs with five page-table levels (52 bits of physical address).
_MAX_PFN_5LEVEL = 1 << 40
#: The extended state of 3.13: x87 and SSE with the header in 576 bytes, AVX behind them in 256.
_XSAVE_KNOWN = 0x7
_XSAVE_AVX_BIT = 0x4
_XSAVE_SSE = 0x240
_XSAVE_AVX = 0x340
#: What AMD's and Hygon's CPUs keep for HyperTransport below 1 TiB.
_HYPERTRANSPORT = (0xFD00000000, 0x10000000000)
#: The last APIC id of a local APIC entry.
_LAST_XAPIC = 254
_VIRTUAL_MACHINES = ("QEMU", "KVM", "VMware", "VirtualBox", "Virtual Machine", "Xen ", "Bochs", "Amazon EC2", "Google")
#: The largest memory block.
_LARGEST_BLOCK = 2 << 30
#: OEM ids in the ACPI tables that virtual machines' firmware has.
_VIRTUAL_OEMS = ("BOCHS", "FIRECK", "VBOX", "VMWARE", "VRTUAL", "XEN", "Xen", "AMAZON", "Google", "CLOUDH")
_HYPERVISORS = (
    ("KVM", "kvm"),
    ("Xen PVH", "xen"),
    ("Xen PV", "xen-pv"),
    ("Xen", "xen"),
    ("Hyper", "hyperv"),
    ("VMware", "vmware"),
)
#: Words of the kernel's lines on the encryption of memory, the one that includes others first.
_ENCRYPTIONS = (
    ("TDX", "tdx"),
    ("tdx", "tdx"),
    ("SEV-SNP", "sev-snp"),
    ("SEV-ES", "sev-es"),
    ("SEV", "sev"),
    ("SME", "sme"),
)


def cpu_facts(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    """Put what the lines of `boot`, printed by `kernel` where that is known, tell of the CPUs into `found`."""
    _cpus(boot, found)
    _cpu_nodes(boot, found)
    _features(boot, kernel, found)
    _hypervisor(boot, found)
    _encryption(boot, found)


def _cpus(boot: BootLines, found: SourceFacts) -> None:
    if boot.allowed is not None:
        possible, present = boot.allowed
        found.put("cpus.possible", possible, "Allowing CPUs", line=boot.lines["cpus"])
        found.put("cpus.present", present, "Allowing CPUs", line=boot.lines["cpus"])
    elif boot.nr_cpu_ids:
        found.put("cpus.possible", boot.nr_cpu_ids, "nr_cpu_ids", line=boot.lines["nr_cpus"])
    ids = _apic_ids(boot)
    if ids and ids != tuple(range(len(ids))):
        kind = "lapic" if boot.lapics else "srat_cpu"
        found.put("cpus.apic_ids", ids, "APIC ids", line=boot.lines[kind])


def _possible(boot: BootLines) -> int:
    return boot.allowed[0] if boot.allowed else boot.nr_cpu_ids


def _apic_ids(boot: BootLines) -> tuple[int, ...]:
    """APIC ids in the order of CPU numbers: the MADT's, its enabled entries first; else the SRAT's."""
    possible = _possible(boot)
    if boot.lapics:
        ordered = [apic for apic, enabled in boot.lapics if enabled]
        ordered += [apic for apic, enabled in boot.lapics if not enabled]
    else:
        ordered = [cpu.apic_id for cpu in boot.srat_cpus]
        if set(ordered) == set(range(len(ordered))):
            ordered.sort()
    ordered = list(dict.fromkeys(ordered))
    return tuple(ordered[:possible]) if len(ordered) >= possible else ()


def affinities(boot: BootLines) -> tuple[CpuAffinity, ...]:
    """The SRAT's processor affinities: those printed (6.12 prints none), and such as the nodes' numbers ask for.

    Nodes are numbered as their domains turn up, processors' first.  So where nodes are not numbered as memory's lines
    name them, are made up, or are more than those lines name, their numbers and the CPUs' bring-up show what must have
    been there.
    """
    domains = {node: pxm for pxm, node in boot.pxm_nodes.items()}
    named = dict.fromkeys(boot.pxm_nodes[cpu.pxm] for cpu in boot.srat_cpus)
    numbered = [*domains] == [*range(len(domains))]
    highest = max([*domains, 0 if boot.fake_nodes else boot.nr_node_ids - 1], default=0)
    hidden = highest not in domains
    made_up = bool(boot.fake_nodes) and not boot.has("no_numa")
    made_up = made_up and all(_is_first(boot, node) for node in boot.cpu_nodes.values())
    telling = hidden or (not boot.srat_cpus and (made_up or not numbered))
    if not telling or not boot.srat_memory:
        return tuple(boot.srat_cpus)
    cpus: dict[int, list[int]] = {}
    for cpu, node in sorted({0: 0, **boot.cpu_nodes}.items()) if not boot.srat_cpus else ():
        cpus.setdefault(_physical(boot, node), []).append(cpu)
    ids = _apic_ids(boot) or tuple(range(_possible(boot)))
    top = max(cpus) if numbered and not hidden else max([*cpus, highest])
    next_id = max([*ids, len(ids)]) + 1
    # Which domain it is no line tells; firmware counts them, so that it is the first one that no line names.
    unnamed = (pxm for pxm in count() if pxm not in boot.pxm_nodes)
    entries = list(boot.srat_cpus)
    for node in range(top + 1):
        if node in named:
            continue
        if node not in domains:
            domains[node] = next(unnamed)
        own = [ids[cpu] for cpu in cpus.get(node, ()) if cpu < len(ids)]
        if not own:
            # No CPU of it came up: one that is not there.
            own = [next_id]
            next_id += 1
        entries += [CpuAffinity(apic, domains[node], x2apic=apic > _LAST_XAPIC) for apic in own]
    return tuple(entries)


def _physical(boot: BootLines, node: int) -> int:
    """The node of a CPU that came up on `node`, which may be made up of a part of it."""
    start = boot.fake_nodes.get(node)
    if start is None:
        return node
    owners = (m.pxm for m in boot.srat_memory if m.base <= start < m.base + m.length)
    return boot.pxm_nodes.get(next(owners, 0), 0)


def _is_first(boot: BootLines, node: int) -> bool:
    """Whether a made-up node is the first of its machine's node; CPUs with an affinity come up on no other."""
    return all(other >= node for other in boot.fake_nodes if _physical(boot, other) == _physical(boot, node))


def _cpu_nodes(boot: BootLines, found: SourceFacts) -> None:
    """Nodes of CPUs by the lines of their bring-up, where those tell more than the SRAT's."""
    possible = _possible(boot)
    nodes = dict(boot.cpu_nodes)
    if not nodes or not possible or boot.fake_nodes or affinities(boot) != tuple(boot.srat_cpus):
        # Made-up nodes are the kernel's, not the machine's.
        return
    by_apic = {cpu.apic_id: boot.pxm_nodes.get(cpu.pxm, 0) for cpu in boot.srat_cpus}
    ids = _apic_ids(boot) or tuple(range(possible))
    by_srat = {cpu: by_apic[apic] for cpu, apic in enumerate(ids) if apic in by_apic}
    if by_srat and all(by_srat.get(cpu) == node for cpu, node in nodes.items()):
        return
    if not by_srat and set(nodes.values()) == {0} and len(boot.pxm_nodes) < 2:
        return
    known = {**by_srat, **nodes}
    # The first CPU is not brought up, so no line names its node unless another one mentions it.
    found.put(
        "cpus.nodes",
        tuple(known.get(cpu, 0) for cpu in range(possible)),
        "bring-up of the CPUs",
        line=boot.lines.get("bringup") or boot.lines["sibling"],
    )


def _features(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    words = boot.words
    mapped = boot.has("ramdisk") or boot.has("cpus") or boot.has("table")
    small_pages = kernel is None or kernel.config("DEBUG_PAGEALLOC")
    disabled = "nogbpages" in words or (small_pages and any(w.startswith("debug_pagealloc") for w in words))
    # A kernel that maps with 1 GiB pages only where it is asked to is silent on CPUs that have them, too.
    built_in = kernel is None or kernel.config("X86_DIRECT_GBPAGES") or kernel.config("DIRECT_GBPAGES")
    disabled = disabled or not (built_in or "gbpages" in words)
    if boot.has("gbpages"):
        found.put("cpus.gbpages", True, "Using GB pages", line=boot.lines["gbpages"])
    elif mapped and not disabled and boot.has("last_pfn"):
        found.put("cpus.gbpages", False, "no 'Using GB pages' line")
    if boot.max_arch_pfn and "no5lvl" not in words:
        five = boot.max_arch_pfn == _MAX_PFN_5LEVEL
        found.put("cpus.la57", five, "max_arch_pfn", line=boot.lines["last_pfn"])
    if boot.xsave is not None:
        features, size = boot.xsave
        if not size:
            # A later kernel's log: what 3.13, which knows x87, SSE and AVX only, would make of the same CPU.
            features &= _XSAVE_KNOWN
            size = _XSAVE_AVX if features & _XSAVE_AVX_BIT else _XSAVE_SSE
        found.put("cpus.xsave_size", size, "xsave", line=boot.lines["xsave"])
        found.put("cpus.xsave_features", features.bit_length(), "xsave", line=boot.lines["xsave"])
    if boot.intel is not None:
        found.put("cpus.intel", boot.intel, "CPU0", line=boot.lines["first_cpu"])
    elif any((e.start, e.end) == _HYPERTRANSPORT for e in boot.maps["BIOS-e820"]):
        found.put("cpus.intel", False, "reserved HyperTransport range", line=boot.lines["bios"], weak=True)
    if boot.has("snb"):
        found.put("cpus.sandy_bridge_graphics", True, "SNB gfx pages", line=boot.lines["snb"])
    elif any(r.caller == "trim_snb_memory" for r in boot.reserves):
        found.put("cpus.sandy_bridge_graphics", True, "trim_snb_memory", line=boot.lines["reserve"])
    if boot.has("mtrr") and len(boot.last_pfns) > 1 and boot.last_pfns[1] < boot.last_pfns[0]:
        found.put("mtrr_limit", boot.last_pfns[1] << 12, "last_pfn after the MTRRs' trim", line=boot.lines["mtrr"])


def _hypervisor(boot: BootLines, found: SourceFacts) -> None:
    if boot.hypervisor:
        line = boot.lines["hypervisor"]
        kind = next((kind for word, kind in _HYPERVISORS if word in boot.hypervisor), "none")
        found.put("hypervisor", kind, "Hypervisor detected", line=line)
        found.put("cpus.hypervisor", True, "Hypervisor detected", line=line)
    elif boot.has("virtual"):
        found.put("cpus.hypervisor", True, "due to virtualization", line=boot.lines["virtual"])
    elif boot.has("physical"):
        # The kernel says so only where the CPU tells of no hypervisor.
        found.put("cpus.hypervisor", False, "Broken PMU hardware", line=boot.lines["physical"])
    elif boot.has("largest_block") and boot.last_pfns and (boot.last_pfns[0] << 12) % _LARGEST_BLOCK:
        # In a guest a block divides the end of RAM (probe_memory_block_size).
        found.put("cpus.hypervisor", False, "Memory block size", line=boot.lines["largest_block"])
    elif any(word in boot.dmi for word in _VIRTUAL_MACHINES):
        found.put("cpus.hypervisor", True, "DMI's name of a virtual machine", line=boot.lines["dmi"], weak=True)
    elif boot.oem in _VIRTUAL_OEMS:
        found.put("cpus.hypervisor", True, "ACPI tables of a virtual machine", line=boot.lines["table"], weak=True)


def _encryption(boot: BootLines, found: SourceFacts) -> None:
    if kind := next((kind for word, kind in _ENCRYPTIONS if word in boot.encryption), ""):
        found.put("encryption", kind, "the encryption that is active", line=boot.lines["encryption"])
