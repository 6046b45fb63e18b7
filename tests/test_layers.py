"""Data goes one way through the house: which room may import which, and that nothing imports itself by a detour.

A room is a package of memplan, or one of its modules that stand alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import memplan

PACKAGE = Path(memplan.__file__).parent

#: What all rooms may use; it uses nothing but itself.
FOUNDATION = frozenset({"configs", "errors", "files", "owner", "printable", "progress", "ranges", "units", "workers"})

#: Room -> the rooms that it may import beside the foundation.  "kernel.rules" allows that one module of a room.
ALLOWED: Mapping[str, str] = {
    "events": "",
    "memblock": "",
    # Facts: what a machine and a kernel are.
    "machine": "klog.entries klog.memory_types kernel.load kernel.shipped",
    "klog": "machine.model machine.words",
    "kernel": "machine.document machine.kinds machine.model memblock.rules hotadd.rules",
    "kaslr": "kernel machine",
    "wording": "events kernel.rules",
    # The replay and its result.
    "plan": "events kaslr.places machine.alteration wording",
    "boot": "events kaslr kernel machine memblock plan wording",
    # What reads real things; where the image lies in a boot is inferred by replaying it.
    "firmware": "boot.parameters boot.steps.cpus kaslr kernel klog machine sweep.evidence",
    # What asks more than one plan, or more than a plan.
    "hotadd": "firmware.blocks firmware.source kernel klog.layout machine plan",
    "differences": "plan",
    "causes": "kaslr.places kernel klog.facts machine plan",
    "verification": "boot causes events firmware kernel klog machine plan",
    "qemu": "firmware.acpi_encode machine",
    "trial": "kernel qemu verification",
    "sweep": "boot events kaslr kernel machine memblock plan",
    "advise": "boot kernel machine plan sweep",
    "history": "boot kernel machine sweep",
    "coverage": "boot.limits boot.registry kernel",
    "rule_changes": "boot history kernel machine plan",
    "explain": "boot events hotadd.result kernel machine memblock plan",
    "checks": "boot events firmware hotadd kaslr kernel klog machine plan wording",
    # The edge: what people and programs see.
    "render": "advise checks coverage differences events explain history hotadd kernel klog.facts memblock.flags "
    "memblock.requests plan rule_changes sweep.case verification wording memplan",
    "report": "boot differences events hotadd kernel machine memblock plan render rule_changes verification memplan",
    "memplan": "boot checks differences firmware kernel machine plan verification",
    "cli": "advise boot checks coverage differences explain firmware history hotadd kernel machine plan qemu render "
    "report rule_changes sweep trial verification memplan",
    "__main__": "cli",
}

#: Library -> where it may be imported.
LIBRARIES: Mapping[str, str] = {
    "click": "cli",
    "jinja2": "report.page",
    "pydantic_core": "machine",
    "rich": "render.rich_ cli.bar cli.check",
    "yaml": "machine.document kernel",
}


class Import(NamedTuple):
    """That a module imports another; `inside` a function, it does so only when it runs."""

    importer: str
    imported: str
    line: int
    inside: bool


@cache
def modules() -> Mapping[str, Path]:
    """The modules of memplan by their names below it ("kernel.rules", "plan"; "memplan" for the package itself)."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__") or "memplan"] = path
    return found


def nodes(tree: ast.AST, inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside
        else:
            yield from nodes(child, inside or isinstance(child, ast.FunctionDef | ast.Lambda))


@cache
def imports() -> tuple[Import, ...]:
    """All imports of memplan's modules, of one another (by their names below memplan) and of libraries."""
    found = []
    for name, path in modules().items():
        for node, inside in nodes(ast.parse(path.read_bytes())):
            for imported in _names(node):
                found.append(Import(name, imported, node.lineno, inside))
    return tuple(found)


def _names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert not node.level, "imports name the whole package"
    assert node.module is not None
    own = node.module.removeprefix("memplan").removeprefix(".")
    if node.module.partition(".")[0] != "memplan":
        yield node.module
        return
    for alias in node.names:
        below = f"{own}.{alias.name}" if own else alias.name
        yield below if below in modules() else own or "memplan"


def room(module: str) -> str:
    return module.partition(".")[0]


def may(importer: str, imported: str) -> bool:
    """Whether a module may import another one."""
    if room(importer) == room(imported) or (room(imported) in FOUNDATION):
        return True
    return bool({imported, room(imported)} & set(ALLOWED.get(room(importer), "").split()))


def own_imports() -> list[Import]:
    return [each for each in imports() if each.imported in modules()]


def where(each: Import) -> str:
    return f"{modules()[each.importer].relative_to(PACKAGE.parent)}:{each.line}"


def test_every_room_has_its_place_in_the_table() -> None:
    rooms, listed = {room(name) for name in modules()}, {*ALLOWED, *FOUNDATION}
    assert not rooms - listed, f"say in ALLOWED what these may import: {', '.join(sorted(rooms - listed))}"
    assert not listed - rooms, f"there are no such rooms: {', '.join(sorted(listed - rooms))}"


def test_rooms_import_only_what_they_may() -> None:
    wrong = [
        f"{where(each)}: {room(each.importer)} must not import {each.imported}; it may import "
        f"{ALLOWED.get(room(each.importer), '') or 'nothing'} and the foundation"
        for each in own_imports()
        if not may(each.importer, each.imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_foundation_rests_on_itself() -> None:
    wrong = [
        f"{where(each)}: {each.importer} is for all rooms, and must not import {each.imported}"
        for each in own_imports()
        if room(each.importer) in FOUNDATION and room(each.imported) not in FOUNDATION
    ]
    assert not wrong, "\n".join(wrong)


def test_libraries_are_imported_where_they_belong() -> None:
    wrong = [
        f"{where(each)}: {library} belongs to {LIBRARIES[library]}"
        for each in imports()
        if (library := each.imported.partition(".")[0]) in LIBRARIES
        and each.imported not in modules()
        and not {each.importer, room(each.importer)} & set(LIBRARIES[library].split())
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_a_detour() -> None:
    """Of the imports at the top of modules, those for type checking among them."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for each in own_imports():
        # A module imports the package that it lies in by being imported.
        if not each.inside and not each.importer.startswith(f"{each.imported}."):
            graph[each.importer].add(each.imported)
    circle = find_circle(graph)
    assert not circle, f"an import circle: {' -> '.join(circle)}"


def find_circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A path that comes back to where it begins; [] where there is none."""
    done: set[str] = set()

    def follow(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for other in sorted(graph[name]):
                if circle := follow(other, [*path, name]):
                    return circle
            done.add(name)
        return []

    return next((circle for name in sorted(graph) if (circle := follow(name, []))), [])


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
    ],
)
def test_a_circle_is_found(graph: Mapping[str, set[str]], circle: list[str]) -> None:
    assert find_circle(graph) == circle


@pytest.mark.parametrize(
    ("importer", "imported", "right"),
    [
        ("memblock.gaps", "units", True),
        ("memblock.gaps", "boot.memory", False),
        ("boot.memory", "memblock.memblock", True),
        ("boot.replay", "render.json_", False),
        ("kernel.rules", "hotadd.rules", True),
        ("kernel.rules", "hotadd.replay", False),
    ],
)
def test_what_may_be_imported(importer: str, imported: str, right: bool) -> None:
    assert may(importer, imported) is right
