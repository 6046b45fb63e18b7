"""The JSON output: valid by its schema, complete, and as the formats' readers need it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from memplan.events import Call, Refused, Request
from memplan.owner import Owner, Purpose
from memplan.plan import Blocker, End, Plan, Remedy
from memplan.render.plan_json import plan_lines, plan_schema
from memplan.units import GIB, MIB
from tests.render.plans import VERSIONS, a_plan, log_plan


def written(plan: Plan) -> Any:
    return json.loads("\n".join(plan_lines(plan)))


def dead_plan() -> Plan:
    return a_plan(
        end=End(False, "initmem_init", "words", "cause"),
        events=(Refused(Request(Call.TRY_NID, 1, 64), "initmem_init", Owner(Purpose.NODE_DATA, 0), "asker"),),
        verdicts=(),
        movable=(),
        zones=(),
        nodes=(),
    )


@pytest.mark.parametrize("plan", [a_plan(), dead_plan(), *map(log_plan, VERSIONS)])
def test_is_valid_by_its_schema(plan: Plan) -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written(plan), schema)


def test_the_schema_names_every_member() -> None:
    schema = plan_schema()

    def names(value: Any, known: Any, path: str) -> None:
        known = schema["$defs"][known["$ref"].rsplit("/")[-1]] if "$ref" in known else known
        known = next((k for k in known.get("anyOf", ()) if value is not None), known)
        if "$ref" in known:
            names(value, known, path)
        elif isinstance(value, dict):
            assert set(value) == set(known["properties"]), path
            for name, member in value.items():
                names(member, known["properties"][name], f"{path}.{name}")
        elif isinstance(value, list):
            for element in value:
                names(element, known["items"], f"{path}[]")

    for plan in (a_plan(), dead_plan(), log_plan("6.12")):
        names(written(plan), schema, "plan")


def test_ranges_are_inclusive_and_their_size_stands_beside() -> None:
    document = written(a_plan())
    assert document["movable"] == [{"node": 1, "start": 6 * GIB, "end": 10 * GIB - 1, "size": 4 * GIB}]
    assert document["reservations"][0] == {
        "start": 16 * MIB,
        "end": 48 * MIB - 1,
        "size": 32 * MIB,
        "node": 0,
        "owner": "kernel image",
        "step": "reserve_kernel_image",
        "before_srat": True,
    }


def test_a_run_is_one_event_with_its_count() -> None:
    events = written(a_plan())["events"]
    assert [(event["op"], event["owner"], event["count"], event["size"]) for event in events] == [
        ("reserve", "kernel image", 1, 32 * MIB),
        ("reserve", "memory map (node 0)", 8, 16 * MIB),
    ]


def test_messages_and_checkpoints_know_their_place_among_the_events() -> None:
    assert [(m["event"], m["text"]) for m in written(a_plan())["messages"]] == [(1, "a word of warning")]
    document = written(log_plan("5.10"))
    first, second = document["checkpoints"]
    assert document["events"][first["event"] - 1]["caller"] == "e820__memblock_setup"
    assert second["memory_size"] == 0x23FF7EC00
    assert [region["node"] for region in second["memory"]] == [0, 0, 0, 1]
    assert sum(region["size"] for region in second["reserved"]) == second["reserved_size"] == 0xE8EBD4


def test_what_is_blocked_stands_there_with_its_blockers() -> None:
    plan = a_plan()
    blocker = Blocker(
        6 * GIB, 6 * GIB + 4096, Owner(Purpose.ACPI_TABLE, detail="SRAT"), "acpi_boot_table_init", Remedy("move it")
    )
    verdict = plan.verdicts[2]._replace(movable=False, start_pfn=None, blocks=0, reason="taken", blockers=(blocker,))
    blocked = written(plan._replace(verdicts=(verdict,)))["blocked"]
    assert blocked == [
        {
            "node": 1,
            "start": 6 * GIB,
            "end": 10 * GIB - 1,
            "size": 4 * GIB,
            "hotplug": True,
            "reason": "taken",
            "blockers": [
                {
                    "start": 6 * GIB,
                    "end": 6 * GIB + 4095,
                    "size": 4096,
                    "owner": "ACPI SRAT",
                    "step": "acpi_boot_table_init",
                    "remedy": "move it",
                }
            ],
        }
    ]
