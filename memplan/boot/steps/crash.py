"""crashkernel= in every syntax, and where the crash kernel's memory comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.boot.steps.cma import declare_contiguous
from memplan.boot.steps.swiotlb import swiotlb_size_or_default
from memplan.owner import Owner, Purpose
from memplan.units import GIB, MIB, PAGE_SIZE, TIB, U64_MAX, memparse, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot

_ALIGN = 16 * MIB
_LOW_MAX = 4 * GIB
_HIGH_MAX = 64 * TIB
#: Areas of crashkernel=N,cma (CRASHKERNEL_CMA_RANGES_MAX).
_CMA_AREAS = 4
_OLD_LOW_MAX = 896 * MIB
#: What the kernel says where the machine is too small for every range of sizes: none is asked for.
NO_SIZE = "crashkernel size resulted in zero bytes"


class _SyntaxError(Exception):
    """The value is not of the form; the text is the kernel's message."""


def _last(cmdline: str, suffix: str | None, suffixes: tuple[str, ...]) -> str | None:
    """What follows the last ``crashkernel=`` of one kind, to the command line's end (get_last_crashkernel).

    With a `suffix` (",high", ",low") only options that end in it count, without one only those that end in none of
    the `suffixes` that the version knows.
    """
    found = None
    at = cmdline.find("crashkernel=")
    while at >= 0:
        word = cmdline[at:].partition(" ")[0]
        if word.endswith(suffix) if suffix else not word.endswith(suffixes):
            found = cmdline[at + len("crashkernel=") :]
        at = cmdline.find("crashkernel=", at + 1)
    return found


def _by_ranges(text: str, total: int) -> tuple[int, int]:
    """``start-[end]:size[,…][@offset]``: the size of the range that holds `total`, and the offset."""
    size = 0
    rest = text
    while True:
        start, tail = memparse(rest)
        if tail == rest:
            raise _SyntaxError("crashkernel: Memory value expected")
        if not tail.startswith("-"):
            raise _SyntaxError("crashkernel: '-' expected")
        rest = tail[1:]
        end = U64_MAX
        if not rest.startswith(":"):
            end, tail = memparse(rest)
            if tail == rest:
                raise _SyntaxError("crashkernel: Memory value expected")
            if end <= start:
                raise _SyntaxError("crashkernel: end <= start")
            rest = tail
        if not rest.startswith(":"):
            raise _SyntaxError("crashkernel: ':' expected")
        rest = rest[1:]
        part, tail = memparse(rest)
        if tail == rest:
            raise _SyntaxError("crashkernel: Memory value expected")
        if part >= total:
            raise _SyntaxError("crashkernel: invalid size")
        rest = tail
        if start <= total < end:
            size = part
            break
        if not rest.startswith(","):
            break
        rest = rest[1:]
    if not size:
        raise _SyntaxError(NO_SIZE)
    word = rest.partition(" ")[0]
    if "@" not in word:
        return size, 0
    offset, tail = memparse(word.split("@", 1)[1])
    if tail == word.split("@", 1)[1]:
        raise _SyntaxError("crahskernel: Memory value expected after '@'")
    return size, offset


def _simple(text: str, suffix: str = "") -> tuple[int, int]:
    """``size[@offset]``, or with a suffix ``size,high`` and ``size,low``."""
    size, rest = memparse(text)
    if rest == text:
        raise _SyntaxError("crashkernel: memory value expected")
    offset = 0
    if suffix:
        if not rest.startswith(suffix):
            raise _SyntaxError(f"crashkernel: unrecognized char: {rest[:1]}")
        rest = rest[len(suffix) :]
    elif rest.startswith("@"):
        return size, memparse(rest[1:])[0]
    if rest and rest[0] != " ":
        raise _SyntaxError(f"crashkernel: unrecognized char: {rest[0]}")
    return size, offset


def _suffixes(boot: Boot) -> tuple[str, ...]:
    return (",high", ",low", ",cma") if boot.rules.crashkernel_cma else (",high", ",low")


