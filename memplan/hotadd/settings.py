"""How the kernel is set for memory that is added: boot options and configuration, as far as its version heeds them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from memplan.machine.cmdline import CommandLine
from memplan.units import SIZE_2M, memparse

if TYPE_CHECKING:
    from memplan.hotadd.rules import HotplugRules
    from memplan.hotadd.scenario import OnlineType
    from memplan.kernel.model import Kernel

_MODULE = "memory_hotplug."
_TRUE, _FALSE = ("y", "Y", "1"), ("n", "N", "0")
_POLICIES = ("contig-zones", "auto-movable")
#: CONFIG_MHP_DEFAULT_ONLINE_TYPE_…, and the word that it stands for.
_DEFAULT_TYPES: dict[str, DefaultState] = {
    "ONLINE_AUTO": "online",
    "ONLINE_KERNEL": "online_kernel",
    "ONLINE_MOVABLE": "online_movable",
    "OFFLINE": "offline",
}
_NOT_KNOWN = "this build's configuration is not known here; {} is taken to be {}"
DEFAULT_RATIO = 301

DefaultState = Literal["offline", "online", "online_kernel", "online_movable"]
Policy = Literal["contig-zones", "auto-movable"]
MemmapOnMemory = Literal["no", "yes", "force"]


#: CONFIG_NODES_SHIFT of distributions' builds, where a build's facts don't tell.
_USUAL_NODES_SHIFT = 10


class Settings(NamedTuple):
    """What decides of added memory; `notes` say what was taken for granted, and which words have no effect.

    `ratio` is a percentage, `mem_limit` the address above which mem= refuses memory (None: nowhere).  `driver` is
    whether anything listens to the firmware's notifications at all, `boot_huge_pages` how many pages of 2M the boot
    options ask for, `max_numnodes` how many nodes the kernel can have.
    """

    driver: bool = True
    removal: bool = True
    default_state: DefaultState = "offline"
    movable_node: bool = False
    policy: Policy = "contig-zones"
    ratio: int = DEFAULT_RATIO
    numa_aware: bool = True
    memmap_on_memory: MemmapOnMemory = "no"
    mem_limit: int | None = None
    numa_off: bool = False
    hugetlb_frees_maps: bool = False
    boot_huge_pages: int = 0
    max_numnodes: int = 1 << _USUAL_NODES_SHIFT
    notes: tuple[str, ...] = ()

    def online_type(self) -> OnlineType | None:
        """How added memory comes on-line by itself; None where it does not."""
        return None if self.default_state == "offline" else self.default_state


def settings_of(kernel: Kernel, cmdline: str) -> Settings:
    """The settings of `kernel` booted with `cmdline`."""
    return _Reader(kernel, kernel.rules.hotplug, CommandLine(cmdline)).settings()


def parse_bool(text: str) -> bool | None:
    """What the kernel makes of a switch's word; None where it refuses it."""
    if text[:1] in _TRUE or text[:2].lower() == "on":
        return True
    return False if text[:1] in _FALSE or text[:2].lower() == "of" else None


