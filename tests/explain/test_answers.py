"""What is answered about addresses, nodes, owners and steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

import memplan
from memplan.errors import UsageError
from memplan.explain.answers import Subject, answer, subject_of
from memplan.explain.keys import key_lines
from memplan.owner import Purpose
from memplan.render.explain import answer_lines
from memplan.render.explain_json import answer_document, explain_schema

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Lines that are never broken: ranges, and the rows of a search.
_TABULAR = re.compile(r" *(\[mem 0x|try  free|\d+  0x)")


def subject(name: str, append: str = "", kernel: str | None = None) -> Subject:
    machine = memplan.load_machine(EXAMPLES / f"{name}.yaml")
    return subject_of(machine._replace(cmdline=f"{machine.cmdline} {append}".strip()), kernel)


@pytest.fixture(scope="module")
def blocked() -> Subject:
    return subject("blocked-by-acpi")


def test_every_byte_of_every_reservation_names_its_owner(blocked: Subject) -> None:
    for held in blocked.plan.reservations:
        for address in (held.start, held.end - 1):
            found = answer(blocked, hex(address))
            assert (found.owner, found.step, found.nid) == (held.owner, held.step, held.nid)
            assert found.range == (held.start, held.end)


def test_an_allocation_shows_its_request_and_its_search(blocked: Subject) -> None:
    node_data = next(r for r in blocked.plan.reservations if r.owner.kind is Purpose.NODE_DATA and r.nid == 0)
    found = answer(blocked, hex(node_data.start))
    assert found.request is not None
    assert found.request.nid == 0
    reasons = [candidate.refusal for candidate in found.candidates]
    assert reasons == ["wrong node", "wrong node", None]
    assert found.candidates[-1].address == node_data.start


def test_free_memory_and_holes_say_so(blocked: Subject) -> None:
    free = answer(blocked, "0x100000000")
    assert free.nid == 1
    assert "nobody has 0x100000000" in free.answer
    assert "took the hot-plug marks off" in free.answer
    assert "no memory of any node" in answer(blocked, "0xffff0000").answer


def test_a_blocked_node_names_who_blocks_it_and_what_would_move_it(blocked: Subject) -> None:
    found = answer(blocked, "node1")
    assert found.answer == "node 1 can't be removed"
    assert {part.owner.kind for part in found.parts if part.owner} == {Purpose.INITRD, Purpose.ACPI_TABLE}
    assert all("what would move it" in part.details[0] for part in found.parts)


def test_a_movable_node_says_that_it_can_go() -> None:
    found = answer(subject("hotplug-nodes"), "node 2")
    assert found.answer == "node 2 can be removed: all its 32 memory blocks can go off-line"


def test_memory_that_is_not_hot_pluggable_names_who_holds_its_last_block() -> None:
    found = answer(subject("many-cpus"), "node3")
    (holders,) = [
        line for line in found.details if line.startswith("its last memory block, from 0x238000000 on, is held by")
    ]
    assert {"memory map (node 3)", "percpu", "NODE_DATA(3)"} <= set(holders.split("held by ")[1].split(", "))


def test_an_owner_lists_all_its_places(blocked: Subject) -> None:
    found = answer(blocked, "memory map")
    held = [r for r in blocked.plan.reservations if r.owner.kind is Purpose.MEMORY_MAP]
    assert [part.range for part in found.parts] == [(r.start, r.end) for r in held]
    assert answer(blocked, "node_data").answer.startswith("node_data: 344 KiB in 2 places on nodes 0, 1")


def test_where_a_crash_kernel_would_land_and_what_the_kernel_says() -> None:
    found = answer(subject("crash-kernel-high", "crashkernel=2G"), "crash kernel")
    kinds = {part.owner.kind for part in found.parts if part.owner}
    assert Purpose.CRASH_KERNEL in kinds
    assert any("the kernel says: crashkernel" in line for line in found.details)


def test_a_request_without_room_shows_all_that_was_refused() -> None:
    found = answer(subject("blocked-by-acpi", "crashkernel=64G"), "crash kernel")
    refused = [part for part in found.parts if part.range is None]
    assert refused
    assert all(candidate.refusal for part in refused for candidate in part.candidates)


def test_a_step_says_what_it_does_and_what_it_did(blocked: Subject) -> None:
    found = answer(blocked, "early_reserve_initrd")
    assert found.answer.startswith("early_reserve_initrd (")
    assert [part.owner.kind for part in found.parts if part.owner] == [Purpose.INITRD]
    gone = answer(subject("blocked-by-acpi", kernel="3.13"), "reserve_low_pages")
    assert gone.answer == "Linux 3.13 has no reserve_low_pages"


@pytest.mark.parametrize("question", ["nodde", "node9", "", "crash kernell", "0x", "node" + "9" * 5000])
def test_other_subjects_are_refused(blocked: Subject, question: str) -> None:
    with pytest.raises(UsageError):
        answer(blocked, question)


@pytest.mark.parametrize("question", ["0x13ffd5000", "node1", "memory map", "initmem_init", "percpu"])
def test_json_follows_its_schema(blocked: Subject, question: str) -> None:
    document = json.loads(json.dumps(answer_document(answer(blocked, question), blocked.plan)))
    jsonschema.validate(document, explain_schema())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_text_is_wrapped_between_words(blocked: Subject, width: int) -> None:
    for question in ("0x13ffd5000", "node1", "initmem_init"):
        lines = answer_lines(answer(blocked, question), blocked.plan, width=width)
        assert max(len(line) for line in lines if not _TABULAR.match(line)) <= width


def test_keys_of_the_description_are_explained() -> None:
    assert "usable" in "\n".join(key_lines("e820.type"))
    assert any(line.split()[:1] == ["hotplug"] for line in key_lines("srat.memory[2]"))
    with pytest.raises(UsageError, match=r"no key 'memry' under srat; did you mean memory\?"):
        list(key_lines("srat.memry"))


def test_what_would_move_it_is_said_of_what_is_in_the_way_alone(blocked: Subject) -> None:
    def moving(kind: Purpose, nid: int) -> str:
        held = next(r for r in blocked.plan.reservations if r.owner.kind is kind and r.nid == nid)
        return answer(blocked, hex(held.start)).details[-1]

    assert moving(Purpose.INITRD, 1) == "what would move it: let the boot loader put the initrd into a node that stays"
    assert "has lost its hot-plug marks" in moving(Purpose.NODE_DATA, 1)
    assert "mark the node hot-pluggable in the SRAT" in moving(Purpose.NODE_DATA, 0)
    assert moving(Purpose.KERNEL_IMAGE, 0).startswith("nothing need move it")


def test_an_owner_that_this_boot_has_not() -> None:
    about = subject("hotplug-nodes")
    found = answer(about, "crash kernel")
    assert found.answer == "nothing is reserved for crash kernel in this boot"
    assert found.parts == ()


def test_a_place_that_no_event_reserved() -> None:
    """What lies outside the events that a plan keeps is answered by the reservation alone."""
    about = subject("hotplug-nodes")
    bare = about._replace(plan=about.plan._replace(events=()))
    held = about.plan.reservations[0]
    found = answer(bare, hex(held.start))
    assert (found.owner, found.range, found.request) == (held.owner, (held.start, held.end), None)


def test_a_node_of_which_a_part_can_go() -> None:
    machine = memplan.load_machine(EXAMPLES / "hotplug-nodes.yaml")._replace(cmdline="kernelcore=10G")
    about = subject_of(machine, None)
    parts = [verdict for verdict in about.plan.verdicts if 0 < verdict.blocks < verdict.total_blocks]
    assert parts
    found = answer(about, f"node {parts[0].nid}")
    assert found.answer.startswith(f"node {parts[0].nid} can be removed in part: ")
    free = about.plan._replace(reservations=())
    assert not any("last memory block" in text for text in answer(about._replace(plan=free), found.subject).details)
