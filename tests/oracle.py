"""Compares the engine with the kernel's own memblock, built from Debian's source packages: `make oracle`.

For each package the kernel's user-space test harness (tools/testing/memblock) is unpacked into .cache/oracle and built
as a library, with tests/oracle.c.  Random operations run in it, and what it answers is replayed as a trace
(tests/oracle_replay.py): results, both arrays after each operation, warnings and panics.  Prints
``N operations, K mismatches``; the status is 1 where K is not 0.  Needs Debian's apt, gcc, and disk space.

    python tests/oracle.py [--operations N] [PACKAGE...]
"""

from __future__ import annotations

import argparse
import ctypes
import random
import re
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

_ROOT = Path(__file__).resolve().parent.parent
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

from tests.oracle_replay import Replay  # noqa: E402 - the path is set above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("linux-source-6.1", "linux-source-6.12")
CACHE = _ROOT / ".cache" / "oracle"
UNPACKED = ("Makefile", "mm/memblock.c", "include/linux", "tools")
NODES_SHIFT = 10
NO_NODE = 1 << NODES_SHIFT
PAGE = 4096
_SCENARIO = 400
#: What 7.3's harness has in a header of its own stays its own, but for what is told to us.
_MM_INIT = """#pragma push_macro("memblock_free_pages")
#undef memblock_free_pages
#define memblock_free_pages harness_free_pages
#include "{harness}/mm_init.h"
#undef memblock_free_pages
#pragma pop_macro("memblock_free_pages")
"""
_SHOWN = 20


class OracleError(Exception):
    """The kernel's harness can't be had; the text says why."""


class Kernel:
    """One kernel's memblock as a library; :meth:`fresh` loads it anew, with empty arrays."""

    def __init__(self, library: Path, release: str) -> None:
        self.release = release
        self.library = library
        self._library: Any = None

    def close(self) -> None:
        """Unloads the library, and with it all that was done."""
        if self._library is not None:
            ctypes.CDLL(None).dlclose(ctypes.c_void_p(self._library._handle))
            self._library = None

    def fresh(self) -> None:
        """Forgets all that was done."""
        self.close()
        self._library = ctypes.CDLL(str(self.library))
        for name in ("heard", "numbers", "type"):
            getattr(self._library, f"oracle_{name}").restype = ctypes.c_void_p
        for name in ("call", "count"):
            getattr(self._library, f"oracle_{name}").restype = ctypes.c_uint64
        self._heard = self._library.oracle_heard()
        self._numbers = self._library.oracle_numbers()
        self._types = [self._library.oracle_type(reserved) for reserved in (0, 1)]

    def call(self, name: str, *args: int) -> int:
        """Calls a function with integers; what it returns, as an unsigned 64-bit number."""
        function = ctypes.cast(getattr(self._library, name), ctypes.c_void_p)
        values = (ctypes.c_uint64 * 6)(*(arg & (1 << 64) - 1 for arg in args))
        return int(self._library.oracle_call(function, values))

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""
        return hasattr(self._library, name)

    def heard(self) -> list[str]:
        """What was said since the last time."""
        text = ctypes.string_at(self._heard).decode()
        self._library.oracle_heard()
        return text.splitlines()

    def told(self) -> list[tuple[int, int, int]]:
        """The triples of numbers that were told since the last time."""
        count = int(self._library.oracle_count())
        numbers = struct.unpack(f"{count}Q", ctypes.string_at(self._numbers, 8 * count))
        return list(zip(*(numbers[part::3] for part in range(3)), strict=True))

    def array(self, reserved: int) -> tuple[list[list[int]], int, int, int]:
        """The regions of an array, and its cnt, max and total_size."""
        count, room, total, regions = struct.unpack("4Q", ctypes.string_at(self._types[reserved], 32))
        rows = struct.iter_unpack("QQIi", ctypes.string_at(regions, 24 * count))
        table = [[base, size, nid if 0 <= nid < NO_NODE else NO_NODE, flags] for base, size, flags, nid in rows if size]
        return table, count, room, total


#: Operations whose function has another name than memblock_NAME.
_FUNCTIONS = {"free": "memblock_phys_free", "reserve": "oracle_reserve"}
_SETTINGS = ("bottom_up", "movable_node", "mirrored_kernelcore", "max_low_pfn")
_STATUS = frozenset(
    ("add", "add_node", "remove", "reserve", "free", "set_node", "set_node_reserved", "reserved_mark_noinit")
)
_SILENT = frozenset(("allow_resize", "limit", "trim_memory", "enforce_memory_limit", "cap_memory_range"))