class _Reader:
    def __init__(self, kernel: Kernel, rules: HotplugRules, options: CommandLine) -> None:
        self._kernel = kernel
        self._rules = rules
        self._options = options
        self._notes: list[str] = []

    def settings(self) -> Settings:
        options, rules = self._options, self._rules
        frees = self._hugetlb_frees_maps()
        on_memory = self._memmap_on_memory()
        if on_memory != "no" and frees and rules.hugetlb_excludes_memmap:
            self._notes.append(
                "memory_hotplug.memmap_on_memory has no effect: in this version it excludes hugetlb_free_vmemmap"
            )
            on_memory = "no"
        policy, ratio, aware = self._policy()
        movable_node = options.has("movable_node")
        if policy == "auto-movable" and movable_node:
            self._notes.append("auto-movable does not look at movable_node: it holds for boot memory only")
        return Settings(
            driver=self._config("ACPI_HOTPLUG_MEMORY", True) and not options.has("acpi_no_memhotplug"),
            removal=self._config("MEMORY_HOTREMOVE", True),
            default_state=self._default_state(),
            movable_node=movable_node,
            policy=policy,
            ratio=ratio,
            numa_aware=aware,
            memmap_on_memory=on_memory,
            mem_limit=self._mem_limit(),
            numa_off=any(word.startswith("off") for word in options.all("numa")),
            hugetlb_frees_maps=frees,
            boot_huge_pages=self._boot_huge_pages(),
            max_numnodes=1 << int(self._kernel.facts.get("config.NODES_SHIFT", _USUAL_NODES_SHIFT)),
            notes=tuple(self._notes),
        )

    def _config(self, name: str, usual: bool) -> bool:
        """The configuration option; `usual`, with a note, where the build's facts don't tell."""
        value = self._kernel.facts.get(f"config.{name}")
        if value is None and not self._complete():
            return usual
        return bool(value)

    def _complete(self) -> bool:
        """Whether the build's facts tell of options of hot-plugging at all."""
        return "config.ACPI_HOTPLUG_MEMORY" in self._kernel.facts

    def _default_state(self) -> DefaultState:
        source = self._rules.default_online
        state: DefaultState = "offline"
        if source == "MEMORY_HOTPLUG_DEFAULT_ONLINE":
            state = "online" if self._kernel.config(source) else "offline"
        elif source == "MHP_DEFAULT_ONLINE_TYPE":
            state = next(
                (word for name, word in _DEFAULT_TYPES.items() if self._kernel.config(f"{source}_{name}")), state
            )
        words = {"none": (), "two": ("offline", "online"), "four": tuple(_DEFAULT_TYPES.values())}[
            self._rules.online_types
        ]
        asked = self._options.last("memhp_default_state")
        if asked is None:
            if source != "never" and not self._complete():
                self._notes.append(_NOT_KNOWN.format("the state of added memory", state))
            return state
        found = next((word for word in _DEFAULT_TYPES.values() if word == asked), None)
        if found in words:
            return found
        self._notes.append(f"memhp_default_state={asked} is not understood by this version: added memory is {state}")
        return state

    def _policy(self) -> tuple[Policy, int, bool]:
        policy, ratio, aware = "contig-zones", DEFAULT_RATIO, True
        options = self._options
        words = [
            name
            for name, _ in options.args
            if name.replace("-", "_").startswith((f"{_MODULE}auto", f"{_MODULE}online"))
        ]
        if not self._rules.auto_movable:
            if words:
                self._notes.append(f"{words[0]} has no effect: this version has no such policy")
            return "contig-zones", ratio, aware
        asked = options.last(f"{_MODULE}online_policy")
        if asked in _POLICIES:
            policy = asked
        elif asked is not None:
            self._notes.append(f"online_policy={asked} is refused: policies are {' and '.join(_POLICIES)}")
        number = options.last(f"{_MODULE}auto_movable_ratio")
        if number is not None:
            if re.fullmatch(r"[0-9]{1,9}", number):
                ratio = int(number)
            else:
                self._notes.append(f"auto_movable_ratio={number} is refused: it should be a number of percent")
        switch = options.last(f"{_MODULE}auto_movable_numa_aware")
        if switch is not None and (value := parse_bool(switch)) is not None:
            aware = value
        return ("auto-movable" if policy == "auto-movable" else "contig-zones"), ratio, aware

    def _memmap_on_memory(self) -> MemmapOnMemory:
        asked = self._options.last(f"{_MODULE}memmap_on_memory")
        if asked is None:
            bare = self._options.has(f"{_MODULE}memmap_on_memory")
            asked = "y" if bare else None
        if asked is None:
            return "no"
        if self._rules.memmap_on_memory == "none":
            self._notes.append("memory_hotplug.memmap_on_memory has no effect: this version does not know it")
            return "no"
        if not self._config("MHP_MEMMAP_ON_MEMORY", True):
            self._notes.append(
                "memory_hotplug.memmap_on_memory has no effect: built without CONFIG_MHP_MEMMAP_ON_MEMORY"
            )
            return "no"
        if asked == "force" and self._rules.memmap_on_memory_force:
            return "force"
        value = parse_bool(asked)
        if value is None:
            self._notes.append(f"memmap_on_memory={asked} is refused by this version")
        return "yes" if value else "no"

    def _mem_limit(self) -> int | None:
        if self._rules.mem_option != "always":
            return None
        sizes = [memparse(word)[0] for word in self._options.all("mem") if word[:1].isdigit()]
        return sizes[-1] if sizes and sizes[-1] else None

    def _boot_huge_pages(self) -> int:
        """How many pages of 2M hugepages= asks for, on all nodes together; the size named before it counts."""
        size = memparse(self._options.last("default_hugepagesz") or "2M")[0]
        pages = 0
        for name, value in self._options.args:
            if name == "hugepagesz":
                size = memparse(value or "")[0]
            elif name == "hugepages" and size == SIZE_2M:
                shares = [share.rpartition(":")[2] for share in (value or "").split(",")]
                pages = sum(int(share) for share in shares if re.fullmatch(r"[0-9]{1,9}", share))
        return pages

    def _hugetlb_frees_maps(self) -> bool:
        built = ("HUGETLB_PAGE_OPTIMIZE_VMEMMAP", "HUGETLB_PAGE_FREE_VMEMMAP")
        asked = self._options.last("hugetlb_free_vmemmap")
        default = any(self._kernel.config(f"{name}_DEFAULT_ON") for name in built)
        if asked is None:
            return default
        return bool(parse_bool(asked))
