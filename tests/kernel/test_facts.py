"""What a fact may be: the ranges of the options' own Kconfig entries, and of what an image can be."""

from __future__ import annotations

import pytest

from memplan.kernel.facts import Span, is_right, is_switch, is_text, misplaced, shown, span_of, wanted
from memplan.units import GIB, MIB, PAGE_SIZE, TIB

#: fact -> (least, most, step): the least and the most are right, and a step further is not.
RANGES = {
    # lib/Kconfig.debug, init/Kconfig, arch/x86/Kconfig, kernel/dma/Kconfig, lib/Kconfig.kfence, mm/Kconfig
    "config.LOG_BUF_SHIFT": (12, 25, 1),
    "config.LOG_CPU_MAX_BUF_SHIFT": (0, 21, 1),
    "config.NR_CPUS": (1, 8192, 1),
    "config.NODES_SHIFT": (0, 10, 1),
    "config.X86_RESERVE_LOW": (4, 640, 1),
    "config.PHYSICAL_START": (0, 1 << 46, PAGE_SIZE),
    "config.RANDOMIZE_BASE_MAX_OFFSET": (0, GIB, 1),
    "config.RANDOMIZE_MEMORY_PHYSICAL_PADDING": (0, 64, 1),
    "config.CMA_ALIGNMENT": (0, 12, 1),
    "config.CMA_AREAS": (0, 65536, 1),
    "config.CMA_SIZE_MBYTES": (0, 1 << 31, 1),
    "config.CMA_SIZE_PERCENTAGE": (0, 100, 1),
    "config.KFENCE_NUM_OBJECTS": (1, 65535, 1),
    "config.KFENCE_SAMPLE_INTERVAL": (0, 1 << 31, 1),
    "config.PAGE_BLOCK_ORDER": (1, 10, 1),
    "config.PAGE_BLOCK_MAX_ORDER": (1, 10, 1),
    "config.ARCH_FORCE_MAX_ORDER": (0, 63, 1),
    # An image lies below 4 PiB, and its places below KERNEL_IMAGE_SIZE.
    "image.load_address": (0, (1 << 52) - GIB, PAGE_SIZE),
    "image.end": (1, GIB, 1),
    "image.brk_start": (1, GIB, 1),
    "image.init_size": (1, 4 * GIB, 1),
    "image.real_mode_size": (PAGE_SIZE, MIB, PAGE_SIZE),
    "image.percpu_static": (0, 64 * MIB, 1),
    "image.freed": (0, GIB, PAGE_SIZE),
    "image.smp_locks": (0, 64 * MIB, PAGE_SIZE),
    # The upper half of the addresses, with at least a TiB above.
    "image.direct_map_base": (1 << 63, (1 << 64) - TIB, GIB),
    "struct.cpu_entry_area": (PAGE_SIZE, 16 * MIB, PAGE_SIZE),
    "struct.page": (8, 1024, 8),
    "struct.pglist_data": (64, 64 * MIB, 1),
    "struct.resource": (1, MIB, 1),
}
POWERS = {
    "config.PHYSICAL_ALIGN": (PAGE_SIZE, GIB),
    "image.kernel_alignment": (PAGE_SIZE, GIB),
    "struct.mem_section": (8, PAGE_SIZE),
}


@pytest.mark.parametrize("name", RANGES)
def test_a_number_within_its_range(name: str) -> None:
    least, most, step = RANGES[name]
    assert is_right(name, least)
    assert is_right(name, most)
    assert is_right(name, least + step)
    assert is_right(name, most - step)
    assert not is_right(name, least - step)
    assert not is_right(name, most + step)
    assert step == 1 or not is_right(name, least + step // 2)
    assert not is_right(name, True)
    assert not is_right(name, str(least))


@pytest.mark.parametrize("name", POWERS)
def test_a_power_of_two_within_its_range(name: str) -> None:
    least, most = POWERS[name]
    powers = {1 << shift for shift in range(40) if is_right(name, 1 << shift)}
    assert (min(powers), max(powers), len(powers)) == (least, most, (most // least).bit_length())
    assert not is_right(name, least + least // 2)
    assert not is_right(name, 3 * least)


def test_words_for_what_is_wanted() -> None:
    assert wanted("config.NUMA") == "true or false"
    assert wanted("config.CMDLINE") == "text of at most 2048 characters"
    assert wanted("config.LOG_BUF_SHIFT") == "a number from 12 to 25"
    assert wanted("config.KFENCE_NUM_OBJECTS") == "a number from 1 to 65535"
    assert wanted("config.CMA_AREAS") == "a number from 0 to 0x10000"
    assert wanted("struct.page") == "a number from 8 to 1024, a multiple of 8"
    assert wanted("image.kernel_alignment") == "a power of two from 4096 to 0x40000000"
    assert str(Span(0, 1 << 20, 1 << 16)) == "a number from 0 to 0x100000, a multiple of 0x10000"


def test_switches_and_text() -> None:
    assert is_switch("config.NUMA")
    assert not is_switch("config.NR_CPUS")
    assert not is_switch("config.CMDLINE")
    assert is_text("config.CMDLINE")
    assert not is_text("config.NUMA")
    assert span_of("config.NUMA") is None
    assert is_right("config.NUMA", False)
    assert not is_right("config.NUMA", 1)
    assert is_right("config.CMDLINE", "x" * 2048)
    assert not is_right("config.CMDLINE", "x" * 2049)
    assert not is_right("config.CMDLINE", 8)


def test_values_in_messages() -> None:
    assert [shown(value) for value in (True, False, 7, "word")] == ["true", "false", "7", "'word'"]
    assert shown((1 << 64) - 1) == "18446744073709551615"
    assert shown(1 << 64) == "0x10000000000000000"
    assert shown("x" * 58) == "'" + "x" * 58 + "'"
    assert shown("x" * 59) == "'" + "x" * 59 + "…"


def test_places_of_an_image_lie_in_their_order() -> None:
    right = {"image.brk_start": 5, "image.brk_limit": 6, "image.end": 6, "image.total_size": 9}
    assert misplaced(right) is None
    assert misplaced({**right, "image.kernel_reserve_end": 6}) is None
    assert misplaced({**right, "image.kernel_reserve_end": 7}) == ("image.kernel_reserve_end", "image.end")
    assert misplaced({**right, "image.end": 5}) == ("image.brk_limit", "image.end")
    assert misplaced({"image.brk_start": 7, "image.end": 6}) == ("image.brk_start", "image.end")
    assert misplaced({"image.kernel_reserve_end": 7}) is None
    assert misplaced({"image.end": 7, "image.total_size": 6}) == ("image.end", "image.total_size")
