"""The machine description's fields, made of those of `memplan.machine.model`: their types, limits and meanings.

From them come the validator, the JSON Schema and the order in which a machine is written.  Here stands only what
a document has beyond the model: ranges that are said in several ways, lines of a log instead of fields, a kernel's
name alone, and values that must go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import itemgetter
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic_core import SchemaValidator
from pydantic_core import core_schema as cs

from memplan.klog import entries
from memplan.klog.memory_types import E820_TYPES, EFI_TYPES, e820_type
from memplan.machine import model
from memplan.machine.fields import Count, Type, Unit
from memplan.machine.kinds import (
    ADDRESS,
    SIZE,
    SWITCH,
    Field,
    Kind,
    Section,
    choice,
    count,
    facts,
    joined,
    leaf,
    list_of,
    of,
    or_line,
    problem,
    read_line,
    read_number,
    reading,
    text,
)
from memplan.units import U64_MAX

_U32 = (1 << 32) - 1

#: Marks the two forms of the SRAT in the place that the validator gives for an error.
SRAT_FORMS = ("<fields>", "<lines>")

#: What the first byte, the size and the end of a range may be called, whatever its class calls them.
_FIRSTS = ("start", "base", "address")
_SIZES = ("size", "length")
_END = "end"
_END_DOC = (
    "The last byte, as the kernel prints it (0xbffdffff). An even number can't be a last byte and is taken for the "
    "first byte behind the range (0xbffe0000, 4G)."
)


# -- values that must go together --------------------------------------------------------------------------------------


class _Range(NamedTuple):
    """A class that is a range: what its first byte and its size are called in a document.

    `ends` tells that the class has the end of the range instead of its size.
    """

    first: str
    size: str
    ends: bool
    #: The names of which one must be given, and those of which another must: the class's own come first.
    firsts: tuple[str, ...]
    extents: tuple[str, ...]

    @classmethod
    def of(cls, owner: Any) -> _Range | None:
        """The range that the class `owner` is; None where it is none."""
        first = next((name for name in _FIRSTS if name in owner._fields), None)
        size = next((name for name in _SIZES if name in owner._fields), None)
        ends = _END in owner._fields
        if first is None or not (size or ends):
            return None
        size = size or _SIZES[0]
        firsts = sorted(_FIRSTS, key=lambda name: name != first)
        return cls(first, size, ends, tuple(firsts), (*sorted(_SIZES, key=lambda name: name != size), _END))

    def taken(self, values: dict[str, Any]) -> dict[str, int]:
        """The fields of the class, out of those of `values` that tell the range, which are taken away."""
        firsts = [name for name in self.firsts if name in values]
        extents = [name for name in self.extents if name in values]
        if not firsts:
            raise problem(f"the key {self.first} is missing")
        if len(firsts) > 1:
            raise problem(f"{firsts[0]} says this already, expected only one of them", at=firsts[1])
        if len(extents) != 1:
            found = "both" if _END in extents[1:] else " and ".join(extents) or "neither"
            raise problem(f"expected either {_END} or {self.size}, found {found}")
        start, own = values.pop(firsts[0]), values.pop(extents[0])
        if extents[0] == _END:
            behind = own + (own & 1)
            if behind <= start:
                raise problem(f"the end {own:#x} does not lie above the start {start:#x}", at=_END)
            own = behind - start
        if self.ends and start + own > U64_MAX + 1:
            raise problem(f"from {start:#x} it runs over the end of the 64-bit address space", at=extents[0])
        return {self.first: start, _END: start + own} if self.ends else {self.first: start, self.size: own}


def _cpus(values: dict[str, Any]) -> model.Cpus:
    present = values.get("present", values.get("possible", 1))
    possible = values.get("possible", present)
    if present > possible:
        raise problem(f"{present} CPUs are present, but only {possible} possible", at="present")
    return model.Cpus(**{**values, "present": present, "possible": possible})


def _acpi(values: dict[str, Any]) -> model.Acpi:
    slit = values.get("slit", ())
    for row in slit:
        if len(row) != len(slit):
            raise problem(f"a row has {len(row)} distances, there are {len(slit)} rows", at="slit")
    return model.Acpi(**values)


#: What makes an object of the values of its fields, where that is more than a call of its class.
_BUILDERS: Mapping[Any, Callable[[dict[str, Any]], Any]] = {model.Cpus: _cpus, model.Acpi: _acpi}
#: Fields that are written before those that the class names first, and fields that are always written.
_BEFORE: Mapping[Any, tuple[str, ...]] = {
    model.Machine: ("name", "kernel", "cmdline", "booted"),
    model.Srat: ("revision",),
    model.Acpi: ("rsdp",),
}
_ALWAYS = {(model.Cpus, "possible"), (model.Cpus, "present"), (model.KernelImage, "build")}


# -- from the model's fields to kinds ----------------------------------------------------------------------------------


@cache
def section_of(cls: Any) -> Section:
    """The section whose object is of the class `cls` of the model."""
    extent = _Range.of(cls)
    named = {name: _field(cls, name) for name in cls._fields if get_origin(cls.__annotations__[name]) is Annotated}
    if extent is None:
        first = _BEFORE.get(cls, ())
        order = sorted(named, key=lambda name: first.index(name) if name in first else len(first))
        return Section(cls, tuple(named[name] for name in order), _BUILDERS.get(cls, lambda values: cls(**values)))
    fields: list[Field] = []
    for name, field in named.items():
        if name not in (_END, extent.size):
            fields.append(field)
            continue
        doc = named[extent.size].doc if extent.size in named else "The size."
        size = (lambda own: own[1] - own[0]) if extent.ends else field.get
        fields += [Field(extent.size, SIZE, doc, size), Field(_END, ADDRESS, f"Instead of the size. {_END_DOC}", None)]
    firsts, sizes = extent.firsts, extent.extents
    others = [name for name in (*firsts[1:], *sizes[1:]) if name != _END]
    same = {**dict.fromkeys(firsts, extent.first), **dict.fromkeys(sizes, extent.size)}
    fields += [Field(name, ADDRESS if name in firsts else SIZE, f"As {same[name]}.", None) for name in others]

    def build(values: dict[str, Any]) -> Any:
        return cls(**extent.taken(values), **values)

    return Section(cls, tuple(fields), build, alternatives=(firsts, sizes), hidden=frozenset(others))


def _field(cls: Any, name: str) -> Field:
    hint, *metadata = get_args(cls.__annotations__[name])
    kind = _kind(hint, [own for own in metadata if not isinstance(own, str)])
    return Field(name, kind, metadata[-1], itemgetter(cls._fields.index(name)), always=(cls, name) in _ALWAYS)


def _kind(hint: Any, metadata: list[Any]) -> Kind:
    """What a value of the type `hint` may be, within what `metadata` says."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        return _kind(inner, more)
    if get_origin(hint) in (Union, UnionType):
        return _kind(get_args(hint)[0], metadata)
    if get_origin(hint) is tuple:
        item = _kind(get_args(hint)[0], [])
        return list_of(item, rows=item.line is not None)
    if get_origin(hint) is Literal:
        return choice(*get_args(hint))
    if hint is bool:
        return SWITCH
    if get_origin(hint) is not None:
        return facts()
    if hasattr(hint, "_fields"):
        return _FORMS.get(hint, lambda: of(section_of(hint)))()
    (limit,) = metadata
    if isinstance(limit, Unit):
        return ADDRESS if limit is Unit.ADDRESS else SIZE
    if isinstance(limit, Type):
        return _E820_TYPE if limit is Type.E820 else _EFI_TYPE
    return count(limit) if isinstance(limit, Count) else text(limit)


