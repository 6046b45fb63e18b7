"""The state of a running machine as a beginning: a copy of /sys/devices/system/memory, and lsmem's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memplan.errors import InputError
from memplan.hotadd.listing import ListedBlock, read_listing
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
        running.begin_with(read_listing(str(path)))
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


def test_rows_of_several_blocks(tmp_path: Path) -> None:
    path = tmp_path / "lsmem.json"
    row = {"range": "0x0-0x1fffffff", "state": "online", "block": "0-3", "node": 1, "zones": "Normal"}
    path.write_text(json.dumps({"memory": [row]}))
    listing = read_listing(str(path))
    assert listing.block_size == BLOCK
    assert listing.blocks == tuple(ListedBlock(number, 1, True, "Normal") for number in range(4))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no list named memory"),
        ('{"memory": [{"range": "x"}]}', "memory[0].range: should be like 0x0-0x7ffffff"),
        ('{"memory": [{"range": "0x0-0x7ffffff", "block": "b"}]}', "memory[0].block: should be like 8 or 0-15"),
        ('{"memory": [{"range": "0x0-0x7ffffff", "block": "0"}]}', "memory[0].state: should be online or offline"),
        (
            '{"memory": [{"range": "0x0-0x7ffffff", "block": "0", "state": "online", "node": 0}]}',
            "memory[0].zones: should name the blocks' zones",
        ),
    ],
)
def test_what_is_no_listing(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "lsmem.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_listing(str(path))
    assert message in str(caught.value)


def test_another_machine_is_refused(tmp_path: Path) -> None:
    taken = recorded.load(NAME)
    kernel = recorded.kernel_of(taken.release)
    path = tmp_path / "lsmem.json"
    row = {"range": "0x0-0x7ffffff", "state": "online", "block": "0", "node": 0, "zones": "None"}
    path.write_text(json.dumps({"memory": [row]}))
    running = Running(
        recorded.start_of(taken), kernel.rules.hotplug, settings_of(kernel, ""), Scenario(()), build_of(kernel)
    )
    with pytest.raises(InputError, match="lacks the blocks 1-23, 32-39"):
        running.begin_with(read_listing(str(path)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no block_size_bytes"):
        read_listing(str(tmp_path / "empty"))
