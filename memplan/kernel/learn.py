"""Learning a build's facts from what it consists of: bzImage or vmlinux, System.map, .config and BTF.

Each fact keeps its source.  What a build does not tell is taken from the generic kernel of its version, and the
file says so.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from memplan.errors import InputError, UsageError
from memplan.files import read_regular
from memplan.kernel.btf import struct_sizes
from memplan.kernel.builds import build_rules, known_builds
from memplan.kernel.bzimage import BzImage, is_bzimage, read_bzimage
from memplan.kernel.config_file import Config, read_config
from memplan.kernel.elf import Elf
from memplan.kernel.facts import FactValue, is_right, misplaced, wanted
from memplan.kernel.generic import complete
from memplan.kernel.load import check_values, find_kernel
from memplan.kernel.model import Kernel
from memplan.kernel.names import CONFIGS, IMAGE, STRUCTS
from memplan.kernel.options import option_words
from memplan.kernel.symbols import read_symbols
from memplan.kernel.unpack import unpack_kernel
from memplan.kernel.version import KernelVersion
from memplan.machine.kinds import quoted
from memplan.units import GIB, MIB, PAGE_SIZE, round_up

#: Options that a build has where it has one of these functions, and without any is without, for builds whose
#: configuration does not say.
_CONFIG_SYMBOLS = {
    "ACPI_INITRD_TABLE_OVERRIDE": ("acpi_initrd_override",),
    "ACPI_TABLE_UPGRADE": ("acpi_table_upgrade",),
    "AMD_MEM_ENCRYPT": ("sme_enable", "__pi_sme_enable"),
    "BOOT_CONFIG": ("xbc_init",),
    "CMA": ("cma_init_reserved_mem", "cma_init_reserved_areas"),
    "CPUMASK_OFFSTACK": ("alloc_bootmem_cpumask_var",),
    "DMA_CMA": ("dma_contiguous_reserve",),
    "DMI": ("dmi_scan_machine", "dmi_setup"),
    "EFI": ("efi_memblock_x86_reserve_range",),
    "FIRMWARE_MEMMAP": ("firmware_map_add_early",),
    "HIBERNATION": ("register_nosave_region", "__register_nosave_region"),
    "HPET_TIMER": ("hpet_enable",),
    "HUGETLBFS": ("hugetlb_init",),
    "ISCSI_IBFT_FIND": ("reserve_ibft_region", "find_ibft_region"),
    "KEXEC": ("sys_kexec_load", "__x64_sys_kexec_load"),
    "KFENCE": ("kfence_init",),
    "KVM_GUEST": ("kvmclock_init",),
    "MEMTEST": ("early_memtest",),
    "MODULES": ("load_module",),
    "NUMA_EMU": ("numa_emulation",),
    "PAGE_TABLE_ISOLATION": ("pti_init",),
    "RANDOMIZE_MEMORY": ("kernel_randomize_memory",),
    "SWIOTLB": ("swiotlb_print_info",),
    "X86_CHECK_BIOS_CORRUPTION": ("setup_bios_corruption_check",),
    "X86_MPPARSE": ("default_find_smp_config", "mpparse_find_mptable"),
}
#: The same of a variable; not all builds' symbols have those.
_CONFIG_VARIABLES = {"X86_5LEVEL": "__pgtable_l5_enabled"}
_IKCONFIG = b"IKCFG_ST"
_BANNER = re.compile(rb"Linux version (\d+\.\d+[^\s%]{0,60}) [^\n\0]{0,512}?(#\d[^\n\0]{0,256})")
#: Columns of the list of options in a kernel's file.
_WIDTH = 116
_PHYSICAL = 0xFFFFFFFF80000000
#: Facts of the image that no other build's stand in for: no plan needs them, and a wrong one would look right.
_ONLY_OWN = frozenset(("freed", "smp_locks"))
#: A vmlinux with all its debug information may be read; a configuration has some hundred KiB.
MOST_IMAGE, _MOST_CONFIG = GIB, 4 * MIB
#: uname -r: UTS_RELEASE has room for 64 characters.
_RELEASE = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}[\w.+~:@,=%^-]{0,60}", re.ASCII)


class Inputs(NamedTuple):
    """The files of one build; each may be missing.  `given` are facts known otherwise, by their source."""

    vmlinuz: Path | None = None
    system_map: Path | None = None
    config: Path | None = None
    btf: Path | None = None
    given: Mapping[str, Mapping[str, FactValue]] = {}


class Learned(NamedTuple):
    """What a build told: `facts` by source and dotted name, `options` (None: not told), and for the user `notes`."""

    release: str
    build: str
    version: str
    facts: dict[str, dict[str, FactValue]]
    options: list[str] | None
    notes: list[str]


class _Build:
    """The facts as they are found, one source after the other; the first to tell a fact counts."""

    def __init__(self) -> None:
        self.by_source: dict[str, dict[str, FactValue]] = {}
        self.all: dict[str, FactValue] = {}

    def add(self, source: str, facts: Mapping[str, FactValue | None]) -> None:
        """Take those of `facts` that are not known yet; InputError for what no kernel has, None is passed over."""
        fresh = {name: value for name, value in facts.items() if value is not None and name not in self.all}
        for name, value in fresh.items():
            if not is_right(name, value):
                raise InputError.single(source, f"{name} comes out as {_shown(value)}, expected {wanted(name)}")
        if fresh:
            self.by_source.setdefault(source, {}).update(fresh)
            self.all.update(fresh)


def learn(inputs: Inputs, *, release: str = "") -> Learned:
    """The facts of the build that `inputs` are of.

    Raises InputError for damaged files, and UsageError where the image's layout or release can't be told.
    """
    build = _Build()
    for source, facts in inputs.given.items():
        check_values(facts)
        build.add(source, facts)
    image, elf = _read_image(inputs.vmlinuz)
    banner = ""
    if image is not None and inputs.vmlinuz is not None:
        release, banner = release or image.version.partition(" ")[0], image.version[max(image.version.find("#"), 0) :]
        build.add(
            f"setup header of {inputs.vmlinuz.name}",
            {
                "image.init_size": image.init_size,
                "image.kernel_alignment": image.kernel_alignment,
                "image.output_len": image.output_len,
            },
        )
    if elf is not None and not banner:
        found = _BANNER.search(elf.content(".rodata") or b"")
        if found:
            release, banner = release or found[1].decode(), found[2].decode("latin-1")
    if not release:
        raise UsageError("neither a bzImage nor a vmlinux tells the release; give it with --release")
    if not _RELEASE.fullmatch(release):
        raise UsageError(f"{release[:60]!r} is no kernel release: it should be like 6.1.0-55-amd64 or 6.12.3")
    symbols, told_by = read_symbols(inputs.system_map, elf)
    _learn_image(build, symbols, told_by, elf)
    _learn_structs(build, inputs.btf, elf)
    _learn_config(build, inputs.config, elf, symbols, told_by)
    options = None
    if elf is not None and symbols:
        options = option_words(elf, symbols)
    notes = _fill_gaps(build, release, banner)
    if options is None:
        notes.append(
            "nothing tells which boot options it handles (an image with symbols does); plans that need them fail"
        )
    version = str(KernelVersion.at_head_of(release).release)
    return Learned(release, banner, version, build.by_source, options, notes)


def _read_image(path: Path | None) -> tuple[BzImage | None, Elf | None]:
    """The bzImage's header (None for a vmlinux) and the kernel's ELF file."""
    if path is None:
        return None, None
    data, source = read_regular(path, MOST_IMAGE, "a bzImage or a vmlinux"), str(path)
    if data[:4] == b"\x7fELF":
        return None, Elf(data, source)
    if not is_bzimage(data):
        raise InputError.single(
            source, f"is neither a bzImage (HdrS at byte 0x202) nor an ELF file: begins with {data[:4].hex(' ')}"
        )
    image = read_bzimage(data, source)
    return image, Elf(unpack_kernel(image, source), f"{source}: the kernel inside")


def _learn_image(build: _Build, symbols: dict[str, int], told_by: str, elf: Elf | None) -> None:
    if symbols:
        text = symbols["_text"]

        def offset(*names: str) -> int | None:
            return next((symbols[name] - text for name in names if name in symbols), None)

        def length(name: str, end: str) -> int | None:
            return symbols[end] - symbols[name] if name in symbols and end in symbols else None

        end = offset("_end")
        blob = length("real_mode_blob", "real_mode_blob_end")
        build.add(
            told_by,
            {
                "image.load_address": text - _PHYSICAL if elf is None else None,
                "image.kernel_reserve_end": offset("__end_of_kernel_reserve", "__bss_stop"),
                "image.brk_start": offset("__brk_base"),
                "image.brk_limit": offset("__brk_limit"),
                "image.end": end,
                "image.total_size": end,
                "image.real_mode_size": None if blob is None else round_up(blob, PAGE_SIZE),
                "image.percpu_static": length("__per_cpu_start", "__per_cpu_end"),
                "image.freed": _freed(symbols),
                "image.smp_locks": length("__smp_locks", "__smp_locks_end"),
            },
        )
    if elf is not None:
        text = elf.text.address
        facts: dict[str, FactValue] = {"image.load_address": elf.text.physical}
        brk = elf.sections.get(".brk")
        if brk is not None:
            start, end = brk.address - text, round_up(brk.address + brk.size, PAGE_SIZE) - text
            facts |= {"image.kernel_reserve_end": start, "image.brk_start": start}
            facts |= {"image.brk_limit": brk.address + brk.size - text, "image.end": end, "image.total_size": end}
        percpu = elf.sections.get(".data..percpu")
        if percpu is not None:
            facts["image.percpu_static"] = percpu.size
        build.add("ELF headers of the image", facts)
    lacking = [name for name in ("load_address", "brk_start", "end") if f"image.{name}" not in build.all]
    if lacking:
        raise UsageError(
            f"nothing tells image.{lacking[0]}: a vmlinuz with its .brk section, or a full System.map is needed"
        )
    if wrong := misplaced(build.all):
        lower, higher = (f"{name} ({_shown(build.all[name])})" for name in wrong)
        raise InputError.single(told_by or "the image", f"{lower} comes out above {higher}, as in no kernel")


def _freed(symbols: dict[str, int]) -> int | None:
    """What of the image goes to the page allocator when the boot is over: bytes in whole pages; None where not known.

    That are the init sections (free_initmem), the gaps in front of read-only and of writable data (mark_rodata_ro), and
    what is kept for memory that is shared with a hypervisor (mem_encrypt_free_decrypted_mem).
    """
    wanted = ("__init_begin", "__init_end", "_etext", "__start_rodata", "__end_rodata", "_sdata")
    if any(name not in symbols for name in wanted):
        return None
    begin, end, text_end, rodata, rodata_end, data = (symbols[name] for name in wanted)
    table_end = symbols.get("__stop___ex_table", 0)
    if text_end < table_end <= rodata:
        text_end = table_end
    gaps = rodata - round_up(text_end, PAGE_SIZE) + data - round_up(rodata_end, PAGE_SIZE)
    unused, shared_end = symbols.get("__start_bss_decrypted_unused"), symbols.get("__end_bss_decrypted")
    shared = shared_end - unused if unused is not None and shared_end is not None else 0
    return end - begin + gaps + shared


def _learn_structs(build: _Build, btf: Path | None, elf: Elf | None) -> None:
    if btf is not None:
        data, source = read_regular(btf, MOST_IMAGE, "type information (BTF)"), str(btf)
        if data[:4] == b"\x7fELF":
            data = Elf(data, source).content(".BTF") or b""
    else:
        data, source = (elf.content(".BTF") or b"", elf.source) if elf is not None else (b"", "")
        if not data:
            return
    sizes = struct_sizes(data, STRUCTS, source)
    build.add("BTF", {f"struct.{name}": sizes[name] for name in STRUCTS if name in sizes})


def _learn_config(build: _Build, config: Path | None, elf: Elf | None, symbols: dict[str, int], told_by: str) -> None:
    found = Config(frozenset(), {})
    if config is not None:
        text = read_regular(config, _MOST_CONFIG, "a kernel configuration").decode("utf-8", "replace")
        found = read_config(text, str(config))
        build.add(f"configuration ({config.name})", _dotted(found.values))
    elif elf is not None and (packed := elf.data.find(_IKCONFIG + b"\x1f\x8b")) >= 0:
        source = f"{elf.source}: the configuration inside"
        found = read_config(_unpacked_config(elf, packed + len(_IKCONFIG)), source)
        build.add("configuration inside the image (IKCONFIG)", _dotted(found.values))
    there = {name: any(own in symbols for own in functions) for name, functions in _CONFIG_SYMBOLS.items()}
    if found.told or not symbols:
        # A configuration leaves out what its version does not have.
        there = {name: True for name, present in there.items() if present and name not in found.told}
    there |= {name: True for name, own in _CONFIG_VARIABLES.items() if own in symbols and name not in found.told}
    build.add(f"functions in {told_by}", _dotted(there))


def _dotted(options: Mapping[str, FactValue]) -> dict[str, FactValue]:
    return {f"config.{name}": value for name, value in options.items()}


def _unpacked_config(elf: Elf, at: int) -> str:
    """The configuration whose gzip data begin at byte `at` of `elf`."""
    unpacker = zlib.decompressobj(31)
    try:
        data = unpacker.decompress(elf.data[at : at + _MOST_CONFIG], _MOST_CONFIG)
    except zlib.error as error:
        raise InputError.single(elf.source, f"has a damaged IKCONFIG at byte {at:#x}: {error}") from None
    if not unpacker.eof:
        raise InputError.single(
            elf.source, f"has a damaged IKCONFIG at byte {at:#x}: it is cut short, or longer than {_MOST_CONFIG:#x}"
        )
    return data.decode("utf-8", "replace")


def _fill_gaps(build: _Build, release: str, banner: str) -> list[str]:
    """Computes what is missing, or takes it from builds of a distribution's kind; notes that say what was taken."""
    rules = build_rules(release, banner)
    fallback = find_kernel(str(rules.version))
    notes = []
    if not any(name.startswith("config.") and name.endswith("NODES_SHIFT") for name in build.all):
        lacking = [name for name in (f"config.{own}" for own in CONFIGS) if name not in build.all]
        lacking = [name for name in lacking if name in fallback.facts]
        build.add("Debian's builds, as no configuration tells", _of(fallback, lacking))
        cpus, shift = (fallback.facts[f"config.{own}"] for own in ("NR_CPUS", "NODES_SHIFT"))
        notes.append(
            f"no configuration tells {len(lacking)} options, so they are those of Debian's builds (NR_CPUS {cpus}, "
            f"NODES_SHIFT {shift} among them)"
        )
    told = any(name.startswith("struct.") for name in build.by_source.get("BTF", {}))
    found = complete(build.all, rules, known_builds)
    for name, size in found.facts.items():
        if size and (name in found.guesses or not told):
            build.add(found.sources[name], {name: size})
    if found.guesses:
        notes.append(f"only a guess, after {found.like}, as this build does not tell: {_list(found.guesses)}")
    wanted = (f"image.{own}" for own in IMAGE if own not in _ONLY_OWN)
    lacking = [name for name in wanted if name not in build.all and name in fallback.facts]
    if lacking:
        build.add("Debian's builds, as this build does not tell", _of(fallback, lacking))
        notes.append(f"those of Debian's builds, as this build does not tell: {_list(lacking)}")
    return notes


