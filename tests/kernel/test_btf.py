"""Sizes from type information that is put together by the format's documentation (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memplan.errors import InputError
from memplan.kernel.btf import struct_sizes

#: kind -> (number, 32-bit words behind a type, and for each of its members)
KINDS = {
    "INT": (1, 1, 0),
    "PTR": (2, 0, 0),
    "ARRAY": (3, 3, 0),
    "STRUCT": (4, 0, 3),
    "UNION": (5, 0, 3),
    "ENUM": (6, 0, 2),
    "FWD": (7, 0, 0),
    "TYPEDEF": (8, 0, 0),
    "VOLATILE": (9, 0, 0),
    "CONST": (10, 0, 0),
    "RESTRICT": (11, 0, 0),
    "FUNC": (12, 0, 0),
    "FUNC_PROTO": (13, 0, 2),
    "VAR": (14, 1, 0),
    "DATASEC": (15, 0, 3),
    "FLOAT": (16, 0, 0),
    "DECL_TAG": (17, 1, 0),
    "TYPE_TAG": (18, 0, 0),
    "ENUM64": (19, 0, 3),
}


def btf(*types: tuple[str, str, int, int], header: int = 24, gap: int = 0, strings_first: bool = False) -> bytes:
    """Types of (kind, name, number of members, size or type), one behind the other.

    The header may be longer than today's; a `gap` may lie behind it, and the strings before the types.
    """
    strings = b"\0"
    body = b""
    for kind, name, members, size in types:
        number, once, each = KINDS[kind]
        at = strings.find(b"\0" + name.encode() + b"\0") + 1 if name else 0
        if name and not at:
            at = len(strings)
            strings += name.encode() + b"\0"
        body += struct.pack("<III", at, number << 24 | members, size) + b"\xff\xff\xff\xff" * (once + each * members)
    types_at, strings_at = (gap + len(strings), gap) if strings_first else (gap, gap + len(body))
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, header, types_at, len(body), strings_at, len(strings))
    return head + b"\xee" * (header - len(head) + gap) + (strings + body if strings_first else body + strings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [0, 1, 2])
def test_what_stands_behind_a_type_of_each_kind_is_passed_over(kind: str, members: int) -> None:
    """A function's linkage stands where other types have the number of their members."""
    data = btf((kind, "before", members, 4), ("STRUCT", "page", 1, 64), (kind, "after", members, 4))
    assert struct_sizes(data, ["page", "nothing"], "x") == {"page": 64}


def test_the_first_type_of_a_name_counts_and_a_type_counts_before_its_other_name() -> None:
    types = (
        ("UNION", "own", 0, 16),
        ("STRUCT", "own", 0, 24),
        ("TYPEDEF", "name_t", 0, 2),
        ("TYPEDEF", "own", 0, 2),
        ("INT", "number", 0, 4),
        ("TYPEDEF", "number_t", 0, 5),
        ("TYPEDEF", "far_t", 0, 99),
    )
    names = ["own", "name_t", "number", "number_t", "far_t"]
    assert struct_sizes(btf(*types), names, "x") == {"own": 16, "name_t": 24}


def test_names_are_whole() -> None:
    assert struct_sizes(btf(("STRUCT", "zone", 0, 8), ("STRUCT", "zones", 0, 9)), ["zone", "one", "zones"], "x") == {
        "zone": 8,
        "zones": 9,
    }


def test_damage_is_told_with_its_place() -> None:
    data = btf(("STRUCT", "page", 0, 64), ("INT", "number", 0, 4))
    assert struct_sizes(data, ["page"], "x") == {"page": 64}
    with pytest.raises(InputError, match=r"^x: BTF is cut short: 23 bytes, should be at least 24 \(byte 0x17 of it\)"):
        struct_sizes(data[:23], ["page"], "x")
    with pytest.raises(InputError, match=r"BTF is cut short: types end at 0x34, strings at 0x41"):
        struct_sizes(data[:-1], ["page"], "x")
    shorter = bytearray(data)
    struct.pack_into("<I", shorter, 12, 12 + 8)
    with pytest.raises(InputError, match=r"BTF ends inside a type \(byte 0x24 of it\)"):
        struct_sizes(bytes(shorter), ["page"], "x")
    for kind in (0, 20):
        shorter = bytearray(data)
        shorter[24 + 7] = kind
        with pytest.raises(InputError, match=rf"has a type of the unknown kind {kind} \(byte 0x18 of it\)"):
            struct_sizes(bytes(shorter), ["page"], "x")


#: More than a kind, a name, members and a size are not asked of a type; a typedef's size is the number of its type.
TYPES = st.lists(
    st.tuples(
        st.sampled_from(["STRUCT", "UNION", "TYPEDEF", "INT", "FUNC_PROTO", "PTR", "ENUM64"]),
        st.sampled_from(["", "page", "pages", "age", "zone", "zone_t"]),
        st.integers(0, 3),
        st.integers(0, 12),
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(TYPES, st.integers(24, 40), st.integers(0, 9), st.booleans())
def test_sizes_by_going_through_all_types(
    types: list[tuple[str, str, int, int]], header: int, gap: int, strings_first: bool
) -> None:
    """The first structure of the name, or else the first other name of a type that is a structure of some size."""
    wanted = {}
    for name in ("page", "pages", "age", "zone", "zone_t"):
        own = [size for kind, called, _, size in types if called == name and kind in ("STRUCT", "UNION")]
        meant = [size for kind, called, _, size in types if called == name and kind == "TYPEDEF"][:1]
        behind = [types[number - 1] for number in meant if 0 < number <= len(types)]
        own += [size for kind, _, _, size in behind if kind in ("STRUCT", "UNION") and size]
        if own:
            wanted[name] = own[0]
    data = btf(*types, header=header, gap=gap, strings_first=strings_first)
    assert struct_sizes(data, ["page", "pages", "age", "zone", "zone_t"], "x") == wanted


@pytest.mark.parametrize("size", [23, 24])
def test_the_shortest_type_information_has_a_header_alone(size: int) -> None:
    data = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 0)[:size]
    if size == 24:
        assert struct_sizes(data, ["page"], "x") == {}
    else:
        with pytest.raises(InputError, match="is cut short: 23 bytes"):
            struct_sizes(data, ["page"], "x")
