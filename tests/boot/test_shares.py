"""Memory blocks are counted once, whatever ranges of a node meet in them."""

from hypothesis import given
from hypothesis import strategies as st

from memplan.boot.shares import Part, Share, share_blocks

BLOCK = 8


def test_a_block_in_which_two_ranges_meet_counts_as_the_hot_pluggable_one_s() -> None:
    parts = [Part(0, False, [(0, 20)]), Part(0, True, [(20, 40)])]
    assert share_blocks(parts, [(0, 8, 40)], BLOCK) == [Share(2, 1, True), Share(3, 3, False)]


def test_the_lower_of_two_alike_has_it() -> None:
    parts = [Part(0, True, [(0, 4)]), Part(0, False, [(4, 6)]), Part(0, True, [(6, 16)])]
    assert share_blocks(parts, [(0, 0, 16)], BLOCK) == [Share(1, 1, False), Share(0, 0, True), Share(1, 1, True)]


def test_nodes_count_for_themselves() -> None:
    parts = [Part(0, False, [(0, 20)]), Part(1, True, [(20, 40)])]
    assert share_blocks(parts, [(1, 24, 40)], BLOCK) == [Share(3, 0, False), Share(3, 2, False)]


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 30), st.integers(0, 10)), max_size=12))
def test_shares_add_up_to_the_blocks_of_the_node(pieces: list[tuple[int, bool, int, int]]) -> None:
    parts: list[Part] = []
    at = 0
    for nid, hotplug, size, gap in pieces:
        parts.append(Part(nid, hotplug, [(at, at + size)]))
        at += size + gap
    blocks: dict[int, set[int]] = {}
    for part in parts:
        blocks.setdefault(part.nid, set()).update(range(part.start // BLOCK, -(-part.end // BLOCK)))
    movable = {nid: {block for block in own if block % 3} for nid, own in blocks.items()}
    ranges = sorted((nid, block * BLOCK, (block + 1) * BLOCK) for nid, own in movable.items() for block in own)
    shares = share_blocks(parts, ranges, BLOCK)
    for nid, own in blocks.items():
        of_node = [share for part, share in zip(parts, shares, strict=True) if part.nid == nid]
        assert sum(share.total for share in of_node) == len(own)
        assert sum(share.movable for share in of_node) == len(movable[nid])
