"""Binary ACPI tables from a machine's facts: the way back from `acpi_tables`."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

from memplan.errors import UsageError
from memplan.machine.model import CpuAffinity, MemoryAffinity, Srat

_ENABLED, _HOTPLUG, _NONVOLATILE = 1, 2, 4


def encode_srat(
    srat: Srat, *, oem_id: bytes = b"MEMPLN", oem_table_id: bytes = b"MEMPLAN ", oem_revision: int = 1
) -> bytes:
    """The SRAT of these affinities, a whole table with a right checksum.

    CPUs come first, then memory, then generic initiators, each in its order.  Raises UsageError for what the table
    of that revision can't say (a domain over 255 in revision 1).
    """
    body = pack("<IQ", 1, 0)
    body += b"".join(_cpu(cpu, srat.revision) for cpu in srat.cpus)
    body += b"".join(_memory(memory, srat.revision) for memory in srat.memory)
    body += b"".join(pack("<BBBBI16xII", 5, 32, 0, 0, pxm, _ENABLED, 0) for pxm in srat.generic_initiators)
    return encode_table("SRAT", srat.revision, body, oem_id, oem_table_id, oem_revision)


def encode_slit(
    matrix: Sequence[Sequence[int]],
    *,
    oem_id: bytes = b"MEMPLN",
    oem_table_id: bytes = b"MEMPLAN ",
    oem_revision: int = 1,
) -> bytes:
    """The SLIT of these distances by proximity domain, a whole table with a right checksum."""
    body = pack("<Q", len(matrix)) + b"".join(bytes(row) for row in matrix)
    return encode_table("SLIT", 1, body, oem_id, oem_table_id, oem_revision)


def encode_table(
    signature: str, revision: int, body: bytes, oem_id: bytes, oem_table_id: bytes, oem_revision: int
) -> bytes:
    """A table of `body` behind its header, with the length and the checksum that it needs."""
    head = pack(
        "<4sIBB6s8sI4sI",
        signature.encode(),
        36 + len(body),
        revision,
        0,
        oem_id,
        oem_table_id,
        oem_revision,
        b"MPLN",
        1,
    )
    table = bytearray(head + body)
    table[9] = -sum(table) & 0xFF
    return bytes(table)


def _cpu(cpu: CpuAffinity, revision: int) -> bytes:
    if cpu.x2apic:
        return pack("<BBHIIIII", 2, 24, 0, cpu.pxm, cpu.apic_id, int(cpu.enabled), 0, 0)
    _check_domain(cpu.pxm, revision)
    if cpu.apic_id > 0xFF:
        raise UsageError(f"APIC id {cpu.apic_id:#x} needs an x2APIC entry (x2apic: true)")
    high = (cpu.pxm >> 8).to_bytes(3, "little")
    return pack("<BBBBIB3sI", 0, 16, cpu.pxm & 0xFF, cpu.apic_id, int(cpu.enabled), 0, high, 0)


def _memory(memory: MemoryAffinity, revision: int) -> bytes:
    _check_domain(memory.pxm, revision)
    flags = _ENABLED * memory.enabled | _HOTPLUG * memory.hotplug | _NONVOLATILE * memory.nonvolatile
    return pack("<BBIHQQIIQ", 1, 40, memory.pxm, 0, memory.base, memory.length, 0, flags, 0)


def _check_domain(pxm: int, revision: int) -> None:
    if revision < 2 and pxm > 0xFF:
        raise UsageError(f"proximity domain {pxm} does not fit an SRAT of revision {revision}, which has 8 bits for it")
