"""What comes out of a scenario: the state after each step, and why.  Immutable; all that is shown comes from here."""

from __future__ import annotations

from typing import Literal, NamedTuple

State = Literal["online", "offline"]
#: Whether a DIMM can be taken away again: for certain, perhaps, only after others, not; or it brought nothing.
Removal = Literal["yes", "no promise", "not before", "no", "nothing there"]


#: What became of a DIMM in the end: what is "at risk" is there unless its memory map did not fit, and "perhaps" marks
#: a guess on whether it was given back.
DimmOutcome = Literal["there", "at risk", "perhaps there", "perhaps gone", "gone", "refused"]


class BlockRange(NamedTuple):
    """Neighbouring blocks `first` to `last` of node `nid` that are alike; `zones` as valid_zones tells them."""

    first: int
    last: int
    nid: int
    state: State
    zones: tuple[str, ...]


class ZoneReason(NamedTuple):
    """Why the blocks of these numbers, half-open ranges, went to their zone: words that begin with the zone's name."""

    blocks: tuple[tuple[int, int], ...]
    why: str


class DimmReport(NamedTuple):
    """A DIMM after a step, for people.

    `address` is None where the hypervisor has no room for it; `risk` says why an `outcome` is "at risk".  `blocks` are
    its blocks, `map_bytes` what its memory map takes and `map_place` from where; `removal` and `removal_why` tell
    whether it can go again.
    """

    name: str
    size: int
    address: int | None
    nid: int | None
    node_why: str
    accepted: bool
    outcome: DimmOutcome
    risk: str
    blocks: tuple[BlockRange, ...]
    zone_why: tuple[ZoneReason, ...]
    map_bytes: int
    map_place: str
    total_growth: int
    removal: Removal
    removal_why: str


class RatioReport(NamedTuple):
    """What auto-movable leaves, in bytes: `nid` None for the whole machine."""

    nid: int | None
    movable: int
    limit: int


class StepResult(NamedTuple):
    """One step: what was done (`text`), whether the kernel took it (None: that can't be known), and why.

    `lines` are the kernel's own.  `total` is MemTotal in bytes (None: not known), `map_bytes` are the memory maps of
    added memory, wherever they lie.  `dimm` tells of the DIMM that the step is about, `ratio` what auto-movable leaves.
    """

    number: int
    text: str
    accepted: bool | None
    reason: str
    lines: tuple[str, ...]
    blocks: tuple[BlockRange, ...]
    map_bytes: int
    total: int | None
    dimm: DimmReport | None = None
    ratio: tuple[RatioReport, ...] = ()

    @property
    def adds(self) -> bool:
        """Whether it is the step that adds its DIMM."""
        return self.text.startswith("add ")


class HotaddPlan(NamedTuple):
    """One scenario, replayed: `before` is the state at the start, `before_total` its MemTotal."""

    machine_name: str
    kernel: str
    kernel_version: str
    cmdline: str
    block_size: int
    before: tuple[BlockRange, ...]
    before_total: int | None
    default_state: str
    policy: str
    steps: tuple[StepResult, ...]
    dimms: tuple[DimmReport, ...]
    warnings: tuple[str, ...]

    @property
    def blocks(self) -> tuple[BlockRange, ...]:
        """The memory blocks in the end."""
        return self.steps[-1].blocks if self.steps else self.before

    @property
    def total(self) -> int | None:
        """MemTotal in the end, in bytes (None: not known)."""
        return self.steps[-1].total if self.steps else self.before_total
