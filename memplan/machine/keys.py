"""The keys of a description: which one is meant by a word that is none, and where a misplaced one belongs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from memplan.machine.schema import MACHINE
from memplan.machine.words import meant, offer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memplan.machine.kinds import Kind, Section

#: Words that are used for keys elsewhere, and the keys that they may mean here.
_SYNONYMS = {
    "begin": ("start", "base", "address"),
    "first": ("start", "base", "address"),
    "from": ("start", "base", "address"),
    "addr": ("address", "base", "start"),
    "offset": ("address", "base", "start"),
    "last": ("end",),
    "to": ("end",),
    "limit": ("end",),
    "stop": ("end",),
    "len": ("length", "size"),
    "bytes": ("size", "length"),
    "node": ("pxm",),
    "nid": ("pxm",),
    "domain": ("pxm",),
    "proximity_domain": ("pxm",),
    "apic": ("apic_id",),
    "id": ("apic_id",),
    "hot_pluggable": ("hotplug",),
    "hotpluggable": ("hotplug",),
    "removable": ("hotplug",),
    "kind": ("type",),
    "bootargs": ("cmdline",),
    "command_line": ("cmdline",),
    "append": ("cmdline",),
    "options": ("cmdline",),
    "version": ("kernel", "build", "revision"),
    "ramdisk": ("initrd",),
    "initramfs": ("initrd",),
    "memmap": ("e820",),
    "memory_map": ("e820",),
    "max": ("possible",),
    "online": ("present",),
    "count": ("present",),
}
_MOST_PLACES = 3


def meant_key(word: str, section: Section) -> str:
    """The mend for the key `word`, which `section` doesn't have; "" where none is near."""
    folded = word.lower().replace("-", "_")
    named = [name for name in _SYNONYMS.get(folded, ()) if name in section.by_name]
    if named:
        return offer(min(named, key=lambda name: name in section.hidden))
    if near := meant(word, section.by_name):
        return near
    if places := _places().get(folded, ())[:_MOST_PLACES]:
        return f"{word} belongs {' or '.join(places)}"
    return ""


def all_keys() -> list[str]:
    """The paths of all keys; an entry of a list is ``[0]``."""
    return [f"{path}.{name}".replace("[]", "[0]") if path else name for name, path in _keys(MACHINE, "")]


@cache
def _places() -> dict[str, tuple[str, ...]]:
    """Where each key belongs, in words."""
    found: dict[str, tuple[str, ...]] = {}
    for name, path in _keys(MACHINE, ""):
        found[name] = (*found.get(name, ()), f"into {path}" if path else "to the top, beside e820")
    return found


def _keys(section: Section, path: str) -> Iterator[tuple[str, str]]:
    for field in section.fields:
        if field.get is not None:
            yield field.name, path
        inner: Kind | None = field.kind
        own = f"{path}.{field.name}" if path else field.name
        while inner is not None and inner.section is None:
            inner, own = inner.item, f"{own}[]"
        if inner is not None and inner.section is not None:
            yield from _keys(inner.section, own)
