"""Made-up rules and machines, for tests of what goes on around the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memplan.checks import config
from memplan.checks.model import CheckRule, Found, Subject

MACHINE = """\
cmdline: quiet
e820:
- BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
- BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable
srat:
  memory:
  - {pxm: 0, base: 0, length: 1G}
  - {pxm: 7, base: 1G, length: 0}  # nothing
  cpus:
  - {apic_id: 0, pxm: 0}
"""


def empty_ranges(subject: Subject) -> Iterator[Found]:
    """A rule about the SRAT: ranges of no length."""
    assert subject.srat is not None
    for index, affinity in enumerate(subject.srat.memory):
        if not affinity.length:
            text = f"domain {affinity.pxm} has a range of no length"
            yield Found(text, f"srat.memory[{index}]", dmesg="SRAT: <nothing>", weight=affinity.pxm)


def quiet_boot(subject: Subject) -> Iterator[Found]:
    """A rule about the boot options."""
    if subject.machine and "quiet" in subject.machine.cmdline.split():
        yield Found("the boot is quiet", "cmdline", "quiet")


def every_table(subject: Subject) -> Iterator[Found]:
    """A rule about raw tables."""
    for table in subject.tables:
        yield Found(f"there is the table {table.signature}", table.signature, offset=4)


def broken(subject: Subject) -> Iterator[Found]:
    """A rule with a mistake of its own."""
    if "broken" in subject.file:
        yield Found(f"{1 // 0}")


def a_rule(id: str, function: Callable[[Subject], Iterator[Found]], **changes: Any) -> CheckRule:
    fields: dict[str, Any] = {
        "id": id,
        "name": function.__name__.replace("_", "-"),
        "severity": "warning",
        "group": "made up",
        "checks": "Something <that> & matters.",
        "linux": "Linux says so.",
        "mend": "Do otherwise.",
        "reference": "a_function (a/file.c)",
        "fwts": "",
        "needs": (),
        "function": function,
    }
    return CheckRule(**{**fields, **changes})


RULES = {
    rule.id: rule
    for rule in (
        a_rule("MP101", every_table, severity="info", needs=("tables",)),
        a_rule("MP201", empty_ranges, severity="error", needs=("srat",), fwts="SRATMadeUp"),
        a_rule("MP701", quiet_boot, needs=("memory",)),
        a_rule("MP702", broken),
    )
}


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The made-up rules are all there are; an empty folder, which is the current one."""
    for module in ("run", "rules"):
        monkeypatch.setattr(f"memplan.checks.{module}.all_rules", lambda: RULES)
    monkeypatch.setattr("memplan.render.check_rules.all_rules", lambda: RULES)
    monkeypatch.chdir(tmp_path)
    config.forget()
    yield tmp_path
    config.forget()
