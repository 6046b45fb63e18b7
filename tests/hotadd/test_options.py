"""What boot options and commands make of hot-plug's settings, and what becomes of steps that can't be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.hotadd.boot_log import read_boot_log
from memplan.hotadd.place import map_pages
from memplan.hotadd.result import StepResult
from memplan.hotadd.scenario import Add, Offline, Online, Remove, Shell, Target
from memplan.hotadd.settings import Settings, settings_of
from memplan.kernel.resolve import load_rules
from tests.hotadd.recorded import kernel_of
from tests.hotadd.test_zones import BLOCK, D0, GIB, online, start, steps, zones_of

SPANS, RATIO = "memory_hotplug.online_policy", "memory_hotplug.auto_movable_ratio"
ON_MEMORY = "memory_hotplug.memmap_on_memory"


@pytest.mark.parametrize(
    ("version", "options", "note"),
    [
        ("6.1.192", f"{SPANS}=other", "online_policy=other is refused: policies are contig-zones and auto-movable"),
        ("6.1.192", f"{RATIO}=3x", "auto_movable_ratio=3x is refused: it should be a number of percent"),
        ("5.10.200", f"{RATIO}=3", f"{RATIO} has no effect: this version has no such policy"),
        ("5.10.200", f"{ON_MEMORY}=1", f"{ON_MEMORY} has no effect: this version does not know it"),
        ("6.1.192", f"{ON_MEMORY}=maybe", "memmap_on_memory=maybe is refused by this version"),
        ("4.19.72", "memhp_default_state=online_movable", "is not understood by this version: added memory is offline"),
    ],
)
def test_an_option_that_does_nothing_is_told(version: str, options: str, note: str) -> None:
    told = settings_of(kernel_of(version), options)
    plain = settings_of(kernel_of(version), "")
    assert any(note in text for text in told.notes), told.notes
    assert told._replace(notes=()) == plain._replace(notes=())


def test_options_that_do_something() -> None:
    settings = settings_of(kernel_of("6.12.107"), f"{SPANS}=auto-movable {RATIO}=42 {ON_MEMORY}=force")
    assert (settings.policy, settings.ratio, settings.memmap_on_memory) == ("auto-movable", 42, "force")
    assert settings_of(kernel_of("6.1.192"), f"{ON_MEMORY}").memmap_on_memory == "yes"
    assert settings_of(kernel_of("6.1.192"), f"{ON_MEMORY}=n").memmap_on_memory == "no"


def test_facts_that_do_not_tell_of_hot_plugging_leave_the_usual() -> None:
    kernel = kernel_of("6.12.107")
    bare = kernel._replace(facts={name: value for name, value in kernel.facts.items() if "HOTPLUG" not in name})
    told = settings_of(bare, "")
    assert any("the state of added memory" in note for note in told.notes)
    without = kernel._replace(facts={**kernel.facts, "config.MHP_MEMMAP_ON_MEMORY": False})
    assert settings_of(without, f"{ON_MEMORY}=1").notes[-1].endswith("built without CONFIG_MHP_MEMMAP_ON_MEMORY")


def test_blocks_by_their_own_files() -> None:
    """What a command writes to a block's file is done as if it were a step."""
    files = "/sys/devices/system/memory"
    done = steps(
        "6.1.192",
        Add(GIB),
        Shell(f"echo online_movable > {files}/memory32/state"),
        Shell(f"echo offline > {files}/memory32/state; echo online_kernel > {files}/memory33/state"),
        Shell(f"echo online > {files}/memory99/state"),
    )
    assert zones_of(done[1])[32] == ("Movable",)
    assert "block 32: 1 off-line" in done[2].reason
    assert zones_of(done[2])[33] == ("Normal",)
    assert "block 99 is not there" in done[3].reason


def test_steps_that_ask_for_what_is_already_so() -> None:
    done = steps(
        "6.1.192", Add(GIB), online("online_movable", 0), online("online", 0), Offline(D0, ()), Offline(D0, ())
    )
    assert [step.accepted for step in done] == [True, True, False, False, False]
    assert "block 32 is on-line already (Invalid argument)" in done[2].reason
    assert done[3].reason.startswith("1 off-line")
    assert "block 32 is off-line already (Invalid argument)" in done[4].reason


