"""Options that a kernel does not heed, and those that it heeds without a handler of their own."""

import memplan
from memplan.kernel.load import find_kernel
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
