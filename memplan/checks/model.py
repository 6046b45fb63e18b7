"""The words of `memplan check`: rules, findings, and what is being checked.

A rule is a function from a :class:`Subject` to the things that it found, declared with :func:`rule`; its module is
imported only when checks run.  Rules state what Linux does by asking the subject's plan (the replayed boot), so a
line that a finding quotes is the line that the replay prints for the chosen kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from memplan.boot.parameters import Parameters
from memplan.machine.places import Place, Places

if TYPE_CHECKING:
    from memplan.kernel.model import Kernel
    from memplan.machine.model import Acpi, Machine, Srat
    from memplan.plan import Plan

T = TypeVar("T")
Severity = Literal["error", "warning", "info"]
#: From the worst to the mildest.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
#: What a rule needs before it can say anything: raw ACPI tables, an SRAT, a memory map, a replayed boot.
Need = Literal["tables", "srat", "memory", "plan"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one rule found.

    `subject` names the thing in words that stay the same from build to build (``node 1``, ``srat.memory[3]``): with
    the rule it makes the fingerprint.  `dmesg` is the line that the chosen kernel prints about it ("" for none),
    `excerpt` the entry as it stands in its file, with a caret below it.  `weight` tells how bad it is (bytes
    stranded, say), so that one that grew is told from one that was there before.  `note` is a remark on the
    finding itself (a suppression that has expired).
    """

    rule: str
    severity: Severity
    message: str
    place: Place
    subject: str
    dmesg: str = ""
    excerpt: tuple[str, ...] = ()
    weight: int = 0
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stay the same while the finding does, wherever its lines move."""
        from hashlib import sha256

        return sha256(f"{self.rule}\0{self.subject}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule function yields: the message, the field it is about (``srat.memory[3]``), and the subject.

    `subject` defaults to the field.  `offset` is the byte offset from the start of the raw table whose signature
    `field` begins with (``SRAT``, ``SLIT``; ``SSDT[1]`` for the second one).  The rest is as in :class:`Finding`.
    """

    message: str
    field: str = ""
    subject: str = ""
    dmesg: str = ""
    offset: int | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the user says must hold: `what` ("movable", "dimm", "crashkernel") of `target` (``node1``, "" for none).

    `place` is where that was said.
    """

    what: str
    target: str
    place: Place


@dataclass(frozen=True, slots=True)
class CheckRule:
    """One rule: what it checks, what Linux does about it, how to mend it, and where that is written."""

    id: str
    name: str
    severity: Severity
    group: str
    checks: str
    linux: str
    mend: str
    reference: str
    fwts: str
    needs: tuple[Need, ...]
    function: Callable[[Subject], Iterator[Found]]


@dataclass(slots=True)
class Subject:
    """What is checked: one input with all that could be read from it.

    `machine` is None for a bare table; `srat` and `acpi` are there in either case, as far as the input tells.
    `tables` are the raw ACPI tables as memplan.firmware.acpi parses them (empty where the input has none).  `places`
    maps field paths (``e820[3]``, ``srat.memory[0]``) to their places.  `expectations` are the user's.
    `plan_problem` says why there is no plan, where a machine has none.
    What rules ask for is worked out once: nothing here may change after the first of them has run.
    """

    file: str
    kernel: Kernel
    machine: Machine | None = None
    srat: Srat | None = None
    acpi: Acpi | None = None
    tables: tuple[Any, ...] = ()
    places: Places = field(default_factory=Places)
    expectations: tuple[Expectation, ...] = ()
    plan_problem: str = ""
    _plan: Plan | None = None
    _known: dict[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The replayed boot; only for rules that need "plan"."""
        assert self._plan is not None
        return self._plan

    @property
    def parameters(self) -> Parameters:
        """What the machine and its options give to the boot; only for rules that need "memory" or "plan"."""
        machine = self.machine
        assert machine is not None
        return self.once("parameters", lambda: Parameters(machine, self.kernel))

    def has(self, need: Need) -> bool:
        """Whether the subject has what a rule needs."""
        if need == "tables":
            return bool(self.tables)
        if need == "srat":
            return self.srat is not None
        if need == "memory":
            return self.machine is not None
        return self._replayed() is not None

    def _replayed(self) -> Plan | None:
        if self._plan is None and self.machine is not None and not self.plan_problem:
            from memplan.boot.replay import replay
            from memplan.errors import MemplanError

            try:
                self._plan = replay(self.machine, self.kernel)
            except MemplanError as error:
                self.plan_problem = str(error)
        return self._plan

    def once(self, name: str, work_out: Callable[[], T]) -> T:
        """What `work_out` gives, worked out once for all rules that ask for it by this name."""
        if name not in self._known:
            self._known[name] = work_out()
        found: T = self._known[name]
        return found

    def place(self, path: str) -> Place:
        """The place of the field `path`, or of the nearest field around it, or else the file."""
        return self.places.nearest(path) or Place(self.file, field=path)


#: All rules by id, filled as their modules are imported.
RULES: dict[str, CheckRule] = {}


def rule(
    id: str,
    name: str,
    severity: Severity,
    *,
    group: str,
    checks: str,
    linux: str,
    mend: str,
    reference: str,
    needs: tuple[Need, ...],
    fwts: str = "",
) -> Callable[[Callable[[Subject], Iterator[Found]]], Callable[[Subject], Iterator[Found]]]:
    """Declares the decorated function as the rule `id`."""

    def declare(function: Callable[[Subject], Iterator[Found]]) -> Callable[[Subject], Iterator[Found]]:
        assert id not in RULES, f"two rules are called {id}"
        RULES[id] = CheckRule(id, name, severity, group, checks, linux, mend, reference, fwts, needs, function)
        return function

    return declare
