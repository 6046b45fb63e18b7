"""The ledger against a byte-by-byte model of who owns what."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from memplan.boot.ledger import Ledger, reservations
from memplan.events import Change, Region
from memplan.owner import Owner, Purpose

SPAN = 40
OWNERS = (Owner(Purpose.INITRD), Owner(Purpose.PAGE_TABLES), Owner(Purpose.NODE_DATA, 1))

operation = st.tuples(
    st.booleans(), st.integers(0, SPAN - 1), st.integers(1, SPAN), st.sampled_from(OWNERS), st.booleans()
)


def changes(operations: list[tuple[bool, int, int, Owner, bool]]) -> list[Change]:
    return [
        Change("reserve" if reserve else "free", start, start + size, "step", owner, "caller", before_srat=early)
        for reserve, start, size, owner, early in operations
    ]


@given(st.lists(operation, max_size=30))
def test_each_byte_belongs_to_its_first_reserver(operations: list[tuple[bool, int, int, Owner, bool]]) -> None:
    owners: dict[int, Change] = {}
    ledger: Ledger[Change] = Ledger()
    for change in changes(operations):
        span = range(change.start, change.end)
        if change.op == "reserve":
            ledger.reserve(change.start, change.end, change)
            owners = dict.fromkeys(span, change) | owners
        else:
            ledger.free(change.start, change.end)
            owners = {byte: holder for byte, holder in owners.items() if byte not in span}
    kept = list(ledger)
    assert {byte: holder for start, end, holder in kept for byte in range(start, end)} == owners
    assert all(start < end for start, end, _ in kept)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(kept))


@given(st.lists(operation, max_size=20), st.lists(st.integers(1, SPAN), min_size=1, max_size=6, unique=True))
def test_reservations_are_cut_at_nodes(operations: list[tuple[bool, int, int, Owner, bool]], cuts: list[int]) -> None:
    edges = sorted(cuts)
    memory = [Region(a, b, i % 3, 0) for i, (a, b) in enumerate(itertools.pairwise(edges))]
    node_of = {byte: region.nid for region in memory for byte in range(region.start, region.end)}
    for r in reservations(changes(operations), memory):
        assert {node_of.get(byte) for byte in range(r.start, r.end)} == {r.nid}


def test_neighbours_of_one_claim_are_one_reservation() -> None:
    events = [
        Change("reserve", 0x1000, 0x2000, "init_mem_mapping", OWNERS[1], "alloc_low_pages"),
        Change("reserve", 0x2000, 0x3000, "init_mem_mapping", OWNERS[1], "alloc_low_pages"),
        Change("reserve", 0x3000, 0x4000, "reserve_initrd", OWNERS[0], "relocate_initrd"),
    ]
    found = reservations(events, [Region(0, 0x10000, 0, 0)])
    assert [(r.start, r.end, r.owner) for r in found] == [(0x1000, 0x3000, OWNERS[1]), (0x3000, 0x4000, OWNERS[0])]


def test_changes_of_no_bytes_leave_nothing() -> None:
    events = [
        Change("reserve", 0x1000, 0x1000, "efi_init", OWNERS[0], "efi_memattr_init"),
        Change("reserve", 0x2000, 0x3000, "reserve_initrd", OWNERS[0], "relocate_initrd"),
        Change("free", 0x2800, 0x2800, "sparse_init", OWNERS[0], "sparse_mem_maps_populate_node"),
    ]
    found = reservations(events, [Region(0, 0x10000, 0, 0)])
    assert [(r.start, r.end) for r in found] == [(0x2000, 0x3000)]
