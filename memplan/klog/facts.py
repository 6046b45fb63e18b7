"""What the lines of a boot tell of memory's places and sizes, as facts that can be held against a plan's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from memplan.klog.place_lines import NODE_DATA
from memplan.units import MIB, PAGE_SIZE

_CHANGE = re.compile(
    r"(?a)memblock_(add|reserve|remove|free|phys_free|free_early):?\s+\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\](?: flags 0x\w+)?"
    r"(?: ([\w.]+))?"
)
_DUMPED = re.compile(
    r"(?a)^\s?(memory|reserved)\[0x[0-9a-f]+\]\s+\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\],? 0x[0-9a-f]+ bytes"
    r"(?: on node (\d{1,20}))?(?: flags: (0x[0-9a-f]+))?"
)
_ZONE = re.compile(r"(?a)^\s*(DMA32|DMA|Normal|Device|Movable)\s+(?:\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]|empty)")
_MOVABLE = re.compile(r"(?a)^\s*Node (\d{1,20}): (0x[0-9a-f]+)\s*$")
_NODE_RANGE = re.compile(r"(?a)^\s*node\s+(\d{1,20}): \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_MAPPED = re.compile(r"(?a)^init_memory_mapping: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_PERCPU = re.compile(
    r"(?a)(?:percpu|PERCPU): Embedded (\d{1,20}) pages/cpu.*? s(\d{1,20}) r(\d{1,20}) d(\d{1,20}) u(\d{1,20})"
)
_CRASH = re.compile(r"(?a)crashkernel (?:low memory )?reserved: (0x[0-9a-f]+) - (0x[0-9a-f]+)")
_CRASH_OLD = re.compile(r"(?a)Reserving (\d{1,20})MB of (?:low )?memory at (\d{1,20})MB for crashkernel")
_CMA = re.compile(
    r"(?a)^(?:cma: )?(?:dma_contiguous: |CMA: )?[Rr]eserved (\d{1,20}) MiB at (?:0x)?([0-9a-f]+)"
    r"(?: on node (-?\d{1,20}))?"
)
_SWIOTLB = re.compile(r"(?a)^(?:PCI-DMA: )?software IO TLB:? (?:mapped )?\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_HASH = re.compile(r"(?a)^(PID|Dentry cache|Dentry-cache|Inode-cache) hash table entries: (\d{1,20}) ")
_INITRD = re.compile(r"(?a)^(?:Allocated new )?RAMDISK: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]")
_GIGANTIC = re.compile(r"(?a)^HugeTLB(?: registered|:) .*?\b1(?:\.00)? GiB page size, pre-allocated (\d{1,20}) pages")
_MEMORY = re.compile(r"(?a)^Memory: \d+[Kk]/(\d{1,20})[Kk] available \((?:[^)]*?, (\d{1,20})[Kk] absent)?")
_RESERVED = re.compile(r"(?a)^Memory: .*, (\d{1,20})[Kk] reserved(?:, (\d{1,20})[Kk] cma-reserved)?")
_ABSENT = re.compile(r"(?a)^Memory: .*, (\d{1,20})[Kk] absent")
#: What is given back before memory is told, from 6.11 on; it counted as reserved till then.
_FREED = re.compile(r"(?a)^Freeing SMP alternatives memory: (\d{1,20})[Kk]")
_RELEASE = re.compile(r"(?a)Linux version (\d+\.\d\S*)")
_KVM_CLOCK = re.compile(r"(?a)^kvm-clock: cpu 0, msr (?:([0-9a-f]{1,8}):)?([0-9a-f]+), ")
DUMP_HEAD = "MEMBLOCK configuration"
_CMDLINE = re.compile(r"(?a)(?:Kernel c|C)ommand line: (.*)")
_LOST = re.compile(r"(?a)^\*\* (\d{1,20}) (?:printk )?messages (?:dropped|suppressed)")
_DEAD = re.compile(r"(?a)Kernel panic - not syncing|PANIC: early exception")
#: Kinds of facts that no line of memblock=debug has its place among: they are printed at other times in each version.
UNORDERED = frozenset(
    ("swiotlb", "hash table", "gigantic pages", "initrd moved", "CMA", "KVM clock", "absent", "reserved memory")
)
#: Behind these lines of a boot nothing tells of its memory's set-up any more.
_OVER = re.compile(r"(?a)(?:smp: |smpboot: )?Brought up \d+ |Run /\S+ as init process|Freeing unused kernel ")
#: The hash tables by their names in all versions.
_HASHES = {"PID": "PID", "Dentry cache": "dentry", "Dentry-cache": "dentry", "Inode-cache": "inode"}


class Fact(NamedTuple):
    """One comparable thing: its `kind` and numbers, and where it comes from.

    `line` counts from 1 in the log (0 in a plan); `step` and `owner` are known in a plan alone.
    """

    kind: str
    values: tuple[int | str, ...]
    text: str
    line: int = 0
    step: str = ""
    owner: str = ""

    @property
    def key(self) -> tuple[str, tuple[int | str, ...]]:
        """What is compared."""
        return self.kind, self.values


class Told(NamedTuple):
    """What a log tells: `complete` where it comes to the hand-over of memory, `dropped` lines that the kernel lost."""

    release: str
    version: str
    cmdline: str | None
    facts: list[Fact]
    complete: bool
    dropped: int


def read_facts(lines: Iterable[tuple[int, str]]) -> Told:
    """The facts of the first boot with a memory map in `lines`, as it was printed last."""
    release, version, cmdline, mapped, dropped = "", "", None, False, 0
    facts: list[Fact] = []
    ended, freed = False, 0
    for number, text in lines:
        if found := _RELEASE.match(text):
            if mapped and (ended or text.strip() != version):
                break
            release, version, cmdline, mapped, dropped, facts = found[1], text.strip(), None, False, 0, []
            ended, freed = False, 0
        elif found := _CMDLINE.match(text):
            # The second one has CONFIG_CMDLINE's options too, but may have been cut earlier.
            cmdline = max(cmdline or "", found[1].strip(), key=len)
        elif found := _LOST.search(text):
            dropped += 0 if ended else int(found[1])
        elif (given := _FREED.match(text)) and not ended:
            freed = int(given[1])
        elif ended and _OVER.match(text):
            break
        mapped = mapped or "e820: [mem" in text or "physical RAM map" in text
        told = [fact._replace(line=number) for fact in line_facts(text)]
        if freed:
            told = [f._replace(values=(int(f.values[0]) + freed,)) if f.kind == "reserved memory" else f for f in told]
        facts += [fact for fact in told if not ended or fact.kind in UNORDERED]
        ended = ended or any(fact.kind in ("total", "end") for fact in told)
    return Told(release, version, cmdline, facts, ended, dropped)


def tells(text: str) -> bool:
    """Whether :func:`read_facts` heeds a line that begins with `text`."""
    return any(line_facts(text)) or bool(_FREED.match(text) or _OVER.match(text))


def line_facts(text: str) -> Iterator[Fact]:
    """What one of the kernel's bare lines tells that a plan may tell too; one fact, of memory in all three."""
    if change := _CHANGE.search(text):
        op = "free" if "free" in change[1] else change[1]
        yield Fact(op, (int(change[2], 16), int(change[3], 16)), text)
    elif text.startswith(DUMP_HEAD):
        yield Fact("dump", (), text)
    elif dumped := _DUMPED.match(text):
        nid = int(dumped[4]) if dumped[4] else -1
        yield Fact(dumped[1], (int(dumped[2], 16), int(dumped[3], 16), nid, int(dumped[5] or "0", 16)), text)
    elif zone := _ZONE.match(text):
        yield Fact("zone", (zone[1], int(zone[2] or "0", 16), int(zone[3] or "0", 16)), text)
    elif movable := _MOVABLE.match(text):
        yield Fact("movable zone", (int(movable[1]), int(movable[2], 16)), text)
    elif node := _NODE_RANGE.match(text):
        yield Fact("node range", (int(node[1]), int(node[2], 16), int(node[3], 16)), text)
    elif data := NODE_DATA.search(text):
        yield Fact("NODE_DATA", (int(data[2], 16), int(data[3], 16)), text)
    elif mapped := _MAPPED.match(text):
        yield Fact("mapping", (int(mapped[1], 16), int(mapped[2], 16)), text)
    elif percpu := _PERCPU.search(text):
        yield Fact("percpu", tuple(int(number) for number in percpu.groups()), text)
    elif crash := _CRASH.search(text):
        # Old versions tell whole MiB, so that is what all are compared in.
        start, end = int(crash[1], 16), int(crash[2], 16)
        yield Fact("crash kernel", (start // MIB, (end - start + 1) // MIB), text)
    elif crash := _CRASH_OLD.search(text):
        yield Fact("crash kernel", (int(crash[2]), int(crash[1])), text)
    elif cma := _CMA.match(text):
        yield Fact("CMA", (int(cma[2], 16), int(cma[1])), text)
    elif (moved := _INITRD.match(text)) and text.startswith("Allocated"):
        yield Fact("initrd moved", (int(moved[1], 16), int(moved[2], 16)), text)
    elif memory := _MEMORY.match(text):
        # Until 3.10 the second number counts what is no RAM as well, and a third one tells how much that is.
        yield Fact("total", (int(memory[1]) - int(memory[2] or 0),), text)
        if absent := _ABSENT.match(text):
            yield Fact("absent", (int(absent[1]),), text)
        if reserved := _RESERVED.match(text):
            yield Fact("reserved memory", (int(reserved[1]) + int(reserved[2] or 0),), text)
    elif swiotlb := _SWIOTLB.match(text):
        # Until 3.x the last byte is told, later what is behind it.
        end = int(swiotlb[2], 16)
        yield Fact("swiotlb", (int(swiotlb[1], 16), end - (end % PAGE_SIZE == 0)), text)
    elif hashed := _HASH.match(text):
        yield Fact("hash table", (_HASHES[hashed[1]], int(hashed[2])), text)
    elif (gigantic := _GIGANTIC.match(text)) and int(gigantic[1]):
        yield Fact("gigantic pages", (int(gigantic[1]),), text)
    elif (clock := _KVM_CLOCK.match(text)) and "primary" in text:
        # The lowest bit switches the clock on.
        yield Fact("KVM clock", ((int(clock[1] or "0", 16) << 32) + (int(clock[2], 16) & ~1),), text)
    elif _DEAD.search(text):
        yield Fact("end", (), text)
