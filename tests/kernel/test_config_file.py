"""Kernel configurations, and values in them that no kernel can have."""

from __future__ import annotations

import pytest

from memplan.errors import InputError
from memplan.kernel.config_file import read_config


def test_values() -> None:
    config = read_config(
        "#\n# Linux/x86 6.1 Kernel Configuration\n#\nCONFIG_NUMA=y\r\nCONFIG_NODES_SHIFT=10\n# CONFIG_CMA is not set\n"
        'CONFIG_CXL_ACPI=m\nCONFIG_CMDLINE="say \\"hi\\" \\\\ é"\nCONFIG_PHYSICAL_ALIGN=0x200000\nCONFIG_EFI=n\n'
        "CONFIG_NODES_SHIFT=6\nCONFIG_FOREIGN=ten\n",
        "config",
    )
    assert config.values == {
        "NUMA": True,
        "NODES_SHIFT": 6,
        "CMDLINE": 'say "hi" \\ é',
        "PHYSICAL_ALIGN": 0x200000,
    }
    assert config.told == {
        "NUMA", "NODES_SHIFT", "CMA", "CXL_ACPI", "CMDLINE", "PHYSICAL_ALIGN", "EFI", "FOREIGN"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CONFIG_NODES_SHIFT=ten", "CONFIG_NODES_SHIFT: found 'ten', expected a number from 0 to 10"),
        ("CONFIG_NODES_SHIFT=010", "CONFIG_NODES_SHIFT: found '010', expected a number from 0 to 10"),
        ("CONFIG_NODES_SHIFT=", "CONFIG_NODES_SHIFT: found '', expected a number from 0 to 10"),
        ("CONFIG_NODES_SHIFT=-1", "CONFIG_NODES_SHIFT: found '-1', expected a number from 0 to 10"),
        ("CONFIG_NODES_SHIFT=11", "CONFIG_NODES_SHIFT: found '11', expected a number from 0 to 10"),
        ("CONFIG_NODES_SHIFT=y", "CONFIG_NODES_SHIFT: found 'y', expected a number from 0 to 10"),
        ("CONFIG_NODES_SHIFT=m", "CONFIG_NODES_SHIFT: found 'm', expected a number from 0 to 10"),
        ('CONFIG_NODES_SHIFT="6"', "CONFIG_NODES_SHIFT: found '\"6\"', expected a number from 0 to 10"),
        ("CONFIG_NR_CPUS=" + "9" * 5000, f"CONFIG_NR_CPUS: found '{'9' * 59}…, expected a number from 1 to 8192"),
        ("CONFIG_NR_CPUS=٦٤", "CONFIG_NR_CPUS: found '٦٤', expected a number from 1 to 8192"),
        ("CONFIG_NUMA=1", "CONFIG_NUMA: found '1', expected y, m or n"),
        ('CONFIG_NUMA="y"', "CONFIG_NUMA: found '\"y\"', expected y, m or n"),
        ('CONFIG_NR_CPUS="64"', "CONFIG_NR_CPUS: found '\"64\"', expected a number from 1 to 8192"),
        ("CONFIG_CMDLINE=1", "CONFIG_CMDLINE: found '1', expected text of at most 2048 characters"),
    ],
)
def test_values_that_no_kernel_can_have(line: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_config(f"CONFIG_SMP=y\n{line}\n", "config")
    assert str(error.value) == f"config:2: {message}"


def test_every_wrong_value_is_told() -> None:
    with pytest.raises(InputError) as error:
        read_config("CONFIG_NUMA=1\nCONFIG_NR_CPUS=none\n", "config")
    assert [problem.line for problem in error.value.problems] == [1, 2]


@pytest.mark.parametrize("text", ["", "NUMA: yes\n", "CONFIG_NUMA = y\n", "\0" * 100])
def test_what_is_no_configuration(text: str) -> None:
    with pytest.raises(InputError, match=r"^config: has no line like CONFIG_NUMA=y, so it is no kernel configuration$"):
        read_config(text, "config")
