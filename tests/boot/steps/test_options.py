"""Copies of the command line, and the words that nothing takes (init/main.c)."""

from __future__ import annotations

import pytest

from memplan.errors import NotCoveredError
from memplan.kernel.load import find_kernel
from memplan.owner import Purpose
from memplan.units import GIB, MIB
from tests.boot.steps.single import EMPTY, boot_of, changes, ran, told, warned

OPTIONS = frozenset({"quiet", "mem", "log_buf_len", "ro", "numa_balancing", "transparent_hugepage"})


def unknown(cmdline: str) -> tuple[str, list[tuple[str, int]]]:
    """The words that are told of, and the buffer that is borrowed for them."""
    boot = boot_of("6.12", EMPTY._replace(cmdline=cmdline))
    boot.kernel = boot.kernel._replace(options=OPTIONS)
    ran(boot, "print_unknown_bootoptions")
    texts = told(boot)
    assert warned(boot) == []
    for text in texts:
        assert text.startswith('Unknown kernel command line parameters "')
        assert text.endswith('", will be passed to user space.')
    own = changes(boot)
    assert [change[1:] for change in own[:1]] == [change[1:] for change in own[1:]]
    return "".join(text.split('"')[1] for text in texts), [(op, end - start) for op, start, end in own]


@pytest.mark.parametrize(
    ("cmdline", "words"),
    [
        ("quiet mem=1G log-buf-len=1M", ""),
        ("one", "one"),
        ("one quiet two=2 three", "one three two=2"),
        ("a=1 b=2 a=3", "a=3 b=2"),
        ("HOME=/x TERM=y HOMES=z", "HOMES=z"),
        ("HOME TERM", "HOME TERM"),
        ("usb.x=1 usb.y x.", ""),
        ("BOOT_IMAGE=/vmlinuz kexec kexec_file BOOT_IMAGES", "BOOT_IMAGES"),
        # Handlers that take some values only.
        ("ro ro=1", "ro=1"),
        ("numa_balancing=enable numa_balancing=on numa_balancing", "numa_balancing numa_balancing=on"),
        ("transparent_hugepage=always transparent-hugepage=often", "transparent-hugepage=often"),
        ("one -- two", "one"),
    ],
)
def test_words_that_nothing_takes(cmdline: str, words: str) -> None:
    """Those without a value first; the buffer has a byte before each, and one at its end."""
    size = 1 + len(words) + 1
    assert unknown(cmdline) == (words, [("reserve", size), ("free", size)] if words else [])


@pytest.mark.parametrize(("form", "most"), [("w{}", 32), ("w{}=1", 31)])
def test_more_than_init_takes_are_not_listed(form: str, most: int) -> None:
    words = [form.format(number) for number in range(most + 1)]
    assert unknown(" ".join(words[:-1]))[0] == " ".join(words[:-1])
    assert unknown(" ".join(words)) == ("", [])


def test_without_room_for_the_buffer_they_are_told_all_the_same() -> None:
    boot = boot_of("6.12", EMPTY._replace(cmdline="one"), (MIB, GIB), reserved=((MIB, GIB),))
    boot.kernel = boot.kernel._replace(options=OPTIONS)
    ran(boot, "print_unknown_bootoptions")
    assert changes(boot) == []
    assert len(told(boot)) == 1
    boot.kernel = boot.kernel._replace(options=None)
    with pytest.raises(NotCoveredError, match="boot options that it handles are not known"):
        ran(boot, "print_unknown_bootoptions")


@pytest.mark.parametrize(("version", "copies"), [("3.13", 3), ("3.18", 3), ("5.10", 2), ("6.12", 2)])
def test_copies_of_the_command_line_with_their_ends(version: str, copies: int) -> None:
    boot = ran(boot_of(version, EMPTY._replace(cmdline="quiet  mem=1G ")), "setup_command_line")
    assert [end - start for _, start, end in changes(boot, Purpose.COMMAND_LINE)] == [15] * copies


@pytest.mark.parametrize(
    ("cmdline", "forced", "upwards"),
    [("", None, False), ("movable_node", None, True), ("movable_node", False, False), ("", True, True)],
)
def test_the_direction_before_the_srat(cmdline: str, forced: bool | None, upwards: bool) -> None:
    boot = boot_of("6.12", EMPTY._replace(cmdline=cmdline))
    boot.forced_bottom_up = forced
    ran(boot, "memblock_set_bottom_up")
    assert (boot.bottom_up, boot.memblock.bottom_up) == (upwards, upwards)


@pytest.mark.parametrize(
    ("cmdline", "mirror", "movable"),
    [
        ("", False, False),
        ("kernelcore=mirror", True, False),
        ("kernelcore=1G", False, False),
        ("kernelcore=mirror kernelcore=1G movable_node", True, True),
    ],
)
def test_what_memblock_learns_of_the_options(cmdline: str, mirror: bool, movable: bool) -> None:
    boot = boot_of("6.12", EMPTY._replace(cmdline=cmdline))
    assert not boot.recorder.logged
    ran(boot, "parse_early_param")
    assert boot.recorder.logged
    assert boot.memblock.mirrored_kernelcore is mirror
    assert boot.memblock.movable_node is movable
    assert boot.memblock.kernel_end == 0x1000000 + find_kernel("6.12").fact("image.end")
    assert not boot.user_map
