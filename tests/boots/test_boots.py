"""Every plan equals the boot: what the kernels of the logs here really did, fact by fact.

A machine is imported from what an ordinary log says, all that memblock decided taken out, and its plan is held
against the whole log.
"""

import lzma
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

import memplan
from memplan.firmware.combine import import_files
from memplan.machine.load import load_machine
from memplan.verification import Comparison, compare

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
LOGS = sorted(HERE.glob("*.log.xz"))
DESCRIBED = sorted(path for path in EXAMPLES.glob("*.yaml") if "A real boot" in path.read_text())
STAMP = re.compile(r"^\[ *\d+\.\d+\] ?")
#: Lines that no ordinary boot prints, or that tell what an allocator decided.
DECIDED = re.compile(
    r"memblock_|MEMBLOCK|^ (memory|reserved)(\.cnt|\[| size)|NODE_DATA|Zone ranges|^ +(DMA|Normal|Device|Node \d)"
    r"|Movable zone|Early memory|^ +node +\d|Initmem setup|On node|crash ?kernel.*(reserved|MB)|(?<!setup_)percpu:"
    r"|IO TLB|Memory: |RAMDISK.*new|Move RAMDISK|Allocated new RAMDISK|BRK \[|init_memory_mapping|cma: |^block \d"
)
#: Under EFI the loader's map tells what boot services had; a log has it only with efi=debug, or as reservations.
EFI_MAP_UNKNOWN = re.compile(r"^ovmf.*-(5\.10|6\.1|6\.12)$|^user-ovmf.*-(5\.10|6\.1|6\.12)$")


def text_of(path: Path) -> list[str]:
    return [STAMP.sub("", line) for line in lzma.open(path, "rt").read().splitlines()]


def ordinary(lines: Iterable[str], name: str) -> list[str]:
    """The log of the boot without memblock=debug; where KASLR or EFI placed the image, the first dump stays."""
    kept = []
    first_dump = any(word in name for word in ("ovmf", "kaslr"))
    for line in lines:
        if first_dump or "ommand line:" in line or "smp_scan_config" in line or not DECIDED.search(line):
            kept.append(line)
        if first_dump and line.startswith("memblock_") and any("MEMBLOCK conf" in earlier for earlier in kept):
            kept.pop()
            first_dump = False
    return kept


def held_against(path: Path, machine: memplan.machine.model.Machine) -> Comparison:
    return compare(enumerate(text_of(path), 1), memplan.simulate(machine))


def name_of(path: Path) -> str:
    return path.name.removesuffix(".log.xz")


@pytest.mark.parametrize("path", LOGS, ids=name_of)
def test_the_plan_of_an_ordinary_log_equals_the_boot(path: Path, tmp_path: Path) -> None:
    name = name_of(path)
    log = tmp_path / "boot.log"
    log.write_text("\n".join(ordinary(text_of(path), name)) + "\n")
    result = held_against(path, import_files([log])[0])
    if "kaslr" in name:
        # The CPU entry areas lie at random places, so what is allocated for them after the zones differs.
        zones = text_of(path).index("Zone ranges:") + 1
        assert result.first is None or (result.first.kernel is not None and result.first.kernel.line > zones)
    elif EFI_MAP_UNKNOWN.match(name):
        assert result.first is not None
        assert result.first.kernel is not None
        assert "efi_reserve_boot_services" in result.first.kernel.text
    else:
        assert result.same, result.first
        assert result.total > 40


@pytest.mark.parametrize("path", [path for path in LOGS if "ovmf" in path.name], ids=name_of)
def test_with_the_efi_map_an_efi_boot_is_equal(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_text("\n".join(text_of(path)) + "\n")
    result = held_against(path, import_files([log])[0])
    assert result.same, result.first


@pytest.mark.parametrize("path", DESCRIBED, ids=lambda path: path.stem)
def test_an_example_equals_its_boot(path: Path) -> None:
    log = re.search(r"tests/boots/(\S+)", path.read_text())
    assert log is not None
    result = held_against(HERE / log[1], load_machine(path))
    assert result.same, result.first


def test_there_are_enough_examples() -> None:
    assert len(DESCRIBED) >= 8
    assert any("movable_node" in load_machine(path).cmdline for path in DESCRIBED)
