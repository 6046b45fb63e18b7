"""Learning builds: the tables inside an image against nm and gcc's sizeof, and files that do not fit."""

from __future__ import annotations

import gzip
import lzma
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.errors import InputError, MemplanError, UsageError
from memplan.kernel.btf import struct_sizes
from memplan.kernel.elf import Elf
from memplan.kernel.kallsyms import kallsyms
from memplan.kernel.learn import Inputs, Learned, _freed, learn, to_yaml
from memplan.kernel.load import find_kernel
from memplan.kernel.options import option_words
from tests.kernel.tiny import DATA, PACKERS, bzimage, elf, symbol_map

#: What gcc says that sizeof is for the structures in the tiny kernel.
SIZES = {
    "page": 56,
    "resource": 64,
    "mem_section": 16,
    "mem_section_usage": 24,
    "efi_memory_desc_t": 40,
    "pglist_data": 200,
}
#: The places that nm told before the tiny kernel was stripped, as offsets from _text.
IMAGE = {
    "image.load_address": 0x1000000,
    "image.kernel_reserve_end": 0xF000,
    "image.brk_start": 0xF000,
    "image.brk_limit": 0x1F010,
    "image.end": 0x20000,
    "image.real_mode_size": 0x6000,
    "image.percpu_static": 5000,
}


def facts(learned: Learned) -> dict[str, object]:
    return {name: value for group in learned.facts.values() for name, value in group.items()}


@pytest.fixture
def vmlinuz(tmp_path: Path) -> Path:
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(PACKERS["zstd"](elf())))
    return path


def test_kallsyms_of_6_12_against_nm() -> None:
    assert kallsyms(Elf(elf(), "vmlinux")) == symbol_map()


@pytest.mark.parametrize("name", ["6.1", "absolute"])
def test_kallsyms_in_older_orders(name: str) -> None:
    """The same code as in 6.12's; kallsyms left its own symbols out then, and its tables move what is behind them."""
    known = {name: address for name, address in symbol_map().items() if not name.startswith("kallsyms_")}
    found = kallsyms(Elf(elf(name), "vmlinux"))
    assert set(found) == set(known)
    code = [name for name in known if name.startswith(("func_", "_text", "_start", "handler", "__per_cpu_"))]
    assert {name: found[name] for name in code} == {name: known[name] for name in code}


def test_kallsyms_of_7_0() -> None:
    """The offsets count from their own places; here they are rewritten so in 6.12's image."""
    image = Elf(elf(), "vmlinux")
    section = image.sections[".rodata"]
    known = list(kallsyms(image).values())
    base = min(address for address in known if address >= image.text.address)
    (table,) = (
        at
        for at in range(section.offset, section.offset + section.size - 4 * len(known), 8)
        if all(
            struct.unpack_from("<i", image.data, at + 4 * number)[0] in (address, base - 1 - address)
            for number, address in enumerate(known)
        )
    )
    place = section.address + table - section.offset
    data = bytearray(image.data)
    for number, address in enumerate(known):
        struct.pack_into("<I", data, table + 4 * number, (address - place - 4 * number) & 0xFFFFFFFF)
    found = kallsyms(Elf(bytes(data), "vmlinux"))
    code = {name: address for name, address in symbol_map().items() if address >= image.text.address}
    assert {name: found[name] for name in code} == code


def test_kernel_without_kallsyms() -> None:
    damaged = elf().replace(b"0\x001\x002\x003\x00", b"0\x001\x00x\x003\x00")
    assert kallsyms(Elf(damaged, "vmlinux")) == {}


