"""Boot logs of real machines that people published, each with the answer that is known to be right."""

from __future__ import annotations

import lzma
import re
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

import memplan
from memplan.checks.run import Options, check_input
from memplan.errors import InputError
from memplan.firmware.acpi import read_tables
from memplan.firmware.combine import import_files
from memplan.machine.model import E820_RAM, E820_RESERVED, Machine
from memplan.owner import Purpose
from memplan.verification import Comparison, verify
from tests.reports.logs import DATA, report

#: What verify finds equal of each kind, and of how many.
EQUAL: dict[str, dict[str, tuple[int, int] | None]] = {
    "f01-esrt": {"NODE_DATA": (1, 1), "zone": (4, 4), "node range": (9, 9), "percpu": (1, 1), "total": (1, 1)},
    "f02-e820-linux70": {"NODE_DATA": (1, 1), "zone": (4, 4), "node range": (7, 7), "percpu": (1, 1), "total": (1, 1)},
    "f03-kdump-two-boots": {"NODE_DATA": (8, 8), "crash kernel": (1, 1), "zone": (3, 3), "node range": (13, 13)},
    "f04-verify-other-boot": {
        "NODE_DATA": (1, 1),
        "zone": (3, 3),
        "node range": (6, 6),
        "percpu": (1, 1),
        "total": (1, 1),
    },
    "f05-mtrr-hole": {"zone": (3, 3), "node range": (8, 8), "percpu": (1, 1), "total": (1, 1)},
    "f06-builtin-cmdline": {"NODE_DATA": (2, 2), "zone": (4, 4), "node range": (4, 4), "percpu": (1, 1)},
    "f07-rhel7-acpi-5digits": {
        "NODE_DATA": (1, 1),
        "crash kernel": (1, 1),
        "percpu": (1, 1),
        "zone": (3, 3),
        "node range": (4, 4),
        "total": (1, 1),
    },
    "f08-dynamic-ssdt": {"NODE_DATA": (1, 1), "zone": (4, 4), "node range": (6, 6), "percpu": (1, 1), "total": (1, 1)},
    "f10-cmdline-wrapped": {"zone": (3, 3), "node range": (6, 6), "percpu": (1, 1), "total": (1, 1)},
    "f12-memory-line-absent": {
        "NODE_DATA": (2, 2),
        "crash kernel": (1, 1),
        "percpu": (1, 1),
        "zone": (3, 3),
        "node range": (6, 6),
        "total": (1, 1),
    },
    "f13-rules-410": {"NODE_DATA": (2, 2), "zone": (3, 3), "node range": (3, 3)},
    "f15-plain": {"NODE_DATA": (1, 1), "zone": (4, 4), "node range": (5, 5), "percpu": (1, 1), "total": (1, 1)},
    "r01-kvm-clock": {
        "NODE_DATA": (1, 1),
        "node range": (2, 2),
        "percpu": (1, 1),
        "KVM clock": (1, 1),
        "total": (1, 1),
    },
    "r02-kexec": {"NODE_DATA": (1, 1), "zone": (4, 4), "node range": (6, 6), "percpu": (1, 1), "total": (1, 1)},
    "r03-profiled-allocations": {"NODE_DATA": (1, 1), "percpu": (1, 1), "gigantic pages": None, "total": (1, 1)},
    "r04-rhel7-kaslr": {"NODE_DATA": (1, 1), "crash kernel": (1, 1), "KVM clock": (1, 1), "percpu": (1, 1)},
    "r05-built-in-cma": {"NODE_DATA": (1, 1), "zone": (4, 4), "percpu": (1, 1), "total": (1, 1)},
    "r06-kvm-clock-in-image": {"zone": (4, 4), "node range": (4, 4), "percpu": (1, 1), "KVM clock": None},
    "f18-numa-off-build": {"zone": (3, 3), "node range": (3, 3), "percpu": (1, 1), "total": (1, 1)},
}


