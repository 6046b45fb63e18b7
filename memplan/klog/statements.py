"""How the lines of a boot begin that tell of its memory, and which of them can be mistaken for nothing else."""

from __future__ import annotations

import re

#: How each line of interest begins, behind what names the part of the kernel that speaks.
HEADS = re.compile(
    r"(?:(?:e820|ACPI|SRAT|NUMA|smpboot|smp|efi|secureboot|esrt|mem auto-init|ACPI NUMA|x86/fpu|CPU topo|printk): )*(?:"
    r"(?P<version>Linux version )"
    r"|(?P<cmdline>(?:Kernel c|C)ommand line: )"
    r"|(?P<bios> ?BIOS-e820: )"
    r"|(?P<xen> ?Xen: (?:\[(?:mem|gap) |[0-9a-f]{16} - ))"
    r"|(?P<e820_update>update \[mem 0x)"
    r"|(?P<derived>(?:user|modified|extended|reserve setup_data): \[mem )"
    r"|(?P<map_head>(?:BIOS-provided|modified|user-defined|extended) physical RAM map:)"
    r"|(?P<last_pfn>last_pfn = 0x[0-9a-f]+)"
    r"|(?P<mtrr>WARNING: BIOS bug: CPU MTRRs)"
    r"|(?P<srat_memory>Node \d+ PXM )"
    r"|(?P<srat_cpu>PXM \d+ -> APIC )"
    r"|(?P<srat_unused>SRAT not used)"
    r"|(?P<no_numa>No NUMA configuration found|NUMA turned off)"
    r"|(?P<fake_node>Faking node \d+ at \[mem )"
    r"|(?P<upgrade>[!-~]{4} ACPI table found in initrd )"
    r"|(?P<override>Table Upgrade: (?:override|install) \[|Override \[)"
    r"|(?P<replaced>[A-Za-z0-9_]{4} (?:0x)?[0-9A-Fa-f]{8,16} (?:Physical|Logical) table override)"
    r"|(?<=ACPI: )(?P<table>[A-Za-z0-9_ !@#$]{4} (?:0x)?[0-9A-Fa-f]{8,16} [0-9A-Fa-f]{5,8}(?: |$))"
    r"|(?P<lapic>(?:LAPIC|X2APIC) \()"
    r"|(?P<ioapic>IOAPIC\[\d+\]: )"
    r"|(?P<hpet>HPET id: )"
    r"|(?P<cpus>Allowing \d+ )"
    r"|(?P<nr_cpus>(?:setup_percpu|PERCPU): NR_CPUS)"
    r"|(?P<slub>SLUB: .*Nodes=\d+)"
    r"|(?P<bringup>\.\.\.\. node +#\d+, CPUs:|Booting Node +\d+, Processors)"
    r"|(?P<bringup_rest> *(?:#\d+ *)+$)"
    r"|(?P<sibling>sched: CPU #\d+'s )"
    r"|(?P<smp_done>Brought up \d+ )"
    r"|(?P<mp_table>found SMP MP-table at )"
    r"|(?P<reserve>(?:__)?memblock_reserve: )"
    r"|(?P<change> *memblock_(?:phys_)?(?:add|free|remove)(?:_node)?: )"
    r"|(?P<mapping>init_memory_mapping: \[mem 0x| \[mem 0x[0-9a-f]+-0x[0-9a-f]+\] page )"
    r"|(?P<dump>MEMBLOCK configuration:)"
    r"|(?P<dumped>\s+reserved(?:\.\w+)?\[0x)"
    r"|(?P<node_data> *NODE_DATA(?:\(\d+\) allocated)? \[mem )"
    r"|(?P<cma>(?:cma|CMA|dma_contiguous): (?:dma_contiguous: )?[Rr]eserved \d+ MiB at )"
    r"|(?P<brk>BRK \[0x)"
    r"|(?P<narrow>\d+MB (?:HIGHMEM|LOWMEM) available)"
    r"|(?P<zones>Zone ranges:)"
    r"|(?P<zone> *(?:DMA32|DMA|Normal|Device|Movable) +(?:\[mem 0x|empty))"
    r"|(?P<zones_end>Movable zone start)"
    r"|(?P<percpu>(?:percpu|PERCPU): Embedded )"
    r"|(?P<log_buf>log_buf_len)"
    r"|(?P<bgrt>bgrt: |\[Firmware Bug\]: bgrt: )"
    r"|(?P<ramdisk>RAMDISK: (?:\[mem |[0-9a-f]{8,16} - )|Move RAMDISK from |initrd too large to handle)"
    r"|(?P<gbpages>Using GB pages for direct mapping)"
    r"|(?P<xsave>xsave: enabled xstate_bv |Enabled xstate features 0x)"
    r"|(?P<smbios>SMBIOS \d|DMI not present)"
    r"|(?P<dmi>DMI: )"
    r"|(?P<hypervisor>Hypervisor detected: |Booting paravirtualized kernel on )"
    r"|(?P<encryption>(?:AMD )?Memory Encryption Features active: |AMD Secure .* active"
    r"|tdx: Guest detected|SEV: Status: )"
    r"|(?P<virtual>Performance Events: .*due to virtualization)"
    r"|(?P<physical>Performance Events: .*Broken PMU hardware)"
    r"|(?P<largest_block>x86/mm: Memory block size: 2048MB)"
    r"|(?P<first_cpu>CPU0: .*\(fam(?:ily)?: )"
    r"|(?P<ibft>iBFT found at )"
    r"|(?P<snb>reserving inaccessible SNB gfx)"
    r"|(?P<efi>EFI v\d)"
    r"|(?P<efi_tables>(?:[A-Za-z0-9.]+(?: 2\.0)?=0x[0-9a-f]+(?: +|$))+$)"
    r"|(?P<efi_mem>mem ?\d+: )"
    r"|(?P<efi_mmio>(?:Remove|Not removing) mem ?\d+: MMIO range=)"
    r"|(?P<esrt>Reserving ESRT space from )"
    r"|(?P<secure>Secure boot enabled)"
    r"|(?P<kaslr>KASLR disabled|(?:Physical|Virtual|Memory) KASLR using)"
    r"|(?P<kvm_clock>kvm-clock: cpu 0, msr )"
    r"|(?P<kernel_offset>Kernel Offset: )"
    r"|(?P<iomem>(?:/proc/iomem:)?\s*[0-9a-f]{8,16}-[0-9a-f]{8,16} : Kernel code)"
    r"|(?P<late>Memory: \d+K/|PID hash table entries|Unpacking initramfs|Trying to unpack rootfs)"
    r")",
    re.ASCII,
)

#: Kinds whose lines look like the rest of another line as well.
_LOOSE = ("bringup_rest", "efi_tables", "dumped")


def is_statement(text: str) -> bool:
    """Whether `text` is a line of its own: it begins as one of the lines that tell of memory."""
    found = HEADS.match(text)
    return found is not None and found.lastgroup not in _LOOSE
