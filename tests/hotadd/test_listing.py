"""The state of a running machine as a beginning: a copy of /sys/devices/system/memory, and lsmem's JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memplan.errors import InputError
from memplan.hotadd.listing import begin_with, read_listing
from memplan.hotadd.replay import build_of, run
from memplan.hotadd.report import block_ranges
from memplan.hotadd.running import Running
from memplan.hotadd.scenario import Add, Scenario
from memplan.hotadd.settings import settings_of
from tests.hotadd import recorded

NAME = "movable-node-6.12"
BLOCK = 128 << 20


def rows(look: recorded.Look) -> list[dict[str, Any]]:
    """What lsmem --json --output RANGE,STATE,BLOCK,NODE,ZONES writes of the blocks."""
    return [
        {
            "range": f"{number * BLOCK:#018x}-{(number + 1) * BLOCK - 1:#018x}",
            "state": state,
            "block": str(number),
            "node": nid,
            "zones": "None" if zones == ("none",) else "/".join(zones),
        }
        for number, nid, state, zones in look.blocks
    ]


def sysfs(folder: Path, look: recorded.Look) -> None:
    """The same as the kernel shows it."""
    (folder / "block_size_bytes").write_text(f"{BLOCK:x}\n")
    (folder / "auto_online_blocks").write_text("offline\n")
    for number, nid, state, zones in look.blocks:
        block = folder / f"memory{number}"
        block.mkdir()
        (block / "state").write_text(f"{state}\n")
        (block / "valid_zones").write_text(" ".join(zones) + "\n")
        (block / f"node{nid}").mkdir()


@pytest.mark.parametrize("kind", ["lsmem", "sysfs"])
def test_any_look_is_a_beginning(kind: str, tmp_path: Path) -> None:
    """After each look of a run, what the machine lists gives the very blocks and zones that it showed."""
    taken = recorded.load(NAME)
    kernel = recorded.kernel_of(taken.release)
    start = recorded.start_of(taken)
    for record in taken.steps:
        if record.look is None:
            continue
        path = tmp_path / str(record.number)
        if kind == "lsmem":
            path.write_text(json.dumps({"memory": rows(record.look)}))
        else:
            path.mkdir()
            sysfs(path, record.look)
        running = Running(
            start, kernel.rules.hotplug, settings_of(kernel, taken.cmdline), Scenario((Add(1 << 30),)), build_of(kernel)
        )
        begin_with(running, read_listing(str(path)))
        shown = {
            number: (part.nid, part.state, part.zones)
            for part in block_ranges(running)
            for number in range(part.first, part.last + 1)
        }
        assert shown == {number: (nid, state, zones) for number, nid, state, zones in record.look.blocks}
        assert running.total == record.look.total
        step = run(running)[0]
        assert step.dimm is not None
        assert step.accepted
        taken_blocks = {number for number, *_ in record.look.blocks}
        assert not taken_blocks & {n for part in step.dimm.blocks for n in range(part.first, part.last + 1)}


def running_of(name: str, options: str | None = None) -> Running:
    """The machine of that run after its boot, before anything was added."""
    taken = recorded.load(name)
    kernel = recorded.kernel_of(taken.release)
    settings = settings_of(kernel, taken.cmdline if options is None else options)
    start = recorded.start_of(taken)._replace(address_bits=46)
    return Running(start, kernel.rules.hotplug, settings, Scenario(()), build_of(kernel))


def after(running: Running, folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> Running:
    """`running` begun with what lsmem says of it, `change` made to that."""
    parts = block_ranges(running)
    blocks = tuple((n, part.nid, part.state, part.zones) for part in parts for n in range(part.first, part.last + 1))
    listed = rows(recorded.Look(blocks, 0, None))
    change(listed)
    path = folder / "lsmem.json"
    path.write_text(json.dumps({"memory": listed}))
    begin_with(running, read_listing(str(path)))
    return running


def added(number: int, **values: object) -> dict[str, Any]:
    """A row of lsmem for a block that came after boot, without a value where it is None."""
    row = {
        "range": f"{number * BLOCK:#018x}-{(number + 1) * BLOCK - 1:#018x}",
        "state": "online",
        "block": str(number),
        "node": 1,
        "zones": "Movable",
    }
    return {name: value for name, value in (row | values).items() if value is not None}


def test_what_was_added_counts(tmp_path: Path) -> None:
    running = running_of(NAME)
    free, total = running.kernel_left, running.total
    assert total is not None
    after(
        running, tmp_path, lambda listed: listed.extend((added(48), added(49, state="offline", zones="Normal/Movable")))
    )
    assert running.memory.map_bytes() == 2 * BLOCK // 64
    assert running.kernel_left == free - 2 * BLOCK // 64, "their memory maps lie in the kernel's memory"
    assert running.total == total + BLOCK
    assert running.found_added == [(48 * BLOCK, 49 * BLOCK), (49 * BLOCK, 50 * BLOCK)]


def test_maps_that_added_blocks_hold(tmp_path: Path) -> None:
    """Linux 6.12 puts every block's map into it, 6.1 only where it was a DIMM of its own, which is not told."""
    for name, pages in (("movable-node-6.12", 512), ("movable-node-6.1", 0)):
        running = running_of(name, "memory_hotplug.memmap_on_memory=1")
        after(running, tmp_path, lambda listed: listed.append(added(48)))
        assert running.memory.within(48, 49)[0].map_pages == pages
        assert any("is not told" in text for text in running.warnings) is (not pages)


