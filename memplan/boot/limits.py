"""What no plan knows yet: parts of Linux's early boot that are not replayed, and by what a machine asks for them.

A plan that meets one of them says so (``Plan.limits``), for it may then differ from what the kernel does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.boot.context import Boot

#: Options whose whole effect on memory is left out, and what that effect is.
_OPTIONS = {
    "add_efi_memmap": "the EFI memory map's ranges are not added to the e820 map",
    "cma_pernuma": "no CMA area is reserved on each node",
    "disable_mtrr_trim": "RAM beyond the MTRRs' write-back ranges is taken away all the same",
    "efi_fake_mem": "the EFI memory map keeps its attributes, and no memory becomes soft reserved",
    "enable_mtrr_cleanup": "the MTRRs are not rearranged before RAM beyond them is taken away",
    "initrdmem": "the initrd stays where the boot loader put it",
    "memtest": "all memory is taken to pass the test; the kernel reserves what fails",
    "noefi": "the EFI memory map is used all the same",
    "numa_cma": "no CMA area is reserved on the nodes",
}
#: Values of options of which the same is true.
_VALUES = {
    ("efi", "nosoftreserve"): "special-purpose memory stays soft reserved",
    ("efi", "old_map"): "the EFI memory map is used as without it",
    ("iommu", "calgary"): "no translation tables are reserved",
    ("iommu", "memaper"): "no GART aperture is reserved",
}


class Limit(NamedTuple):
    """One thing that is not replayed.

    `met` gives, for a boot whose options have been read, what in the machine, its kernel or its options asks for it
    ("" where nothing does).
    """

    name: str
    what: str
    met: Callable[[Boot], str]


def limits(boot: Boot) -> tuple[str, ...]:
    """A sentence for each thing that `boot` asks for and that is not replayed."""
    found = [f"{asked}: {limit.what}" for limit in LIMITS if (asked := limit.met(boot))]
    return (*found, *(f"{word}: not replayed: {effect}" for word, effect in _left_out(boot)))


def option_limits() -> dict[str, str]:
    """The options that are not replayed, as they are written, and what a plan does instead."""
    return {**_OPTIONS, **{f"{name}={value}": effect for (name, value), effect in _VALUES.items()}}


def _left_out(boot: Boot) -> list[tuple[str, str]]:
    """The options on the command line that this kernel acts upon and a plan doesn't."""
    found: dict[str, str] = {}
    for typed, value in boot.cmdline.args:
        name = typed.replace("-", "_")
        if not _handled(boot, name):
            continue
        word = typed if value is None else f"{typed}={value}"
        if name in _OPTIONS:
            found[word] = _OPTIONS[name]
        for part in (value or "").split(","):
            if (name, part) in _VALUES:
                found[word] = _VALUES[name, part]
    return list(found.items())


def _handled(boot: Boot, name: str) -> bool:
    """Whether the kernel has a handler for the option, as far as that is known."""
    return boot.kernel.options is None or name in boot.kernel.options


def _xen(boot: Boot) -> str:
    return "Xen" if boot.machine.hypervisor == "xen" else ""


def _encryption(boot: Boot) -> str:
    asked = boot.cmdline.last("mem_encrypt") == "on" and boot.kernel.config("AMD_MEM_ENCRYPT")
    return "mem_encrypt=on" if asked else ""


def _stack_depot(boot: Boot) -> str:
    """Who wants the stack depot's table before the page allocator is up (stack_depot_early_init)."""
    if not boot.kernel.config("STACKDEPOT"):
        return ""
    if boot.kernel.config("STACKDEPOT_ALWAYS_INIT"):
        return "CONFIG_STACKDEPOT_ALWAYS_INIT"
    if boot.cmdline.last("page_owner") in ("on", "1", "y", "Y") and _handled(boot, "page_owner"):
        return f"page_owner={boot.cmdline.last('page_owner')}"
    for typed, value in boot.cmdline.args:
        name = typed.replace("-", "_")
        if name in ("slub_debug", "slab_debug") and _handled(boot, name) and _stores_users(value):
            return typed if value is None else f"{typed}={value}"
    return ""


def _stores_users(value: str | None) -> bool:
    """Whether slub_debug= keeps who took each object: flag U of one of its parts, or all flags where none is named."""
    return any(not flags or "u" in flags.lower() for flags in (part.split(",")[0] for part in (value or "").split(";")))


def _sanitizers(boot: Boot) -> str:
    return next((f"CONFIG_{name}" for name in ("KASAN", "KMSAN") if boot.kernel.config(name)), "")


#: What no description tells, so that no plan can warn of it.
UNSEEN = (
    "guests under SEV, SEV-ES, SEV-SNP or TDX: a description doesn't say that memory is encrypted",
    "kernels of 32 bits: every plan is made by the rules of x86-64",
    "options in a boot configuration behind the initrd: a boot with bootconfig is refused",
)

LIMITS = (
    Limit(
        "xen",
        "what Xen's guests reserve is not replayed (shared info; of PV domains also start info, page tables, p2m list)",
        _xen,
    ),
    Limit(
        "memory encryption",
        "memory encryption is not replayed: its bounce buffers are larger, and it takes memory of its own",
        _encryption,
    ),
    Limit(
        "stack depot", "the stack depot's table, taken before the page allocator is up, is not replayed", _stack_depot
    ),
    Limit("sanitizers", "the shadow memory of KASAN and KMSAN is not replayed", _sanitizers),
)
