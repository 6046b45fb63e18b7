"""What is not replayed is named by the plan, in every format, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

import memplan
from memplan.boot.limits import limits, looked_at
from memplan.boot.parameters import Parameters
from memplan.cli.group import group
from memplan.kernel.load import find_kernel
from memplan.kernel.resolve import all_rules
from memplan.kernel.shipped import kernel_names
from memplan.machine.dump import dump_machine
from memplan.machine.model import Acpi, AcpiTable, CxlWindow, E820Entry, KernelImage, Machine, MemoryAffinity, Srat
from memplan.plan import Plan

DEBIAN = "debian-6.12.107+deb12-amd64"
MACHINE = Machine(e820=(E820Entry(0, 0x9FC00), E820Entry(1 << 20, 1 << 31)), kernel=KernelImage(DEBIAN))
NODES = Srat((MemoryAffinity(0, 0, 4 << 30), MemoryAffinity(1, 4 << 30, 4 << 30, hotplug=True)))
TWO_NODES = MACHINE._replace(e820=(*MACHINE.e820, E820Entry(4 << 30, 8 << 30)), srat=NODES, cmdline="movable_node")


def planned(cmdline: str) -> Plan:
    return memplan.simulate(MACHINE._replace(cmdline=cmdline))


def named(machine: Machine, kernel: str = DEBIAN) -> list[str]:
    return [word for limit in limits(Parameters(machine, find_kernel(kernel))) for word in limit.asked]


@pytest.mark.parametrize(
    "word",
    [
        *(
            "slub_debug",
            "slub_debug=U",
            "slab_debug=FZu,kmalloc-64",
            "slub_debug=FZ;u,kmalloc-64",
            "slub_debug=,dentry",
        ),
        *("add_efi_memmap", "mem_encrypt=on", "memtest=4", "isolcpus=1-3", "nohz-full=1", "initcall_blacklist=a"),
        *("clearcpuid=pdpe1gb", "clearcpuid=7,58", "earlyprintk=xdbc0,keep", "iommu=soft,memaper=2", "noefi"),
        *("efi=debug,nosoftreserve", "enable_mtrr_cleanup", "initrdmem=1G,1M"),
    ],
)
def test_an_option_that_is_not_replayed_is_named(word: str) -> None:
    (text,) = planned(f"movable_node {word} quiet").limits
    assert text.startswith(f"{word}: not replayed: ")


@pytest.mark.parametrize(
    "cmdline",
    [
        *("", "slub_debug=FZ", "slub_debug=-", "page_owner=off", "mem_encrypt=off", "efi=debug", "quiet", "iommu=pt"),
        *("clearcpuid=avx", "earlyprintk=serial", "crashkernel=64M hugepages=4 cma=4M", "root=/dev/sda1 ro -- memtest"),
    ],
)
def test_what_is_replayed_or_takes_nothing_is_not(cmdline: str) -> None:
    assert planned(cmdline).limits == ()


def test_an_option_that_the_kernel_lacks_does_nothing() -> None:
    assert planned("efi_fake_mem=1G@4G:0x40000 bootconfig page_owner=on").limits == ()


def test_a_kernel_that_stands_in_for_another_may_have_what_its_build_lacks() -> None:
    machine = MACHINE._replace(cmdline="bootconfig page_owner=on", kernel=KernelImage("6.12"))
    assert named(machine, "6.12") == ["page_owner=on", "bootconfig"]
    assert named(machine, "5.4") == []


def test_an_option_that_nobody_has_looked_at_is_named() -> None:
    kernel = find_kernel(DEBIAN)
    strange = kernel._replace(options=(kernel.options or frozenset()) | {"vendor_pool"})
    params = Parameters(MACHINE._replace(cmdline="vendor-pool=64M quiet foreign=1"), strange)
    assert [limit.asked for limit in limits(params)] == [("vendor_pool",)]


@pytest.mark.parametrize("name", kernel_names())
def test_the_options_of_each_build_were_looked_at(name: str) -> None:
    assert (find_kernel(name).options or frozenset()) <= looked_at()


def test_options_that_are_not_replayed_were_looked_at() -> None:
    cases = [case for one, _, _ in all_rules().unreplayed for case in one.cases]
    assert {option for case in cases for option in case.options} <= looked_at()


@pytest.mark.parametrize("hypervisor", ["xen", "xen-pv"])
def test_xen_is_named(hypervisor: Any) -> None:
    assert named(MACHINE._replace(hypervisor=hypervisor)) == [f"hypervisor {hypervisor}"]


@pytest.mark.parametrize("kind", ["sme", "sev", "sev-es", "sev-snp", "tdx"])
def test_encryption_is_named(kind: Any) -> None:
    assert named(MACHINE._replace(encryption=kind)) == [f"encryption {kind}"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("6.1.0-18-686-pae", "kernel for 686-pae"),
        ("5.10.0-8-686", "kernel for 686"),
        ("5.4.17-200.fc31.i686", "kernel for i686"),
        ("6.1.0-18-arm64", "kernel for arm64"),
        ("5.14.0-70.el9.aarch64", "kernel for aarch64"),
        ("6.8.0-31-generic", ""),
        ("5.14.0-70.el9.x86_64", ""),
        ("6.1.0-18-rt-amd64", ""),
    ],
)
def test_a_kernel_of_another_architecture_is_named(name: str, told: str) -> None:
    assert ", ".join(named(MACHINE, name)) == told


@pytest.mark.parametrize(("kernel", "told"), [("6.15", []), ("6.16", ["ACPI table CEDT"])])
def test_cxl_windows_are_named_where_they_change_memory_blocks(kernel: str, told: list[str]) -> None:
    acpi = Acpi(tables=(AcpiTable("FACP", 0x7FE00000, 276),), cxl_windows=(CxlWindow(8 << 30, 4 << 30),))
    assert named(MACHINE._replace(acpi=acpi), kernel) == told
    assert named(MACHINE._replace(acpi=acpi, cmdline="acpi=off"), kernel) == []


# -- every format --------------------------------------------------------------------------------------------------

_TEXT = "slub_debug=U: not replayed: the table of stack traces"
_HOTADD = ("hotadd", "{}", "--add", "1G@node1")
_SWEEP = ("sweep", "{}", "--vary", "crashkernel=128M..512M")


@pytest.fixture
def described(tmp_path: Path) -> str:
    path = tmp_path / "m.yaml"
    path.write_text(dump_machine(TWO_NODES._replace(cmdline="movable_node slub_debug=U")))
    return str(path)


def printed(words: tuple[str, ...], path: str) -> str:
    result = CliRunner().invoke(group, [word.format(path) for word in words], env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "{}"),
        ("simulate", "{}", "--section", "zones"),
        ("simulate", "{}", "--summary"),
        ("simulate", "{}", "--summary", "--kernel", "6.1", "--kernel", "6.12"),
        ("simulate", "{}", "--format", "trace"),
        ("map", "{}"),
        ("explain", "{}", "node1"),
        ("diff", "{}", "--kernel", "6.1", "--kernel", "6.12"),
        ("diff", "{}", "--top-down", "--bottom-up", "--verbose"),
        _SWEEP,
        ("sweep", "{}", "--kaslr"),
        ("sweep", "{}", "--vary", "cma=64M,128M"),
        ("history", "{}", "--from", "6.1", "--to", "6.6"),
        ("advise", "{}", "--want", "removable:node1"),
        ("advise", "{}", "--want", "removable:node0"),
        _HOTADD,
        ("hotadd", "{}", "--how-much"),
        ("check", "{}"),
        ("check", "{}", "--format", "github"),
        ("check", "{}", "--format", "junit"),
    ],
    ids=" ".join,
)
def test_every_text_names_it(words: tuple[str, ...], described: str) -> None:
    assert _TEXT in " ".join(printed(words, described).split())


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (("simulate", "{}"), "plan"),
        (("simulate", "{}", "--summary"), "summary"),
        (("explain", "{}", "node1"), "explain"),
        (("diff", "{}", "--top-down", "--bottom-up"), "diff"),
        (_SWEEP, "sweep"),
        (("sweep", "{}", "--kaslr"), "sweep"),
        (("sweep", "{}", "--vary", "cma=64M,128M"), "sweep"),
        (("history", "{}", "--from", "6.1", "--to", "6.6"), "history"),
        (("advise", "{}", "--want", "removable:node1"), "advice"),
        (_HOTADD, "hotadd"),
        (("check", "{}"), "check"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else words,
)
def test_every_document_names_it(words: tuple[str, ...], schema: str, described: str) -> None:
    document = json.loads(printed((*words, "--format", "json"), described))
    jsonschema.validate(document, json.loads(printed(("schema", schema), "")))
    assert _TEXT in json.dumps(document)


@pytest.mark.parametrize(("command", "name"), [("map", "m.svg"), ("report", "m.html")])
def test_every_picture_names_it(command: str, name: str, described: str, tmp_path: Path) -> None:
    printed((command, "{}", "-o", str(tmp_path / name)), described)
    assert _TEXT in (tmp_path / name).read_text()


def test_a_verified_plan_names_it(described: str, tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    head = f"Linux version 6.12.107+deb12-amd64 (a@b) #1\nCommand line: {memplan.load_machine(described).cmdline}\n"
    log.write_text(head + printed(("simulate", "{}", "--format", "trace"), described))
    assert f"note: not modelled: {_TEXT}" in printed(("verify", str(log), "{}", "--kernel", DEBIAN), described)


def test_a_check_can_fail_on_it(described: str) -> None:
    words = ["check", described, "--select", "MP706", "--fail-on", "warning"]
    assert CliRunner().invoke(group, words, standalone_mode=False).return_value == 1
    clean = str(Path(described).with_name("clean.yaml"))
    Path(clean).write_text(dump_machine(TWO_NODES))
    assert CliRunner().invoke(group, ["check", clean, *words[2:]], standalone_mode=False).return_value == 0
