"""How memblock changes its arrays and makes them grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.memblock.flags import (
    MEMBLOCK_HOTPLUG,
    MEMBLOCK_KHO_SCRATCH,
    MEMBLOCK_MIRROR,
    MEMBLOCK_NOMAP,
    MEMBLOCK_RSRV_KERN,
    MEMBLOCK_RSRV_NOINIT,
)
from memplan.memblock.search import NUMA_NO_NODE, Searches, round_up_wrapping
from memplan.units import PAGE_SIZE, U64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.memblock.regions import Attributes, RegionArray

ENOMEM = 12


class MemblockPanic(Exception):
    """The kernel stops in memblock; the text is what it says."""


class Changes(Searches):
    """The changes; each returns 0, or -ENOMEM where the array is full and can't grow."""

    def allow_resize(self) -> None:
        """From now on the arrays may grow."""
        self._can_resize = True

    # -- add, reserve, remove, free -------------------------------------------------------------------------------

    def add(self, base: int, size: int) -> int:
        """Registers memory without a node."""
        self.listener.changed("add", base, size, 1, True, None, 0)
        return self._add_range(self.memory, base, size, (None, 0))

    def add_node(self, base: int, size: int, nid: int | None, flags: int = 0) -> int:
        """Registers memory of a node."""
        self.listener.changed("add", base, size, 1, True, nid, flags)
        return self._add_range(self.memory, base, size, (nid, flags))

    def reserve(self, base: int, size: int) -> int:
        """Reserves a range, be it memory or not."""
        return self._reserve(base, size, self._plain)

    def reserve_kern(self, base: int, size: int) -> int:
        """Reserves a range for the kernel's own use, which versions that don't mark allocations don't tell apart."""
        return self._reserve(base, size, self._allocated(None))

    def remove(self, base: int, size: int) -> int:
        """Takes memory away."""
        self.listener.changed("remove", base, size, 1, True, None, 0)
        return self._remove_range(self.memory, base, size)

    def free(self, base: int, size: int) -> int:
        """Ends reservations (memblock_free, memblock_phys_free from 5.16)."""
        self.listener.changed("free", base, size, 1, True, None, 0)
        if self.slab_is_available and self.rules.late_free_keeps_reserved:
            return 0
        return self._remove_range(self.reserved, base, size)

    def free_run(self, base: int, size: int, count: int, descending: bool) -> None:
        """Ends the reservations of `count` equal blocks side by side, as by so many calls of :meth:`free`.

        The first call goes by itself, as it may make the array grow; those after it only shorten what it leaves.
        """
        block = size // count
        if count > 1:
            self.free(base + size - block if descending else base, block)
            base, size, count = base if descending else base + block, size - block, count - 1
        self.listener.changed("free", base, size, count, descending, None, 0)
        if not (self.slab_is_available and self.rules.late_free_keeps_reserved):
            self._remove_range(self.reserved, base, size)

    # -- nodes and flags ------------------------------------------------------------------------------------------

    def set_node(self, base: int, size: int, nid: int | None) -> int:
        """Gives memory its node."""
        return self._set_node(self.memory, base, size, nid)

    def set_node_reserved(self, base: int, size: int, nid: int | None) -> int:
        """Gives reserved regions their node."""
        return self._set_node(self.reserved, base, size, nid)

    def mark_hotplug(self, base: int, size: int) -> int:
        """Marks memory hot-pluggable."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_HOTPLUG, True)

    def clear_hotplug(self, base: int, size: int) -> int:
        """Takes the hot-plug mark off."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_HOTPLUG, False)

    def mark_mirror(self, base: int, size: int) -> int:
        """Marks memory mirrored; from now on allocations prefer it."""
        if self.rules.mirror_needs_kernelcore and not self.mirrored_kernelcore:
            return 0
        self.has_mirror = True
        return self._set_flag(self.memory, base, size, MEMBLOCK_MIRROR, True)

    def mark_nomap(self, base: int, size: int) -> int:
        """Marks memory that the direct map leaves out."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_NOMAP, True)

    def clear_nomap(self, base: int, size: int) -> int:
        """Takes the mark of mark_nomap off."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_NOMAP, False)

    def reserved_mark_noinit(self, base: int, size: int) -> int:
        """Marks reserved regions whose struct pages are not initialised."""
        return self._set_flag(self.reserved, base, size, MEMBLOCK_RSRV_NOINIT, True)

    def reserved_mark_noinit_tails(self, base: int, block: int, count: int, head: int) -> None:
        """As :meth:`reserved_mark_noinit` for each of `count` blocks side by side, without its first `head` bytes.

        The blocks lie in one region, and the array has room for two regions more for each of them.
        """
        index = self.reserved.search(base)
        _, end, (nid, flags) = self.reserved.region(index)
        if end < base + count * block or self.reserved.cnt + 2 * count > self.reserved.max:
            for start in range(base, base + count * block, block):
                self.reserved_mark_noinit(start + head, block - head)
            return
        self.reserved.mark_tails(
            index, range(base, base + count * block, block), head, (nid, flags | MEMBLOCK_RSRV_NOINIT)
        )

    def reserved_mark_kern(self, base: int, size: int) -> int:
        """Marks reserved regions as the kernel's own."""
        return self._set_flag(self.reserved, base, size, MEMBLOCK_RSRV_KERN, True)

    def mark_kho_scratch(self, base: int, size: int) -> int:
        """Marks memory as a scratch area of kexec hand-over."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_KHO_SCRATCH, True)

    def clear_kho_scratch(self, base: int, size: int) -> int:
        """Takes the mark of mark_kho_scratch off."""
        return self._set_flag(self.memory, base, size, MEMBLOCK_KHO_SCRATCH, False)

    # -- cutting memory -------------------------------------------------------------------------------------------

    def trim_memory(self, align: int) -> None:
        """Rounds each region of memory inwards and drops what becomes empty; the total keeps what was shaved off."""
        memory = self.memory
        self.forget_answers()
        index = 0
        while index < len(memory):
            base, end, attributes = memory.region(index)
            start, stop = round_up_wrapping(base, align), end & -align
            if start < stop:
                memory.replace(index, start, stop, attributes)
                index += 1
            else:
                memory.total -= end - base
                memory.delete(index, index + 1)
                self._check_emptied(memory)

    def enforce_memory_limit(self, limit: int) -> None:
        """Cuts both arrays above the address below which `limit` bytes of memory lie."""
        end = self._address_after(limit)
        if limit and end != U64_MAX:
            self._remove_range(self.memory, end, U64_MAX)
            self._remove_range(self.reserved, end, U64_MAX)

    def cap_memory_range(self, base: int, size: int) -> None:
        """Keeps only the memory in the range (and nomap regions), and only the reservations in it."""
        memory = self.memory
        if not size:
            return
        if self.rules.cap_needs_memory and not memory.total_size:
            self.listener.message("memblock_cap_memory_range: No memory registered yet", True)
            return
        kept = self._isolate(memory, base, size)
        if kept is None:
            return
        self.forget_answers()
        memory.unmerged = True
        if self.rules.empty_counts_one:
            # The region of size 0 that stands in an empty array goes too.
            self._check_emptied(memory)
        for index in range(len(memory) - 1, -1, -1):
            start, stop, (_, flags) = memory.region(index)
            if not kept[0] <= index < kept[1] and not flags & MEMBLOCK_NOMAP:
                memory.total -= stop - start
                memory.delete(index, index + 1)
                self._check_emptied(memory)
        self._remove_range(self.reserved, 0, base)
        self._remove_range(self.reserved, (base + size) & U64_MAX, U64_MAX)

    def mem_limit_remove_map(self, limit: int) -> None:
        """Keeps the lowest `limit` bytes of memory, and nomap regions."""
        end = self._address_after(limit)
        if limit and end != U64_MAX:
            self.cap_memory_range(0, end)

    # -- how changes are made -------------------------------------------------------------------------------------

    def _reserve(self, base: int, size: int, attributes: Attributes) -> int:
        nid, flags = attributes
        self.listener.changed("reserve", base, size, 1, True, nid, flags)
        return self._add_range(self.reserved, base, size, attributes)

    def _allocated(self, nid: int | None, flags: int = 0) -> Attributes:
        """With which (node, flags) memory is reserved that was found on the node asked for; `flags` of its kind."""
        if self._marks:
            return NUMA_NO_NODE if nid is None else nid, MEMBLOCK_RSRV_KERN | flags
        return self._plain

    def _add_range(self, array: RegionArray, base: int, size: int, attributes: Attributes) -> int:
        size = min(size, U64_MAX - base)
        if not size:
            return 0
        end = base + size
        if attributes[0] == self.max_numnodes:
            attributes = None, attributes[1]
        if not array.bases:
            if array.total_size:
                self._warn_on(self.rules.add_function)
            array.total = 0
            self._insert(array, [(0, base, end)], attributes)
            return 0
        pieces = array.uncovered(base, end)
        if pieces:
            # Mostly nothing of the range is in the array, and there is room for it, in how many passes ever.
            _, start, stop = pieces[0]
            whole = stop - start == size and len(array.bases) < array.max
            if not whole:
                self._warn_about_mixture(array, pieces, end, attributes)
            if not whole and not self._fits_one_pass(array):
                count = len(pieces)
                while array.cnt + count > array.max:
                    if not self._double_array(array, base, size):
                        return -ENOMEM
                    pieces = array.uncovered(base, end)
                self._warn_about_mixture(array, pieces, end, attributes)
            self._insert(array, pieces, attributes)
        elif not self.rules.merges_when_covered:
            return 0
        if self.rules.merges_whole_array:
            array.merge_all()
        return 0

    def _insert(self, array: RegionArray, pieces: list[tuple[int, int, int]], attributes: Attributes) -> None:
        array.insert(pieces, attributes)
        if array is self.memory:
            self.forget_answers()
        elif self._gaps is not None:
            for _, start, stop in pieces:
                self._gaps.take(start, stop)

    def _remove_range(self, array: RegionArray, base: int, size: int) -> int:
        size = min(size, U64_MAX - base)
        if not size:
            return 0
        if not self._make_room_for_split(array, base, size):
            return -ENOMEM
        if array.cut(base, base + size):
            self._check_emptied(array)
            if array is self.memory:
                self.forget_answers()
            elif self._gaps is not None:
                self._gaps.give(base, base + size)
        return 0

    def _set_node(self, array: RegionArray, base: int, size: int, nid: int | None) -> int:
        nid = self._stored(nid)
        return self._set_attributes(array, base, size, lambda old: (nid, old[1]))

    def _set_flag(self, array: RegionArray, base: int, size: int, flag: int, on: bool) -> int:
        if on:
            return self._set_attributes(array, base, size, lambda old: (old[0], old[1] | flag))
        return self._set_attributes(array, base, size, lambda old: (old[0], old[1] & ~flag))

    def _set_attributes(
        self,
        array: RegionArray,
        base: int,
        size: int,
        change: Callable[[Attributes], Attributes],
    ) -> int:
        isolated = self._isolate(array, base, size)
        if isolated is None:
            return -ENOMEM
        array.change(*isolated, change)
        if array is self.memory:
            self.forget_answers()
        if self.rules.merges_whole_array:
            array.merge_all()
        return 0

    def _isolate(self, array: RegionArray, base: int, size: int) -> tuple[int, int] | None:
        size = min(size, U64_MAX - base)
        if not size:
            return 0, 0
        if not self._make_room_for_split(array, base, size):
            return None
        return array.isolate(base, base + size)

    def _make_room_for_split(self, array: RegionArray, base: int, size: int) -> bool:
        while array.cnt + 2 > array.max:
            if not self._double_array(array, base, size):
                return False
        return True

    def _fits_one_pass(self, array: RegionArray) -> bool:
        most = array.max - (self.rules.single_pass == "below half")
        return self.rules.single_pass != "never" and 2 * array.cnt + 1 <= most

    def _double_array(self, array: RegionArray, base: int, size: int) -> bool:
        """Doubles the array; its storage keeps clear of ``[base, base + size)``, which waits to be reserved."""
        if not self._can_resize:
            if self.rules.refused_growth_panics:
                raise MemblockPanic(f"memblock: cannot resize {array.name} array")
            return False
        room = array.max * 2
        old_storage, old_size = array.storage, array.storage_size(array.max)
        if self.slab_is_available:
            array.max, array.storage = room, None
            self.listener.array_growth(array.name)
            if old_storage is not None:
                self.free(old_storage, old_size)
            self.listener.array_grown()
            return True
        address = self._find_storage(array, base, size, array.storage_size(room))
        if not address:
            self.listener.message(
                f"memblock: Failed to double {array.name} array from {array.max} to {room} entries !", True
            )
            return False
        self.listener.array_growth(array.name)
        width = self.rules.printed_width
        last = address + room * array.region_size - 1
        self.listener.message(
            f"memblock: {array.name} is doubled to {room} at [{address:#0{width}x}-{last:#0{width}x}]", False
        )
        array.max, array.storage = room, address
        if old_storage is not None:
            self.free(old_storage, old_size)
        self.reserve_kern(address, array.storage_size(room))
        self.listener.array_grown()
        return True

    def _find_storage(self, array: RegionArray, base: int, size: int, new_size: int) -> int:
        if array is self.memory:
            base = size = 0
        found = self.find(base + size, self.current_limit, new_size, PAGE_SIZE)
        if not found and size:
            found = self.find(0, min(base, self.current_limit), new_size, PAGE_SIZE)
        return found

    def _address_after(self, limit: int) -> int:
        """The address below which `limit` bytes of memory lie; all ones where there are fewer."""
        for base, size, _, _ in self.memory:
            if limit <= size:
                return base + limit
            limit -= size
        return U64_MAX

    def _warn_on(self, function: str) -> None:
        self.listener.message(f"WARN_ON: {function}", True)

    def _warn_about_mixture(
        self, array: RegionArray, pieces: list[tuple[int, int, int]], end: int, attributes: Attributes
    ) -> None:
        warns = self.rules.mixture_warning
        if warns == "never":
            return
        flags_matter = warns == "always" or attributes[1] != 0
        for index, _, stop in pieces:
            if stop < end:
                _, _, (nid, flags) = array.region(index)
                for _ in range((nid != attributes[0]) + (flags_matter and flags != attributes[1])):
                    self._warn_on(self.rules.add_function)

    def _check_emptied(self, array: RegionArray) -> None:
        if not array and array.total_size:
            self._warn_on("memblock_remove_region")
