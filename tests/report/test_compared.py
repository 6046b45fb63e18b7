"""Pages that compare: two plans side by side, and a boot's log beside its plan."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import memplan
from memplan.differences import compare
from memplan.errors import InputError, UsageError
from memplan.report.schema import page_schema
from tests.report.pages import document, log_in, made, path_of

NODES = path_of("hotplug-nodes")
DIRECTIONS = (NODES, "--top-down", "--bottom-up")
KERNELS = (NODES, "--kernel", "3.13", "--kernel", "6.12")


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of the table with that title, by the page as it stands without a script."""
    table = text[text.index(f">{title}</h3>") :]
    body = table[: table.index("</table>")]
    return [
        re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>(<td.*?)</tr>", body, re.DOTALL)
    ]


@pytest.mark.parametrize("words", [DIRECTIONS, KERNELS])
def test_two_plans_have_one_slider_with_every_step_of_both(tmp_path: Path, words: tuple[str, ...]) -> None:
    film: dict[str, Any] = document(made(tmp_path, *words), "film")
    jsonschema.validate(film, page_schema(), cls=jsonschema.Draft202012Validator)
    moments = film["moments"]
    for number, plan in enumerate(film["plans"], 1):
        shown = [moment[number] for moment in moments]
        assert shown == sorted(shown)
        assert set(shown) - {-1} == set(range(len(plan["frames"])))
        own = [after for before, after in pairwise([["", -1, -1], *moments]) if after[number] != before[number]]
        assert [moment[0] for moment in own] == [frame["step"] for frame in plan["frames"]]


def test_moved_ranges_are_those_that_a_comparison_finds(tmp_path: Path) -> None:
    machine = memplan.load_machine(NODES)
    plans = [memplan.simulate(machine, bottom_up=up) for up in (False, True)]
    moved = []
    for change in compare(plans[0], plans[1]).owners:
        if change.before and change.after and change.before.start != change.after.start:
            moved.append([str(change.owner), change.before[:2], change.after[:2]])
    told, last = [], 0
    for owner, *numbers in document(made(tmp_path, *DIRECTIONS), "film")["moves"]:
        places = []
        for distance, size in (numbers[:2], numbers[2:]):
            places.append((last + distance, last + distance + size))
            last = places[-1][1]
        told.append([owner, *places])
    assert told == moved
    assert moved


def test_what_changes_stands_above_both_plans(tmp_path: Path) -> None:
    text = made(tmp_path, *DIRECTIONS)
    assert text.index("12 GiB can be removed with bottom-up, 8 GiB with top-down") < text.index('id="verdict"')
    assert '<b>node 3</b> <span class="word good">gained</span>' in text
    assert "memplan report" in text
    assert "--top-down --bottom-up -o " in text
    because = made(tmp_path, *KERNELS)
    assert "differs because of" in because
    assert "srat_hotplug_marks: false became true (commit a0acda917284)" in because


def test_a_page_of_one_machine_is_read_back_and_one_of_two_is_not(tmp_path: Path) -> None:
    made(tmp_path, *DIRECTIONS)
    assert memplan.load_machine(tmp_path / "made.html") == memplan.load_machine(NODES)
    made(tmp_path, NODES, path_of("blocked-by-acpi"))
    with pytest.raises(InputError, match="two different plans"):
        memplan.load_machine(tmp_path / "made.html")


def test_a_log_stands_beside_its_plan(tmp_path: Path) -> None:
    log = log_in(tmp_path, "f05-mtrr-hole")
    text = made(tmp_path, log)
    result = memplan.verify(log)
    assert f"{result.equal} of {result.total} facts in the log equal the plan, and 1 can&#39;t be told" in text
    facts = rows(text, "Facts that log and plan tell")
    assert len(facts) == result.total
    assert {row[0] for row in facts} == {"equal"}
    assert "NODE_DATA(0) allocated [mem 0x44b7f8000-0x44b7fbfff]" in text


def test_what_differs_from_the_log_is_told(tmp_path: Path) -> None:
    log = Path(log_in(tmp_path, "f05-mtrr-hole"))
    log.write_text(log.read_text().replace("DMA32    [mem 0x0000000001000000-", "DMA32    [mem 0x0000000002000000-"))
    text = made(tmp_path, str(log))
    different = [row for row in rows(text, "Facts that log and plan tell") if row[0] == "different"]
    assert [row[1] for row in different] == ["zone"]
    assert "0x0000000002000000" in different[0][3]
    assert "0x0000000001000000" in different[0][4]
    assert "likely cause: " in text


def test_a_pipe_that_nobody_writes_into_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AssertionError, match="pipe"):
        made(tmp_path, str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((NODES, NODES, NODES), "MACHINE: given 3 times"),
        ((NODES, "--boot", "2"), "is no boot log"),
        ((*DIRECTIONS, "--boot", "2"), "two plans are made of descriptions"),
        (("LOG", "--cmdline", "quiet"), "a log is compared with what booted"),
    ],
)
def test_what_can_be_no_page_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    log = log_in(tmp_path, "f05-mtrr-hole")
    with pytest.raises((AssertionError, UsageError), match=message):
        made(tmp_path, *(log if word == "LOG" else word for word in words))
    assert not (tmp_path / "made.html").exists()
