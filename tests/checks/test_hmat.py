"""Structures of an HMAT that are shorter than their kind."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from memplan.checks.run import Options, check_input


def hmat(*structures: tuple[int, int]) -> bytes:
    """A table of structures with these types and lengths, their bodies zeros."""
    body = b"\0" * 4 + b"".join(
        struct.pack("<HHI", kind, 0, length) + b"\0" * (length - 8) for kind, length in structures
    )
    head = struct.pack("<4sIBB6s8sI4sI", b"HMAT", 36 + len(body), 2, 0, b"A     ", b"B       ", 1, b"C   ", 1)
    data = bytearray(head + body)
    data[9] = -sum(data) & 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "length", "told"),
    [
        (0, 40, ""),
        (0, 24, "it has 24 bytes, needs 40"),
        (1, 32, ""),
        (1, 16, "it has 16 bytes, needs 32"),
        (2, 32, ""),
        (2, 16, "it has 16 bytes, needs 32"),
    ],
)
def test_a_structure_of_odd_length_is_told(kind: int, length: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "HMAT.aml").write_bytes(hmat((kind, length)))
    report = check_input(str(tmp_path / "HMAT.aml"), Options(select=("MP314",)))
    messages = [finding.message for finding in report.findings]
    assert len(messages) == bool(told)
    assert all(told in message for message in messages)
