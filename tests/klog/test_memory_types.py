"""The words for types of memory, as kernels from 2.6 to 7.1 and the UEFI shell print them."""

from __future__ import annotations

import pytest

from memplan.klog.memory_types import efi_attributes, efi_type, printed_e820_type


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("usable", 1),
        ("  System RAM", 1),
        (" device reserved", 2),
        ("reserved", 2),
        ("soft reserved", 0xEFFFFFFF),
        ("application reserved", 0xEFFFFFFF),
        ("ACPI data", 3),
        ("ACPI NVS", 4),
        ("unusable", 5),
        ("persistent (type 7)", 7),
        ("persistent (type 12)", 12),
        (" persistent RAM (type 7)", 7),
        (" persistent RAM (type 12)", 12),
        ("type 20", 20),
        ("usable ==> reserved", 1),
        ("usab", None),
        ("", None),
        ("reservedly", None),
        ("type ٣", None),
    ],
)
def test_e820_types_in_all_versions_words(words: str, number: int | None) -> None:
    assert printed_e820_type(words) == number


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("Conventional Memory", 7),
        ("Conventional", 7),
        ("Memory Mapped I/O  ", 11),
        ("MMIO        ", 11),
        ("MMIO Port   ", 12),
        ("ACPI Reclaim Memory", 9),
        ("ACPI Memory NVS", 10),
        ("ACPI Mem NVS", 10),
        ("BS_Data", 4),
        ("Available", 7),
        ("type=16", 16),
        ("Loading Code", None),
    ],
)
def test_efi_types_in_all_versions_words(words: str, number: int | None) -> None:
    assert efi_type(words) == number


def test_efi_attributes() -> None:
    assert efi_attributes("RUN|  |  |  |  |  |  |  |   |WB|WT|WC|UC") == 1 << 63 | 0xF
    assert efi_attributes("attr=0x800000000000000f") == 1 << 63 | 0xF
