"""The hand-over to the page allocator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("mm/memblock.c")
def memblock_free_all(boot: Boot) -> None:
    """The hand-over: the arrays, as they then are, tell what stays reserved (3.13: free_all_bootmem).

    From 6.5 on reserved regions first get the node that their memory has, in some versions with what lies beyond it.
    """
    boot.memblock.set_reserved_nodes()
    boot.recorder.checkpoint("memblock_free_all", boot.memblock, dumped=False)
