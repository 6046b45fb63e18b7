"""The rules that versions resolve to, against those that were written version by version from sources and boots."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from memplan.boot.registry import registered
from memplan.errors import UsageError
from memplan.kernel.resolve import all_rules, load_rules, notes_on, resolve, rules_for
from memplan.kernel.rules import OLDEST
from memplan.kernel.timeline import Bound, find, present
from memplan.kernel.version import KernelVersion, Release

GOLDENS = Path(__file__).parent / "data" / "rules"
#: 3.13 reserves the EFI map before it reads the memory map, and marks setup_data before it reads the options.
MOVED = {"3.13.10": {"efi_memblock_x86_reserve_range", "e820__reserve_setup_data"}}
NEWEST = Release(7, 3)
RELEASES = [
    Release(major, minor) for major, last in ((3, 19), (4, 20), (5, 19), (6, 19), (7, 3)) for minor in range(last + 1)
]
RELEASES = [release for release in RELEASES if OLDEST <= release <= NEWEST]


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.yaml")), ids=lambda path: path.stem)
def test_versions_that_were_written_by_hand(path: Path) -> None:
    golden: dict[str, Any] = yaml.safe_load(path.read_text())
    rules = load_rules(path.stem)
    moved = MOVED.get(path.stem, set())
    assert [step for step in rules.steps if step not in moved] == [s for s in golden["steps"] if s not in moved]
    assert set(rules.steps) == set(golden["steps"])
    del golden["steps"]
    assert {name: getattr(rules.memblock, name) for name in golden["memblock"]} == golden.pop("memblock")
    assert {name: getattr(rules, name) for name in golden} == golden


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_every_release_has_rules(release: Release) -> None:
    rules = rules_for(KernelVersion(release))
    assert rules.version.release == release
    assert len(set(rules.steps)) == len(rules.steps), "a step is there twice"
    assert set(rules.steps) <= set(registered())


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_steps_stand_in_an_order_that_the_state_allows(release: Release) -> None:
    """Each step behind those whose results it takes."""
    steps = rules_for(KernelVersion(release)).steps
    behind = [
        ("e820__memory_setup", "parse_early_param"),
        ("e820__memory_setup", "e820__reserve_setup_data"),
        ("parse_early_param", "e820__finish_early_params"),
        ("e820__finish_early_params", "efi_init"),
        ("efi_init", "e820__memblock_setup"),
        ("e820__end_of_ram_pfn", "init_mem_mapping"),
        ("memblock_set_bottom_up", "init_mem_mapping"),
        ("e820__memblock_setup", "efi_find_mirror"),
        ("e820__memblock_setup", "init_mem_mapping"),
        ("init_mem_mapping", "reserve_initrd"),
        ("reserve_initrd", "acpi_table_upgrade"),
        ("acpi_table_upgrade", "initmem_init"),
        ("initmem_init", "sparse_init"),
        ("sparse_init", "memmap_init"),
        ("free_area_init", "memmap_init"),
        ("sparse_init", "vfs_caches_init_early"),
        ("init_cpu_to_node", "setup_per_cpu_areas"),
        ("free_area_init", "vfs_caches_init_early"),
        ("vfs_caches_init_early", "memblock_free_all"),
    ]
    for first, then in behind:
        if first in steps and then in steps:
            assert steps.index(first) < steps.index(then), (first, then)
    assert steps[-1] == "memblock_free_all"


def test_values_are_asked_for_by_code() -> None:
    """No rule is there for nothing: its name stands in the code that replays, reads or checks."""
    root = Path(import_module("memplan").__file__ or "").parent
    folders = ("boot", "hotadd", "kaslr", "memblock", "machine", "firmware", "checks", "render")
    text = "".join(path.read_text() for folder in folders for path in (root / folder).rglob("*.py"))
    for path in ("kernel/load.py", "kernel/structures.py", "wording.py"):
        text += (root / path).read_text()
    assert [name for name in resolve(KernelVersion(NEWEST)) if name.rpartition(".")[2] not in text] == []


@pytest.mark.parametrize(
    ("version", "rule", "value"),
    [
        # Each of these is the last without, and the first with a change, main line or back-port.
        ("5.10.7", "memblock.bottom_up_above_kernel", True),
        ("5.10.89", "memblock.bottom_up_above_kernel", False),
        ("5.4.0", "memblock.bottom_up_above_kernel", True),
        ("5.4.273", "memblock.bottom_up_above_kernel", False),
        ("5.11.0", "memblock.bottom_up_above_kernel", False),
        ("5.10.89", "hugetlb_cma_rounds_share", False),
        ("5.10.262", "hugetlb_cma_rounds_share", True),
        ("5.10.89", "efi_stub_hot_pluggable", False),
        ("5.10.262", "efi_stub_hot_pluggable", True),
        ("5.10.89", "movable_clip", False),
        ("5.10.262", "movable_clip", True),
        ("5.10.89", "node_min_size", 4 << 20),
        ("5.10.262", "node_min_size", 0),
        ("5.10.89", "nosave", "entries"),
        ("5.10.262", "nosave", "gaps"),
        ("5.10.89", "numa_fake_uniform_test", "running id"),
        ("5.10.262", "numa_fake_uniform_test", "parts of this node"),
        ("5.10.89", "struct.mem_section_usage", 8),
        ("5.10.262", "struct.mem_section_usage", 24),
        ("6.5.0", "node_min_size", 4 << 20),
        ("6.6.9", "node_min_size", 0),
        ("6.6.9", "memblock.any_node", "none"),
        ("6.6.87", "memblock.any_node", "invalid"),
        ("6.10.0", "memblock.any_node", "invalid"),
        ("6.12.0", "nosave", "entries"),
        ("6.12.117", "nosave", "gaps"),
        ("6.14.0", "nosave", "entries"),
        ("6.17.0", "nosave", "gaps"),
        ("4.17.0", "e820_prefix", "e820: "),
        ("4.18.0", "e820_prefix", ""),
        ("5.11.0", "pgt_buffer_pages_5level", 6),
        ("5.12.9", "pgt_buffer_pages_5level", 8),
        ("6.4.0", "cpumasks", 4),
        ("6.5.0", "cpumasks", 1),
    ],
)
def test_changes_by_version(version: str, rule: str, value: object) -> None:
    assert resolve(KernelVersion.parse(version))[rule].value == value


@pytest.mark.parametrize(
    ("version", "has"),
    [("5.10.7", False), ("5.10.89", True), ("5.11.0", False), ("5.12.9", True), ("4.19.72", False), ("4.19.304", True)],
)
def test_back_ported_steps(version: str, has: bool) -> None:
    assert ("acpi_boot_table_init" in load_rules(version).steps) is has


def test_a_release_alone_means_its_newest_known_sublevel() -> None:
    assert str(load_rules("6.12").version) == "6.12.117"
    assert notes_on(KernelVersion.parse("6.12")) == [
        "Linux 6.12 means 6.12.117 here, the newest one of 6.12 that is known"
    ]
    assert notes_on(KernelVersion.parse("6.1.192")) == []


@pytest.mark.parametrize(
    ("version", "note"),
    [
        ("7.9.3", "Linux 7.9.3 is newer than 7.3, the newest release whose rules are known"),
        (
            "5.13.4",
            "no source of Linux 5.13 was read: its rules follow from the releases around it and from when each change"
            " was merged",
        ),
        ("6.12.300", "the rules of Linux 6.12 are known up to 6.12.117, not 6.12.300"),
    ],
)
def test_what_is_not_known_of_a_version_is_told(version: str, note: str) -> None:
    assert note in notes_on(KernelVersion.parse(version))


def test_doubts() -> None:
    """Between two sources a change may be there or not; on either side nothing is in doubt."""
    assert "memblock.bottom_up_above_kernel" in load_rules("5.4.50").doubts
    assert not load_rules("5.12.9").doubts
    assert any("memblock.bottom_up_above_kernel" in note for note in notes_on(KernelVersion.parse("5.4.50")))


@pytest.mark.parametrize("version", all_rules().versions.booted, ids=str)
def test_what_booted_leaves_no_doubt(version: KernelVersion) -> None:
    """Its boots show what it does."""
    rules = rules_for(version)
    assert (rules.doubts, rules.hotplug.doubts, rules.structs.doubts) == ((), (), ())


def test_the_sources_around_a_change_are_without_it_and_with_it() -> None:
    for rule in all_rules().rules.values():
        for change in rule.changes:
            if change.between is not None:
                alone = rule._replace(changes=(rule.changes[0], change))
                has = [find(alone, KernelVersion.parse(text)).change is change for text in change.between]
                assert has == [False, True], (rule.name, change.since)
    for step in all_rules().steps:
        if step.between is not None:
            begins = step.first.release is not None
            alone_step = step._replace(last=Bound(None, {})) if begins else step
            has = [present(alone_step, KernelVersion.parse(text))[0] is begins for text in step.between]
            assert has == [False, True], (step.name, step.line)


@pytest.mark.parametrize("release", ["4.15", "5.5", "5.13", "6.15", "6.16"])
def test_releases_that_were_not_read_are_in_no_doubt(release: str) -> None:
    """All changes between the releases around one are dated."""
    rules = load_rules(f"{release}.0")
    assert (rules.doubts, rules.hotplug.doubts, rules.structs.doubts) == ((), (), ())


@pytest.mark.parametrize(
    ("version", "rule", "value"),
    [
        # 122e093c1734 is of the day after 5.13, and went into 5.13.2.
        ("5.13.1", "unavailable_ranges", False),
        ("5.13.2", "unavailable_ranges", True),
        ("5.14.0", "unavailable_ranges", True),
        # What the changelogs of Debian's packages tell of the stable releases in them.
        ("5.10.52", "unavailable_ranges", False),
        ("5.10.53", "unavailable_ranges", True),
        ("5.10.109", "movable_clip", False),
        ("5.10.110", "movable_clip", True),
        ("6.1.63", "node_min_size", 4 << 20),
        ("6.1.64", "node_min_size", 0),
        ("6.12.27", "memblock.free_all_nodes", "up to the end"),
        ("6.12.28", "memblock.free_all_nodes", "exact"),
        # Both waited in the -mm tree, one for 5.5, the other for 5.6.
        ("5.5.0", "memory_map_block", "sections on the node"),
        ("5.5.0", "free_line", "   memblock_free"),
        ("5.6.0", "free_line", "memblock_free"),
        # ba69e0750b03 was a repair of 6.14-rc, and went into 6.13.4 and 6.12.16.
        ("6.13.3", "efi_stub_hot_pluggable", False),
        ("6.13.4", "efi_stub_hot_pluggable", True),
        ("6.12.15", "efi_stub_hot_pluggable", False),
        ("6.12.16", "efi_stub_hot_pluggable", True),
        ("6.14.0", "efi_stub_hot_pluggable", True),
    ],
)
def test_changes_between_two_sources(version: str, rule: str, value: object) -> None:
    assert resolve(KernelVersion.parse(version))[rule].value == value


@pytest.mark.parametrize("version", ["2.6.32", "3.12.74"])
def test_versions_before_the_first(version: str) -> None:
    with pytest.raises(UsageError, match=r"there are rules for 3\.13 and later"):
        load_rules(version)


def test_what_is_no_version() -> None:
    for text in ("banana", "6", "6.1.2.3", "6.1-generic", ""):
        with pytest.raises(UsageError, match="is no kernel version"):
            load_rules(text)


def test_every_change_is_dated() -> None:
    """A change has a commit, two sources around it, or words that say how it is known; the first value has none."""
    for rule in all_rules().rules.values():
        for change in rule.changes[1:]:
            assert change.commit or change.between or change.dated or change.known, (rule.name, change.since)
