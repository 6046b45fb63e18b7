"""Memory as the steps see it: memblock, with each change recorded under its step, its owner and the kernel's line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.panic import BootPanic
from memplan.memblock.memblock import Memblock
from memplan.units import U64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memplan.boot.record import Recorder
    from memplan.kernel.model import Kernel
    from memplan.memblock.memblock import Run


class Memory:
    """What steps do to memory: set aside, give back, allocate.  Addresses and sizes are in bytes."""

    def __init__(self, kernel: Kernel, recorder: Recorder) -> None:
        self.rules = kernel.rules
        self.recorder = recorder
        self.memblock = Memblock(kernel.rules.memblock, max_numnodes=kernel.max_numnodes, listener=recorder)

    # -- changes without a search -------------------------------------------------------------------------------

    def add(self, start: int, end: int, *, owner: str, caller: str) -> None:
        """memblock_add of ``[start, end)``."""
        self.recorder.tag(owner, self.rules.callers.get(caller, caller))
        self.memblock.add(start, end - start)

    def reserve(self, start: int, end: int, *, owner: str, caller: str) -> None:
        """memblock_reserve of ``[start, end)``."""
        self.recorder.tag(owner, self.rules.callers.get(caller, caller))
        self.memblock.reserve(start, end - start)

    def free(self, start: int, end: int, *, owner: str, caller: str) -> None:
        """Give ``[start, end)`` back (memblock_free, memblock_phys_free from 5.16)."""
        self.recorder.tag(owner, self.rules.callers.get(caller, caller))
        self.memblock.free(start, end - start)

    # -- allocations --------------------------------------------------------------------------------------------

    def phys_alloc_range(self, size: int, align: int, start: int, end: int, *, owner: str, caller: str) -> int:
        """A block within ``[start, end)`` at a caller's own limits; its address, 0 where there is none.

        memblock_phys_alloc_range from 5.15 (commit a7259df76702); before that each caller searched and reserved by
        itself, so only the reservation is printed.  An `end` of 0 is the limit in force.
        """
        runs = self.phys_alloc_range_run(size, align, start, end, 1, owner=owner, caller=caller)
        return runs[0].start if runs else 0

    def phys_alloc_range_run(
        self, size: int, align: int, start: int, end: int, count: int, *, owner: str, caller: str
    ) -> list[Run]:
        """`count` equal blocks as by as many calls of :meth:`phys_alloc_range`; fewer where no more are free."""
        if not self.rules.phys_alloc_range:
            self.recorder.tag(owner, self.rules.callers.get(caller, caller))
            return self.memblock.find_reserve_run(size, align, start, end, count)
        caller = self.rules.request_callers.get(caller, caller)
        text = (
            f"memblock_phys_alloc_range: {size} bytes align={align:#x} from={start:#018x} max_addr={end:#018x} {caller}"
        )
        return self._requested(
            text, owner, lambda: self.memblock.phys_alloc_range_run(size, align, start, end, count), count
        )

    def phys_alloc(self, size: int, align: int, *, owner: str, caller: str) -> int:
        """A block anywhere below the limit in force (memblock_phys_alloc); its address, 0 where there is none."""
        return self.phys_alloc_range(size, align, 0, 0, owner=owner, caller=caller)

    def alloc_range_nid(self, size: int, align: int, start: int, end: int, nid: int | None, *, owner: str) -> int:
        """A block within ``[start, end)`` on exactly that node; only its reservation is printed."""
        self.recorder.tag(owner, "memblock_alloc_range_nid")
        return self.memblock.alloc_range_nid(size, align, start, end, nid, exact=True)

    def alloc_base(self, size: int, align: int, *, owner: str) -> int:
        """A block below the limit in force as 3.13's early code takes it (memblock_alloc); it panics without one."""
        self.recorder.tag(owner, "memblock_alloc_base_nid")
        return self.memblock.alloc_base(size, align, 0)

    def phys_alloc_try_nid(self, size: int, align: int, nid: int, *, any_node: bool, owner: str) -> int:
        """A block on the node, else on any where `any_node`; only its reservation is printed."""
        if self.rules.bootmem_calls:
            self.recorder.tag(owner, "memblock_alloc_base_nid")
            return self.memblock.alloc_nid(size, align, nid)
        self.recorder.tag(owner, "memblock_alloc_range_nid")
        return self.memblock.alloc_range_nid(size, align, 0, 0, nid, exact=not any_node)

    def _requested(self, text: str, owner: str, allocate: Callable[[], list[Run]], count: int) -> list[Run]:
        """Runs an allocation of `count` blocks, each under the line `text`, and the line of one that fails."""
        self.recorder.request(text, owner, "memblock_alloc_range_nid")
        runs = allocate()
        self.recorder.requested(failed=sum(run.count for run in runs) < count)
        return runs

    def alloc(
        self,
        size: int,
        align: int = 64,
        *,
        owner: str,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
        exact: bool = False,
    ) -> int:
        """A block for the kernel's own use (memblock_alloc and its kin); its address, 0 where there is none.

        Falls back from the node to any node and from `min_addr` to 0, as memblock_alloc_internal does (5.10 on), or
        as the bootmem calls of 3.13 do.  `exact` stays on the node.
        """
        runs = self._alloc_run(
            1, size, align, owner=owner, caller=caller, window=(min_addr, max_addr), nid=nid, raw=raw, exact=exact
        )
        return runs[0].start if runs else 0

    def alloc_run(
        self,
        count: int,
        size: int,
        align: int,
        *,
        owner: str,
        caller: str,
        min_addr: int = 0,
        nid: int | None = None,
        raw: bool = False,
    ) -> int:
        """`count` equal blocks as by as many calls of :meth:`alloc`; how many there were before one failed."""
        runs = self._alloc_run(
            count, size, align, owner=owner, caller=caller, window=(min_addr, 0), nid=nid, raw=raw, exact=False
        )
        return sum(run.count for run in runs)

    def _alloc_run(
        self,
        count: int,
        size: int,
        align: int,
        *,
        owner: str,
        caller: str,
        window: tuple[int, int],
        nid: int | None,
        raw: bool,
        exact: bool,
    ) -> list[Run]:
        min_addr, max_addr = window
        if self.rules.bootmem_calls:
            self.recorder.tag(owner, "__alloc_memory_core_early")
            return self._bootmem(count, size, align, min_addr, max_addr, nid)
        caller = self.rules.request_callers.get(caller, caller)
        name = "memblock_alloc_exact_nid_raw" if exact else "memblock_alloc_try_nid"
        name = "memblock_alloc_try_nid_raw" if raw and not exact else name
        text = (
            f"{name}: {size} bytes align={align:#x} nid={-1 if nid is None else nid} "
            f"from={min_addr:#018x} max_addr={max_addr:#018x} {caller}"
        )
        return self._requested(
            text,
            owner,
            lambda: self.memblock.alloc_run(size, align, min_addr, max_addr, nid, count, exact=exact),
            count,
        )

    def alloc_or_panic(
        self,
        size: int,
        align: int = 64,
        *,
        owner: str,
        caller: str,
        min_addr: int = 0,
        max_addr: int = 0,
        nid: int | None = None,
    ) -> int:
        """As :meth:`alloc`, for callers that can't go on without; BootPanic where nothing is left."""
        found = self.alloc(size, align, owner=owner, caller=caller, min_addr=min_addr, max_addr=max_addr, nid=nid)
        if not found:
            text = (
                f"bootmem alloc of {size} bytes failed!"
                if self.rules.bootmem_calls
                else f"{caller}: Failed to allocate {size} bytes align={align:#x}"
            )
            raise BootPanic(text, f"no free memory is left for {owner} ({size} bytes)")
        return found

    def _bootmem(self, count: int, size: int, align: int, goal: int, limit: int, nid: int | None) -> list[Run]:
        """The order of 3.13's mm/nobootmem.c: node and goal, any node and goal, then both without the goal."""
        runs: list[Run] = []
        for low in dict.fromkeys((goal, 0)):
            for node in dict.fromkeys((nid, None)):
                rest = count - sum(run.count for run in runs)
                runs += self.memblock.alloc_memory_core_early_run(node, size, align, low, limit or U64_MAX, rest)
        return runs

    # -- questions ----------------------------------------------------------------------------------------------

    def free_gaps(self) -> Iterator[tuple[int, int]]:
        """The free ranges of memory, upwards."""
        return ((start, end) for start, end, _ in self.memblock.free_ranges(None, 0))
