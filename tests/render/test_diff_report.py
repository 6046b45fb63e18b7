"""The report on two plans' differences, and its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema

from memplan.differences import compare
from memplan.plan import End, Plan
from memplan.render.diff import diff_report
from memplan.render.diff_json import diff_document, diff_schema
from memplan.render.json_ import document_lines
from memplan.render.table import Table, plain_lines
from memplan.units import GIB
from tests.render.plans import a_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.render.table import Block

LABELS = ("top-down", "bottom-up")


def other_plan() -> Plan:
    plan = a_plan()
    first, second = plan.reservations
    return plan._replace(
        reservations=(first, second._replace(start=second.start - GIB, end=second.end - GIB)),
        verdicts=(*plan.verdicts[:2], plan.verdicts[2]._replace(movable=False, blocks=0, reason="taken")),
        movable=(),
    )


def report(before: Plan, after: Plan, labels: tuple[str, str]) -> Iterator[Block]:
    return diff_report((before, after), compare(before, after), labels)


def test_the_summary_comes_first() -> None:
    lines = list(plain_lines(report(a_plan(), other_plan(), LABELS)))
    assert lines[:5] == [
        "removable  4G in top-down, 0 in bottom-up",
        "reserved   48M in both",
        "ranges     1 moved",
        "tables     5 pages in top-down, 5 in bottom-up",
        "verdicts   1 changed",
    ]


def test_rows_show_both_sides() -> None:
    blocks = list(report(a_plan(), other_plan(), LABELS))
    tables = {block.title: block for block in blocks if isinstance(block, Table)}
    assert tables["Reserved ranges"].rows == [
        (
            "moved",
            "memory map (node 0)",
            *("0x00017f000000", "0x00017fffffff", "0"),
            *("0x00013f000000", "0x00013fffffff", "0"),
            "16M",
        )
    ]
    assert tables["Verdicts"].rows[0][4:] == ("movable, 32 of 32 blocks", "not movable", "taken")
    assert "Zones" not in tables


def test_nothing_to_tell() -> None:
    lines = plain_lines(report(a_plan(), a_plan(), LABELS))
    assert next(lines) == "No differences between top-down and bottom-up"


def test_a_boot_that_dies_is_told_first() -> None:
    end = End(False, "initmem_init", "words", "no memory")
    lines = plain_lines(report(a_plan(), a_plan(end=end), LABELS))
    assert next(lines) == "bottom-up: the boot dies in initmem_init: no memory"


def test_long_labels_stand_above() -> None:
    lines = list(plain_lines(report(a_plan(), other_plan(), ("x" * 30, "short"))))
    assert lines[:4] == [f"first      {'x' * 30}", "second     short", "", "removable  4G in first, 0 in second"]


def test_json_has_the_same() -> None:
    text = "\n".join(document_lines(diff_document((a_plan(), other_plan()), compare(a_plan(), other_plan()), LABELS)))
    document = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(diff_schema())
    jsonschema.validate(document, diff_schema())
    assert list(document) == list(diff_schema()["properties"])
    assert (document["format"], document["version"], document["equal"]) == ("memplan diff", 1, False)
    assert document["plans"] == list(LABELS)
    assert document["movable"] == [4 * GIB, 0]
    change = document["owners"][0]
    assert (change["kind"], change["owner"]) == ("moved", "memory map (node 0)")
    assert change["before"]["start"] - change["after"]["start"] == GIB
    assert [v["after"]["movable"] for v in document["verdicts"]] == [False]