def _of(kernel: Kernel, names: Iterable[str]) -> dict[str, FactValue]:
    return {name: kernel.facts[name] for name in names}


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def to_yaml(learned: Learned) -> list[str]:
    """The lines of the kernel's file: facts by source, in a fixed order, addresses and image sizes in hexadecimal."""
    lines = [
        f"# Linux {learned.release}, learned by `memplan kernel`.",
        f"release: {_scalar(learned.release)}",
    ]
    if learned.build:
        lines.append(f"build: {_scalar(learned.build)}")
    lines.append(f'version: "{learned.version}"')
    if learned.notes:
        lines += ["notes:", *(f"  - {_scalar(note)}" for note in learned.notes)]
    lines.append("facts:")
    order = {"image": IMAGE, "struct": STRUCTS, "config": CONFIGS}
    for source, facts in learned.facts.items():
        lines.append(f"  - source: {_scalar(source)}")
        for kind, names in order.items():
            found = [name for name in names if f"{kind}.{name}" in facts]
            if found:
                lines.append(f"    {kind}:")
                lines += [f"      {name}: {_scalar(facts[f'{kind}.{name}'], kind == 'image')}" for name in found]
    if learned.options is not None:
        text = fill(" ".join(learned.options), _WIDTH, break_long_words=False, break_on_hyphens=False)
        lines += ["options: >-", *(f"  {line}" for line in text.split("\n"))]
    return lines


def _scalar(value: FactValue, hexadecimal: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:#x}" if hexadecimal else str(value)
    if not value.isascii() or not value.isprintable():
        return quoted(value)
    return "'" + value.replace("'", "''") + "'"


def _shown(value: FactValue) -> str:
    return f"{value:#x}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