def test_without_a_driver_nothing_listens() -> None:
    options = Settings(driver=False)
    (added,) = steps("6.1.192", Add(GIB), options=options)
    assert added.accepted is False
    assert added.reason.startswith("nothing listens to the firmware")


def test_one_dimm_can_t_lie_where_another_does() -> None:
    done = steps("6.1.192", Add(GIB, address=4 * GIB), Add(GIB, address=4 * GIB), Remove(1), Add(GIB, address=5 * GIB))
    assert [step.accepted for step in done] == [True, False, False, True]
    assert "another DIMM lies at [0x100000000-0x13fffffff]" in done[1].reason


@pytest.mark.parametrize(
    ("asked", "block", "pages", "why"),
    [
        ("yes", BLOCK, 512, ""),
        ("no", BLOCK, 0, ""),
        ("yes", BLOCK // 2, 0, "does not fill 2M pages"),
        ("force", BLOCK // 2, 512, ""),
    ],
)
def test_a_map_within_its_block_fills_whole_large_pages(asked: str, block: int, pages: int, why: str) -> None:
    settings = Settings(memmap_on_memory=asked)  # type: ignore[arg-type]
    begin = start()._replace(block_size=block)
    found, told = map_pages(begin, load_rules("6.12").hotplug, settings, 8 * block, 64)
    assert (found, why in told, bool(told)) == (pages, True, bool(why))


def test_versions_that_hold_zones_by_the_order_of_addresses() -> None:
    """4.13: behind Movable is Movable, and with movable_node what lies behind the kernel zone is, too."""
    options = Settings(movable_node=True)
    done = steps("4.13.4", Add(GIB), Online("online", D0), options=options)
    assert zones(done[1]) == {"Movable"}
    plain = steps("4.13.4", Add(GIB), Online("online", D0))
    assert zones(plain[1]) == {"Normal"}


def zones(step: StepResult) -> set[str]:
    """The zones of the blocks that were added."""
    return {zone for part in step.blocks if part.first >= 32 for zone in part.zones[:1]}


def test_4_12_moves_the_border_of_zones_block_by_block() -> None:
    """From the top down Normal gives its last block to Movable, and from the bottom up it gets its first one back."""
    done = steps(
        "4.12.0",
        Add(GIB),
        online("online_movable", 7),
        online("online_movable", 6),
        online("online_movable", 4),
        Offline((Target(0, 6, 7),), ()),
        online("online_kernel", 7),
        online("online_kernel", 6),
        online("online_kernel", 7),
    )
    assert [step.accepted for step in done] == [True, True, True, False, True, False, True, True]
    assert zones_of(done[1])[38] == ("Normal", "Movable")
    assert zones_of(done[2])[37] == ("Normal", "Movable")
    assert "only the last block of Normal may become Movable" in done[3].reason
    assert "only the first block of Movable may become Normal" in done[5].reason
    assert zones_of(done[6])[38][0] == "Normal"
    assert zones_of(done[7])[39] == ("Normal", "Movable")


LOG = """\
Linux version 6.1.0 (a@b) #1
x86/mm: Memory block size: 128MB
Freeing SMP alternatives memory: 32K
Memory: 1000K/2000K available (1K kernel code, 500K reserved, 100K cma-reserved)
Freeing initrd memory: 64K
Freeing unused kernel image (initmem) memory: 16K
Freeing something else memory: 8K
x86/mm: Memory block size: 256MB
Linux version 6.1.0 (a@b) #1
Freeing unused kernel image (initmem) memory: 4096K
"""


def test_what_a_log_tells_of_the_state_after_boot(tmp_path: Path) -> None:
    (tmp_path / "boot.log").write_text(LOG)
    told = read_boot_log(str(tmp_path / "boot.log"))
    assert (told.block_size, told.handed_over, told.freed, told.initrd) == (128 << 20, 1500 << 10, 16 << 10, 64 << 10)
    assert told.locks_before
    (tmp_path / "early.log").write_text(LOG.partition("Memory:")[0])
    assert read_boot_log(str(tmp_path / "early.log"))[1:4] == (None, None, None)
