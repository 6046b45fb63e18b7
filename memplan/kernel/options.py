"""The words of the command line that a kernel handles itself, from the tables in its image.

__setup and early_param leave `struct obs_kernel_param` in .init.setup; core_param and built-in module_param leave
`struct kernel_param` in __param; some words stand for sysctls (sysctl_aliases, 5.8 on).  parse_args takes dashes for
underscores, and passes over a word with a dot that no module claims, so words with dots are left out.
"""

from __future__ import annotations

import re
import struct

from memplan.errors import InputError
from memplan.kernel.elf import Elf

#: struct obs_kernel_param: text, function, whether early.
_SETUP_SIZE = 24
#: struct kernel_param with and without its module (3.13 has none), and struct sysctl_alias.
_PARAM_SIZES = (40, 32)
_ALIAS_SIZE = 16
_MOST_ALIASES = 64
#: A kernel with all drivers built in has some thousand options; words that are longer than any are damage.
_MOST_WORDS = 32768
_WORD = re.compile(r"[!-~]{1,128}")


def option_words(elf: Elf, symbols: dict[str, int]) -> list[str] | None:
    """The words, sorted, with underscores for dashes and without "="; None where the tables can't be found."""
    start, end = symbols.get("__setup_start"), symbols.get("__setup_end")
    if start is None or end is None:
        return None
    if not 0 <= end - start <= _MOST_WORDS * _SETUP_SIZE:
        raise InputError.single(elf.source, f"has a table of boot options of {end - start:#x} bytes at {start:#x}")
    words: set[str] = set()
    for address in range(start, end, _SETUP_SIZE):
        text = _pointed(elf, address)
        if text is None or not _WORD.fullmatch(text):
            raise InputError.single(elf.source, f"has a boot option without a name, {text!r}, at {address:#x}")
        words.add(text)
    words.update(_parameters(elf))
    words.update(_aliases(elf, symbols))
    return sorted({word.split("=")[0].replace("-", "_") for word in words if "." not in word} - {""})


def _pointed(elf: Elf, address: int) -> str | None:
    """The text that the pointer at `address` points to."""
    offset = elf.offset_of(address)
    if offset is None or offset + 8 > len(elf.data):
        return None
    (pointer,) = struct.unpack_from("<Q", elf.data, offset)
    return elf.string(pointer) if pointer else None


def _parameters(elf: Elf) -> list[str]:
    """The names in __param; the size of its entries is the one with which every entry has a name."""
    section = elf.sections.get("__param")
    if section is None or section.size > _MOST_WORDS * _PARAM_SIZES[0]:
        return []
    for size in _PARAM_SIZES:
        if section.size % size:
            continue
        found = [_pointed(elf, address) for address in range(section.address, section.address + section.size, size)]
        names = [name for name in found if name and _WORD.fullmatch(name)]
        if len(names) == len(found):
            return names
    return []


def _aliases(elf: Elf, symbols: dict[str, int]) -> list[str]:
    """The boot options that set a sysctl, up to the entry without a name."""
    start = symbols.get("sysctl_aliases")
    found: list[str] = []
    while start is not None and len(found) < _MOST_ALIASES:
        name = _pointed(elf, start + len(found) * _ALIAS_SIZE)
        if name is None or not _WORD.fullmatch(name):
            break
        found.append(name)
    return found
