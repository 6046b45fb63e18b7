"""Where this machine's firmware and kernel may put the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.kaslr.decompressor import decompressor_places
from memplan.kaslr.places import Places
from memplan.kaslr.stub import stub_places

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Machine


def possible_places(machine: Machine, kernel: Kernel) -> Places:
    """All places at which `kernel` may find itself on `machine`, by its version's rules.

    Raises NotCoveredError where a fact of the build is missing without which nothing can be said.
    """
    if machine.efi is not None and kernel.rules.efi_stub_places_image:
        return stub_places(machine, machine.efi, kernel)
    return decompressor_places(machine, kernel)