def test_sizes_from_btf() -> None:
    btf = Elf(elf(), "vmlinux").content(".BTF")
    assert btf is not None
    assert struct_sizes(btf, [*SIZES, "no_such_struct"], "vmlinux") == SIZES


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"\0\0", r"BTF begins with 0x0, should be 0xeb9f \(byte 0x0 of it\)"),
        (2, b"\x02", r"BTF has version 2, should be 1 \(byte 0x2 of it\)"),
        (12, b"\xff\xff\xff\x00", "BTF is cut short: types end at "),
        (24 + 7, b"\x1f", r"BTF has a type of the unknown kind 31 \(byte 0x18 of it\)"),
    ],
)
def test_damaged_btf(offset: int, value: bytes, message: str) -> None:
    btf = bytearray(Elf(elf(), "vmlinux").content(".BTF") or b"")
    btf[offset : offset + len(value)] = value
    with pytest.raises(InputError, match=f"^vmlinux: {message}"):
        struct_sizes(bytes(btf), SIZES, "vmlinux")


def test_boot_options_from_the_image() -> None:
    image = Elf(elf(), "vmlinux")
    assert option_words(image, kallsyms(image)) == [
        "memblock",
        "movable_node",
        "no_such_dash",
        "numa_zonelist_order",
        "panic",
        "root",
    ]


def test_everything_from_a_bzimage(vmlinuz: Path) -> None:
    learned = learn(Inputs(vmlinuz))
    found = facts(learned)
    assert (learned.release, learned.version) == ("6.1.77-tiny", "6.1")
    assert learned.build == "#3 SMP PREEMPT Tiny 1"
    assert {name: found[name] for name in IMAGE} == IMAGE
    assert {name: found[f"struct.{name}"] for name in SIZES} == SIZES
    assert found["image.init_size"] == 0x123000


def test_what_a_build_does_not_tell(vmlinuz: Path) -> None:
    learned = learn(Inputs(vmlinuz))
    options = learned.facts["Debian's builds, as no configuration tells"]
    assert options["config.NODES_SHIFT"] == 10
    guessed = learned.facts["that of debian-6.1.0-55-amd64, as nothing tells it"]
    assert guessed == {"struct.zone": find_kernel("debian-6.1.0-55-amd64").fact("struct.zone")}
    assert learned.notes == [
        f"no configuration tells {len(options)} options, so they are those of Debian's builds (NR_CPUS 8192, "
        "NODES_SHIFT 10 among them)",
        "only a guess, after debian-6.1.0-55-amd64, as this build does not tell: struct.zone",
    ]


