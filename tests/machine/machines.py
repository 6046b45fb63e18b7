"""Machines of every shape that the model can hold, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from memplan.machine import model
from memplan.machine.places import Places

_ADDRESSES = st.integers(0, (1 << 52) - 1)
_SIZES = st.integers(0, 1 << 52) | st.integers(0, 1 << 20).map(lambda pages: pages << 12)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=30).map(lambda text: text.rstrip("\n"))
_PXMS = st.integers(0, (1 << 32) - 1) | st.integers(0, 8)
_SIGNATURES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4, max_size=4)
_PAIRS = st.tuples(_ADDRESSES, _SIZES)


def _list(values: st.SearchStrategy[object], most: int = 4) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, max_size=most).map(tuple)


_E820_TYPES = st.sampled_from(sorted(model.E820_NAMES)) | st.integers(0, (1 << 32) - 1)
E820_ENTRIES = st.builds(
    lambda start, size, kind: model.E820Entry(start, start + size, kind), _ADDRESSES, _SIZES, _E820_TYPES
)
_EFI_RANGES = st.builds(
    lambda start, size, kind, attribute: model.EfiRange(start, start + size, kind, attribute),
    _ADDRESSES,
    _SIZES,
    st.integers(0, 20) | st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 64) - 1),
)
_SRATS = st.builds(
    model.Srat,
    memory=_list(st.builds(model.MemoryAffinity, _PXMS, _ADDRESSES, _SIZES, st.booleans(), st.booleans())),
    cpus=_list(st.builds(model.CpuAffinity, _PXMS, _PXMS, st.booleans(), st.booleans())),
    generic_initiators=_list(_PXMS),
    revision=st.integers(1, 255),
)
_ACPIS = st.builds(
    model.Acpi,
    tables=_list(st.builds(model.AcpiTable, _SIGNATURES, _ADDRESSES, _SIZES)),
    rsdp=_ADDRESSES,
    upgrades=_list(st.builds(model.TableUpgrade, _SIGNATURES, _SIZES, st.booleans())),
    slit=st.integers(0, 3).flatmap(
        lambda n: st.tuples(*[st.tuples(*[st.integers(0, 255) for _ in range(n)]) for _ in range(n)])
    ),
    cxl_windows=_list(st.builds(model.CxlWindow, _ADDRESSES, _SIZES)),
    hpet=st.booleans(),
    ioapics=st.integers(0, 128),
)
_BIOSES = st.builds(
    model.Bios,
    lowmem=_SIZES,
    ebda=_ADDRESSES,
    mp_table=st.none() | st.builds(model.MpTable, _ADDRESSES, _ADDRESSES, _SIZES),
    dmi_length=_SIZES,
    ibft=st.none() | _PAIRS,
    legacy_area=st.booleans(),
)
_CPUS = st.integers(1, 8192).flatmap(
    lambda possible: st.builds(
        model.Cpus,
        possible=st.just(possible),
        present=st.integers(1, possible),
        apic_ids=_list(_PXMS),
        nodes=_list(st.integers(0, 1023)),
        pse=st.booleans(),
        gbpages=st.booleans(),
        la57=st.booleans(),
        hypervisor=st.booleans(),
        intel=st.booleans(),
        sandy_bridge_graphics=st.booleans(),
        xsave_size=_SIZES,
        xsave_features=st.integers(0, 64),
        xsaveopt=st.booleans(),
    )
)
#: Facts of each kind: sizes, options that are on or off, options that are numbers, addresses.
_FACTS = st.fixed_dictionaries(
    {},
    optional={
        "struct.page": st.integers(1, 128).map(lambda words: 8 * words),
        "config.NUMA": st.booleans(),
        "config.NODES_SHIFT": st.integers(0, 10),
        "image.load_address": st.integers(1, 1 << 30).map(lambda pages: pages << 12),
    },
)
_KERNELS = st.builds(
    model.KernelImage,
    build=st.sampled_from(["6.12", "5.10", "./my.yaml", "/kernels/own build"]),
    load_address=st.none() | _ADDRESSES,
    randomized=st.booleans(),
    overrides=_FACTS,
)
_SETUP_DATA = st.builds(
    model.SetupData,
    address=_ADDRESSES,
    length=_SIZES,
    type=_PXMS,
    target=st.none() | _PAIRS,
    e820=_list(E820_ENTRIES),
)
_EFIS = st.builds(
    model.Efi,
    memmap=st.none() | _PAIRS,
    descriptor_size=st.integers(40, 4096),
    descriptors=_list(_EFI_RANGES),
    memattr=st.none() | _PAIRS,
    reserved=_list(st.tuples(_ADDRESSES, _SIZES, _TEXTS)),
    secure=st.booleans(),
)

#: Any machine that a description can tell; the initrd lies where nothing else can be.
MACHINES = st.builds(
    model.Machine,
    e820=_list(E820_ENTRIES, 12),
    name=_TEXTS,
    cmdline=st.text(st.characters(codec="utf-8"), max_size=60).map(lambda text: "quiet " + text.rstrip("\n")),
    srat=st.none() | _SRATS,
    acpi=_ACPIS,
    bios=_BIOSES,
    cpus=_CPUS,
    kernel=_KERNELS,
    initrd=st.none() | st.builds(model.Initrd, st.just(1 << 62), _SIZES),
    setup_data=_list(_SETUP_DATA),
    efi=st.none() | _EFIS,
    hypervisor=st.sampled_from(["none", "kvm", "xen", "hyperv", "vmware"]),
    mtrr_limit=_ADDRESSES,
    booted=st.booleans(),
    places=st.just(Places()),
)