def test_what_a_short_listing_leaves_open(tmp_path: Path) -> None:
    """lsmem --json as it is without options: the boot's blocks are known, what was added is not."""

    def short(listed: list[dict[str, Any]]) -> None:
        for row in listed:
            del row["node"], row["zones"]

    running = after(running_of(NAME), tmp_path, short)
    assert any("does not tell the zone of blocks" in text for text in running.warnings)
    assert block_ranges(running) == block_ranges(running_of(NAME))
    for row, message in (
        (added(48, node=None), "does not tell the node of block 48, which were added after boot"),
        (added(48, zones=None), "does not tell the zone of block 48, which were added after boot"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            after(running_of(NAME), tmp_path, lambda listed, row=row: listed.append(row))  # type: ignore[misc]
        assert "lsmem --json --output RANGE,STATE,BLOCK,NODE,ZONES" in str(caught.value)


def test_a_block_that_was_moved_is_told(tmp_path: Path) -> None:
    def move(listed: list[dict[str, Any]]) -> None:
        next(row for row in listed if row["zones"] == "Movable")["zones"] = "Normal"

    running = after(running_of("boot-movablecore-6.12"), tmp_path, move)
    assert any("in another zone than the planned boot" in text for text in running.warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda listed: listed.__delitem__(slice(1, 3)), "lacks blocks 1-2, which the planned boot has"),
        (lambda listed: listed[2].update(node=1), "says that block 2 is of node 1, and in the planned boot of node 0"),
        (lambda listed: listed[2].update(zones="Normal"), "says that block 2 is in zone Normal, and in the planned"),
        (lambda listed: listed.append(added(48, zones="DMA32")), "says that block 48 is in zone DMA32, above 4G"),
        (lambda listed: listed.append(added(48, node=7)), "has block 48 on node 7, which was not possible"),
        (lambda listed: listed.append(added(1 << 20)), "has block 1048576, which lies above"),
    ],
)
def test_another_machine_is_refused(
    change: Callable[[list[dict[str, Any]]], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        after(running_of(NAME), tmp_path, change)
    assert message in str(caught.value)
    assert "is it the same machine" in str(caught.value)


def test_blocks_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "lsmem.json"
    row = {"range": "0x0-0xfffffff", "state": "online", "block": "0", "node": 0, "zones": "None"}
    path.write_text(json.dumps({"memory": [row]}))
    with pytest.raises(InputError, match="has blocks of 256M, those of the planned boot have 128M"):
        begin_with(running_of(NAME), read_listing(str(path)))


def test_a_file_that_lists_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "iomem"
    path.write_text("00001000-0009fbff : System RAM\n")
    with pytest.raises(InputError, match="is a /proc/iomem, and lists no memory blocks"):
        read_listing(str(path))
