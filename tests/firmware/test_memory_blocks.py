"""Memory blocks of a running machine as a source: every form of a listing tells the same, and says what it can't."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from memplan.errors import InputError
from memplan.firmware.blocks import ListedBlocks, Listing
from memplan.firmware.combine import import_files
from memplan.firmware.source import read_source
from memplan.machine.model import E820Entry

BLOCK = 128 << 20
#: What one machine had: a block of two zones, RAM with a hole, a block off-line, two nodes.
BLOCKS = [
    (0, 0, "online", "none"),
    (1, 0, "online", "DMA32"),
    (2, 0, "online", "DMA32"),
    (32, 1, "online", "Normal"),
    (33, 1, "offline", "Normal Movable"),
    (34, 1, "online", "Movable"),
]
LISTED = (
    ListedBlocks(0, 0, (0,), True, "none"),
    ListedBlocks(1, 2, (0,), True, "DMA32"),
    ListedBlocks(32, 32, (1,), True, "Normal"),
    ListedBlocks(33, 33, (1,), False, None),
    ListedBlocks(34, 34, (1,), True, "Movable"),
)
#: As lsmem of util-linux 2.38 printed it of a machine of 24 GiB.
LSMEM = """\
RANGE                                 SIZE  STATE REMOVABLE  BLOCK
0x0000000000000000-0x00000000bfffffff   3G online       yes   0-23
0x0000000100000000-0x000000063fffffff  21G online       yes 32-199

Memory block size:       128M
Total online memory:      24G
Total offline memory:      0B
"""
LSMEM_BYTES = """\
RANGE                                        SIZE  STATE REMOVABLE  BLOCK  ZONES NODE
0x0000000000000000-0x0000000007ffffff   134217728 online       yes      0   None    0
0x0000000008000000-0x00000000bfffffff  3087007744 online       yes   1-23  DMA32    0
0x0000000100000000-0x000000063fffffff 22548578304 online       yes 32-199 Normal    0
"""
LSMEM_PAIRS = """\
RANGE="0x0000000000000000-0x00000000bfffffff" SIZE="3G" STATE="online" REMOVABLE="yes" BLOCK="0-23" NODE="0"
RANGE="0x0000000100000000-0x000000063fffffff" SIZE="21G" STATE="online" REMOVABLE="yes" BLOCK="32-199" NODE="0"
"""


def tree(folder: Path) -> Path:
    """/sys/devices/system/memory as the kernel shows it."""
    folder.mkdir()
    (folder / "block_size_bytes").write_text("8000000\n")
    (folder / "auto_online_blocks").write_text("offline\n")
    for number, nid, state, zones in BLOCKS:
        block = folder / f"memory{number}"
        block.mkdir()
        (block / "state").write_text(f"{state}\n")
        (block / "valid_zones").write_text(f"{zones}\n")
        (block / "phys_index").write_text(f"{number:08x}\n")
        (block / f"node{nid}").symlink_to(f"../../node/node{nid}")
        (block / "subsystem").symlink_to("../../../../bus/memory")
    return folder


def tar(folder: Path, path: Path, mode: str = "w") -> Path:
    """A tar of the tree as tar writes one of /sys: files said to be of 4096 bytes, padded with zeros."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for file in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(file, f"sys/devices/system/memory/{file.relative_to(folder)}")
            if file.is_file() and not file.is_symlink():
                data = file.read_bytes().ljust(4096, b"\0")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
            else:
                archive.addfile(entry)
    return path


def grep(folder: Path, *patterns: str) -> str:
    """What grep writes of the files, with its complaints among it; folders are links in /sys, but not here."""
    text = []
    for pattern in patterns:
        for file in sorted(folder.glob(pattern)):
            if file.name.startswith("node"):
                text.append(f"grep: /sys/devices/system/memory/{file.relative_to(folder)}: Is a directory")
            elif file.is_file():
                text.append(f"/sys/devices/system/memory/{file.relative_to(folder)}:{file.read_text().strip()}")
    return "\n".join(text) + "\n"


def rows(**more: str) -> list[dict[str, Any]]:
    return [
        {
            "range": f"{n * BLOCK:#018x}-{(n + 1) * BLOCK - 1:#018x}",
            "size": BLOCK,
            "state": state,
            "removable": True,
            "block": str(n),
            "node": nid,
            "zones": "None" if zones == "none" else zones.replace(" ", "/"),
        }
        | more
        for n, nid, state, zones in BLOCKS
    ]


