"""What a boot log says of the kernel's build: sizes and options that show in what it prints.  Sizes, never places."""

from __future__ import annotations

import re

_PERCPU = re.compile(r" s(\d{1,20}) r(\d{1,20}) d(\d{1,20})", re.ASCII)
_NUMBER = re.compile(r"(\d{1,20}) bytes", re.ASCII)
_NR_CPUS = re.compile(r"NR_CPUS:(\d{1,20})", re.ASCII)
_CMA = re.compile(r"[Rr]eserved (\d{1,20}) MiB at", re.ASCII)
#: A zone that begins where ZONE_DMA ends.
_BEHIND_DMA = re.compile(r"\[mem 0x0*1000000-", re.ASCII)


class SizeLines:
    """The lines on sizes of one boot."""

    def __init__(self) -> None:
        super().__init__()
        #: The static, reserved and dynamic parts of a CPU's area.
        self.percpu: tuple[int, int, int] | None = None
        #: The zones that the build has, whether their list was seen to its end.
        self.zones: list[str] = []
        self.zones_end = False
        #: The first CMA area, in MiB.
        self.cma: int | None = None
        #: CONFIG_NR_CPUS, the log buffer's size and what each CPU adds to it; 0 where no line tells.
        self.config_nr_cpus = 0
        self.log_buf = 0
        self.log_buf_cpu = 0

    def _on_percpu(self, text: str, _: int) -> None:
        if found := _PERCPU.search(text):
            static, reserved, dynamic = (int(number) for number in found.groups())
            self.percpu = static, reserved, dynamic

    def _on_cma(self, text: str, _: int) -> None:
        if self.cma is None and (found := _CMA.search(text)):
            self.cma = int(found[1])

    def _on_zone(self, text: str, _: int) -> None:
        self.zones.append(text.split()[0])
        if _BEHIND_DMA.search(text):
            # Zones begin where the ones below end, whether their own lines are there or not.
            self.zones.append("DMA")

    def _on_zones_end(self, *_: object) -> None:
        self.zones_end = bool(self.zones)

    def _on_log_buf(self, text: str, _: int) -> None:
        if found := _NUMBER.search(text):
            if "min size" in text:
                self.log_buf = int(found[1])
            elif "individual max cpu contribution" in text:
                self.log_buf_cpu = int(found[1])

    def _take_nr_cpus(self, text: str) -> None:
        if found := _NR_CPUS.search(text):
            self.config_nr_cpus = int(found[1])
