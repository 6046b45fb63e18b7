"""What the kernel calls types of memory, in every version's words: of e820, of EFI, and of /proc/iomem.

Case and the number of blanks never count.  A name that is none gives None: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from memplan.machine.model import (
    E820_ACPI,
    E820_NVS,
    E820_PMEM,
    E820_PRAM,
    E820_RAM,
    E820_RESERVED,
    E820_RESERVED_KERN,
    E820_SOFT_RESERVED,
    E820_UNUSABLE,
)

#: The names by which an e820 type may be called in a description; the first one of a type is the one to offer.
E820_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "usable": E820_RAM,
        "reserved": E820_RESERVED,
        "ACPI data": E820_ACPI,
        "ACPI NVS": E820_NVS,
        "unusable": E820_UNUSABLE,
        "persistent": E820_PMEM,
        "soft reserved": E820_SOFT_RESERVED,
        "PRAM": E820_PRAM,
        "reserved kern": E820_RESERVED_KERN,
        "persistent (type 7)": E820_PMEM,
        "persistent (type 12)": E820_PRAM,
        "RAM": E820_RAM,
        "PMEM": E820_PMEM,
        # Linux 7.0 on.
        "System RAM": E820_RAM,
        "device reserved": E820_RESERVED,
        "persistent RAM (type 7)": E820_PMEM,
        "persistent RAM (type 12)": E820_PRAM,
        # 5.5 to 5.6.
        "application reserved": E820_SOFT_RESERVED,
    }
)
_E820_FOLDED = {name.lower(): number for name, number in E820_TYPES.items()}
_E820_LONGEST_FIRST = sorted(_E820_FOLDED, key=len, reverse=True)

#: What /sys/firmware/memmap and /proc/iomem call e820 types (e820_type_to_string), in lower case.
RESOURCE_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "system ram": E820_RAM,
        "reserved": E820_RESERVED,
        "device reserved": E820_RESERVED,
        "acpi tables": E820_ACPI,
        "acpi non-volatile storage": E820_NVS,
        "unusable memory": E820_UNUSABLE,
        "persistent memory": E820_PMEM,
        "persistent memory (legacy)": E820_PRAM,
        "soft reserved": E820_SOFT_RESERVED,
        "unknown e820 type": E820_RESERVED,
    }
)

#: EFI memory types by number, as today's kernels call them (memory_type_name).
EFI_TYPES = (
    "Reserved",
    "Loader Code",
    "Loader Data",
    "Boot Code",
    "Boot Data",
    "Runtime Code",
    "Runtime Data",
    "Conventional",
    "Unusable",
    "ACPI Reclaim",
    "ACPI Mem NVS",
    "MMIO",
    "MMIO Port",
    "PAL Code",
    "Persistent",
    "Unaccepted",
)
#: The numbers of the EFI types that rules ask for.
EFI_BOOT_DATA, EFI_MMIO = 4, 11
#: EFI types by how their names begin, without blanks and underscores: the kernels' and the shell's.
_EFI_BEGINNINGS = (
    ("reserved", 0),
    ("loadercode", 1),
    ("loaderdata", 2),
    ("bootcode", 3),
    ("bootdata", 4),
    ("bootservicecode", 3),
    ("bootservicedata", 4),
    ("bscode", 3),
    ("bsdata", 4),
    ("runtimecode", 5),
    ("runtimedata", 6),
    ("rtcode", 5),
    ("rtdata", 6),
    ("conventional", 7),
    ("available", 7),
    ("unusable", 8),
    ("acpirecl", 9),
    ("acpimem", 10),
    ("acpinvs", 10),
    ("mmioport", 12),
    ("memorymappediop", 12),
    ("memorymappedi/op", 12),
    ("mmio", 11),
    ("memorymapped", 11),
    ("palcode", 13),
    ("persistent", 14),
    ("unaccepted", 15),
)
#: Attribute bits of EFI memory by the abbreviations of the kernel (efi_md_typeattr_format) and the shell.
EFI_ATTRIBUTES: Mapping[str, int] = MappingProxyType(
    {
        "UC": 0,
        "WC": 1,
        "WT": 2,
        "WB": 3,
        "UCE": 4,
        "WP": 12,
        "RP": 13,
        "XP": 14,
        "NV": 15,
        "MR": 16,
        "RO": 17,
        "SP": 18,
        "CC": 19,
        "HP": 62,
        "RT": 63,
        "RUN": 63,
    }
)
_MOST = (1 << 32) - 1


def e820_type(text: str) -> int | None:
    """The number of an e820 type by its name, ``type N`` or the bare number; None for anything else."""
    folded = " ".join(text.lower().split())
    number = _E820_FOLDED.get(folded)
    if number is None:
        digits = folded.removeprefix("type ")
        if not re.fullmatch(r"0x[0-9a-f]{1,8}|[0-9]{1,10}", digits):
            return None
        number = int(digits, 16) if digits.startswith("0x") else int(digits)
    return number if number <= _MOST else None


def printed_e820_type(text: str) -> int | None:
    """The number of the e820 type with which a line of a log goes on, whatever stands behind its name."""
    folded = " ".join(text.lower().split())
    if found := re.match(r"type ([0-9]{1,10})\b", folded):
        return e820_type(found[1])
    for name in _E820_LONGEST_FIRST:
        if folded.startswith(name) and not folded[len(name) : len(name) + 1].isalnum():
            return _E820_FOLDED[name]
    return None


def efi_type(text: str) -> int | None:
    """The number of an EFI memory type by the name that a kernel or the UEFI shell prints for it.

    ``type=N`` (a kernel that doesn't know it) and eight hexadecimal digits (the shell) are numbers as well.
    """
    plain = re.sub(r"[ _\[\]]", "", text).lower()
    if found := re.fullmatch(r"type=([0-9]{1,10})", plain):
        return int(found[1]) if int(found[1]) <= _MOST else None
    for beginning, number in _EFI_BEGINNINGS:
        if plain.startswith(beginning):
            return number
    return int(plain, 16) if re.fullmatch(r"[0-9a-f]{8}", plain) else None


def efi_attributes(flags: str) -> int:
    """The attribute bits of ``RUN|  |XP|…|UC``, or of ``attr=0x…``."""
    if found := re.search(r"attr=0x([0-9a-f]{1,16})", flags):
        return int(found[1], 16)
    names = {flag.strip() for flag in flags.split("|")}
    return sum({1 << bit for name, bit in EFI_ATTRIBUTES.items() if name in names})
