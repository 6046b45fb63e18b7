"""Remedies that can be said exactly are tried: what stood in the way is gone."""

from typing import Any

import pytest

import memplan
from memplan.machine.alteration import Alteration, options_changed
from memplan.machine.model import Cpus, E820Entry, Initrd, KernelImage, Machine, MemoryAffinity, Srat
from memplan.owner import CRASH_KERNEL, Owner, Purpose
from memplan.plan import Blocker, Plan
from memplan.units import GIB, MIB

RAM = (E820Entry(0, 640 * 1024, 1), E820Entry(MIB, 3 * GIB, 1), E820Entry(4 * GIB, 9 * GIB, 1))


def machine(cmdline: str, hot: tuple[int, int] = (4 * GIB, 9 * GIB), **fields: Any) -> Machine:
    """Node 0 below, and node 1 hot-pluggable in `hot`."""
    parts = [(0, hot[0], 0), (*hot, 1), (hot[1], 9 * GIB, 0)]
    memory = tuple(MemoryAffinity(pxm, a, b - a, hotplug=pxm == 1) for a, b, pxm in parts if a < b)
    plain = Machine(e820=RAM, cmdline=cmdline, srat=Srat(memory), kernel=KernelImage("6.12"))
    return plain._replace(**fields)


def blockers(plan: Plan) -> list[Blocker]:
    return [own for verdict in plan.verdicts if verdict.hotplug for own in verdict.blockers]


def tried(subject: Machine, kinds: set[Purpose]) -> Machine:
    """`subject` with the change that the first blocker of `kinds` comes with."""
    own = next(own for own in blockers(memplan.simulate(subject)) if own.owner.kind in kinds)
    assert own.remedy.change is not None
    return own.remedy.change.applied(subject)


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        (machine("", cpus=Cpus(pse=False, gbpages=False)), Purpose.PAGE_TABLES),
        (machine(""), Purpose.MEMORY_MAP),
        (machine("movable_node", (GIB, 2 * GIB), initrd=Initrd(GIB + 64 * MIB, 32 * MIB)), Purpose.INITRD),
        (machine("crashkernel=256M", (2 * GIB, 3 * GIB)), Purpose.CRASH_KERNEL),
        (machine("", (2 * GIB, 3 * GIB)), Purpose.SWIOTLB),
        (
            machine("movable_node", (GIB, 2 * GIB), kernel=KernelImage("6.12", GIB + 16 * MIB, True)),
            Purpose.KERNEL_IMAGE,
        ),
    ],
)
def test_the_change_moves_it_away(subject: Machine, kind: Purpose) -> None:
    kinds = set(CRASH_KERNEL) if kind in CRASH_KERNEL else {kind}
    after = memplan.simulate(tried(subject, kinds))
    assert after.end.completed
    assert not any(own.owner.kind in kinds for own in blockers(after))


def test_no_change_is_offered_where_only_firmware_can() -> None:
    from memplan.boot.context import Boot
    from memplan.boot.remedies import Remedies
    from memplan.kernel.load import find_kernel

    remedies = Remedies(Boot(machine(""), find_kernel("6.12")), [(4 * GIB, 9 * GIB)], ())
    assert remedies.remedy(Owner(Purpose.ACPI_TABLE, detail="SRAT"), hotplug=True).change is None
    assert "firmware" in remedies.remedy(Owner(Purpose.EFI_TABLE, detail="ESRT"), hotplug=True).text


def test_options_are_changed_before_the_words_of_init() -> None:
    text = 'quiet crashkernel=1G crashkernel=8M,low root="a b" -- init-word'
    assert options_changed(text, ("nokaslr",), ("crashkernel",)) == 'quiet root="a b" nokaslr -- init-word'
    assert options_changed("log-buf-len=1M", (), ("log_buf_len",)) == ""
    assert Alteration(add=("x",)).applied(machine("")).cmdline == "x"
