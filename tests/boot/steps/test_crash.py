"""The crash kernel of Xen's guests: paravirtual domains get none, others do."""

from __future__ import annotations

from typing import Any

import pytest

import memplan
from memplan.events import Message
from memplan.machine.model import E820Entry, Machine
from memplan.owner import Purpose

MACHINE = Machine((E820Entry(0, 0x9FC00), E820Entry(1 << 20, 2 << 30)), cmdline="crashkernel=128M")


@pytest.mark.parametrize(
    ("kernel", "hypervisor", "reserved"),
    [
        ("4.16", "xen-pv", True),
        ("6.1", "xen-pv", False),
        ("6.12", "xen-pv", False),
        ("6.1", "xen", True),
        ("6.12", "xen", True),
    ],
)
def test_which_guests_get_one(kernel: str, hypervisor: Any, reserved: bool) -> None:
    plan = memplan.simulate(MACHINE._replace(hypervisor=hypervisor), kernel=kernel)
    assert any(own.owner.kind is Purpose.CRASH_KERNEL for own in plan.reservations) is reserved
    said = any(
        "Ignoring crashkernel for a Xen PV domain" in own.text for own in plan.events if isinstance(own, Message)
    )
    assert said is not reserved
