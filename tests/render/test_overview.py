"""The first screen: what it says, and that it fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memplan
from memplan.plan import End, Plan
from memplan.render.overview import overview
from memplan.render.spans import plain
from tests.render.plans import a_plan

ROOT = Path(__file__).parents[2]
SCREENS = Path(__file__).parent / "screens"
EXAMPLES = ("blocked-by-acpi", "hotplug-nodes", "many-cpus")


def example(name: str) -> Plan:
    return memplan.simulate(memplan.load_machine(ROOT / "examples" / f"{name}.yaml"))


def screen(plan: Plan, width: int = 80, height: int = 23, *, in_full: bool = False) -> list[str]:
    return list(plain(overview(plan, width, height, in_full=in_full)))


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_screen_looks_as_it_did_when_it_was_approved(name: str, width: int) -> None:
    approved = (SCREENS / f"{name}-{width}.txt").read_text()
    assert "\n".join(screen(example(name), width, 40)) + "\n" == approved


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize(("width", "height"), [(80, 23), (100, 29), (200, 49)])
def test_every_example_fits_the_screen(path: Path, width: int, height: int) -> None:
    lines = screen(memplan.simulate(memplan.load_machine(path)), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


@given(width=st.integers(40, 250), height=st.integers(24, 80))
def test_no_line_is_wider_than_the_screen(width: int, height: int) -> None:
    lines = screen(a_plan(), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height


def test_the_answer_stands_first() -> None:
    assert screen(example("hotplug-nodes"))[0] == "12 GiB of 16 GiB can be removed (nodes 1-3)"
    assert screen(example("blocked-by-acpi"))[0] == "Nothing of 4 GiB can be removed"


def test_a_reason_is_never_cut() -> None:
    text = " ".join(" ".join(screen(example("blocked-by-acpi"))).split())
    assert "so the kernel took the hot-plug marks off the whole node" in text


def test_what_is_left_out_is_counted_and_found() -> None:
    lines = screen(example("many-cpus"), 80, 18)
    shown = sum(line.startswith("  ") and " SRAT" in line for line in lines)
    left = next(line for line in lines if "more kinds of owners" in line)
    everything = sum(line.startswith("  ") and " SRAT" in line for line in screen(example("many-cpus"), 80, 60))
    assert shown + int(left.split()[0]) == everything
    assert left.endswith("--section reserved")


def test_sizes_are_exact_on_request() -> None:
    lines = screen(example("blocked-by-acpi"), in_full=True)
    assert any("node 0, 2096760 KiB" in line for line in lines)


def test_a_dead_boot_says_so_first() -> None:
    end = End(False, "initmem_init", "Cannot find memory\nfor node 0", "no free memory is left")
    plan = a_plan(end=end, verdicts=(), nodes=(), zones=(), movable=(), events=())
    assert screen(plan)[0] == "The boot dies in initmem_init: no free memory is left"


def test_options_that_the_kernel_does_not_know_are_said() -> None:
    machine = memplan.load_machine(ROOT / "examples" / "hotplug-nodes.yaml")
    plan = memplan.simulate(machine._replace(cmdline="movable_nodes"))
    assert plan.unheeded == ("movable_nodes is no option of Linux; movable_node is",)
    assert "boot option: movable_nodes is no option of Linux; movable_node is" in screen(plan)


@pytest.mark.parametrize("name", ["blocked-by-acpi"])
def test_the_readme_shows_the_screen_as_it_is(name: str) -> None:
    shown = "".join(f"    {line}".rstrip() + "\n" for line in screen(example(name), 80, 40))
    assert shown in (ROOT / "README.md").read_text()