def listing(path: Path) -> Listing:
    found = read_source(path).blocks
    assert found is not None
    return found


def forms(folder: Path) -> dict[str, Path]:
    """The same blocks in each form."""
    sys = tree(folder / "memory")
    paths = {"folder": sys, "tar": tar(sys, folder / "m.tar"), "tar.gz": tar(sys, folder / "m.tar.gz", "w:gz")}
    texts = {
        "grep": grep(sys, "*", "*/*"),
        "tail": "".join(
            f"==> {file} <==\n{'' if file.is_symlink() else file.read_text()}\n"
            for file in sorted(sys.rglob("*"))
            if file.is_symlink() or file.is_file()
        ),
        "lsmem --json": json.dumps({"memory": rows()}, indent=3),
    }
    for name, text in texts.items():
        paths[name] = folder / f"{name}.txt"
        paths[name].write_text(text)
    return paths


@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz", "grep", "tail", "lsmem --json"])
def test_every_form_tells_the_same(form: str, tmp_path: Path) -> None:
    found = listing(forms(tmp_path)[form])
    assert found.blocks == LISTED
    assert found.block_size == BLOCK
    assert found.default_state == ("" if form.startswith("lsmem") else "offline")


def test_gnu_grep_and_tar_of_a_tree(tmp_path: Path) -> None:
    """The commands themselves, where a block's node is a folder."""
    sys = tree(tmp_path / "memory")
    for number, nid, _, _ in BLOCKS:
        (sys / f"memory{number}" / f"node{nid}").unlink()
        (sys / f"memory{number}" / f"node{nid}").mkdir()
    text = subprocess.run(f"grep . {sys}/* {sys}/*/* 2>&1", shell=True, capture_output=True, check=False).stdout
    (tmp_path / "grep.txt").write_bytes(text)
    assert listing(tmp_path / "grep.txt").blocks == LISTED
    subprocess.run(["tar", "czf", tmp_path / "m.tgz", "-C", tmp_path, "memory"], check=True)
    assert listing(tmp_path / "m.tgz").blocks == LISTED


def test_a_text_without_the_blocks_size(tmp_path: Path) -> None:
    """grep . /sys/devices/system/memory/*/* has no block_size_bytes: the blocks are known, where they lie is not."""
    path = tmp_path / "grep.txt"
    path.write_text(grep(tree(tmp_path / "memory"), "*/*"))
    assert listing(path) == Listing(str(path), None, LISTED)
    with pytest.raises(InputError) as caught:
        import_files([path])
    assert "does not tell how large a block is" in str(caught.value)
    assert "grep . /sys/devices/system/memory/* /sys/devices/system/memory/*/*" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        (LSMEM, (ListedBlocks(0, 23, (), True, None), ListedBlocks(32, 199, (), True, None))),
        (
            LSMEM_BYTES,
            (
                ListedBlocks(0, 0, (0,), True, "none"),
                ListedBlocks(1, 23, (0,), True, "DMA32"),
                ListedBlocks(32, 199, (0,), True, "Normal"),
            ),
        ),
        (LSMEM_PAIRS, (ListedBlocks(0, 23, (0,), True, None), ListedBlocks(32, 199, (0,), True, None))),
    ],
)
def test_what_lsmem_prints(text: str, blocks: tuple[ListedBlocks, ...], tmp_path: Path) -> None:
    path = tmp_path / "lsmem"
    path.write_text(text)
    assert listing(path) == Listing(str(path), BLOCK, blocks)
    machine = import_files([path]).machine
    assert [(e.start, e.end) for e in machine.e820] == [(0, 0xC0000000), (1 << 32, 0x640000000)]


def test_a_machine_of_blocks_alone(tmp_path: Path) -> None:
    """RAM and nodes, and a word on all that no block tells."""
    path = forms(tmp_path)["lsmem --json"]
    machine, origins, notes = import_files([path])
    assert machine.e820 == (E820Entry(0, 3 * BLOCK), E820Entry(32 * BLOCK, 35 * BLOCK))
    assert machine.srat is not None
    assert [(e.pxm, e.base, e.length) for e in machine.srat.memory] == [(0, 0, 3 * BLOCK), (1, 32 * BLOCK, 3 * BLOCK)]
    assert origins["e820"] == f"{path} memory blocks of 128M"
    text = "\n".join(notes)
    for part in (
        "neither holes and reserved ranges within a block, nor which blocks were there at boot",
        "--kernel names it",
        "command line is not told",
        "proximity domains are not told",
        "off-line: blocks 33 (no description keeps that; hotadd --state does)",
    ):
        assert part in text


