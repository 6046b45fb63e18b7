"""What a user wants of a plan, as text: ``removable:node3``, ``removable:all``, ``crashkernel>=512M``, ``boots``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import UsageError
from memplan.owner import Purpose
from memplan.units import GIB, memparse

if TYPE_CHECKING:
    from memplan.plan import Plan

_REMOVABLE = re.compile(r"removable:(?:(all)|(?:node)?([0-9]{1,4}))")
_CRASH = re.compile(r"crashkernel(?:>=([0-9]{1,20}[kKmMgGtT]?))?")


class Want(NamedTuple):
    """One wish: `text` as it was written; the node that should be removable (-1: all), or the crash kernel's bytes."""

    text: str
    node: int | None = None
    crash_kernel: int | None = None

    def is_met(self, plan: Plan) -> bool:
        """Whether `plan` has it; a boot that dies meets nothing."""
        if not plan.end.completed:
            return False
        if self.node is not None:
            wanted = self.nodes(plan)
            return bool(wanted) and wanted <= {nid for nid, _, _ in plan.movable}
        if self.crash_kernel is not None:
            return crash_kernel_size(plan) >= max(self.crash_kernel, 1)
        return True

    def nodes(self, plan: Plan) -> set[int]:
        """The nodes that should be removable: of "all" those that the SRAT marks hot-pluggable, or where it marks none
        those without the kernel image.
        """
        if self.node is None:
            return set()
        if self.node >= 0:
            return {self.node}
        image = {own.nid for own in plan.reservations if own.owner.kind is Purpose.KERNEL_IMAGE}
        marked = {node.nid for node in plan.nodes if node.hotplug}
        return marked or {node.nid for node in plan.nodes if node.ranges} - image


def read_want(text: str) -> Want:
    """The wish that `text` is; UsageError for text that is none."""
    if found := _REMOVABLE.fullmatch(text):
        return Want(text, node=-1 if found[1] else int(found[2]))
    if found := _CRASH.fullmatch(text):
        return Want(text, crash_kernel=memparse(found[1])[0] if found[1] else 0)
    if text == "boots":
        return Want(text)
    raise UsageError(f"--want {text}: expected removable:nodeN, removable:all, crashkernel, crashkernel>=SIZE or boots")


class Verdict(NamedTuple):
    """What of a plan decides: the removable nodes, the crash kernel's place ("low", "high", "none"), how it dies."""

    removable: tuple[int, ...]
    crash_kernel: str
    death: str

    @classmethod
    def of(cls, plan: Plan) -> Verdict:
        """The verdict on `plan`."""
        ends = [own.end for own in plan.reservations if own.owner.kind is Purpose.CRASH_KERNEL]
        place = "none" if not ends else "low" if max(ends) <= 4 * GIB else "high"
        return cls(tuple(sorted({nid for nid, _, _ in plan.movable})), place, plan.end.text)


def crash_kernel_size(plan: Plan) -> int:
    """The bytes that the crash kernel has, without the low part that goes with a high one."""
    return plan.size_of((Purpose.CRASH_KERNEL,))
