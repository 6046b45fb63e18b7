"""What isn't replayed is told of the boots that come to it, and of no others."""

from __future__ import annotations

import pytest

from memplan.kernel.load import find_kernel


@pytest.mark.parametrize(
    ("version", "words", "tables", "told"),
    [
        ("6.1", (), (), ""),
        ("6.1", ("efi_fake_mem",), (), "efi_fake_mem="),
        ("6.12", ("efi_fake_mem",), (), ""),
        ("6.1", ("isolcpus",), (), "CPU masks"),
        ("lab-3.13.10", ("isolcpus",), (), ""),
        ("6.1", (), ("BGRT", "APIC"), "boot logo"),
        ("4.10", (), ("BGRT",), ""),
        ("6.14", (), ("CEDT",), ""),
        ("6.15", (), ("CEDT",), "CXL windows"),
    ],
)
def test_what_is_told(version: str, words: tuple[str, ...], tables: tuple[str, ...], told: str) -> None:
    found = list(find_kernel(version).unreplayed(words, tables))
    assert len(found) == bool(told)
    assert all(told in text and text.startswith("not replayed: ") for text in found)