# -- types of memory ---------------------------------------------------------------------------------------------------

_EFI_NUMBERS = {name.lower().replace(" ", ""): number for number, name in enumerate(EFI_TYPES)}
_NUMBER_JSON = {"type": "integer", "minimum": 0, "maximum": _U32}


def _read_e820_type(value: str) -> int:
    number = e820_type(value)
    if number is None:
        raise ValueError
    return number


def _read_efi_type(value: str) -> int:
    number = _EFI_NUMBERS.get(value.lower().replace(" ", "").replace("_", ""))
    number = read_number(value) if number is None else number
    if number > _U32:
        raise ValueError
    return number


_E820_TYPE = leaf(
    _read_e820_type,
    {"anyOf": [{"enum": list(E820_TYPES)}, {"type": "string", "pattern": "^type [0-9]{1,10}$"}, _NUMBER_JSON]},
    "an e820 type: " + ", ".join(list(E820_TYPES)[:8]) + ", or a number",
    words=tuple(E820_TYPES),
)
_EFI_TYPE = leaf(
    _read_efi_type,
    {"anyOf": [{"enum": list(EFI_TYPES)}, _NUMBER_JSON]},
    "an EFI memory type by the kernel's word (Conventional, Boot Data …) or number",
    lambda own: EFI_TYPES[own] if own < len(EFI_TYPES) else str(own),
    words=EFI_TYPES,
)


# -- what may be said otherwise than by fields -------------------------------------------------------------------------

