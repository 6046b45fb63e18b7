"""Whatever a plan says that the kernel prints, the boot printed, as often and word for word."""

from collections import Counter

import pytest

from memplan.events import Message
from tests.boot import real

#: A CPU stands for the domain of a CXL window, of which the log says nothing but that there is one node more.
STAND_INS = {"cxl-window-6.1": Counter({"SRAT: PXM 2 -> APIC 0x03 -> Node 2": 1})}


@pytest.mark.parametrize("name", real.NAMES)
def test_every_line_that_is_planned_was_printed(name: str) -> None:
    planned = Counter(
        event.text.rstrip() for event in real.plan(name).events if isinstance(event, Message) and event.logged
    )
    assert planned
    assert planned - Counter(real.lines(name)) == STAND_INS.get(name, Counter())
