"""A kernel's facts as they are asked for, and what its rules say in other words."""

from __future__ import annotations

import pytest

from memplan.errors import NotCoveredError
from memplan.kernel.load import find_kernel
from memplan.kernel.resolve import load_rules

KERNEL = find_kernel("lab-5.10.89")


def test_facts_are_numbers() -> None:
    own = KERNEL._replace(facts={"config.NODES_SHIFT": 6, "config.NUMA": True, "config.CMDLINE": "quiet"})
    assert own.fact("config.NODES_SHIFT") == own.config_number("NODES_SHIFT") == 6
    assert own.max_numnodes == 64
    for name in ("config.NUMA", "config.CMDLINE", "struct.page"):
        with pytest.raises(NotCoveredError, match=rf"^kernel lab-5\.10\.89: the fact {name} is not known"):
            own.fact(name)
    assert own.config("NUMA")
    assert not own.config("CMA")


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("4.18.0-348.el8.x86_64", True),
        ("3.10.0-1160.el7.x86_64", True),
        ("rhel-9", True),
        ("3.13", True),
        ("3.13.11", False),
        ("3.130", False),
        ("6.8.9-300.fc40.x86_64", False),
        ("my-rhel-9", False),
        ("5.14", False),
    ],
)
def test_kernels_that_may_be_red_hats(name: str, may: bool) -> None:
    assert KERNEL._replace(name=name).may_be_red_hats is may


@pytest.mark.parametrize(
    ("version", "windows", "below", "tells"),
    [
        # Windows for CXL memory make nodes from 5.17 on, crash kernels may lie above 896 MiB from 5.2 on, and KASLR
        # places an image by itself from 4.8 on; 3.13 has none.
        ("3.13", False, True, False),
        ("3.14", False, True, True),
        ("4.7", False, True, True),
        ("4.8", False, True, False),
        ("5.1", False, True, False),
        ("5.2", False, False, False),
        ("5.16", False, False, False),
        ("5.17", True, False, False),
        ("7.1", True, False, False),
    ],
)
def test_rules_in_other_words(version: str, windows: bool, below: bool, tells: bool) -> None:
    rules = load_rules(version)
    assert (rules.knows_cxl_windows, rules.crash_stays_below_896m, rules.kaslr_offset_tells_place) == (
        windows,
        below,
        tells,
    )
