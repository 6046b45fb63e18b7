"""What memory is for: a value, whose text is made at the edge."""

import pickle

from memplan.boot.remedies import sentence
from memplan.machine.cmdline import CommandLine
from memplan.owner import Mover, Owner, Purpose


def test_text_names_the_node_and_the_detail_where_they_belong() -> None:
    assert str(Owner(Purpose.NODE_DATA, 3)) == "NODE_DATA(3)"
    assert str(Owner(Purpose.ACPI_TABLE, detail="SRAT")) == "ACPI SRAT"
    assert str(Owner(Purpose.WAIT_TABLE, 1, "DMA32")) == "wait table of node 1, DMA32"
    assert str(Owner(Purpose.INITRD)) == str(Purpose.INITRD) == "initrd"


def test_no_two_purposes_have_one_text() -> None:
    texts = [str(Owner(kind, 1, "word")) for kind in Purpose]
    assert len(set(texts)) == len(texts)


def test_owners_are_values() -> None:
    assert Owner.of(Purpose.BRK) == Owner(Purpose.BRK) == pickle.loads(pickle.dumps(Owner(Purpose.BRK)))
    assert len({Owner(Purpose.CMA), Owner(Purpose.HUGETLB_CMA, 0), Owner(Purpose.HUGETLB_CMA, 0)}) == 2


def test_who_can_move_what() -> None:
    movers = {kind: kind.mover for kind in (Purpose.ACPI_TABLE, Purpose.INITRD, Purpose.CMA, Purpose.NODE_DATA)}
    assert list(movers.values()) == [Mover.FIRMWARE, Mover.LOADER, Mover.OPTION, Mover.SRAT]


def test_hot_plug_marks_are_no_remedy_for_what_firmware_and_loader_place() -> None:
    for kind in Purpose:
        if kind.mover in (Mover.FIRMWARE, Mover.LOADER):
            assert "SRAT" not in sentence(Owner(kind, 0, "TPM event log"), CommandLine(""), marked=False), kind