def answer(kernel: Kernel, name: str, args: list[Any]) -> Any:
    """What the kernel returns for an operation, in a trace's form."""
    any_nid = [-1 if arg == "any" else arg for arg in args]
    if name in _SETTINGS:
        kernel.call(f"oracle_{name}", *args)
        return None
    if name in ("set_node", "set_node_reserved"):
        base, size, nid = any_nid
        return _signed(kernel.call("oracle_set_node", base, size, name == "set_node_reserved", nid))
    if name in ("search", "overlaps"):
        return _signed(kernel.call(f"oracle_{name}", args[0] == "reserved", *args[1:]))
    if name in ("find", "find_node", "has_mirror"):
        return kernel.call(f"oracle_{name}", *any_nid)
    if name in ("free_ranges", "free_ranges_rev", "pfn_ranges"):
        kernel.call(f"oracle_{name}", *([NO_NODE] if name == "pfn_ranges" else any_nid))
        return [[first, end, nid if nid < NO_NODE else NO_NODE] for nid, first, end in kernel.told()]
    if name == "free_all":
        pages = kernel.call("oracle_free_all")
        told = kernel.told()
        freed, kept = ([[a, b] for kind, a, b in told if kind == wanted] for wanted in (0, 1))
        return {"pages": pages, "freed": freed, "kept": kept}
    if name == "phys_alloc":
        return kernel.call("memblock_phys_alloc_range", *args, 0, 0)
    if name == "limit":
        kernel.call("memblock_set_current_limit", *args)
        return None
    if name == "add_node":
        any_nid = [*any_nid, 0][:4]
    value = kernel.call(_FUNCTIONS.get(name, f"memblock_{name}"), *any_nid)
    if name in _SILENT or name == "mem_limit_remove_map":
        return None
    if name in _STATUS or name.startswith(("mark_", "clear_")):
        return _signed(value)
    return value & 0xFF if name.startswith("is_") and name != "is_region_memory" else value


def _signed(value: int) -> int:
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def trace(kernel: Kernel, seed: int, length: int) -> Iterator[dict[str, Any]]:
    """A trace of random operations: its first line, then what the kernel answered to each."""
    kernel.fresh()
    empty = kernel.array(0)[1]
    yield {
        "version": kernel.release,
        "source": kernel.release,
        "max_numnodes": NO_NODE,
        "initial": {"cnt": [empty, empty], "max": [128, 128], "total": [0, 0]},
    }
    for op in operations(random.Random(seed), length, hugetlb=kernel.has("memblock_alloc_hugetlb")):
        name, *args = op
        value = answer(kernel, name, args)
        heard = kernel.heard()
        panic = next((text.removeprefix("panic: ") for text in heard if text.startswith("panic: ")), None)
        tables = [kernel.array(reserved) for reserved in (0, 1)]
        yield {
            "op": op,
            "ret": None if panic else value,
            "memory": tables[0][0],
            "reserved": tables[1][0],
            "cnt": [table[1] for table in tables],
            "max": [table[2] for table in tables],
            "total": [table[3] for table in tables],
            "warnings": [text for text in heard if not text.startswith("panic: ")],
            "panic": panic,
        }
        if panic:
            return