_HEX = "0[xX][0-9a-fA-F]+"
_RANGE_PATTERN = rf"\[mem {_HEX}-{_HEX}\]"
_E820_PATTERN = rf"{_RANGE_PATTERN} +\S|[0-9a-fA-F]{{1,16}} - [0-9a-fA-F]{{1,16}} +\(.+\)|^\s*$|\[gap "
_MEMORY_PATTERN = rf"Node [0-9]+ PXM [0-9]+ {_RANGE_PATTERN}|^\s*$"
_CPU_PATTERN = rf"PXM [0-9]+ -> APIC (?:{_HEX}|[0-9]+) -> Node [0-9]+|^\s*$"


def _write_e820(entry: model.E820Entry) -> str:
    name = model.E820_NAMES.get(entry.type, f"type {entry.type}")
    if entry.type == model.E820_RESERVED_KERN or not entry.end:
        return f"{{start: {entry.start:#x}, size: {entry.end - entry.start:#x}, type: {entry.type}}}"
    return f'"[mem {entry.start:#018x}-{entry.end - 1:#018x}] {name}"'


def _e820() -> Kind:
    own = of(section_of(model.E820Entry))
    return or_line(own, entries.e820_line, _E820_PATTERN, entries.E820_EXPECTED, _write_e820)


def _memory_affinity() -> Kind:
    own = of(section_of(model.MemoryAffinity))
    return or_line(own, entries.memory_line, _MEMORY_PATTERN, entries.MEMORY_EXPECTED)


def _cpu_affinity() -> Kind:
    return or_line(of(section_of(model.CpuAffinity)), entries.cpu_line, _CPU_PATTERN, entries.CPU_EXPECTED)


def _srat_line(value: str) -> model.MemoryAffinity | model.CpuAffinity | None:
    return entries.memory_line(value) or entries.cpu_line(value)


def _srat_of_lines(told: tuple[model.MemoryAffinity | model.CpuAffinity, ...]) -> model.Srat:
    return model.Srat(
        memory=tuple(entry for entry in told if isinstance(entry, model.MemoryAffinity)),
        cpus=tuple(entry for entry in told if isinstance(entry, model.CpuAffinity)),
    )


def _srat() -> Kind:
    """The SRAT by its fields, or by the lines that the kernel prints for it."""
    expected = f"{entries.MEMORY_EXPECTED} or {entries.CPU_EXPECTED.removeprefix('a line such as ')}"

    def line(value: Any) -> Any:
        value = joined(value)
        if not isinstance(value, str):
            raise problem(f"expected {expected}")
        return read_line(value, _srat_line, expected) if value.strip() else None

    section = section_of(model.Srat)
    line_json = {"type": "string", "pattern": f"{_MEMORY_PATTERN}|{_CPU_PATTERN}"}
    line_core = reading(line, expected)
    rows = list_of(Kind(lambda: line_core, lambda: line_json, expected), rows=True)

    def core() -> cs.CoreSchema:
        forms = (section.core(), cs.no_info_after_validator_function(_srat_of_lines, rows.core()))
        return cs.tagged_union_schema(
            dict(zip(SRAT_FORMS, forms, strict=True)), lambda value: SRAT_FORMS[0 if isinstance(value, dict) else 1]
        )

    def json() -> dict[str, Any]:
        return {"anyOf": [section.json(), rows.json()]}

    return Kind(core, json, of(section).expected, section=section, line=_srat_line)


def _kernel() -> Kind:
    """The kernel by its fields, or its name alone."""
    section = section_of(model.KernelImage)

    def named(value: Any) -> Any:
        return {"build": value} if isinstance(value, str) else value

    def json() -> dict[str, Any]:
        name = {"type": ["string", "number"], "maxLength": 4096}
        fields = section.json()
        fields["properties"]["build"] |= name
        return {"anyOf": [name, fields]}

    return Kind(
        lambda: cs.no_info_before_validator_function(named, section.core()),
        json,
        f"a kernel's name, or {of(section).expected}",
        section=section,
    )


_FORMS: Mapping[Any, Callable[[], Kind]] = {
    model.E820Entry: _e820,
    model.MemoryAffinity: _memory_affinity,
    model.CpuAffinity: _cpu_affinity,
    model.Srat: _srat,
    model.KernelImage: _kernel,
}


def kind_of(path: tuple[str | int, ...]) -> Kind | None:
    """What the value at `path` of a description may be; None for the whole, and where nothing is foreseen."""
    section: Section | None = MACHINE
    kind: Kind | None = None
    for step in path:
        if isinstance(step, str) and section is not None and step in section.by_name:
            kind = section.by_name[step].kind
        elif kind is not None and kind.item is not None:
            kind = kind.item
        else:
            return None
        section = kind.section
    return kind


MACHINE = section_of(model.Machine)


@cache
def validator() -> SchemaValidator:
    """The validator of whole descriptions, made once."""
    return SchemaValidator(MACHINE.core())


def machine_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a machine description."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan machine description",
        **MACHINE.json(),
    }
