"""Options that a kernel does not heed, and those that it heeds without a handler of their own."""

import pytest

import memplan
from memplan.boot.unheeded import misspelt, of_other_kernels
from memplan.boot.unheeded import unheeded as both
from memplan.kernel.load import find_kernel
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import Machine
from tests.sweep.machines import machine


def unheeded(cmdline: str, kernel: str) -> tuple[str, ...]:
    own: Machine = machine(cmdline, nodes=2)
    return memplan.simulate(own, kernel=kernel).unheeded


def test_crashkernel_is_searched_for_where_it_has_no_handler() -> None:
    """Up to 5.13 the kernel reads it out of the command line, and keeps no handler for it."""
    options = find_kernel("debian-5.10.0-46-amd64").options
    assert options is not None
    assert "crashkernel" not in options
    assert unheeded("crashkernel=256M", "debian-5.10.0-46-amd64") == ()


def test_a_misspelt_option_and_one_of_other_kernels_are_told() -> None:
    assert unheeded("movable_nodes", "6.12") == ("movable_nodes is no option of Linux; movable_node is",)
    kernel = "debian-5.10.0-46-amd64"
    assert unheeded("reserve_mem=1M:4096:x", kernel) == (f"this kernel, {kernel}, has no option reserve_mem",)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("numas", [("numas", "numa")]),
        ("nuna", []),
        ("cmaa=1M", [("cmaa", "cma")]),
        ("mam", []),
        ("nma", []),
        ("crash-kernels=1G crash-kernels=2G", [("crash-kernels", "crashkernel")]),
        ("movable.node", []),
        ("hugepage=1 quiet swiotlbs", [("hugepage", "hugepages"), ("swiotlbs", "swiotlb")]),
        ("movable-node mem=1G", []),
        ("built_in_words", []),
        # A word that the kernel has a handler for is none of another.
        ("memmaps", []),
    ],
)
def test_words_that_are_nearly_an_option(words: str, found: list[tuple[str, str]]) -> None:
    """Of four letters at the least, with four of five in their places."""
    kernel = find_kernel("6.12")._replace(options=frozenset({"memmaps"}))
    assert [(one.name, one.meant) for one in misspelt(CommandLine(words), kernel)] == found
    texts = [f"{name} is no option of Linux; {meant} is" for name, meant in found]
    assert [one.text for one in misspelt(CommandLine(words), kernel)] == texts


def test_options_of_other_kernels() -> None:
    kernel = find_kernel("6.12")._replace(options=frozenset({"mem", "reserve_mem"}), name="own")
    words = CommandLine("mem=1G reserve-mem=1M:1:x cma=1M cma=2M crashkernel=1G nokaslr no5lvl quiet log-buf-len=1M")
    assert [(one.name, one.meant, one.text) for one in of_other_kernels(words, kernel)] == [
        ("cma", None, "this kernel, own, has no option cma"),
        ("log-buf-len", None, "this kernel, own, has no option log-buf-len"),
    ]
    assert list(of_other_kernels(words, kernel._replace(options=None))) == []
    assert [one.name for one in both(CommandLine("cmaa cma"), kernel)] == ["cmaa", "cma"]
