"""Logs in which a digit has changed: damage is told in one message, in no time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import memplan
from memplan.errors import InputError
from memplan.firmware.combine import import_files
from memplan.hotadd.boot_log import read_boot_log
from memplan.render.trace import trace_lines
from memplan.verification import verify
from tests.firmware.logs import ordinary, text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Node 1 PXM 1", "Node 1999999999 PXM 1", "there is no node"),
        ("nr_node_ids:2", "nr_node_ids:900000000", "there is no node"),
        ("Allowing 2 ", "Allowing 99999999 ", "there are no"),
        ("nr_cpu_ids:2", "nr_cpu_ids:999999999", "there are no"),
        ("#1, CPUs:", "#123456789, CPUs:", "there is no node"),
        ("CPUs:      #1", "CPUs:      #12345678", "there are no"),
    ],
)
def test_numbers_that_no_machine_has_are_damage(old: str, new: str, words: str, tmp_path: Path) -> None:
    log = ordinary(text("two-nodes-6.1")) + "[    1.0] setup_percpu: NR_CPUS:64 nr_cpu_ids:2 nr_node_ids:2\n"
    if old not in log:
        pytest.skip("no such line in this log")
    path = tmp_path / "boot.log"
    path.write_text(log.replace(old, new))
    with pytest.raises(InputError, match=words):
        import_files([path])
    with pytest.raises(InputError, match=words):
        verify(path)
    import_files([path], force=True)


HEAD = """\
Linux version 6.1.0 (a@b) #1
BIOS-e820: [mem 0x0000000000000000-0x000000007fffffff] usable
BIOS-e820: [mem 0x00000000fffc0000-0x00000000ffffffff] reserved
last_pfn = 0x80000 max_arch_pfn = 0x400000000
"""


@pytest.mark.parametrize(
    "line",
    [
        "ACPI: SRAT: Node 4294967295 PXM 0 [mem 0x00000000-0x7fffffff]",
        "SRAT: PXM 0 -> APIC 0x00 -> Node 1024",
        "smpboot: Allowing 4294967295 CPUs, 0 hotplug CPUs",
        "setup_percpu: NR_CPUS:8192 nr_cpumask_bits:4 nr_cpu_ids:8193 nr_node_ids:1",
    ],
)
def test_a_number_that_no_machine_has_is_damage_in_the_last_line_too(line: str, tmp_path: Path) -> None:
    """No cut makes a number larger."""
    path = tmp_path / "boot.log"
    path.write_text(f"{HEAD}{line}\n")
    with pytest.raises(InputError, match=r"boot\.log:5: there (is|are) no "):
        import_files([path])


@pytest.mark.parametrize(
    "line",
    [
        "RAMDISK: [mem 0xffffffffffffffff-0x0]",
        "ACPI: SRAT: Node 0 PXM 0 [mem 0x0000",
        "SRAT: PXM 0 -> APIC ",
        "efi: mem00: [Boot Data|   |WB] range=[0x0000000000100000-",
        "SSDT ACPI table found in initrd [kernel/firmware/acpi/ssdt.aml][0x123456789]",
    ],
)
def test_a_line_that_cannot_be_read_is_damage_or_the_cut_end_of_a_log(line: str, tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.write_text(f"{HEAD}{line}\nCommand line: quiet\n")
    with pytest.raises(InputError, match=r"boot\.log:5: a line of .* is broken, so .* is missing"):
        import_files([path])
    path.write_text(HEAD + line)
    assert any(re.match(r".*boot\.log:5: the log ends here: a line of ", note) for note in import_files([path])[2])


def test_a_broken_line_of_the_kernels_own_map_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.write_text(
        "Command line: quiet\n"
        "modified: [mem 0x0000000000000000-0x000000000009ffff] usable\n"
        "modified: [mem 0x0000000000100000-0x00000000000fff] usable\n"
        "modified: [mem 0x0000000080000000-0x00000000ffffffff] reserved\n"
        "last_pfn = 0x80000 max_arch_pfn = 0x400000000\n"
    )
    with pytest.raises(InputError, match=r"boot\.log:3: this modified line is broken"):
        import_files([path])


#: What a kernel may say with a number in it; @ is one that no kernel prints.
NUMBERS = [
    "Memory: @K/@K available (1K kernel code, @K rwdata, @K reserved, @K cma-reserved, @K absent)",
    "initrd too large to handle, disabling initrd (@ needed, 1 available)",
    "x86/mm: Memory block size: @MB",
    "Freeing unused kernel image (initmem) memory: @K",
    "Freeing SMP alternatives memory: @K",
    "PID hash table entries: @ (order: 1, 4096 bytes, linear)",
    "percpu: Embedded @ pages/cpu s@ r@ d@ u@",
    "cma: Reserved @ MiB at 0x0000000070000000 on node @",
    "** @ printk messages dropped **",
    "Reserving @MB of memory at @MB for crashkernel (System RAM: 4095MB)",
    "HugeTLB: registered 1.00 GiB page size, pre-allocated @ pages",
    "NODE_DATA(@) allocated [mem 0x7ffd4000-0x7fffefff]",
    "  node   @: [mem 0x0000000000001000-0x000000000009efff]",
    "  Node @: 0x0000000100000000",
    "SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=@, Nodes=@",
    "Faking node @ at [mem 0x0000000000000000-0x000000007fffffff] (2048MB)",
    "setup_percpu: NR_CPUS:@ nr_cpumask_bits:@ nr_cpu_ids:@ nr_node_ids:@",
    "smpboot: Allowing @ CPUs, @ hotplug CPUs",
    "sched: CPU #@'s smt-sibling CPU #@ is not on the same node! [node: @ != @]. Ignoring dependency.",
    ".... node  #@, CPUs:        #@",
    "Booting Node   @, Processors  #@",
    "log_buf_len individual max cpu contribution: @ bytes",
    "efi: mem@: type=@, attr=0xf, range=[0x0-0x1000) (0MB)",
    "ACPI: SRAT: Node @ PXM @ [mem 0x00000000-0x7fffffff]",
    "SRAT: PXM @ -> APIC 0x00 -> Node @",
    " reserved[0x0]\t[0x0000000000000000-0x0000000000000fff], 0x1000 bytes on node @ flags: 0x0",
]

#: Those without which the machine is another one, and so damage.
DAMAGE = [
    line
    for line in NUMBERS
    if re.search("nr_cpu_ids|Nodes=|SRAT: (?:Node|PXM)|[nN]ode +#?@, |CPUs,|sibling|Faking|efi: mem", line)
]


@pytest.mark.parametrize("line", NUMBERS)
def test_a_number_of_thousands_of_digits_is_damage_or_none(line: str, tmp_path: Path) -> None:
    """Python itself refuses to read such; every reader of logs has met it before."""
    lines = ordinary(text("two-nodes-6.1")).splitlines()
    behind = next(number for number, own in enumerate(lines) if "last_pfn" in own)
    path = tmp_path / "boot.log"
    path.write_text(
        "\n".join([*lines[: behind + 1], f"[    0.0] {line.replace('@', '9' * 5000)}", *lines[behind + 1 :]])
    )
    read_boot_log(str(path))
    machine = import_files([path], force=True)[0]
    assert len(machine.e820) > 1
    if line in DAMAGE:
        with pytest.raises(InputError, match=rf"boot\.log:{behind + 2}: "):
            import_files([path])
        with pytest.raises(InputError, match=rf"boot\.log:{behind + 2}: "):
            verify(path)
    else:
        import_files([path])
        verify(path, machine)


def test_a_release_of_thousands_of_digits(tmp_path: Path) -> None:
    log = ordinary(text("two-nodes-6.1"))
    path = tmp_path / "boot.log"
    for old in ("6.1.0-55-amd64", "Debian 6.1."):
        assert old in log
        path.write_text(log.replace(old, f"{old.rstrip('0123456789')}{'9' * 5000}", 1))
        machine, _, _ = import_files([path])
        assert machine.kernel.build.startswith(("6.1", "debian-6.1"))


def test_digits_of_other_scripts_are_none(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.write_text(ordinary(text("two-nodes-6.1")).replace("Allowing 2 CPUs", "Allowing ٢ CPUs"))
    machine, _, _ = import_files([path])
    assert machine.cpus.possible >= 1


def test_a_plan_equals_its_own_trace(tmp_path: Path) -> None:
    boot = tmp_path / "boot.log"
    boot.write_text(text("two-nodes-6.1"))
    machine = import_files([boot])[0]
    own = tmp_path / "own.log"
    head = f"Linux version 6.1.0 (a@b) #1\nCommand line: {machine.cmdline}\n"
    own.write_text(head + "\n".join(trace_lines(memplan.simulate(machine))) + "\n")
    result = verify(own, machine)
    assert result.same, result.first
