"""What no plan knows yet: parts of Linux's early boot that are not replayed, and by what a machine asks for them.

A plan that meets one of them says so (``Plan.limits``), for it may then differ from what the kernel does.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from memplan.boot.steps.efi import BOOT_LOGO
from memplan.configs import config_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.boot.parameters import Parameters
    from memplan.kernel.model import Kernel
    from memplan.kernel.unreplayed import Case

#: The architectures in the names of builds that are not x86-64's, those of 32 bits first.
_FOREIGN = re.compile(
    r"(?:^|[-._+])(i[3-6]86|[3-6]86(?:-pae)?|pae|arm(?:hf|el|v\dl?|mp|64)|aarch64|ppc64(?:le|el)?|powerpc\w*|s390x"
    r"|riscv64|mips\w*|loong(?:arch)?64)(?:$|[-._+])"
)

#: What no description tells, so that no plan can warn of it.
UNSEEN = (
    "the GART aperture of old AMD boards without an IOMMU: no table tells that firmware left it out",
    "nodes read from the north bridges of AMD's K8 boards that have no SRAT (config AMD_NUMA)",
    "what a distribution has changed in its kernel beyond the back-ports that `memplan kernel --list` names",
)


class Limit(NamedTuple):
    """One thing that is not replayed: what asks for it (words, by the description's `field`), and what a plan does."""

    asked: tuple[str, ...]
    field: str
    what: str

    def __str__(self) -> str:
        return f"{', '.join(self.asked)}: {self.what}"


def limits(params: Parameters) -> Iterator[Limit]:
    """What a boot with these parameters asks for and no plan replays."""
    typed = params.cmdline.names
    for one in params.rules.unreplayed:
        asking = [
            found
            for case in one.cases
            if not case.options or not typed.isdisjoint(case.options)
            for found in _asking(params, case)
        ]
        if asking:
            words = dict.fromkeys(word for word, _ in asking)
            yield Limit(tuple(words), asking[0][1], f"not replayed: {one.what}")
    for name in _known_handlers(params):
        if name not in looked_at():
            yield Limit((name,), "cmdline", "what this option of the kernel does to early memory is not known")


@cache
def looked_at() -> frozenset[str]:
    """The boot options of which is known what they do to early memory: configs/options.txt."""
    with open(os.path.join(config_folder(), "options.txt"), encoding="ascii") as file:
        return frozenset(word for line in file if not line.startswith("#") for word in line.split())


def _known_handlers(params: Parameters) -> list[str]:
    """The options of the command line that the kernel is known to have a handler for."""
    known = params.kernel.options or frozenset()
    names = dict.fromkeys(typed.replace("-", "_") for typed, _ in params.cmdline.args)
    return [name for name in names if name in known]


def _asking(params: Parameters, case: Case) -> Iterator[tuple[str, str]]:
    """What asks for the case, and the field of the description in which it stands; nothing where a condition fails."""
    kernel = params.kernel
    if case.config and not (kernel.config(case.config) or (case.options and _may_have(kernel, case.config))):
        return
    if case.machine:
        yield from _machine(params, case.machine)
    elif case.table:
        if case.table in _tables(params):
            yield f"ACPI table {case.table}", "acpi"
    elif case.options:
        yield from ((word, "cmdline") for word in _words(params, case))
    else:
        yield f"CONFIG_{case.config}", "kernel"


def _words(params: Parameters, case: Case) -> Iterator[str]:
    """The words of the command line that ask for the case."""
    for typed, value in params.cmdline.args:
        name = typed.replace("-", "_")
        if name not in case.options or not (case.searched or _handled(params.kernel, name)):
            continue
        if not case.value or re.fullmatch(case.value, value or ""):
            yield typed if value is None else f"{typed}={value}"


def _handled(kernel: Kernel, name: str) -> bool:
    """Whether the kernel may have a handler for the option: one that stands in for another build may lack some."""
    return kernel.options is None or name in kernel.options or bool(kernel.borrowed)


def _may_have(kernel: Kernel, config: str) -> bool:
    """Whether it is another build's configuration that says CONFIG_`config` is off."""
    fact = f"config.{config}"
    return bool(kernel.borrowed) and (fact in kernel.borrowed or fact not in kernel.facts)


def _machine(params: Parameters, kind: str) -> Iterator[tuple[str, str]]:
    """What tells that the machine is of that kind."""
    machine, kernel = params.machine, params.kernel
    if kind == "foreign":
        if found := _FOREIGN.search(kernel.name) or _FOREIGN.search(kernel.release):
            yield f"kernel for {found[1]}", "kernel"
    elif kind == machine.hypervisor:
        yield f"hypervisor {kind}", "hypervisor"
    elif kind == machine.encryption:
        yield f"encryption {kind}", "encryption"


def _tables(params: Parameters) -> set[str]:
    """The signatures of the ACPI tables whose memory or advice the kernel looks up."""
    if params.acpi_disabled:
        return set()
    machine = params.machine
    tables = {table.signature for table in machine.acpi.tables}
    if machine.efi is not None and any(what == BOOT_LOGO for _, _, what in machine.efi.reserved):
        tables.discard(BOOT_LOGO)
    if machine.acpi.cxl_windows:
        tables.add("CEDT")
    return tables
