"""What is not replayed is named by the plan, in every format, and nothing else is."""

import json

import pytest
from click.testing import CliRunner

import memplan
from memplan.boot.limits import LIMITS, option_limits
from memplan.cli.group import group
from memplan.machine.model import E820Entry, KernelImage, Machine
from memplan.plan import Plan
from memplan.render.json_ import plan_lines
from memplan.render.report import plan_report
from memplan.render.table import plain_lines
from memplan.render.trace import trace_lines

MACHINE = Machine(
    e820=(E820Entry(0, 0x9FC00), E820Entry(1 << 20, 1 << 31)),
    kernel=KernelImage("debian-6.12.107+deb12-amd64"),
)


def planned(cmdline: str) -> Plan:
    return memplan.simulate(MACHINE._replace(cmdline=cmdline))


@pytest.mark.parametrize(
    "word", ["slub_debug", "slub_debug=U", "slab_debug=FZu,kmalloc-64", "add_efi_memmap", "mem_encrypt=on", "memtest=4"]
)
def test_an_option_that_is_not_replayed_is_named(word: str) -> None:
    (text,) = planned(f"movable_node {word} quiet").limits
    assert text.startswith(f"{word}: ")


@pytest.mark.parametrize("cmdline", ["", "slub_debug=FZ", "page_owner=off", "mem_encrypt=off", "efi=debug", "quiet"])
def test_what_is_replayed_or_takes_nothing_is_not(cmdline: str) -> None:
    assert planned(cmdline).limits == ()


def test_an_option_that_the_kernel_lacks_does_nothing() -> None:
    assert planned("efi_fake_mem=1G@4G:0x40000").limits == ()


def test_xen_is_named() -> None:
    (text,) = memplan.simulate(MACHINE._replace(hypervisor="xen")).limits
    assert text.startswith("Xen: ")


def test_every_format_names_it() -> None:
    plan = planned("slub_debug=U")
    (text,) = plan.limits
    assert json.loads("\n".join(plan_lines(plan)))["not_modelled"] == [text]
    assert next(trace_lines(plan)) == f"# not modelled: {text}"
    assert f"not modelled  {text}" in [line.strip() for line in plain_lines(plan_report(plan, verbose=False))]


def test_the_command_lists_all() -> None:
    result = CliRunner().invoke(group, ["limits"])
    assert result.exit_code == 0
    assert all(limit.what in result.output for limit in LIMITS)
    assert all(word in result.output for word in option_limits())
