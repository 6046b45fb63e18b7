"""Memory that comes after boot on the page: what the replay says of it, and nothing else."""

from __future__ import annotations

import json
import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

import memplan
from memplan.boot.replay import replay
from memplan.cli.group import group
from memplan.errors import UsageError
from memplan.hotadd.replay import hotadd
from memplan.hotadd.result import HotaddPlan
from memplan.hotadd.scenario import load_scenario
from memplan.kernel.load import kernel_of
from memplan.render.hotadd_json import hotadd_document
from memplan.report.schema import page_schema
from tests.report.pages import document, made, path_of

HOTADD = Path(path_of("annotated")).parent / "hotadd"
GUEST, DIMMS = str(HOTADD / "small-guest.yaml"), str(HOTADD / "five-dimms.yaml")
#: Taken away, added again in the same place, and put into a node that has nothing at boot.
COMINGS = ("--add", "1G@node1", "--offline", "d0:0-3", "--remove", "d0", "--add", "512M@node1", "--add", "1G@node2")


@cache
def replayed() -> HotaddPlan:
    machine = memplan.load_machine(GUEST)
    kernel = kernel_of(machine.kernel)
    return hotadd(machine, kernel, replay(machine, kernel), load_scenario(DIMMS))


def text_of(html: str) -> str:
    """The text of a piece of the page, on one line."""
    return " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())


def cards(page: str) -> list[str]:
    """The text of each DIMM's card."""
    section = page[page.index('id="added"') : page.index('id="boot"')]
    return [text_of(card.partition("</li>")[0]) for card in section.split('<li class="answer">')[1:]]


def ranges(flat: list[Any]) -> list[tuple[int, int, int]]:
    """Start, end and claim of the rows that a step after boot leaves."""
    found, last = [], 0
    for at in range(0, len(flat), 3):
        start = last + flat[at]
        last = start + flat[at + 1]
        found.append((start, last, flat[at + 2]))
    return found


def test_each_dimm_has_its_fate_and_the_reasons(tmp_path: Path) -> None:
    page = made(tmp_path, GUEST, "--scenario", DIMMS)
    found = cards(page)
    assert len(found) == len(replayed().dimms) == 5
    for card, dimm in zip(found, replayed().dimms, strict=True):
        assert card.startswith(f"{dimm.name} , 4G on node 0")
        assert dimm.node_why in card
        assert all(reason.why in card for reason in dimm.zone_why)
        assert dimm.map_place in card
        assert ("goes again" in card) == dimm.accepted
        assert not dimm.accepted or f"{dimm.removal}: {dimm.removal_why}" in card
    assert ["there, can go again" in card for card in found] == [True, True, True, False, False]
    assert "at risk" in found[3]
    assert "refused its memory map takes 64M" in found[4]
    assert "the kernel says vmemmap alloc failure: order:9" in found[4]
    for warning in replayed().warnings:
        assert warning in text_of(page)
    assert f"memplan report {GUEST} --scenario {DIMMS} -o" in text_of(page)


@pytest.mark.parametrize(
    ("words", "tone"),
    [
        (("--scenario", DIMMS), "bad"),
        (("--add", "1G", "--remove", "d0"), ""),
        (("--add", "1G"), "good"),
        (("--add", "1G", "--offline", "d0", "--online", "kernel:d0"), ""),
    ],
)
def test_the_headline_has_the_tone_of_what_became_of_the_dimms(
    words: tuple[str, ...], tone: str, tmp_path: Path
) -> None:
    page = made(tmp_path, GUEST, *words)
    assert f'<h2 id="added-1" class="headline {tone}">' in page


def test_what_the_ratio_leaves_is_told(tmp_path: Path) -> None:
    options = "movable_node memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=100"
    steps = ("--add", "1G@node0", "--online", "d0")
    page = made(tmp_path, GUEST, *steps, "--cmdline", options)
    asked = ["hotadd", GUEST, *steps, "--cmdline", options]
    printed = CliRunner().invoke(group, asked, standalone_mode=False).stdout
    ratios = [line.split(maxsplit=1)[1] for line in printed.splitlines() if line.strip().startswith("ratio ")]
    assert f"ratio then {ratios[0]}" in cards(page)[0]
    assert f"ratio in the end: {ratios[-1]}" in text_of(page)


