"""Values of a description that contradict each other, or lie beyond what their field can hold."""

from __future__ import annotations

import pytest

from memplan.errors import InputError
from memplan.machine import document
from memplan.machine.load import parse_machine

RAM = "e820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 1G}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e820:\n- {start: 0, size: 640K, end: 0x9ffff}\n", "expected either end or size, found both"),
        ("e820:\n- {start: 0, base: 0, size: 640K}\n", "start says this already, expected only one of them"),
        (f"{RAM}acpi: {{slit: [[10, 20], [20]]}}\n", "a row has 1 distances, there are 2 rows"),
        (
            f"{RAM}efi: {{descriptors: [{{start: 0, size: 4K, type: 4294967296}}]}}\n",
            "m:4:48: efi.descriptors[0].type: found '4294967296', expected an EFI memory type",
        ),
        (f"{RAM}cpus:\n\t possible: 3\n", "found a tab (indent with blanks)"),
        (f"{RAM}kernel: 'a\u200bb'\n", "m:4:9"),
        ("<p>\n", "m:1:"),
        ("Linux version 6.1: x\n- y\n", "memplan import makes a description of a boot log"),
    ],
)
def test_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_machine(text.encode(), "m")
    assert message in str(error.value)


def test_values_beyond_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_MOST_VALUES", 10)
    parse_machine("e820:\n- {start: 0, size: 640K}\n- {start: 1M, size: 1G}\n", "m")
    with pytest.raises(InputError, match=r"^m:4:\d+: more than 10 values$"):
        parse_machine(RAM + "- {start: 4G, size: 1G}\n- {start: 8G, size: 1G}\n", "m")
