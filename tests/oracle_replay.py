"""Replays recorded memblock traces and compares all that they say: results, both arrays, counts, totals, messages.

Run as ``python tests/oracle_replay.py PATH...``.  A path is a trace (.jsonl, .jsonl.xz), an archive of them (.tar.xz),
or a folder of such.  Prints ``N files, M operations, K mismatches`` and exits with 1 where K is not 0.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Any python may run this: the package is taken from this checkout, its requirements where `make` has put them.
_ROOT = Path(__file__).resolve().parent.parent
_OWN_PYTHON = _ROOT / ".venv" / "bin" / "python"
if find_spec("yaml") is None and _OWN_PYTHON.is_file() and Path(sys.prefix) != _ROOT / ".venv":
    os.execv(_OWN_PYTHON, [str(_OWN_PYTHON), *sys.argv])
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

from memplan.kernel.resolve import load_rules  # noqa: E402 - the path is set above
from memplan.memblock.memblock import Memblock, MemblockPanic  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memplan.memblock.regions import RegionArray

_SHOWN = 20
_PANICS = re.compile(r"memblock_(?:virt_)?alloc_try_nid: Failed to allocate \d+ bytes align=")
_SUFFIXES = (".jsonl", ".jsonl.xz", ".tar.xz")


class Warnings:
    """Listens to memblock and keeps its warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def changed(
        self, op: str, base: int, size: int, count: int, descending: bool, _nid: int | None, _flags: int
    ) -> None:
        pass

    def message(self, text: str, warning: bool) -> None:
        if warning:
            self.texts.append(text)

    def array_growth(self, name: str) -> None:
        pass

    def array_grown(self) -> None:
        pass

    def take(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts


class Replay:
    """One trace's memblock and what the trace says that its state is."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.no_node = header["max_numnodes"]
        self.warnings = Warnings()
        self.memblock = Memblock(
            load_rules(header["source"]).memblock, max_numnodes=header["max_numnodes"], listener=self.warnings
        )
        self.arrays: dict[str, list[list[int]]] = {"memory": [], "reserved": []}
        self.numbers: dict[str, list[int]] = dict(header["initial"])

    def step(self, line: dict[str, Any]) -> list[str]:
        """Does one operation; what differs from the trace."""
        name, *args = line["op"]
        panic = None
        result: Any = None
        if name != "end":
            try:
                result = self._operation(name)(*args)
            except MemblockPanic as stop:
                panic = str(stop)
        if result == 0 and self.memblock.rules.allocations == "each its own" and _PANICS.match(line.get("panic") or ""):
            # These versions have a form of each such call that panics where the other returns nothing.
            result, panic = None, line["panic"]
        for array in self.arrays:
            if array in line:
                self.arrays[array] = line[array]
            elif f"{array}_splice" in line:
                index, count, new = line[f"{array}_splice"]
                self.arrays[array][index : index + count] = new
        self.numbers.update({key: line[key] for key in ("cnt", "max", "total") if key in line})
        memory, reserved = self.memblock.memory, self.memblock.reserved
        answers = {
            "ret": (result, line.get("ret")),
            "panic": (panic, line.get("panic")),
            "memory": (self._rows(memory), self.arrays["memory"]),
            "reserved": (self._rows(reserved), self.arrays["reserved"]),
            "cnt": ([memory.cnt, reserved.cnt], self.numbers["cnt"]),
            "max": ([memory.max, reserved.max], self.numbers["max"]),
            "total": ([memory.total_size, reserved.total_size], self.numbers["total"]),
            "warnings": (self.warnings.take(), [_text(warning) for warning in line.get("warnings", ())]),
        }
        return [f"{what}: {_short(got)}, trace {_short(want)}" for what, (got, want) in answers.items() if got != want]

    def _operation(self, name: str) -> Callable[..., Any]:
        own: Callable[..., Any] | None = getattr(self, f"_{name}", None)
        if own is not None:
            return own
        method = getattr(self.memblock, name)

        def call(*args: Any) -> Any:
            result = method(*(None if arg == "any" else arg for arg in args))
            return None if result is None else self._plain(result)

        return call

    # -- settings ---------------------------------------------------------------------------------------------

    def _bottom_up(self, on: int) -> None:
        self.memblock.bottom_up = bool(on)

    def _limit(self, address: int) -> None:
        self.memblock.current_limit = address

    def _kernel_end(self, address: int) -> None:
        self.memblock.kernel_end = address

    def _movable_node(self, on: int) -> None:
        self.memblock.movable_node = bool(on)

    def _mirrored_kernelcore(self, on: int) -> None:
        self.memblock.mirrored_kernelcore = bool(on)

    def _max_low_pfn(self, pfn: int) -> None:
        self.memblock.max_low_pfn = pfn

    def _slab(self, on: int) -> None:
        self.memblock.slab_is_available = bool(on)

    # -- operations whose form differs from the method's --------------------------------------------------------

    def _alloc_range_nid(self, size: int, align: int, start: int, end: int, nid: int | str, exact: int) -> int:
        node = None if isinstance(nid, str) else nid
        return self.memblock.alloc_range_nid(size, align, start, end, node, bool(exact))

    def _search(self, array: str, address: int) -> int:
        return self._array(array).search(address)

    def _overlaps(self, array: str, base: int, size: int) -> int:
        index = self.memblock.overlaps_region(self._array(array), base, size)
        return index if self.memblock.rules.overlap_tells_index else int(index >= 0)

    def _current_limit(self) -> int:
        return self.memblock.current_limit

    def _has_mirror(self) -> int:
        return int(self.memblock.has_mirror)

    def _search_pfn_nid(self, pfn: int) -> list[int]:
        found = self.memblock.search_pfn_nid(pfn)
        return [-1, 0, 0] if found is None else [self._node(found[0]), found[1], found[2]]

    def _pfn_ranges(self, nid: int | str = "any") -> Any:
        return self._plain(list(self.memblock.pfn_ranges(None if isinstance(nid, str) else nid)))

    def _mem_ranges_rev(self) -> Any:
        return self._plain(self.memblock.mem_ranges()[::-1])

    def _free_all(self) -> dict[str, Any]:
        pages, freed, kept = self.memblock.free_all()
        return {"pages": pages, "freed": self._plain(freed), "kept": self._plain(kept)}

    # -- forms ------------------------------------------------------------------------------------------------

    def _array(self, name: str) -> RegionArray:
        return self.memblock.memory if name == "memory" else self.memblock.reserved

    def _node(self, nid: int | None) -> int:
        return nid if nid is not None and 0 <= nid < self.no_node else self.no_node

    def _rows(self, array: RegionArray) -> list[list[int]]:
        return [[base, size, self._node(nid), flags] for base, size, nid, flags in array]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._plain(item) for item in value]
        if value is None:
            return self.no_node
        return int(value) if isinstance(value, bool) else value


def _text(warning: str) -> str:
    kind, _, text = warning.partition(": ")
    return warning if kind in {"WARN_ON", "WARN_ON_ONCE", "dump_stack"} else text


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def replay(lines: list[str]) -> tuple[int, list[str]]:
    """(operations, mismatches) of one trace; a trace that can't be replayed to its end has one mismatch more."""
    operations = 0
    mismatches: list[str] = []
    try:
        header = json.loads(lines[0])
        state = Replay(header)
        for number, text in enumerate(lines[1:], 2):
            line = json.loads(text)
            operations += line["op"] != ["end"]
            wrong = state.step(line)
            mismatches += [f"line {number}: {line['op']}: {what}" for what in wrong]
        if operations != header["ops"]:
            mismatches.append(f"{operations} operations, but the trace says {header['ops']}")
    except Exception as problem:  # whatever is wrong with a trace, it counts and the others go on
        mismatches.append(f"operation {operations}: {type(problem).__name__}: {problem}")
    return operations, mismatches


def traces(path: Path) -> Iterator[tuple[str, list[str] | None]]:
    """(name, lines) of each trace at `path`; None for what can't be read."""
    if path.is_dir():
        for entry in sorted(path.rglob("*")):
            if entry.name.endswith(_SUFFIXES):
                yield from traces(entry)
        return
    try:
        if path.name.endswith(".tar.xz"):
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.name.endswith(".jsonl") else None
                    if file is not None:
                        yield member.name, file.read().decode().splitlines()
        elif path.name.endswith(".xz"):
            yield str(path), lzma.decompress(path.read_bytes()).decode().splitlines()
        else:
            yield str(path), path.read_text().splitlines()
    except (OSError, EOFError, ValueError, lzma.LZMAError, tarfile.TarError):
        yield str(path), None


def main(arguments: list[str]) -> int:
    files = operations = mismatches = 0
    for argument in arguments:
        for name, lines in traces(Path(argument)):
            files += 1
            done, wrong = (0, ["can't be read"]) if lines is None else replay(lines)
            operations += done
            for text in wrong[: max(_SHOWN - mismatches, 0)]:
                print(f"{name}: {text}", file=sys.stderr)
            mismatches += len(wrong)
    print(f"{files} files, {operations} operations, {mismatches} mismatches")
    return 1 if mismatches or not files else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: oracle_replay.py PATH...")
    sys.exit(main(sys.argv[1:]))
