"""What is expected of a machine and does not hold is told with why: the plan's reason, or that there is no plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from memplan.checks.expectations import read_expectations
from memplan.checks.run import Options, check_input
from memplan.firmware.acpi_encode import encode_srat
from memplan.machine.load import load_machine
from memplan.machine.places import Place

NODES = Path(__file__).parents[2] / "examples" / "hotplug-nodes.yaml"
#: A machine of 3.13 that dies before it has a zone.
DIES = (
    "kernel: 3.13\ncmdline: memmap=exactmap memmap=640K@0\ne820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 1G}\n"
)


def found(path: Path, *expected: str, **options: object) -> dict[str, str]:
    """The findings on expectations, by their rules."""
    wanted = tuple(own for text in expected for own in read_expectations(text, Place("")))
    own = Options(expectations=wanted, **options)  # type: ignore[arg-type]
    report = check_input(str(path), own)
    return {finding.rule: finding.message for finding in report.findings if finding.rule.startswith("MP9")}


@pytest.mark.parametrize(
    ("expected", "rule", "why"),
    [
        (
            "movable:node9",
            "MP901",
            "no memory in a node of that number, only in node 0, node 1, node 2, node 3",
        ),
        ("movable:node0", "MP901", "the SRAT does not mark it hot-pluggable"),
        ("crashkernel", "MP902", "the boot options have no crashkernel="),
        ("dimm:100M@node1", "MP903", "its size 100M is no multiple of a memory block (128M)"),
        ("dimm:1G@node9", "MP903", "it goes to node 0: the SRAT does not know domain 9"),
    ],
)
def test_what_does_not_hold_is_told_with_its_reason(expected: str, rule: str, why: str) -> None:
    told = found(NODES, expected)
    assert list(told) == [rule]
    assert why in told[rule]


def test_what_holds_is_not_told() -> None:
    assert found(NODES, "movable:node1,node2", "dimm:1G@node1") == {}
    assert found(NODES, "crashkernel", append=("crashkernel=256M",)) == {}


def test_an_option_that_gets_nothing_is_quoted() -> None:
    told = found(NODES, "crashkernel", append=("crashkernel=900G",))
    assert "crashkernel=900G is for nothing, or for more than the machine has" in told["MP902"]


def test_without_a_map_there_is_no_plan_to_ask(tmp_path: Path) -> None:
    srat = load_machine(NODES).srat
    assert srat is not None
    (tmp_path / "SRAT.aml").write_bytes(encode_srat(srat))
    told = found(tmp_path / "SRAT.aml", "movable:node1", "crashkernel", "dimm:1G@node1")
    assert set(told) == {"MP901", "MP902", "MP903"}
    assert all(text.endswith("the input has no memory map, so its boot can't be replayed") for text in told.values())


def test_a_boot_that_dies_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(DIES)
    told = found(tmp_path / "m.yaml", "movable:node0", "crashkernel", "dimm:1G@node0")
    assert set(told) == {"MP901", "MP902", "MP903"}
    assert all("the boot dies in " in text for text in told.values())