def rules(path: Path) -> set[str]:
    """The rules that find something in that file."""
    return {finding.rule for finding in check_input(str(path), Options()).findings}


def imported(name: str, tmp_path: Path, boot: int = 0) -> tuple[Machine, list[str]]:
    path = tmp_path / f"{name}.log"
    path.write_text(report(name))
    machine, _, notes = import_files([path], boot=boot)
    return machine, notes


def verified(name: str, tmp_path: Path) -> Comparison:
    path = tmp_path / f"{name}.log"
    path.write_text(report(name))
    return verify(path)


@pytest.mark.parametrize("name", sorted(EQUAL))
def test_what_is_equal(name: str, tmp_path: Path) -> None:
    result = verified(name, tmp_path)
    found = {kind: (equal, total) for kind, equal, total in result.kinds}
    assert {kind: found.get(kind) for kind in EQUAL[name]} == EQUAL[name]


def test_an_esrt_without_the_efi_map_is_planned_and_told(tmp_path: Path) -> None:
    machine, notes = imported("f01-esrt", tmp_path)
    plan = memplan.simulate(machine)
    assert any((own.start, own.end) == (0xBEA78000, 0xBEA780B0) for own in plan.reservations)
    assert any("splits the EFI memory map" in note for note in notes)
    assert any("boot services' memory is left out" in note for note in notes)


def test_the_map_of_linux_7(tmp_path: Path) -> None:
    machine, _ = imported("f02-e820-linux70", tmp_path)
    told = [line for line in report("f02-e820-linux70").splitlines() if "BIOS-e820: [mem" in line]
    usable = [line.rpartition("[mem ")[2].partition("]")[0] for line in told if "System RAM" in line]
    assert [f"{e.start:#018x}-{e.end - 1:#018x}" for e in machine.e820 if e.type == E820_RAM] == usable
    assert sum(e.type == E820_RESERVED for e in machine.e820) == sum("device reserved" in line for line in told)


def test_the_first_of_two_boots_and_the_other(tmp_path: Path) -> None:
    machine, notes = imported("f03-kdump-two-boots", tmp_path)
    assert "crashkernel=256M" in machine.cmdline
    assert any(":397: another boot begins here" in note and "--boot 2" in note for note in notes)
    second, notes = imported("f03-kdump-two-boots", tmp_path, boot=2)
    assert "elfcorehdr" in second.cmdline or second.cmdline != machine.cmdline
    assert sum(e.end - e.start for e in second.e820 if e.type == E820_RAM) < 1 << 30
    with pytest.raises(InputError, match="holds 2 boots with a memory map, no boot 3"):
        imported("f03-kdump-two-boots", tmp_path, boot=3)


def test_a_quoted_fragment_is_no_boot(tmp_path: Path) -> None:
    assert "end" not in {kind for kind, _, _ in verified("f04-verify-other-boot", tmp_path).kinds}


def test_a_hole_of_the_mtrrs(tmp_path: Path) -> None:
    plan = memplan.simulate(imported("f05-mtrr-hole", tmp_path)[0])
    high = [own for own in plan.nodes[0].ranges if own[0] >= 1 << 32]
    assert high == [(0x100000000, 0x110000000), (0x200000000, 0x450000000)]


def test_where_kaslr_put_the_image_is_inferred_from_what_was_allocated(tmp_path: Path) -> None:
    machine, notes = imported("f04-verify-other-boot", tmp_path)
    assert machine.kernel.load_address == 0x100000000
    told = r":67: KASLR is on .*; NODE_DATA\(0\) lies as the log says with the image at (\d+) of (\d+) places"
    found = next(match for note in notes if (match := re.search(told, note)))
    assert 0 < int(found[1]) < int(found[2])


