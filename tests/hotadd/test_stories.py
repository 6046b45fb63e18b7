"""Four stories that people tell of added memory, from the command line: what was said before, and what helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memplan.cli import main

Run = Callable[..., str]

SERVER = """\
kernel: {build: debian-6.12.107+deb12-amd64, randomized: false}
cmdline: nokaslr memhp_default_state=offline
e820:
  - "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable"
  - "BIOS-e820: [mem 0x0000000000100000-0x00000000bfffffff] usable"
  - {start: 0x100000000, size: 13G, type: usable}
srat:
  memory:
    - {pxm: 0, base: 0x0, length: 3G}
    - {pxm: 0, base: 0x100000000, length: 13G}
    - {pxm: 0, base: 0x440000000, length: 768G, hotplug: true}
"""

TWO_NODES = """\
kernel: {build: debian-6.12.107+deb12-amd64, randomized: false}
hypervisor: %s
cmdline: nokaslr memhp_default_state=online
e820:
  - "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable"
  - "BIOS-e820: [mem 0x0000000000100000-0x000000007fffffff] usable"
  - {start: 0x100000000, size: 2G, type: usable}
srat:
  memory:
    - {pxm: 0, base: 0x0, length: 2G}
    - {pxm: 1, base: 0x100000000, length: 2G}
    - {pxm: 1, base: 0x180000000, length: 8G, hotplug: true}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> str:
        with pytest.raises(SystemExit):
            main(list(words))
        return " ".join(capsys.readouterr().out.split())

    return call


def written(folder: Path, text: str) -> str:
    path = folder / "machine.yaml"
    path.write_text(text)
    return str(path)


def test_768_gigabytes_of_movable_memory(run: Run, tmp_path: Path) -> None:
    """Out of memory with 600 GB free: online_movable asks for no ratio, and the map alone takes 12G of the kernel's."""
    machine = written(tmp_path, SERVER)
    out = run("hotadd", machine, "--add", "768G", "--online", "movable:d0")
    assert "768G is at risk, as its memory map may not fit: d0" in out
    assert "memory map 12G out of kernel zones of node 0" in out
    assert "at risk: 786432M are movable beside 16383M of the kernel's, 48 to 1" in out
    assert "die while most of it is free; only memory_hotplug.online_policy=auto-movable" in out
    found = run("check", machine, "--append", "memhp_default_state=online_movable", "--select", "MP654")
    assert "up to 768G can be added, all of it movable" in found
    assert "memory maps take 12G" in found

    bounded = ("--append", "memhp_default_state=online memory_hotplug.online_policy=auto-movable")
    after = run("hotadd", machine, "--add", "768G", *bounded)
    assert "6144 Normal" in after
    assert "to 1" not in after
    fits = run("hotadd", machine, "--add", "48G", "--add", "16G", *bounded)
    assert "384 Movable" in fits
    assert "128 Normal" in fits


def test_an_unplug_that_is_refused(run: Run, tmp_path: Path) -> None:
    """One block that stays makes the movable ones the kernel's: plain online finds nothing of Movable to go by."""
    machine = written(tmp_path, TWO_NODES % "kvm")
    steps = tmp_path / "steps.yaml"
    steps.write_text(
        "- add: {size: 1G, node: 1}\n- online_movable: d0:0-3\n- online_kernel: d0:4-7\n"
        "- remove: {dimm: d0, stuck: d0:7}\n- remove: {dimm: d0, stuck: d0:7}\n"
    )
    offline = ("--append", "memhp_default_state=offline")
    out = run("hotadd", machine, "--scenario", str(steps), *offline)
    assert "can't go off-line, so it stays; the other 7 that were on-line come back with plain online" in out
    assert "Movable before, Normal now" in out
    assert "a refused eject made movable memory the kernel's: it may never go again" in out
    assert "no promise that it goes, as some of it is the kernel's: d0" in out
    words = ("--add", "1G@node1", "--online", "movable:d0:0-3", "--online", "kernel:d0:4-7")
    warned = run("hotadd", machine, *words, *offline)
    assert "no promise that it goes, as some of it is the kernel's: d0" in warned
    asked = run("explain", machine, "d0", *words, *offline)
    assert "an eject that is refused takes the movable blocks off-line and puts them back with plain online" in asked
    whole = run("hotadd", machine, "--add", "1G@node1", "--online", "movable:d0", "--remove", "d0", *offline)
    assert "1G is gone again: d0" in whole


@pytest.mark.parametrize(("hypervisor", "nid"), [("kvm", 1), ("hyperv", 0)])
def test_a_hypervisor_whose_memory_lands_on_node_0(hypervisor: str, nid: int, run: Run, tmp_path: Path) -> None:
    """An ACPI device tells its domain; Hyper-V's balloon driver goes by the address, and empty ranges don't count."""
    machine = written(tmp_path, TWO_NODES % hypervisor)
    out = run("hotadd", machine, "--add", "1G@node1,addr=0x180000000")
    assert f"8 blocks of node {nid}" in out
    found = run("check", machine, "--select", "MP652")
    assert ("goes to node 0, not to node 1" in found) is (nid == 0)
    if nid == 0:
        assert "Hyper-V's balloon driver tells no domain, and its address lies in no node's boot memory" in out
        onboard = run("hotadd", machine, "--add", "128M", "--append", "memory_hotplug.memmap_on_memory=1")
        assert "of no use here: Hyper-V's balloon driver does not ask for it" in onboard


def test_a_domain_that_the_srat_does_not_know(run: Run, tmp_path: Path) -> None:
    """By address from 5.10 on; before, a node is made up, though it was never possible."""
    machine = written(tmp_path, TWO_NODES % "kvm")
    out = run("hotadd", machine, "--add", "1G@node5")
    assert "the SRAT does not know domain 5 of its device (_PXM), and its address lies in no node's boot memory" in out
    assert "8 blocks of node 0" in out
    older = run("hotadd", machine, "--add", "1G@node5", "--kernel", "lab-5.4.273")
    assert "node 2 is made up" in older
    expected = run("check", machine, "--expect", "dimm:1G@node5")
    assert "it goes to node 0" in expected
