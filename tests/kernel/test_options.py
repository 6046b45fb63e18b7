"""The words of the command line that a kernel handles: tables put together as the kernel's linker does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.kernel.elf import Elf, ElfSection, Segment
from memplan.kernel.options import option_words
from tests.kernel.test_elf import BASE, elf


def kernel(
    setup: list[str], parameters: list[str], aliases: list[str], *, size: int = 40, behind: int = 0
) -> tuple[Elf, dict[str, int]]:
    """An image with these tables, and `behind` more bytes in the table of parameters; and its symbols."""
    strings = b"\0"
    places = {}
    for word in (*setup, *parameters, *aliases):
        places[word] = BASE + len(strings)
        strings += word.encode("latin-1") + b"\0"
    data = strings + bytes(-len(strings) % 8)
    setup_at = len(data)
    data += b"".join(struct.pack("<QQQ", places[word], BASE, 1) for word in setup)
    parameters_at = len(data)
    data += b"".join(struct.pack("<Q", places[word]) + bytes(size - 8) for word in parameters) + bytes(behind)
    aliases_at = len(data)
    data += b"".join(struct.pack("<QQ", places[word], BASE) for word in aliases) + bytes(8)
    image = Elf(elf(), "vmlinux")
    image.data, image.segments = data, [Segment(0, BASE, 0, len(data))]
    length = aliases_at - parameters_at
    image.sections = {"__param": ElfSection("__param", 1, BASE + parameters_at, parameters_at, length, 0, 0)}
    symbols = {"__setup_start": setup_at, "__setup_end": parameters_at, "sysctl_aliases": aliases_at}
    return image, {name: BASE + at for name, at in symbols.items()}


_WORD = st.from_regex(r"[a-z][a-z0-9_.=-]{0,12}", fullmatch=True)
_WORDS = st.lists(_WORD, max_size=6)


@given(_WORDS, _WORDS, _WORDS, st.sampled_from([40, 32]))
def test_all_words_of_the_three_tables(setup: list[str], parameters: list[str], aliases: list[str], size: int) -> None:
    """Without what is behind "=", with underscores for dashes; words with a dot belong to modules."""
    image, symbols = kernel(setup, parameters, aliases, size=size)
    words = [word for word in (*setup, *parameters, *aliases) if "." not in word]
    assert option_words(image, symbols) == sorted({word.split("=")[0].replace("-", "_") for word in words})


def test_a_word_that_is_all_value_is_none() -> None:
    assert option_words(*kernel(["=x", "a="], [], [])) == ["a"]


@pytest.mark.parametrize("count", [63, 64, 65])
def test_so_many_words_stand_for_sysctls(count: int) -> None:
    names = [f"a{number:02}" for number in range(count)]
    assert option_words(*kernel(["x"], [], names)) == [*names[:64], "x"]


@pytest.mark.parametrize("word", ["", "a b", "x" * 129, "\xe9"])
def test_options_without_a_name_are_damage(word: str) -> None:
    image, symbols = kernel(["good", word], [], [])
    place = symbols["__setup_start"] + 24
    with pytest.raises(InputError, match=rf"has a boot option without a name, .*, at {place:#x}$"):
        option_words(image, symbols)
    # In the other tables it ends what is read.
    assert option_words(*kernel(["good"], ["p", word], [])) == ["good"]
    assert option_words(*kernel(["good"], [], ["one", word, "two"])) == ["good", "one"]


def test_the_longest_word() -> None:
    assert option_words(*kernel(["x" * 128], [], [])) == ["x" * 128]


def test_parameters_of_no_known_size_are_passed_over() -> None:
    assert option_words(*kernel(["x"], ["a", "b"], [], behind=8)) == ["x"]
    image, symbols = kernel(["x"], ["a"], [])
    image.sections = {}
    assert option_words(image, symbols) == ["x"]


@pytest.mark.parametrize("cut", [0, 1])
def test_a_pointer_that_the_file_does_not_hold(cut: int) -> None:
    image, symbols = kernel(["x", "y"], [], [])
    image.data = image.data[: symbols["__setup_start"] - BASE + 24 + 8 - cut]
    if cut:
        with pytest.raises(InputError, match="has a boot option without a name, None"):
            option_words(image, symbols)
    else:
        assert option_words(image, symbols) == ["x", "y"]


@pytest.mark.parametrize("more", [0, 1])
def test_no_kernel_has_more_words_than_32768(more: int) -> None:
    """A longer table of parameters is passed over, a longer one of options is damage."""
    count = 32768 + more
    image, symbols = kernel(["x"], ["p"] * count, [])
    assert option_words(image, symbols) == (["x"] if more else ["p", "x"])
    image, symbols = kernel(["x"] * count, ["p"], [])
    if more:
        with pytest.raises(InputError, match=rf"has a table of boot options of {24 * count:#x} bytes at 0x"):
            option_words(image, symbols)
    else:
        assert option_words(image, symbols) == ["p", "x"]
