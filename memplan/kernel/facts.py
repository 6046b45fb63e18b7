"""What each fact of a kernel may be: a number within its range, a switch, or text.

The ranges are those in which a kernel can be built and boot (Kconfig's own, where a configuration option has one);
within them every value can be planned with.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from memplan.units import GIB, KIB, MIB, PAGE_SIZE, TIB, U64_MAX

#: The value of a fact.
FactValue = int | str | bool
#: The longest text of a fact: COMMAND_LINE_SIZE.
LONGEST_TEXT = 2048
_DECIMALS_BELOW = 1 << 16


class Span(NamedTuple):
    """The numbers from `least` to `most`, both included, that are multiples of `unit` or powers of two."""

    least: int
    most: int
    unit: int = 1
    power_of_two: bool = False

    def has(self, number: int) -> bool:
        """Whether `number` is one of them."""
        fits = number & (number - 1) == 0 if self.power_of_two else number % self.unit == 0
        return self.least <= number <= self.most and fits

    def __str__(self) -> str:
        what = "a power of two" if self.power_of_two else "a number"
        text = f"{what} from {_shown(self.least)} to {_shown(self.most)}"
        return f"{text}, a multiple of {_shown(self.unit)}" if self.unit > 1 else text


def _shown(number: int) -> str:
    return str(number) if number < _DECIMALS_BELOW else hex(number)


#: Offsets from _text end with KERNEL_IMAGE_SIZE.
_OFFSET = Span(1, GIB)
_IMAGE = {
    "load_address": Span(0, (1 << 52) - GIB, PAGE_SIZE),
    "init_size": Span(1, 4 * GIB),
    "kernel_alignment": Span(PAGE_SIZE, GIB, power_of_two=True),
    "real_mode_size": Span(PAGE_SIZE, MIB, PAGE_SIZE),
    "percpu_static": Span(0, 64 * MIB),
    "freed": Span(0, GIB, PAGE_SIZE),
    "smp_locks": Span(0, 64 * MIB, PAGE_SIZE),
    "direct_map_base": Span(1 << 63, U64_MAX - TIB + 1, GIB),
}
_STRUCT_SIZE = Span(1, MIB)
_STRUCT = {
    "cpu_entry_area": Span(PAGE_SIZE, 16 * MIB, PAGE_SIZE),
    "mem_section": Span(8, PAGE_SIZE, power_of_two=True),
    "page": Span(8, KIB, 8),
    "pglist_data": Span(64, 64 * MIB),
}
_CONFIG = {
    "ARCH_FORCE_MAX_ORDER": Span(0, 63),
    "CMA_ALIGNMENT": Span(0, 12),
    "CMA_AREAS": Span(0, 1 << 16),
    "CMA_SIZE_MBYTES": Span(0, 1 << 31),
    "CMA_SIZE_PERCENTAGE": Span(0, 100),
    "KFENCE_NUM_OBJECTS": Span(1, 65535),
    "KFENCE_SAMPLE_INTERVAL": Span(0, 1 << 31),
    "LOG_BUF_SHIFT": Span(12, 25),
    "LOG_CPU_MAX_BUF_SHIFT": Span(0, 21),
    "NODES_SHIFT": Span(0, 10),
    "NR_CPUS": Span(1, 8192),
    "PAGE_BLOCK_MAX_ORDER": Span(1, 10),
    "PAGE_BLOCK_ORDER": Span(1, 10),
    "PHYSICAL_ALIGN": Span(PAGE_SIZE, GIB, power_of_two=True),
    "PHYSICAL_START": Span(0, 1 << 46, PAGE_SIZE),
    "RANDOMIZE_BASE_MAX_OFFSET": Span(0, GIB),
    "RANDOMIZE_MEMORY_PHYSICAL_PADDING": Span(0, 64),
    "X86_RESERVE_LOW": Span(4, 640),
}
#: Options whose value is text.
_TEXTS = frozenset({"CMDLINE"})
#: Places in the image in the order in which they must lie.
_ORDER = ("image.brk_start", "image.brk_limit", "image.end", "image.total_size")


def span_of(name: str) -> Span | None:
    """The numbers that the fact `name` (dotted) may have; None for a switch or text."""
    kind, _, own = name.partition(".")
    if kind == "image":
        return _IMAGE.get(own, _OFFSET)
    if kind == "struct":
        return _STRUCT.get(own, _STRUCT_SIZE)
    return _CONFIG.get(own)


def is_text(name: str) -> bool:
    """Whether the fact `name` (dotted) is text."""
    return name.removeprefix("config.") in _TEXTS


def is_switch(name: str) -> bool:
    """Whether the fact `name` (dotted) is on or off."""
    return span_of(name) is None and not is_text(name)


def wanted(name: str) -> str:
    """What the fact `name` (dotted) should be, in words."""
    if is_text(name):
        return f"text of at most {LONGEST_TEXT} characters"
    span = span_of(name)
    return "true or false" if span is None else str(span)


def is_right(name: str, value: object) -> bool:
    """Whether `value` is one that the fact `name` (dotted) may have."""
    if is_text(name):
        return isinstance(value, str) and len(value) <= LONGEST_TEXT
    span = span_of(name)
    if span is None or isinstance(value, bool):
        return span is None and isinstance(value, bool)
    return isinstance(value, int) and span.has(value)


def shown(value: FactValue) -> str:
    """A fact's value in a message, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    text = (hex(value) if value.bit_length() > 64 else str(value)) if isinstance(value, int) else repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def misplaced(facts: Mapping[str, FactValue]) -> tuple[str, str] | None:
    """Two places of the image that lie the wrong way round in `facts`: the names of the lower and the higher one."""
    known = [(name, value) for name in _ORDER if isinstance(value := facts.get(name), int)]
    for (lower, low), (higher, high) in pairwise(known):
        if low > high:
            return lower, higher
    reserved, end = facts.get("image.kernel_reserve_end"), facts.get("image.end")
    if isinstance(reserved, int) and isinstance(end, int) and reserved > end:
        return "image.kernel_reserve_end", "image.end"
    return None
