"""Where the kernel image lies, as far as the lines of a boot log tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.steps.cpus import clock_in_image
from memplan.firmware.source import Evidence
from memplan.klog.boot import BootLines, Reserved
from memplan.units import MIB, SIZE_2M, round_down, round_up

if TYPE_CHECKING:
    from memplan.firmware.source import SourceFacts
    from memplan.kernel.model import Kernel

#: Page tables in the brk that lie so near behind the image's usual place are no sign of another one.
_LARGEST_IMAGE = 128 * MIB


def image_facts(boot: BootLines, kernel: Kernel | None, found: SourceFacts) -> None:
    """Where the image lies: by /proc/iomem, by the brk that lies behind it, or by how far KASLR moved it."""
    randomized = _randomized(boot, kernel)
    if randomized is not None:
        line = boot.lines.get("kaslr") or boot.lines.get("kernel_offset") or boot.lines.get("cmdline", 0)
        found.put("kernel.randomized", randomized, "KASLR", line=line)
    told = _told_place(boot, kernel)
    if told is not None and told[0] >= 0:
        place, origin, line = told
        found.put("kernel.load_address", place, origin, line=line)
        return
    found.evidence += [Evidence(own.nid, own.start, own.end, f"{found.source}:{own.line}") for own in boot.node_data]
    if randomized and (kernel is None or kernel.facts.get("image.load_address")):
        found.lacks(
            "kernel.load_address",
            "KASLR is on and no line tells where the kernel image lies; it is taken to lie where it would without "
            "(give /proc/iomem as a further source, read as root)",
        )
    elif boot.has("efi"):
        found.lacks(
            "kernel.load_address",
            "on an EFI boot the loader may put the kernel image elsewhere than its usual place, and no line tells "
            "where (give /proc/iomem as a further source, read as root)",
        )


def _told_place(boot: BootLines, kernel: Kernel | None) -> tuple[int, str, int] | None:
    """The image's place with what told it and the line; the brk only with memblock=debug, its tables in old logs."""
    if boot.kernel_code is not None:
        return boot.kernel_code, "Kernel code", boot.lines["iomem"]
    brk = brk_line(boot)
    size = kernel.facts.get("image.brk_start") if kernel is not None else None
    if brk is not None:
        own = size_before_brk(boot, kernel)
        if own is not None:
            return brk.start - own, "reserved together with the brk behind it", brk.line
        if isinstance(size, int):
            return brk.start - size, "brk behind the image", brk.line
    usual = kernel.facts.get("image.load_address") if kernel is not None else None
    if kernel is None or not isinstance(usual, int) or not isinstance(size, int):
        return None
    if boot.kernel_offset is not None and kernel.rules.kaslr_offset_tells_place:
        return usual + boot.kernel_offset, "Kernel Offset", boot.lines["kernel_offset"]
    if boot.kvm_clock is not None and clock_in_image(kernel) and kernel.config("AMD_MEM_ENCRYPT"):
        # What is shared with the host lies in a 2M page of its own at the image's end.
        place = round_down(boot.kvm_clock, SIZE_2M) + SIZE_2M - round_up(size, SIZE_2M)
        if abs(place - usual) >= _LARGEST_IMAGE:
            return place, "KVM guest clock in the image", boot.lines["kvm_clock"]
    if boot.brk_page is not None and not 0 <= boot.brk_page - usual < _LARGEST_IMAGE:
        # The image's size is perhaps another build's, so the place is as exact as the alignment.
        return round_down(boot.brk_page - size, SIZE_2M), "page tables in the brk behind the image", boot.lines["brk"]
    return None


def size_before_brk(boot: BootLines, kernel: Kernel | None) -> int | None:
    """The bytes from the image's start to the brk, of a log with memblock=debug, where `kernel` is another build.

    Both are in one region of the first dump, which begins with the image where it begins as images do.
    """
    brk = brk_line(boot)
    if brk is None or (kernel is not None and kernel.own_release in boot.version.split()):
        return None
    size = next((brk.start - start for start, end in boot.first_dump if start < brk.start < end), None)
    return size if size is not None and (brk.start - size) % SIZE_2M == 0 else None


def brk_line(boot: BootLines) -> Reserved | None:
    """The line that reserves the brk: setup_arch's one before the first dump."""
    first_dump = boot.lines.get("dump", 0)
    return next((r for r in boot.reserves if r.caller in ("setup_arch", "reserve_brk") and r.line < first_dump), None)


def _randomized(boot: BootLines, kernel: Kernel | None) -> bool | None:
    if "nokaslr" in boot.words:
        return False
    if boot.kaslr is not None:
        return boot.kaslr
    if kernel is not None and boot.has("cmdline"):
        return kernel.config("RANDOMIZE_BASE")
    return None