def _parse(boot: Boot, suffix: str | None) -> tuple[int, int] | None:
    """Size and offset by the last option of that kind; None without one, (0, 0) for one that the kernel refuses."""
    text = _last(boot.machine.cmdline, suffix, _suffixes(boot))
    if text is None:
        return None
    total = boot.memblock.phys_mem_size()
    if boot.rules.crash_total_rounds:
        total = round_up(total, 128 * MIB)
    try:
        if suffix:
            return _simple(text, suffix)
        if text.startswith("auto") and boot.rules.crashkernel_auto:
            _say(boot, "Using crashkernel=auto, the size chosen is a best effort estimation.")
            size, base = _by_ranges(boot.rules.crashkernel_auto, total)
            share = boot.rules.crashkernel_auto_share
            return size + (round_up(-(-total // share), MIB) if share else 0), base
        return _by_ranges(text, total) if ":" in text.partition(" ")[0] else _simple(text)
    except _SyntaxError as error:
        if str(error) != NO_SIZE or boot.rules.crash_zero_told:
            _say(boot, str(error), warning=True)
        return 0, 0


@step("arch/x86/kernel/setup.c")
def reserve_crashkernel(boot: Boot) -> None:
    """Reserves memory for the crash kernel; always top-down and after the SRAT.

    rules.crashkernel says whose code it is: that of arch/x86 up to 6.6, kernel/crash_reserve.c from 6.7 on.
    """
    if not boot.kernel.config(boot.rules.crash_config):
        return
    if boot.rules.crashkernel == "arch/x86":
        _reserve_x86(boot)
    else:
        _reserve_generic(boot)


def _reserve_x86(boot: Boot) -> None:
    """arch/x86/kernel/setup.c up to 6.6."""
    rules = boot.rules
    size, base = _parse(boot, None) or (0, 0)
    high = False
    if not size:
        size, base = _parse(boot, ",high") or (0, 0)
        high = True
        if not size:
            return
    if boot.machine.hypervisor == "xen-pv" and rules.crash_ignored_on_xen:
        _say(boot, "Ignoring crashkernel for a Xen PV domain")
        return
    if base:
        found = _take(boot, size, MIB, base, base + size)
        if found != base:
            _say(boot, "crashkernel reservation failed - memory is in use.", warning=True)
            return
    else:
        highest = _HIGH_MAX if rules.crash_high_limit == "64T" else 1 << boot.params.physical_bits
        lower = [_OLD_LOW_MAX] if rules.crash_limit == "below-896M" else [_LOW_MAX, highest]
        found = 0
        for limit in [highest] if high else lower:
            found = found or _take(boot, size, _ALIGN, _ALIGN, limit)
        if not found:
            _say(boot, "crashkernel reservation failed - No suitable area found.", warning=True)
            return
    low_first = rules.crash_low_failure == "high part goes"
    if found >= _LOW_MAX and low_first and not _reserve_x86_low(boot):
        boot.memory.free(found, found + size, owner=Purpose.CRASH_KERNEL, caller="setup_arch")
        return
    total = boot.memblock.phys_mem_size()
    _say(
        boot, f"Reserving {size // MIB}MB of memory at {found // MIB}MB for crashkernel (System RAM: {total // MIB}MB)"
    )
    if found >= _LOW_MAX and not low_first:
        _reserve_x86_low(boot)


def _reserve_x86_low(boot: Boot) -> bool:
    """The part below 4 GiB that a high crash kernel needs; False where it is wanted and can't be had."""
    rules = boot.rules
    low = _parse(boot, ",low")
    named = low is not None and (low != (0, 0) or _refused_as_zero(boot))
    if named and low == (0, 0):
        return True
    low_size = max(swiotlb_size_or_default(boot) + 8 * MIB, rules.crash_low_default)
    if named and low is not None:
        low_size = low[0]
    start = low_size if rules.crash_low_search == "its size" else 0
    found = _take(boot, low_size, _ALIGN, start, _LOW_MAX, owner=Purpose.CRASH_KERNEL_LOW)
    if not found:
        if rules.crash_low_failure == "high part goes":
            text = f"Cannot reserve {low_size // MIB}MB crashkernel low memory, please try smaller size."
            _say(boot, text, warning=True)
        elif named:
            _say(boot, "crashkernel low reservation failed - No suitable area found.", warning=True)
        return False
    below = boot.memblock.mem_size_below_pfn(_LOW_MAX >> 12)
    limit = below if rules.crash_low_told == "System low RAM" else min(boot.memblock.phys_mem_size(), _LOW_MAX)
    _say(
        boot,
        f"Reserving {low_size // MIB}MB of low memory at {found // MIB}MB for crashkernel "
        f"({rules.crash_low_told}: {limit // MIB}MB)",
    )
    return True


def _refused_as_zero(boot: Boot) -> bool:
    """Whether ``crashkernel=0,low`` stands there in so many words (a syntax error counts as no option)."""
    text = _last(boot.machine.cmdline, ",low", ()) or ""
    return text.startswith("0")


def _reserve_generic(boot: Boot) -> None:
    """kernel/crash_reserve.c, 6.7 on (kernel/crash_core.c up to 6.8)."""
    total = boot.memblock.phys_mem_size()
    default_low = max(swiotlb_size_or_default(boot) + 8 * MIB, 256 * MIB)
    plain = _parse(boot, None)
    high, low_size = False, 0
    if plain is None:
        wanted = _parse(boot, ",high")
        if wanted is None or not wanted[0]:
            return
        low = _parse(boot, ",low")
        if low is not None and low == (0, 0) and not _refused_as_zero(boot):
            return
        low_size = default_low if low is None else low[0]
        plain, high = wanted, True
    size, base = plain
    if not size or (size >= total and boot.rules.crash_size_tested):
        return
    if boot.machine.hypervisor == "xen-pv":
        _say(boot, "Ignoring crashkernel for a Xen PV domain")
        return
    _place_generic(boot, size, base, low_size, default_low, high=high)
    if boot.rules.crashkernel_cma:
        _reserve_cma(boot)


def _place_generic(boot: Boot, size: int, base: int, low_size: int, default_low: int, *, high: bool) -> None:
    """reserve_crashkernel_generic: at `base`, or low first and then high, or the other way round where `high`."""
    if base:
        found = _take(boot, size, _ALIGN, base, base + size)
        if not found:
            _say(boot, "crashkernel reservation failed - memory is in use.", warning=True)
            return
    else:
        low_range, high_range = (0, _LOW_MAX), (_LOW_MAX, _HIGH_MAX)
        first, second = (high_range, low_range) if high else (low_range, high_range)
        found = _take(boot, size, _ALIGN, *first)
        if not found:
            low_size = low_size if high else default_low
            found = _take(boot, size, _ALIGN, *second)
        if not found:
            _say(boot, f"cannot allocate crashkernel (size:{size:#x})", warning=True)
            return
    if found >= _LOW_MAX and low_size:
        low_found = _take(boot, low_size, _ALIGN, 0, _LOW_MAX, owner=Purpose.CRASH_KERNEL_LOW)
        if not low_found:
            _say(boot, f"cannot allocate crashkernel low memory (size:{low_size:#x}).", warning=True)
            boot.memory.free(found, found + size, owner=Purpose.CRASH_KERNEL, caller="setup_arch")
            return
        _say(
            boot,
            f"crashkernel low memory reserved: {low_found:#010x} - {low_found + low_size:#010x} ({low_size // MIB} MB)",
        )
    _say(boot, f"crashkernel reserved: {found:#018x} - {found + size:#018x} ({size // MIB} MB)")


def _reserve_cma(boot: Boot) -> None:
    """``crashkernel=N,cma``: memory for the crash kernel that may be used till then, in four areas at most.

    Where there is no room, ever smaller areas are tried, each half as large as the one before.
    """
    wanted, _ = _parse(boot, ",cma") or (0, 0)
    if not wanted:
        return
    if not boot.kernel.config("CMA"):
        _say(boot, "crashkernel CMA reservation not supported", warning=True)
        return
    request = round_up(wanted, PAGE_SIZE)
    reserved = areas = 0
    while wanted > reserved and areas < _CMA_AREAS:
        if declare_contiguous(boot, 0, request, 0, 0, False, Owner(Purpose.CRASH_KERNEL_CMA)):
            areas += 1
            reserved += request
        elif request <= PAGE_SIZE:
            break
        else:
            request = round_up(request // 2, PAGE_SIZE)
    if wanted > reserved:
        text = f"{wanted // MIB} MB requested, {reserved // MIB} MB reserved in {areas} ranges"
        _say(boot, f"crashkernel CMA reservation failed: {text}", warning=True)
    else:
        _say(boot, f"crashkernel CMA reserved: {reserved // MIB} MB in {areas} ranges")


def _take(boot: Boot, size: int, align: int, start: int, end: int, *, owner: Purpose = Purpose.CRASH_KERNEL) -> int:
    return boot.memory.phys_alloc_range(size, align, start, end, owner=owner, caller="reserve_crashkernel")


def _say(boot: Boot, text: str, *, warning: bool = False) -> None:
    boot.printk(text, warning=warning, about=Purpose.CRASH_KERNEL)