def test_page_tables_in_the_brk_show_where_the_image_lies(tmp_path: Path) -> None:
    machine, _ = imported("f12-memory-line-absent", tmp_path)
    assert machine.kernel.load_address is not None
    assert 0x472670000 - (64 << 20) < machine.kernel.load_address < 0x472670000
    assert imported("f07-rhel7-acpi-5digits", tmp_path)[0].kernel.load_address is None


def test_kexec_puts_the_image_near_the_end_of_ram(tmp_path: Path) -> None:
    machine, notes = imported("r02-kexec", tmp_path)
    assert machine.initrd is not None
    assert machine.kernel.load_address is not None
    assert machine.initrd.start + machine.initrd.size <= machine.kernel.load_address < 0x872000000
    assert any("no line tells where kexec has put the kernel image; NODE_DATA(0) lies as" in note for note in notes)


def test_a_cma_area_without_an_option_is_built_in(tmp_path: Path) -> None:
    machine, _ = imported("r05-built-in-cma", tmp_path)
    assert machine.kernel.overrides["config.CMA_SIZE_MBYTES"] == 200
    assert any(own.owner.kind is Purpose.CMA for own in memplan.simulate(machine).reservations)


def test_a_crash_kernel_lies_in_ram_and_none_is_made_up(tmp_path: Path) -> None:
    machine, _ = imported("f03-kdump-two-boots", tmp_path, boot=2)
    assert machine.kernel.load_address is not None
    assert any(e.type == E820_RAM and e.start <= machine.kernel.load_address < e.end for e in machine.e820)
    plan = memplan.simulate(machine)
    assert sum(end - start for node in plan.nodes for start, end in node.ranges) == 262128 << 10


def test_the_clock_of_a_kvm_guest_shows_where_the_image_lies(tmp_path: Path) -> None:
    machine, _ = imported("r06-kvm-clock-in-image", tmp_path)
    assert machine.kernel.load_address is not None
    assert 0 < 0x28C01000 - machine.kernel.load_address < 64 << 20


def test_what_nobody_can_tell_is_named_and_not_counted(tmp_path: Path) -> None:
    result = verified("f05-mtrr-hole", tmp_path)
    assert result.same
    assert [own.kernel.text for own in result.unknown] == ["NODE_DATA(0) allocated [mem 0x44b7f8000-0x44b7fbfff]"]
    assert "EFI memory map" in result.unknown[0].reason
    assert "NODE_DATA" not in {kind for kind, _, _ in result.kinds}
    (note,) = (note for note in imported("f05-mtrr-hole", tmp_path)[1] if "KASLR is on" in note)
    assert re.search(
        r"of the \d+ places that KASLR chooses from, NODE_DATA\(0\) lies \d+ KiB (?:lower|higher) at ", note
    )


def test_built_in_options(tmp_path: Path) -> None:
    machine, notes = imported("f06-builtin-cmdline", tmp_path)
    assert "numa=fake=2" in machine.cmdline.split()
    assert any("CONFIG_CMDLINE" in note for note in notes)
    plan = memplan.simulate(machine)
    assert [node.ranges[-1][1] for node in plan.nodes] == [0x140000000, 0x240000000]


@pytest.mark.parametrize("name", ["f07-rhel7-acpi-5digits", "f12-memory-line-absent"])
def test_what_red_hat_reserves_by_itself_is_no_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.write_text(report(name))
    assert "MP702" not in rules(path)


def test_tables_with_five_digits(tmp_path: Path) -> None:
    tables = imported("f07-rhel7-acpi-5digits", tmp_path)[0].acpi.tables
    assert ("FACP", 0xBFEFEE73, 0xF4) in {tuple(table) for table in tables}
    assert "SRAT" in {table.signature for table in tables}


def test_dynamic_tables_are_not_firmwares(tmp_path: Path) -> None:
    machine, _ = imported("f08-dynamic-ssdt", tmp_path)
    assert all(table.address < 1 << 52 for table in machine.acpi.tables)
    assert all(own.end <= 1 << 52 for own in memplan.simulate(machine).reservations)


