"""What is asked of memblock, and how a search comes to its answer."""

from typing import Literal, NamedTuple, TypeAlias

#: Why a search passes over a free range.
Refusal: TypeAlias = Literal[
    "wrong node",
    "hot-pluggable",
    "not mirrored",
    "not mapped",
    "driver managed",
    "no scratch area",
    "below the minimum",
    "above the limit",
    "too small",
    "too small once aligned",
]


class Search(NamedTuple):
    """An allocation of `size` bytes at a multiple of `align`, within ``[start, end)``.

    An `end` of 0 is the current limit.  A `nid` of None is any node; other nodes are tried where the one asked for has
    no room, unless `exact`.  `drops_minimum`: where nothing is found, the search begins anew from address 0.
    `prefers_mirror`: mirrored memory comes first where there is any.
    """

    size: int
    align: int
    start: int = 0
    end: int = 0
    nid: int | None = None
    exact: bool = False
    drops_minimum: bool = False
    prefers_mirror: bool = True


#: One of the searches that an allocation makes until one finds a place: start, end, nid, the flags that memory must
#: have, and whether the request gives up mirrored memory with it, and says so.
Attempt: TypeAlias = tuple[int, int, int | None, int, bool]

#: One walk over the free ranges within ``[start, end)``: start, end, whether it goes downwards.  A search may make a
#: second one after one in vain.
Walk: TypeAlias = tuple[int, int, bool]


class Candidate(NamedTuple):
    """A free range ``[start, end)`` that a search looks at, of memory with `nid` and `flags`.

    `attempt` counts the searches that the request makes, from 0.  `refusal` says why the range is passed over; where it
    is None, the range is taken and the block lies at `address`, else 0.
    """

    start: int
    end: int
    nid: int | None
    flags: int
    attempt: int
    address: int
    refusal: Refusal | None