def test_any_other_source_knows_better(tmp_path: Path) -> None:
    """Whatever the order: a map of steps gives way, and what came after boot is told."""
    blocks = forms(tmp_path)["folder"]
    iomem = tmp_path / "iomem"
    iomem.write_text(
        "00001000-0009fbff : System RAM\n00100000-17ffffff : System RAM\n100000000-107ffffff : System RAM\n"
    )
    for order in ((blocks, iomem), (iomem, blocks)):
        machine, origins, notes = import_files(order)
        assert [e.start for e in machine.e820] == [0x1000, 0x100000, 0x100000000]
        assert "iomem" in origins["e820"]
        text = "\n".join(notes)
        assert "added after boot: blocks 33-34 (hotadd --state begins with them)" in text
        assert "in steps of" not in text
    iomem.write_text("00100000-27ffffff : System RAM\n")
    assert "not listed, though the memory map has RAM there: blocks 3-4" in "\n".join(
        import_files([blocks, iomem]).notes
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"memory": ', "is no JSON: Expecting value"),
        ('{"memory": 3}', "holds no list named memory"),
        ('{"memory": []}', "lists no memory"),
        ('{"memory": [3]}', "memory[0]: should be an object"),
        ('{"memory": [{"range": "x"}]}', "memory[0].block: should be like 8 or 0-15"),
        ('{"memory": [{"block": "0", "range": "x"}]}', "memory[0].range: should be like 0x0-0x7ffffff"),
        ('{"memory": [{"range": "0x0-0x7ffffff", "block": "0"}]}', "memory[0].state: should be online or offline"),
        ('{"memory": [{"range": "0x0-0x7ffffff", "block": "1", "state": "online"}]}', "should be that of blocks 1-1"),
        ('{"memory": [{"range": "0x0-0x8ffffff", "block": "0", "state": "online"}]}', "should be that of blocks 0-0"),
        (LSMEM.replace("online  ", "maybe   "), ":2: state: should be online or offline, found 'maybe'"),
        (LSMEM.replace("yes   0-23", "yes"), ":2: has 4 columns, the heading 5"),
        (LSMEM.replace("32-199", "23-199"), "range: should be that of blocks 23-199"),
        (LSMEM.replace(" 0-23", " 0-47"), "ranges of blocks of several sizes"),
        (LSMEM_BYTES.replace("DMA32", "Fast "), ":3: zones: should name zones, found 'Fast'"),
        (LSMEM_BYTES.replace("DMA32    0", "DMA32    x"), ":3: node: should be the number of a node, found 'x'"),
        ("memory0/state:onlin\n", "memory0/state: should be online or offline, found 'onlin'"),
        ("memory0/valid_zones:Normal\n", "memory0/state: is missing"),
        ("memory0/state:online\nmemory0/valid_zones:Fast\n", "memory0/valid_zones: should name zones, found 'Fast'"),
        ("block_size_bytes:x\nmemory0/state:online\n", "block_size_bytes: should be a hexadecimal number"),
        ("block_size_bytes:8000001\nmemory0/state:online\n", "block_size_bytes: should be a power of two"),
        ("block_size_bytes:8000000\nmemory999999999/state:online\n", "lies above 0x10000000000000"),
        (
            LSMEM_PAIRS.replace("32-199", "0-23").replace("0x0000000100000000-0x000000063", "0x0-0x0000000b"),
            "lists block 0 twice",
        ),
    ],
)
def test_what_is_no_listing(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "listing"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_source(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_trees(tmp_path: Path) -> None:
    whole = tar(tree(tmp_path / "memory"), tmp_path / "m.tar")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:20000])
    with pytest.raises(InputError, match="is a damaged tar"):
        read_source(cut)
    (tmp_path / "memory" / "memory1" / "state").unlink()
    (tmp_path / "memory" / "memory1" / "state").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a link"):
        read_source(tmp_path / "memory")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "block_size_bytes").write_text("8000000\n")
    with pytest.raises(InputError, match="holds no memory blocks"):
        read_source(empty)