def test_a_log_of_2_6_is_read_and_told_not_to_be_covered(tmp_path: Path) -> None:
    machine, notes = imported("f09-e820-leading-blank", tmp_path)
    usable = [(e.start, e.end) for e in machine.e820 if e.type == E820_RAM]
    assert usable == [(0, 0x9C400), (0x100000, 0xBF7A0000), (0x100000000, 0x440000000)]
    assert any("the boot of Linux 2.6.32" in note and "not covered" in note for note in notes)


def test_what_another_version_does_is_neither_equal_nor_different(tmp_path: Path) -> None:
    result = verified("f09-e820-leading-blank", tmp_path)
    assert result.same
    assert result.total == 0
    assert {own.reason for own in result.unknown} == {
        "how Linux 2.6.32-279.el6.x86_64 sets memory up: its boot is not covered"
    }


def test_what_is_no_ram_of_an_old_memory_line(tmp_path: Path) -> None:
    assert ("absent", 1, 1) in verified("f12-memory-line-absent", tmp_path).kinds


def test_a_wrapped_command_line_loses_nothing(tmp_path: Path) -> None:
    machine, notes = imported("f10-cmdline-wrapped", tmp_path)
    assert "log_buf_len=1073741824" in machine.cmdline.split()
    assert any("lines 3 to 4 are taken for one" in note for note in notes)


@pytest.mark.parametrize("name", ["f10-mail-quoted-printable", "f10-wrapped-72", "f15-dmesg-H", "f15-dmesg-xT"])
def test_ways_to_paste_the_same_log(name: str, tmp_path: Path) -> None:
    assert imported(name, tmp_path)[0] == imported("f15-plain", tmp_path)[0]


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "7bit"])
def test_an_attachment_far_down_in_a_mail(encoding: str, tmp_path: Path) -> None:
    mail = EmailMessage(policy=SMTP.clone(linesep="\n"))
    mail["Subject"], mail["From"] = "it panics", "me@example.com"
    mail.set_content("Kernel panic - not syncing: as below\nKernel Offset: disabled\n" + "a long story\n" * 8000)
    mail.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="x-xz", filename="dmesg.xz")
    mail.add_attachment(report("f15-plain"), filename="boot.log", cte=encoding)
    path = tmp_path / "mail.eml"
    path.write_bytes(mail.as_bytes())
    assert import_files([path]).machine == imported("f15-plain", tmp_path)[0]
    assert verify(path).kinds == verified("f15-plain", tmp_path).kinds


def test_the_journals_json(tmp_path: Path) -> None:
    assert imported("f15-journal-json", tmp_path)[0] == imported("f15-plain", tmp_path)[0]
    assert len(imported("f15-plain", tmp_path)[0].e820) == 13


def test_a_source_of_the_compiler(tmp_path: Path) -> None:
    path = tmp_path / "srat.dsl"
    path.write_bytes(lzma.decompress((DATA / "f16-iasl-source.dsl.xz").read_bytes()))
    (table,) = read_tables(path)
    assert not table.defects
    assert (len(list(table.of_type(0))), len(list(table.of_type(1)))) == (2, 6)
    assert not {"MP101", "MP211"} & rules(path)


def test_a_boot_under_xen_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="boot under Xen PV"):
        imported("f17-xen-dom0", tmp_path)


def test_a_build_without_numa(tmp_path: Path) -> None:
    plan = memplan.simulate(imported("f18-numa-off-build", tmp_path)[0])
    assert [node.node_data for node in plan.nodes] == [None]
    assert "Device" not in {zone.name for zone in plan.zones}


def test_a_file_with_nothing_but_the_map_is_a_map(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text("".join(f"{line}\n" for line in report("f15-plain").splitlines() if "BIOS-e820" in line))
    machine, _, notes = import_files([path])
    assert machine.e820 == imported("f15-plain", tmp_path)[0].e820
    assert any("the map alone" in note for note in notes)