def test_vmlinux_tells_its_release(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(elf())
    learned = learn(Inputs(path))
    assert learned.release == "6.1.77-tiny"
    assert facts(learned)["image.end"] == IMAGE["image.end"]


def test_image_without_symbols_tells_its_places_by_sections(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(elf().replace(b"0\x001\x002\x003\x00", b"0\x001\x00x\x003\x00"))
    learned = learn(Inputs(path))
    found = facts(learned)
    told = {name: value for name, value in IMAGE.items() if name != "image.real_mode_size"}
    assert {name: found[name] for name in told} == told
    assert learned.notes[-1].startswith("nothing tells which boot options it handles ")


def test_system_map_alone(tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_bytes(lzma.decompress((DATA / "tiny-6.12.map.xz").read_bytes()))
    found = facts(learn(Inputs(system_map=path), release="6.12.3"))
    assert {name: found[name] for name in IMAGE} == IMAGE


def test_stub_of_a_system_map_is_passed_over(vmlinuz: Path, tmp_path: Path) -> None:
    stub = tmp_path / "System.map"
    stub.write_text("ffffffffffffffff B The real System.map is in the debug package\n")
    learned = learn(Inputs(vmlinuz, system_map=stub))
    assert learned.facts["kallsyms inside the image"]["image.end"] == IMAGE["image.end"]


def test_configuration(vmlinuz: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "CONFIG_NUMA=y\nCONFIG_NODES_SHIFT=10\n# CONFIG_CMA is not set\nCONFIG_CXL_ACPI=m\n"
        'CONFIG_CMDLINE="quiet"\nCONFIG_PHYSICAL_ALIGN=0x200000\n'
    )
    found = learn(Inputs(vmlinuz, config=config)).facts["configuration (config)"]
    assert found == {
        "config.NUMA": True,
        "config.NODES_SHIFT": 10,
        "config.CMDLINE": "quiet",
        "config.PHYSICAL_ALIGN": 0x200000,
    }


def test_the_file_that_is_written_can_be_planned_with(vmlinuz: Path, tmp_path: Path) -> None:
    learned = learn(Inputs(vmlinuz))
    path = tmp_path / "tiny.yaml"
    path.write_text("\n".join(to_yaml(learned)) + "\n")
    kernel = find_kernel(str(path))
    assert {name: kernel.facts[name] for name in facts(learned)} == facts(learned)
    assert kernel.options == frozenset(learned.options or [])
    assert kernel.release == "6.1.77-tiny"
    assert {kernel.sources[name] for name in facts(learned)} == set(learned.facts)


def test_known_facts_come_first(vmlinuz: Path) -> None:
    learned = learn(Inputs(vmlinuz, given={"a probe": {"struct.page": 80}}))
    assert facts(learned)["struct.page"] == 80
    assert learned.facts["a probe"] == {"struct.page": 80}
    with pytest.raises(UsageError, match=r"no fact 'struct\.pgae'; did you mean struct\.page"):
        learn(Inputs(vmlinuz, given={"a probe": {"struct.pgae": 80}}))


def test_no_release() -> None:
    with pytest.raises(UsageError, match="give it with --release"):
        learn(Inputs())


def test_map_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text("ffffffff81000000 T _text\nffffffff81200000 B __brk_base\n")
    with pytest.raises(UsageError, match=r"nothing tells image\.end"):
        learn(Inputs(system_map=path), release="6.1.1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "80c00000 B __brk_base\nffffffff83000000 B _end",
            r"System\.map: image\.brk_start comes out as -0x400000, exp",
        ),
        (
            "82c00000 B __brk_base\nffffffff82800000 B _end",
            r"brk_start \(0x1c00000\) comes out above image\.end \(0x18",
        ),
        ("82c00000 B __brk_base\nfffffffff3000000 B _end", r"image\.end comes out as 0x72000000, expected a number"),
        (
            "82c00000 B __brk_base\nffffffff83000000 B _end\n0000000000002f00 D __per_cpu_start\n"
            "0000000000000000 D __per_cpu_end",
            r"image\.percpu_static comes out as -0x2f00, expected a number from 0 to",
        ),
    ],
)
def test_symbols_that_lie_as_in_no_kernel(lines: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text(f"ffffffff81000000 T _text\nffffffff{lines}\n")
    with pytest.raises(InputError, match=message):
        learn(Inputs(system_map=path), release="6.1.1")


def test_long_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    for inputs, what in (
        (Inputs(path), r"1024 MiB, expected a bzImage or a vmlinux"),
        (Inputs(system_map=path), r"64 MiB, expected a System\.map"),
        (Inputs(system_map=path.with_name("map"), config=path), r"4 MiB, expected a kernel configuration"),
    ):
        path.with_name("map").write_text(
            "ffffffff81000000 T _text\nffffffff82c00000 B __brk_base\nffffffff83000000 B _end\n"
        )
        with pytest.raises(InputError, match=f"is longer than {what}"):
            learn(inputs, release="6.1.1")


def _with_ikconfig(data: bytes) -> bytes:
    return elf() + b"IKCFG_ST" + data


def test_configuration_inside_the_image(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(_with_ikconfig(gzip.compress(b"CONFIG_NUMA=y\nCONFIG_NODES_SHIFT=6\n") + b"IKCFG_ED"))
    found = learn(Inputs(path)).facts["configuration inside the image (IKCONFIG)"]
    assert found == {"config.NUMA": True, "config.NODES_SHIFT": 6}


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (gzip.compress(bytes(64 << 20), mtime=0), "it is cut short, or longer than 0x400000"),
        (gzip.compress(b"CONFIG_NUMA=y\n" * 1000, mtime=0)[:-20], "it is cut short, or longer than 0x400000"),
        (b"\x1f\x8b" + b"\xff" * 100, "Error -3 while decompressing"),
    ],
)
def test_damaged_configuration_inside_the_image(packed: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(_with_ikconfig(packed))
    with pytest.raises(InputError, match=f"has a damaged IKCONFIG at byte 0x[0-9a-f]+: {message}"):
        learn(Inputs(path))


def test_name_of_a_build_that_needs_quotes(vmlinuz: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text('CONFIG_NUMA=y\nCONFIG_CMDLINE="it\'s \x1b[31m: é # \U0001f600"\n', encoding="utf-8")
    learned = learn(Inputs(vmlinuz, config=config))
    path = tmp_path / "tiny.yaml"
    path.write_text("\n".join(to_yaml(learned)) + "\n", encoding="utf-8")
    assert "\x1b" not in path.read_text(encoding="utf-8")
    assert find_kernel(str(path)).facts["config.CMDLINE"] == "it's \x1b[31m: é # \U0001f600"


def test_neither_bzimage_nor_elf(tmp_path: Path) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(b"MZ, but nothing more")
    with pytest.raises(InputError, match=r"neither a bzImage .* begins with 4d 5a 2c 20$"):
        learn(Inputs(path))


def test_no_configuration(vmlinuz: Path, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("NUMA: yes\n")
    with pytest.raises(InputError, match="no line like CONFIG_NUMA=y"):
        learn(Inputs(vmlinuz, config=path))


def test_elf_of_another_machine() -> None:
    data = bytearray(elf())
    struct.pack_into("<H", data, 0x12, 183)
    with pytest.raises(InputError, match="is for ELF machine 183"):
        Elf(bytes(data), "vmlinux")


def test_kernel_with_too_many_segments() -> None:
    data = bytearray(elf())
    struct.pack_into("<H", data, 0x38, 0xFFFF)
    with pytest.raises(InputError, match="has 65535 program headers; a kernel has a handful"):
        Elf(bytes(data), "vmlinux")


def test_what_looks_like_symbols_everywhere_is_given_up() -> None:
    """Each word tells of a million names that are as good as any up to the last of them."""
    image = Elf(elf(), "vmlinux")
    section = image.sections[".rodata"]
    digits = b"\0".join(b"%d" % n for n in range(10)) + b"\0"
    tokens = b"".join(b"T\0" for _ in range(0x30)) + digits + b"".join(b"T\0" for _ in range(256 - 0x3A))
    index = struct.pack("<256H", *(2 * n for n in range(256)))
    names = struct.pack("<I", 0x01010101) + struct.pack("<I", 0x100000) * (1 << 20)
    data = names + tokens + bytes(-len(names + tokens) % 8) + index
    crafted = Elf.__new__(Elf)
    crafted.data, crafted.source, crafted.segments = data, "vmlinux", image.segments
    crafted.sections = {".rodata": section._replace(offset=0, size=len(data))}
    assert kallsyms(crafted) == {}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_never_ends_in_anything_but_an_error_of_ours(data: st.DataObject) -> None:
    image = bytearray(elf())
    if data.draw(st.booleans()):
        del image[data.draw(st.integers(0, len(image) - 1)) :]
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, max(len(image) - 1, 0)))
        image[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    with suppress(MemplanError):
        read = Elf(bytes(image), "vmlinux")
        symbols = kallsyms(read)
        option_words(read, symbols)
        struct_sizes(read.content(".BTF") or b"", SIZES, "vmlinux")


def test_written_file_is_plain_yaml(vmlinuz: Path) -> None:
    data = yaml.safe_load("\n".join(to_yaml(learn(Inputs(vmlinuz)))))
    assert data["facts"][0] == {
        "source": "setup header of vmlinuz",
        "image": {"init_size": 0x123000, "kernel_alignment": 0x200000, "output_len": len(elf())},
    }


def test_options_are_written_whole_however_long(vmlinuz: Path) -> None:
    options = ["a" * 128, "b-c" * 42, *(f"word-{number}" for number in range(40))]
    data = yaml.safe_load("\n".join(to_yaml(learn(Inputs(vmlinuz))._replace(options=options))))
    assert data["options"].split() == options


@pytest.mark.parametrize(("length", "lines"), [(57, 1), (58, 2)])
def test_a_line_of_options_has_up_to_116_columns(length: int, lines: int, vmlinuz: Path) -> None:
    text = to_yaml(learn(Inputs(vmlinuz))._replace(options=["a" * 58, "b" * length]))
    assert len(text) - text.index("options: >-") - 1 == lines


def test_of_several_facts_that_nothing_tells_the_first_is_named(tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text("ffffffff81000000 T _text\nffffffff81200000 B __brk_limit\n")
    with pytest.raises(UsageError, match=r"nothing tells image\.brk_start: "):
        learn(Inputs(system_map=path), release="6.1.1")


def test_boot_options_without_some_of_their_symbols() -> None:
    image = Elf(elf(), "vmlinux")
    symbols = kallsyms(image)
    whole = option_words(image, symbols)
    assert whole is not None
    for name in ("__setup_start", "__setup_end"):
        assert option_words(image, {other: at for other, at in symbols.items() if other != name}) is None
    without = option_words(image, {other: at for other, at in symbols.items() if other != "sysctl_aliases"})
    assert without == [word for word in whole if word != "numa_zonelist_order"]
    # A table without entries has none, and one that ends before it begins, or is endless, is damage.
    start = symbols["__setup_start"]
    empty = option_words(image, {**symbols, "__setup_end": start})
    assert empty is not None
    assert set(empty) < set(whole)
    for end in (start - 24, start + 24 * (32768 + 1)):
        with pytest.raises(InputError, match="has a table of boot options of "):
            option_words(image, {**symbols, "__setup_end": end})


@pytest.mark.parametrize(
    ("more", "pages"),
    [
        ({}, 13),
        # The table of exceptions may end between text and read-only data, and is then kept, too.
        ({"__stop___ex_table": 6 * 4096 + 1}, 12),
        ({"__stop___ex_table": 8 * 4096}, 11),
        ({"__stop___ex_table": 8 * 4096 + 1}, 13),
        ({"__stop___ex_table": 5 * 4096 + 100}, 13),
        ({"__stop___ex_table": 4096}, 13),
        ({"__start_bss_decrypted_unused": 40 * 4096, "__end_bss_decrypted": 43 * 4096}, 16),
        ({"__start_bss_decrypted_unused": 40 * 4096}, 13),
        ({"__end_bss_decrypted": 43 * 4096}, 13),
    ],
)
def test_what_the_image_gives_back(more: dict[str, int], pages: int) -> None:
    """Ten pages of init sections, two whole ones behind the text and one behind read-only data."""
    symbols = {
        "_etext": 5 * 4096 + 100,
        "__start_rodata": 8 * 4096,
        "__end_rodata": 10 * 4096 + 1,
        "_sdata": 12 * 4096,
        "__init_begin": 20 * 4096,
        "__init_end": 30 * 4096,
    }
    assert _freed({**symbols, **more}) == pages * 4096
    for name in symbols:
        assert _freed({own: at for own, at in symbols.items() if own != name}) is None


def test_numbers_as_they_are_written(vmlinuz: Path) -> None:
    """Places of the image in hexadecimal, counts and sizes of structures as they are."""
    lines = to_yaml(learn(Inputs(vmlinuz)))
    assert "      init_size: 0x123000" in lines
    assert "      page: 56" in lines
    assert "      NODES_SHIFT: 10" in lines


def test_places_that_a_map_tells(tmp_path: Path) -> None:
    """Each is as far from _text as its symbol; where the map has two names for one, the newer one counts."""
    path = tmp_path / "System.map"
    text = 0xFFFFFFFF81000000
    places = {
        "_text": 0,
        "__end_of_kernel_reserve": 0x7000,
        "__bss_stop": 0x7100,
        "__brk_base": 0x8000,
        "__brk_limit": 0x9000,
        "_end": 0xA000,
        "real_mode_blob": 0x3000,
        "real_mode_blob_end": 0x5001,
        "__smp_locks": 0x1000,
        "__smp_locks_end": 0x3000,
    }
    path.write_text("".join(f"{text + at:x} T {name}\n" for name, at in places.items()))
    found = facts(learn(Inputs(system_map=path), release="6.1.1"))
    assert {name: found.get(f"image.{name}") for name in ("kernel_reserve_end", "brk_start", "brk_limit", "end")} == {
        "kernel_reserve_end": 0x7000,
        "brk_start": 0x8000,
        "brk_limit": 0x9000,
        "end": 0xA000,
    }
    assert (found["image.load_address"], found["image.total_size"]) == (0x1000000, 0xA000)
    assert (found["image.real_mode_size"], found["image.smp_locks"]) == (0x3000, 0x2000)
    assert "image.freed" not in found


def test_options_that_functions_tell(tmp_path: Path) -> None:
    """Those that the configuration names are as it says, also where it says that they are off."""
    path, config = tmp_path / "System.map", tmp_path / "config"
    names = {"_text": 0, "__brk_base": 0x8000, "_end": 0xA000, "kfence_init": 1, "early_memtest": 2, "pti_init": 3}
    path.write_text("".join(f"{0xFFFFFFFF81000000 + at:x} T {name}\n" for name, at in names.items()))
    config.write_text("CONFIG_NODES_SHIFT=6\n# CONFIG_KFENCE is not set\nCONFIG_MEMTEST=y\n")
    learned = learn(Inputs(system_map=path, config=config), release="6.1.1")
    assert learned.facts["configuration (config)"] == {"config.NODES_SHIFT": 6, "config.MEMTEST": True}
    assert learned.facts["functions in System.map"] == {"config.PAGE_TABLE_ISOLATION": True}


def test_without_a_configuration_what_has_no_function_is_off(tmp_path: Path) -> None:
    """Variables stand in full symbol tables alone, so a lacking one tells nothing."""
    path = tmp_path / "System.map"
    names = {"_text": 0, "__brk_base": 0x8000, "_end": 0xA000, "kfence_init": 1, "__pi_sme_enable": 2}
    path.write_text("".join(f"{0xFFFFFFFF81000000 + at:x} T {name}\n" for name, at in names.items()))
    told = learn(Inputs(system_map=path), release="6.18.1").facts["functions in System.map"]
    assert {name for name, on in told.items() if on} == {"config.KFENCE", "config.AMD_MEM_ENCRYPT"}
    assert {"config.NUMA_EMU", "config.CMA", "config.MEMTEST", "config.X86_MPPARSE"} < told.keys()
    assert "config.X86_5LEVEL" not in told


@pytest.mark.parametrize("release", ["6.1.0-55-amd64", "6.12.3", "5.15.0-91-generic", "6.8.9-300.fc40.x86_64"])
def test_releases_that_are_given(release: str, tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text("ffffffff81000000 T _text\nffffffff82c00000 B __brk_base\nffffffff83000000 B _end\n")
    learned = learn(Inputs(system_map=path), release=release)
    assert (learned.release, learned.build) == (release, "")
    assert learned.version == ".".join(release.replace("-", ".").split(".")[:2])


@pytest.mark.parametrize("release", ["6", "linux-6.1", "6.1 x", "6.1." + "x" * 60, "v6.1"])
def test_releases_that_are_none(release: str, tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text("ffffffff81000000 T _text\nffffffff82c00000 B __brk_base\nffffffff83000000 B _end\n")
    with pytest.raises(UsageError, match=r"is no kernel release: it should be like"):
        learn(Inputs(system_map=path), release=release)


def test_a_release_that_is_given_comes_first(vmlinuz: Path) -> None:
    learned = learn(Inputs(vmlinuz), release="6.12.5-own")
    assert (learned.release, learned.version, learned.build) == ("6.12.5-own", "6.12", "#3 SMP PREEMPT Tiny 1")