def test_the_page_holds_the_replay_and_a_longer_film(tmp_path: Path) -> None:
    page = made(tmp_path, GUEST, "--scenario", DIMMS)
    assert document(page, "hotadd-1") == json.loads(json.dumps(hotadd_document(replayed())))
    film = document(page, "film")
    jsonschema.validate(film, page_schema(), cls=jsonschema.Draft202012Validator)
    frames = len(film["plans"][0]["frames"])
    assert film["moments"][frames:] == [[f"after-{number}", frames + number] for number in range(5)]
    assert len(page) < 300_000


def test_the_map_shows_the_blocks_after_each_step(tmp_path: Path) -> None:
    page = made(tmp_path, path_of("hotplug-nodes"), *COMINGS)
    plan = document(page, "film")["plans"][0]
    boot = {node["node"] for node in plan["nodes"]}
    seen = []
    for step, known in zip(plan["after"], document(page, "hotadd-1")["steps"], strict=True):
        blocks: dict[int, str] = {}
        for start, end, claim in ranges(step["held"]):
            owner, family, _ = plan["owners"][plan["claims"][claim][0]]
            assert start % plan["block_size"] == end % plan["block_size"] == 0
            for number in range(start // plan["block_size"], end // plan["block_size"]):
                blocks[number] = owner
            seen.append((step["step"], owner, document(page, "film")["families"][family][0]))
        # This machine's own memory ends below 17 GiB, and all of it stays on-line.
        shown = {
            number: "off-line" if row["state"] == "offline" else f"on-line in {row['zones'][0]}"
            for row in known["blocks"]
            for number in range(row["first"], row["last"] + 1)
            if number >= (17 << 30) // plan["block_size"]
        }
        assert {number: owner.partition(", ")[2] for number, owner in blocks.items()} == shown
    assert seen == [
        ("after-0", "d0, on-line in Movable", "added, movable"),
        ("after-1", "d0, off-line", "added, off-line"),
        ("after-1", "d0, on-line in Movable", "added, movable"),
        ("after-3", "d1, on-line in Movable", "added, movable"),
        ("after-4", "d1, on-line in Movable", "added, movable"),
        ("after-4", "d2, on-line in Movable", "added, movable"),
    ]
    assert {own["node"] for own in plan["added"]} == {1, 2}
    assert boot == {0, 1, 2, 3}


def test_what_the_boot_brought_and_is_off_line_is_shown(tmp_path: Path) -> None:
    page = made(tmp_path, path_of("hotplug-nodes"), "--offline", "40", "--offline", "41")
    plan = document(page, "film")["plans"][0]
    [(start, end, claim)] = ranges(plan["after"][1]["held"])
    assert (start // plan["block_size"], end // plan["block_size"]) == (40, 42)
    assert plan["owners"][plan["claims"][claim][0]][0] == "memory of the boot, off-line"


def test_two_plans_tell_what_differs_after_boot(tmp_path: Path) -> None:
    words = ("--append", "memory_hotplug.memmap_on_memory=1")
    page = made(tmp_path, GUEST, "--scenario", DIMMS, *words)
    answer = text_of(page[page.index('id="lead"') : page.index('id="verdict"')])
    assert "added memory differs as described: 12G of added memory is there in the end: d0-d2" in answer
    assert f"{words[1]}: 20G of added memory is there in the end: d0-d4" in answer
    assert document(page, "hotadd-2") != document(page, "hotadd-1")


def test_a_page_with_added_memory_is_read_back(tmp_path: Path) -> None:
    made(tmp_path, GUEST, "--scenario", DIMMS)
    answers = [
        CliRunner().invoke(group, ["hotadd", path, "--scenario", DIMMS, "--format", "json"], standalone_mode=False)
        for path in (GUEST, str(tmp_path / "made.html"))
    ]
    assert answers[0].stdout == answers[1].stdout != ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((path_of("annotated"), "--remove", "d0"), "there is no d0|d0"),
        ((path_of("annotated"), "--add", "a lot"), "--add: "),
    ],
)
def test_steps_that_can_not_be_are_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises((AssertionError, UsageError), match=message):
        made(tmp_path, *words)


def test_a_page_without_steps_tells_nothing_of_them(tmp_path: Path) -> None:
    page = made(tmp_path, path_of("annotated"))
    assert 'id="added"' not in page
    assert document(page, "film")["plans"][0]["after"] == []
