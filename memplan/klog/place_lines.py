"""What a boot log says of places that show where the kernel image lies."""

from __future__ import annotations

import re
from typing import NamedTuple

from memplan.klog.ranges import extent

#: A node's NODE_DATA: its number (in recent versions), first and last byte.
NODE_DATA = re.compile(r"NODE_DATA(?:\((\d{1,20})\) allocated)? \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]", re.ASCII)
_BRK = re.compile(r"BRK \[(0x[0-9a-f]+), (0x[0-9a-f]+)\] PGTABLE", re.ASCII)
_OFFSET = re.compile(r"Kernel Offset: 0x([0-9a-f]{1,8}) from 0xffffffff8", re.ASCII)
#: From 4.19 on one number; before that its upper 32 bits are told apart, of a clock that is not in the image.
_KVM_CLOCK = re.compile(r"kvm-clock: cpu 0, msr ([0-9a-f]{1,16}),", re.ASCII)
_IOMEM = re.compile(r"([0-9a-f]{8,16})-([0-9a-f]{8,16}) : Kernel code", re.ASCII)


class ToldNodeData(NamedTuple):
    """A node's NODE_DATA, ``[start, end)``, as the line tells it; `nid` is counted where the line names none."""

    nid: int
    start: int
    end: int
    line: int


class PlaceLines:
    """The lines on places of one boot."""

    def __init__(self) -> None:
        super().__init__()
        self.kaslr: bool | None = None
        #: Whether a panic's last line says that addresses were not moved.
        self.kaslr_off = False
        #: By how much virtual addresses were moved; None where no line tells.
        self.kernel_offset: int | None = None
        self.kernel_code: int | None = None
        self.node_data: list[ToldNodeData] = []
        #: Where a KVM guest keeps the first CPU's clock: within the image from 4.19 on.
        self.kvm_clock: int | None = None
        #: The first page of the brk that became a page table, and how many did.
        self.brk_page: int | None = None
        self.brk_pages = 0

    @property
    def node_data_size(self) -> int:
        """What a node's NODE_DATA takes, in bytes; 0 where no line tells."""
        return self.node_data[0].end - self.node_data[0].start if self.node_data else 0

    def _on_node_data(self, text: str, number: int) -> None:
        if (found := NODE_DATA.search(text)) and (place := extent(found[2], found[3])):
            nid = int(found[1]) if found[1] else len(self.node_data)
            self.node_data.append(ToldNodeData(nid, *place, number))

    def _on_brk(self, text: str, _: int) -> None:
        if (found := _BRK.match(text)) and (place := extent(found[1], found[2])):
            self.brk_page = self.brk_page if self.brk_page is not None else place[0]
            self.brk_pages += 1

    def _on_kaslr(self, text: str, _: int) -> None:
        self.kaslr = not text.startswith("KASLR disabled")

    def _on_kernel_offset(self, text: str, _: int) -> None:
        """A panic's last line; it tells only whether virtual addresses were moved."""
        self.kaslr = "disabled" not in text
        self.kaslr_off = not self.kaslr
        if found := _OFFSET.match(text):
            self.kernel_offset = int(found[1], 16)

    def _on_kvm_clock(self, text: str, _: int) -> None:
        if found := _KVM_CLOCK.match(text):
            self.kvm_clock = int(found[1], 16) & ~1

    def _on_iomem(self, text: str, _: int) -> None:
        if (found := _IOMEM.search(text)) and int(found[1], 16):
            self.kernel_code = int(found[1], 16)
