"""The boot logo's memory: kept from 4.11 on, for which the EFI memory map moves."""

from __future__ import annotations

import pytest

import memplan
from memplan.events import Change, Message
from memplan.machine.load import parse_machine
from memplan.machine.model import Machine
from memplan.owner import Purpose
from memplan.plan import Plan

TEXT = """
kernel: {build: "6.12"}
e820:
- "[mem 0x0000000000000000-0x000000000009ffff] usable"
- "[mem 0x0000000000100000-0x000000007fffffff] usable"
acpi:
  rsdp: 0x7f000000
  tables:
  - {signature: "BGRT", address: 0x7f000100, length: 56}
efi:
  memmap: {start: 0x6e000000, size: 0xc0}
  descriptors:
  - {start: 0x0, end: 0x9ffff, type: 7}
  - {start: 0x100000, end: 0x6fffffff, type: 7}
  - {start: 0x70000000, end: 0x70ffffff, type: 4}
  - {start: 0x71000000, end: 0x7fffffff, type: 7}
"""
LOGO = '  reserved:\n  - {address: 0x70100010, length: 0x1000, what: "BGRT"}\n'


def machine(text: str) -> Machine:
    return parse_machine(text, "logo.yaml")


def maps(plan: Plan) -> list[Change]:
    """The new EFI memory maps that the logo asks for."""
    return [
        event
        for event in plan.events
        if isinstance(event, Change) and event.owner.kind is Purpose.EFI_MEMORY_MAP and event.step == "efi_bgrt_init"
    ]


def test_the_map_moves_for_the_logo() -> None:
    plan = memplan.simulate(machine(TEXT + LOGO))
    (moved,) = maps(plan)
    # The boot services' range becomes three: before the logo's pages, those, and behind them.
    assert (moved.op, moved.end - moved.start) == ("reserve", 6 * 48)
    assert not any("boot logo" in note for note in plan.limits)


def test_boot_services_that_hold_the_logo_are_reserved_once() -> None:
    with_logo, without = (memplan.simulate(machine(text)) for text in (TEXT + LOGO, TEXT))
    kept = [(own.start, own.end) for own in with_logo.reservations if own.owner.kind is Purpose.EFI_BOOT_SERVICES]
    assert kept == [(own.start, own.end) for own in without.reservations if own.owner.kind is Purpose.EFI_BOOT_SERVICES]


def test_a_logo_of_unknown_size_is_told() -> None:
    plan = memplan.simulate(machine(TEXT))
    assert not maps(plan)
    assert any("boot logo" in note and "efi.reserved" in note for note in plan.limits)


@pytest.mark.parametrize(("kernel", "options"), [("4.10", ""), ("6.12", "bgrt_disable"), ("6.12", "acpi=off")])
def test_what_keeps_the_logo_from_being_kept(kernel: str, options: str) -> None:
    own = machine(TEXT + LOGO)._replace(cmdline=options)
    assert not maps(memplan.simulate(own, kernel=kernel))


MIRROR = """
kernel: {build: "6.12"}
cmdline: "kernelcore=mirror"
e820:
- "[mem 0x0000000000000000-0x000000000009ffff] usable"
- "[mem 0x0000000000100000-0x00000000bfffffff] usable"
- "[mem 0x0000000100000000-0x000000023fffffff] usable"
efi:
  memmap: {start: 0x6e000000, size: 0xc0}
  descriptors:
  - {start: 0x0, end: 0x9ffff, type: 7, attribute: 0x1000f}
  - {start: 0x100000, end: 0xbfffffff, type: 7, attribute: 0x1000f}
  - {start: 0x100000000, end: 0x13fffffff, type: 7, attribute: 0x1000f}
  - {start: 0x140000000, end: 0x23fffffff, type: 7, attribute: 0xf}
"""


def test_mirrored_memory_is_told_and_the_rest_above_4g_is_movable() -> None:
    """EFI_MEMORY_MORE_RELIABLE is bit 16; 4 GiB of 8 have it, less the hole below the first MiB."""
    plan = memplan.simulate(machine(MIRROR))
    told = [event.text for event in plan.events if isinstance(event, Message) and "mirrored" in event.text]
    assert told == ["efi: Memory: 4095M/8191M mirrored memory"]
    assert plan.movable_start_pfn == ((0, 0x140000),)
    assert {zone.name: zone.present for zone in plan.zones}["Movable"] == 0x100000
    plain = memplan.simulate(machine(MIRROR.replace("0x1000f", "0xf")))
    assert not [event for event in plain.events if isinstance(event, Message) and "efi: Memory" in event.text]
