"""Learning a build's facts from what it consists of: bzImage or vmlinux, System.map, .config and BTF.

Each fact keeps its source.  What a build does not tell is taken from the generic kernel of its version, and the
file says so.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from memplan.errors import InputError, UsageError
from memplan.kernel.btf import struct_sizes
from memplan.kernel.bzimage import BzImage, is_bzimage, read_bzimage
from memplan.kernel.elf import Elf
from memplan.kernel.kallsyms import kallsyms
from memplan.kernel.load import check_values, find_kernel, kernel_names, nearest_version
from memplan.kernel.model import Value
from memplan.kernel.names import CONFIGS, IMAGE, STRUCTS
from memplan.kernel.options import option_words
from memplan.kernel.unpack import unpack_kernel
from memplan.units import PAGE_SIZE, round_up

#: Options that a build has where it has one of these functions, for builds whose config file does not say.
_CONFIG_SYMBOLS = {
    "ACPI_INITRD_TABLE_OVERRIDE": ("acpi_initrd_override",),
    "ACPI_TABLE_UPGRADE": ("acpi_table_upgrade",),
    "AMD_MEM_ENCRYPT": ("sme_enable",),
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
    "ISCSI_IBFT_FIND": ("reserve_ibft_region",),
    "KEXEC": ("sys_kexec_load", "__x64_sys_kexec_load"),
    "KFENCE": ("kfence_init",),
    "KVM_GUEST": ("kvmclock_init",),
    "MEMTEST": ("early_memtest",),
    "MODULES": ("load_module",),
    "NUMA_EMU": ("numa_emulation",),
    "PAGE_TABLE_ISOLATION": ("pti_init",),
    "RANDOMIZE_MEMORY": ("kernel_randomize_memory",),
    "SWIOTLB": ("swiotlb_print_info",),
    "X86_5LEVEL": ("__pgtable_l5_enabled",),
    "X86_CHECK_BIOS_CORRUPTION": ("setup_bios_corruption_check",),
    "X86_MPPARSE": ("default_find_smp_config", "mpparse_find_mptable"),
}
_CONFIG_LINE = re.compile(r"^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$", re.MULTILINE)
_MAP_LINE = re.compile(r"^([0-9a-f]{8,16}) \S (\S+)", re.MULTILINE)
_IKCONFIG = b"IKCFG_ST"
_BANNER = re.compile(rb"Linux version (\d+\.\d+[^\s%]*) .*?(#\d[^\n\0]*)")
#: Columns of the list of options in a kernel's file.
_WIDTH = 116
_PHYSICAL = 0xFFFFFFFF80000000


class Inputs(NamedTuple):
    """The files of one build; each may be missing.  `given` are facts known otherwise, by their source."""

    vmlinuz: Path | None = None
    system_map: Path | None = None
    config: Path | None = None
    btf: Path | None = None
    given: Mapping[str, Mapping[str, Value]] = {}


class Learned(NamedTuple):
    """What a build told: `facts` by source and dotted name, `options` (None: not told), and for the user `notes`."""

    release: str
    build: str
    version: str
    facts: dict[str, dict[str, Value]]
    options: list[str] | None
    notes: list[str]


class _Build:
    """The facts as they are found, one source after the other; the first to tell a fact counts."""

    def __init__(self) -> None:
        self.by_source: dict[str, dict[str, Value]] = {}
        self.all: dict[str, Value] = {}

    def add(self, source: str, facts: Mapping[str, Value | None]) -> None:
        fresh = {name: value for name, value in facts.items() if value is not None and name not in self.all}
        if fresh:
            self.by_source.setdefault(source, {}).update(fresh)
            self.all.update(fresh)


def learn(inputs: Inputs, *, release: str = "") -> Learned:
    """The facts of the build that `inputs` are of.

    Raises InputError for damaged files, and UsageError where the image's layout or release can't be told.
    """
    build = _Build()
    for source, facts in inputs.given.items():
        check_values(facts, {})
        build.add(source, facts)
    image, elf = _read_image(inputs.vmlinuz)
    banner = ""
    if image is not None and inputs.vmlinuz is not None:
        words = image.version.split(" ", 1)
        release, banner = release or words[0], image.version[max(image.version.find("#"), 0) :]
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
    symbols, told_by = _symbols(inputs, elf)
    _learn_image(build, symbols, told_by, elf)
    _learn_structs(build, inputs.btf, elf)
    _learn_config(build, inputs.config, elf, symbols, told_by)
    options = None
    if elf is not None and symbols:
        options = option_words(elf, symbols)
    version = nearest_version(release)
    notes = _fill_gaps(build, version)
    return Learned(release, banner, version, build.by_source, options, notes)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError.single(str(path), f"can't be read: {error.strerror}") from None


def _read_image(path: Path | None) -> tuple[BzImage | None, Elf | None]:
    """The bzImage's header (None for a vmlinux) and the kernel's ELF file."""
    if path is None:
        return None, None
    data, source = _read(path), str(path)
    if data[:4] == b"\x7fELF":
        return None, Elf(data, source)
    if not is_bzimage(data):
        raise InputError.single(
            source, f"is neither a bzImage (HdrS at byte 0x202) nor an ELF file: begins with {data[:4].hex(' ')}"
        )
    image = read_bzimage(data, source)
    return image, Elf(unpack_kernel(image, source), f"{source}: the kernel inside")


def _symbols(inputs: Inputs, elf: Elf | None) -> tuple[dict[str, int], str]:
    """Names and addresses from the best source, and its name; a System.map without _text (a stub) is passed over."""
    if inputs.system_map is not None:
        text = _read(inputs.system_map).decode("latin-1")
        found: dict[str, int] = {}
        for address, name in _MAP_LINE.findall(text):
            found.setdefault(name, int(address, 16))
        if "_text" in found:
            return found, inputs.system_map.name
    if elf is not None:
        found = elf.symbols()
        if "_text" in found:
            return found, "symbol table"
        found = kallsyms(elf)
        if found:
            return found, "kallsyms inside the image"
    return {}, ""


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
            },
        )
    if elf is not None:
        text = elf.text.address
        facts: dict[str, Value] = {"image.load_address": elf.text.physical}
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


def _learn_structs(build: _Build, btf: Path | None, elf: Elf | None) -> None:
    if btf is not None:
        data, source = _read(btf), str(btf)
        if data[:4] == b"\x7fELF":
            data = Elf(data, source).content(".BTF") or b""
    else:
        data, source = (elf.content(".BTF") or b"", elf.source) if elf is not None else (b"", "")
        if not data:
            return
    sizes = struct_sizes(data, STRUCTS, source)
    build.add("BTF", {f"struct.{name}": sizes[name] for name in STRUCTS if name in sizes})


def _learn_config(build: _Build, config: Path | None, elf: Elf | None, symbols: dict[str, int], told_by: str) -> None:
    source, text = "", ""
    if config is not None:
        source, text = f"configuration ({config.name})", _read(config).decode("latin-1")
    elif elf is not None and (at := elf.data.find(_IKCONFIG + b"\x1f\x8b")) >= 0:
        source = "configuration inside the image (IKCONFIG)"
        try:
            text = zlib.decompressobj(31).decompress(elf.data[at + len(_IKCONFIG) :]).decode("latin-1")
        except zlib.error as error:
            raise InputError.single(elf.source, f"has a damaged IKCONFIG at byte {at:#x}: {error}") from None
    values: dict[str, str | None] = {}
    for name, value, unset in _CONFIG_LINE.findall(text):
        values[name or unset] = value if name else None
    if config is not None and not values:
        raise InputError.single(str(config), "has no line like CONFIG_NUMA=y, so it is no kernel configuration")
    build.add(source, {f"config.{name}": _config_value(values.get(name)) for name in CONFIGS})
    present = {
        f"config.{name}": True
        for name, functions in _CONFIG_SYMBOLS.items()
        if name not in values and any(function in symbols for function in functions)
    }
    build.add(f"functions in {told_by}", present)


def _config_value(text: str | None) -> Value | None:
    """True for y, None for what is off or a module (a module comes after early boot), a number, or text."""
    if text is None or text in ("m", "n"):
        return None
    if text == "y":
        return True
    if text.startswith('"'):
        return text.strip('"')
    return int(text, 0)


def _fill_gaps(build: _Build, version: str) -> list[str]:
    """Takes what is missing from the generic kernel of `version`; notes that say what."""
    if version not in kernel_names():
        return []
    generic = find_kernel(version)
    config_told = any(name.startswith("config.") and name.endswith("NODES_SHIFT") for name in build.all)
    wanted = [f"struct.{name}" for name in STRUCTS] + [f"image.{name}" for name in IMAGE]
    if not config_told:
        wanted += [f"config.{name}" for name in CONFIGS]
    lacking = [name for name in wanted if name not in build.all and name in generic.facts]
    if not lacking:
        return []
    build.add(f"generic {version}, as this build does not tell", {name: generic.facts[name] for name in lacking})
    return [f"from the generic {version}, as this build does not tell: {', '.join(lacking)}"]


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


def _scalar(value: Value, hexadecimal: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:#x}" if hexadecimal else str(value)
    return "'" + value.replace("'", "''") + "'"
