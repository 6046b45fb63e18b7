"""Strips and maps: each byte of a node once, each cell used, each letter explained."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.hotadd.replay import hotadd
from memplan.hotadd.scenario import Offline, Scenario, parse_add, parse_online, parse_targets
from memplan.kernel.load import kernel_of
from memplan.machine.options import with_cmdline
from memplan.owner import Owner, Purpose
from memplan.render.families import Family, family_of
from memplan.render.map_svg import map_svg
from memplan.render.map_text import map_lines
from memplan.render.spans import plain
from memplan.render.strip import Free, Piece, added_pieces, pieces, strips
from tests.render.plans import a_plan

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
HOTPLUG = Path(__file__).parents[2] / "examples" / "hotplug-nodes.yaml"
SVG = "{http://www.w3.org/2000/svg}"


def test_families_have_letters_of_their_own() -> None:
    letters = [each.letter for each in (*Family, *Free)]
    assert len(set(letters)) == len(letters)
    assert len({family.colour for family in Family}) == len(Family)


def test_owners_are_put_where_people_look_for_them() -> None:
    assert family_of(Owner(Purpose.ACPI_TABLE, detail="SRAT")) is Family.FIRMWARE
    assert family_of(Owner(Purpose.PAGE_TABLES)) is Family.PAGE_TABLES
    assert family_of(Owner(Purpose.HUGETLB_CMA, 1)) is Family.CMA
    percpu = {family_of(Owner(kind)) for kind in Purpose if kind.name.startswith("PERCPU")}
    assert percpu == {Family.PERCPU}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_pieces_cover_a_node_without_gap_and_overlap(path: Path) -> None:
    plan = memplan.simulate(memplan.load_machine(path))
    for node in plan.nodes:
        if not node.ranges:
            continue
        found = pieces(plan, node.nid)
        assert all(one.end == other.start for one, other in pairwise(found))
        assert sum(piece.size for piece in found if piece.content is not Free.HOLE) == node.memory
        reserved = sum(r.end - r.start for r in plan.reservations if r.nid == node.nid)
        assert sum(piece.size for piece in found if isinstance(piece.content, Family)) == reserved
        removable = sum(end - start for nid, start, end in plan.movable if nid == node.nid)
        assert sum(piece.size for piece in found if piece.content is Free.MOVABLE) <= removable


@given(width=st.integers(16, 300))
def test_each_strip_has_its_width(width: int) -> None:
    for strip in strips(a_plan(), width):
        assert sum(strip.cells) == width
        assert min(strip.cells) >= 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_legend_explains_each_letter(path: Path) -> None:
    lines = list(plain(map_lines(memplan.simulate(memplan.load_machine(path)), 80)))
    last = len(lines) - 1 - lines[::-1].index("")
    drawn = {letter for line in lines[:last] if line.startswith("  ") for letter in line if letter not in " ^"}
    explained = {word.strip()[0] for line in lines[last + 1 :] for word in line.split("  ") if word.strip()}
    assert drawn <= explained
    assert max(map(len, lines)) <= 80


def test_the_picture_is_svg_that_names_everything() -> None:
    plan = a_plan(machine_name="</title><script>alert(1)</script>")
    document = ET.fromstring("\n".join(map_svg(plan)))
    assert document.tag == f"{SVG}svg"
    assert document.find(f"{SVG}title") is not None
    assert not list(document.iter(f"{SVG}script"))
    groups = document.findall(f"{SVG}g")
    assert len(groups) == sum(bool(node.ranges) for node in plan.nodes)
    for group in groups:
        bars = [bar for bar in group.findall(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
        assert sum(int(bar.attrib["width"]) for bar in bars) == 928


def test_the_readme_shows_what_the_map_draws() -> None:
    plan = memplan.simulate(memplan.load_machine(EXAMPLES[0].parent / "blocked-by-acpi.yaml"))
    picture = EXAMPLES[0].with_name("blocked-by-acpi.svg").read_text()
    assert "\n".join(map_svg(plan)) + "\n" == picture


def test_added_memory_is_drawn_where_it_lies() -> None:
    machine = memplan.load_machine(HOTPLUG)
    machine = with_cmdline(machine, None, ("memhp_default_state=online",))
    kernel = kernel_of(machine.kernel)
    plan = memplan.simulate(machine)
    steps = (parse_add("1G@node1"), parse_add("256M@node0"), Offline(parse_targets("d0:2")))
    added = hotadd(machine, kernel, plan, Scenario((*steps, parse_online("kernel:d0:3"), Offline(parse_targets("d1")))))
    assert added_pieces(added) == {
        1: [
            Piece(0x440000000, 0x450000000, Free.ADDED_MOVABLE, False),
            Piece(0x450000000, 0x458000000, Free.ADDED_OFFLINE, False),
            Piece(0x458000000, 0x480000000, Free.ADDED_MOVABLE, False),
        ],
        0: [Piece(0x480000000, 0x490000000, Free.ADDED_OFFLINE, False)],
    }
    for width in (20, 98, 200):
        for strip in strips(plan, width, added):
            assert sum(strip.cells) == width
            assert all(one.end == other.start for one, other in pairwise(strip.pieces))
    text = "\n".join(plain(map_lines(plan, 100, added)))
    assert "+ added, movable" in text
    assert "_ added, off-line" in text
    assert "node 1  5 GiB  0x000140000000-0x00047fffffff" in text
    assert "added, movable: 640 MiB, 0x458000000-0x47fffffff" in "\n".join(map_svg(plan, added))