def operations(chance: random.Random, length: int, *, hugetlb: bool) -> Iterator[list[Any]]:
    """Random operations of one kind: a small or a large space, few or many regions, growth allowed or not.

    With `hugetlb` there are gigantic pages among them, for which 7.3 has a call of its own.
    """
    unit = chance.choice((1, 16, PAGE, PAGE, 16 * PAGE))
    space = chance.choice((64, 512, 1 << 14, 1 << 22)) * unit
    places = [NO_NODE, *range(chance.choice((1, 2, 4)))]
    nodes: list[int | str] = ["any", *places[1:]]
    crowded = chance.random() < 0.3
    yield ["mirrored_kernelcore", int(chance.random() < 0.5)]
    yield ["bottom_up", int(chance.random() < 0.5)]
    yield ["movable_node", int(chance.random() < 0.5)]
    yield ["max_low_pfn", chance.choice((space, space, space // 2)) // PAGE + 1]
    if chance.random() < 0.8:
        yield ["allow_resize"]
    for _ in range(chance.choice((1, 4, 12))):
        yield ["add_node", *_range(chance, space, unit, space // 4), chance.choice(places)]

    def span() -> tuple[int, int]:
        return _range(chance, space, unit, unit if crowded else max(space // 64, unit))

    def size() -> int:
        return chance.choice((1, 7, 64, PAGE, chance.randrange(1, space // 8 + 2)))

    def align() -> int:
        return chance.choice((1, 8, 64, PAGE, PAGE, 1 << chance.randrange(24), 0 if chance.random() < 0.1 else 2))

    def bound() -> int:
        return chance.choice((0, 0, 0, chance.randrange(space), (1 << 64) - 1))

    def node() -> int | str:
        return chance.choice(nodes) if chance.random() < 0.98 else chance.choice((NO_NODE, 2000, 7))

    kinds: dict[str, tuple[float, Callable[[], list[Any]]]] = {
        "reserve": (40 if crowded else 12, lambda: [*span()]),
        "free": (6, lambda: [*span()]),
        "add": (3, lambda: [*span()]),
        "add_node": (4, lambda: [*span(), chance.choice(places), chance.choice((0, 0, 1, 2, 4))]),
        "remove": (3, lambda: [*span()]),
        "set_node": (3, lambda: [*span(), chance.choice(places)]),
        "set_node_reserved": (3, lambda: [*span(), chance.choice(places)]),
        "mark_hotplug": (2, lambda: [*span()]),
        "clear_hotplug": (1, lambda: [*span()]),
        "mark_mirror": (2, lambda: [*span()]),
        "mark_nomap": (2, lambda: [*span()]),
        "clear_nomap": (1, lambda: [*span()]),
        "trim_memory": (1, lambda: [PAGE]),
        "enforce_memory_limit": (0.2, lambda: [chance.randrange(space)]),
        "mem_limit_remove_map": (0.2, lambda: [chance.randrange(space)]),
        "cap_memory_range": (0.2, lambda: [*_range(chance, space, unit, space)]),
        "limit": (1, lambda: [chance.choice(((1 << 64) - 1, space, space // 2))]),
        "bottom_up": (1, lambda: [chance.randrange(2)]),
        "find": (4, lambda: [bound(), bound(), size(), align() or 1]),
        "find_node": (4, lambda: [bound(), bound(), size(), align() or 1, node(), chance.choice((0, 1, 2, 4))]),
        "phys_alloc": (4, lambda: [size(), align()]),
        "phys_alloc_range": (6, lambda: [size(), align(), bound(), bound()]),
        "phys_alloc_try_nid": (4, lambda: [size(), align(), node()]),
        "alloc_range_nid": (4, lambda: [size(), align(), bound(), bound(), node(), chance.randrange(2)]),
        "alloc_try_nid": (6, lambda: [size(), align(), bound(), bound(), node()]),
        "alloc_exact_nid_raw": (3, lambda: [size(), align(), bound(), bound(), node()]),
        "alloc_hugetlb": (4 * hugetlb, lambda: [1 << chance.randrange(24), node(), chance.randrange(2)]),
        "is_reserved": (1, lambda: [chance.randrange(space)]),
        "is_map_memory": (1, lambda: [chance.randrange(space)]),
        "search": (1, lambda: [chance.choice(("memory", "reserved")), chance.randrange(space)]),
        "overlaps": (1, lambda: [chance.choice(("memory", "reserved")), *span()]),
        "has_mirror": (0.2, list),
        "free_ranges": (0.5, lambda: [node(), 0]),
        "free_ranges_rev": (0.5, lambda: [node(), 0]),
        "pfn_ranges": (0.5, lambda: ["any"]),
        "free_all": (0.05, list),
    }
    names = list(kinds)
    for name in chance.choices(names, [kinds[name][0] for name in names], k=length):
        yield [name, *kinds[name][1]()]


def _range(chance: random.Random, space: int, unit: int, most: int) -> tuple[int, int]:
    """(base, size) of a range of at most `most` bytes; a few are odd."""
    if chance.random() < 0.01:
        return chance.randrange(space), chance.choice((0, 1, (1 << 64) - 1))
    return chance.randrange(space // unit) * unit, chance.randrange(1, most // unit + 1) * unit


# -- the library ------------------------------------------------------------------------------------------------------


def build(tree: Path, folder: Path) -> Kernel:
    """Builds the library from the kernel's sources at `tree` into `folder`; OracleError where that fails."""
    harness = tree / "tools" / "testing" / "memblock"
    makefile = (tree / "Makefile").read_text()
    numbers = [re.search(rf"^{name} = (\d+)", makefile, re.MULTILINE) for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    release = ".".join(number[1] for number in numbers if number)
    folder.mkdir(parents=True, exist_ok=True)
    sources = folder / release
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir()
    (sources / "memblock.c").symlink_to(tree.resolve() / "mm" / "memblock.c")
    own = Path(__file__).with_suffix(".c").resolve()
    internal = f'#define HARNESS_INTERNAL "{harness.resolve()}/internal.h"\n#include "{own}"\n#undef HARNESS_INTERNAL\n'
    (sources / "internal.h").write_text(internal)
    if (harness / "mm_init.h").exists():
        (sources / "mm_init.h").write_text(_MM_INIT.format(harness=harness.resolve()))
    (sources / "linux").mkdir()
    (sources / "asm").mkdir()
    (sources / "linux" / "memblock.h").symlink_to(tree.resolve() / "include" / "linux" / "memblock.h")
    for header in ("asm.h", "cmpxchg.h"):
        (sources / "asm" / header).symlink_to(tree.resolve() / "tools" / "arch" / "x86" / "include" / "asm" / header)
    library = sources / "memblock.so"
    command = [
        *("gcc", "-O2", "-w", "-shared", "-fPIC", "-fno-strict-aliasing"),
        *("-DCONFIG_PHYS_ADDR_T_64BIT", "-DCONFIG_NUMA", f"-DCONFIG_NODES_SHIFT={NODES_SHIFT}"),
        *(f"-I{sources}", f"-I{harness}", f"-I{tree}/tools/include", "-o", str(library)),
        *(str(own), str(harness / "lib" / "slab.c"), str(harness / "mmzone.c")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OracleError(f"the harness of {release} does not build:\n{done.stderr}")
    return Kernel(library, release)


def unpack(package: str) -> Path:
    """The sources of one of Debian's kernels, downloaded where they are not here yet; OracleError where that fails."""
    for tool in ("apt-get", "dpkg-deb", "tar", "gcc"):
        if shutil.which(tool) is None:
            raise OracleError(f"{tool} is missing; this needs Debian with gcc and xz-utils")
    tree = CACHE / package
    if tree.is_dir():
        return tree
    folder = CACHE / "unpacking"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run("apt-get", "download", package, cwd=folder)
    _run("dpkg-deb", "--extract", str(next(folder.glob("*.deb"))), ".", cwd=folder)
    wanted = [f"{package}/{name}" for name in UNPACKED]
    _run("tar", "--extract", "--xz", "--file", f"usr/src/{package}.tar.xz", *wanted, cwd=folder)
    (folder / package).rename(tree)
    shutil.rmtree(folder)
    return tree


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OracleError(f"{' '.join(command)}: {done.stderr.strip()}")


# -- the comparison ---------------------------------------------------------------------------------------------------


def compare(library: Path, release: str, seeds: range) -> tuple[int, list[str]]:
    """(operations, mismatches) of the random scenarios with these seeds."""
    done = 0
    wrong: list[str] = []
    with closing(Kernel(library, release)) as kernel:
        for seed in seeds:
            lines = trace(kernel, seed, _SCENARIO)
            replay = Replay(next(lines))
            for number, line in enumerate(lines, 1):
                done += 1
                differs = replay.step(line)
                wrong += [f"{release}, seed {seed}, operation {number}: {line['op']}: {text}" for text in differs]
                if differs:
                    break
    return done, wrong


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Compares memblock's engine with the kernel's own code.")
    parser.add_argument("--operations", type=int, default=1_000_000, help="how many in all (default: %(default)s)")
    parser.add_argument("packages", nargs="*", default=PACKAGES, help="Debian's source packages of kernels")
    options = parser.parse_args(arguments)
    try:
        kernels = [build(unpack(package), CACHE / "built") for package in options.packages]
    except OracleError as problem:
        print(f"oracle: {problem}", file=sys.stderr)
        return 2
    scenarios = -(-options.operations // (_SCENARIO * len(kernels)))
    parts = [range(first, min(first + 50, scenarios)) for first in range(0, scenarios, 50)]
    operations, wrong = 0, []
    with ProcessPoolExecutor() as pool:
        for kernel in kernels:
            jobs = [pool.submit(compare, kernel.library, kernel.release, seeds) for seeds in parts]
            for job in jobs:
                done, mismatches = job.result()
                operations += done
                wrong += mismatches
    for text in wrong[:_SHOWN]:
        print(text, file=sys.stderr)
    print(f"{operations} operations, {len(wrong)} mismatches")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
