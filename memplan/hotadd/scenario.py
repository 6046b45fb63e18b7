"""What is done to the running machine: steps, as a file, as options of the command line, or both.

A file is a list of steps, or a mapping with the list under `steps`; each step is a mapping with one key::

    - add: {size: 1G, node: 1, addr: 0x140000000}    # node: the device's proximity domain; it is called d0, d1, ...
    - online_movable: d0:0-3                         # online, online_kernel, online_movable, offline: blocks of a DIMM,
    - offline: [d0:-1, 8]                            # the last one, a block by number, or a list
    - remove: d0
    - show: ""
    - sh: echo N > /sys/module/memory_hotplug/parameters/auto_movable_numa_aware

Blocks that are known not to go off-line can be named: ``offline: {blocks: d0, stuck: d0:3}``, and
``remove: {dimm: d0, stuck: [d0:3]}``.  Sizes and addresses are in bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from memplan.errors import InputError, UsageError
from memplan.files import read_input
from memplan.machine.document import Document, field_text, read_document
from memplan.units import PAGE_SIZE, memparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memplan.machine.document import Path

OnlineType = Literal["online", "online_kernel", "online_movable"]
ONLINE_TYPES: tuple[OnlineType, ...] = ("online", "online_kernel", "online_movable")

#: Keys of a file beside `steps`, as files of recorded runs have them; what they say is the machine's to say.
_OTHER_KEYS = frozenset(
    ("name", "kernel", "kernels", "machine", "cpu", "smp", "nodes", "memory", "srat", "append", "seconds", "firmware")
)
_STEP_KEYS = ("add", *ONLINE_TYPES, "offline", "remove", "show", "sh")
_ADD_KEYS = frozenset(("size", "node", "addr", "backend", "wait"))
_TARGET = re.compile(r"d(\d{1,4})(?::(-?\d{1,9})(?:-(\d{1,9}))?)?")
_MOST_STEPS = 10_000
#: DIMMs, of which no machine has slots for so many.
_MOST_DIMMS = 1024
_MOST_BYTES = 4 << 20
_LARGEST = 1 << 52


class Target(NamedTuple):
    """Blocks: of DIMM `dimm` those from `first` to `last` (None: to its last one), or block number `first`."""

    dimm: int | None
    first: int
    last: int | None

    def __str__(self) -> str:
        if self.dimm is None:
            return str(self.first)
        if self.last is None and not self.first:
            return f"d{self.dimm}"
        if self.last == self.first or self.first < 0:
            return f"d{self.dimm}:{self.first}"
        return f"d{self.dimm}:{self.first}-{'' if self.last is None else self.last}"


class Add(NamedTuple):
    """A DIMM of `size` bytes is plugged in; `pxm` is its device's proximity domain, `address` where it lies."""

    size: int
    pxm: int | None = None
    address: int | None = None

    def __str__(self) -> str:
        from memplan.units import size_text

        text = f"add {size_text(self.size)}" + ("" if self.pxm is None else f"@node{self.pxm}")
        return text if self.address is None else f"{text},addr={self.address:#x}"


class Online(NamedTuple):
    """A word is written to the blocks' state."""

    type: OnlineType
    targets: tuple[Target, ...]

    def __str__(self) -> str:
        return f"{self.type} {' '.join(map(str, self.targets))}"


class Offline(NamedTuple):
    """ "offline" is written to the blocks' state; `stuck` are blocks that are known not to go."""

    targets: tuple[Target, ...]
    stuck: tuple[Target, ...] | None = None

    def __str__(self) -> str:
        return f"offline {' '.join(map(str, self.targets))}"


class Remove(NamedTuple):
    """The DIMM is asked back; `stuck` are blocks that are known not to go off-line."""

    dimm: int
    stuck: tuple[Target, ...] | None = None

    def __str__(self) -> str:
        return f"remove d{self.dimm}"


class Show(NamedTuple):
    """Nothing is done: the state is looked at."""

    def __str__(self) -> str:
        return "show"


class Shell(NamedTuple):
    """A command runs on the machine; what it writes to memory's own files is followed."""

    text: str

    def __str__(self) -> str:
        return f"sh {self.text}"


ScenarioStep: TypeAlias = Add | Online | Offline | Remove | Show | Shell


class Scenario(NamedTuple):
    """The steps in their order; `maxmem` and `slots` are the hypervisor's limits, `memory` the RAM that it gives.

    All in bytes; None where they are not known.
    """

    steps: tuple[ScenarioStep, ...]
    maxmem: int | None = None
    slots: int | None = None
    memory: int | None = None


def load_scenario(path: str) -> Scenario:
    """The scenario in the file at `path`; InputError with every place for what is wrong."""
    try:
        text = read_input(path, _MOST_BYTES, "a list of steps in YAML").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError.single(path, f"is not text: byte {error.start} is no UTF-8") from None
    return parse_scenario(text, path)


def parse_scenario(text: str, source: str) -> Scenario:
    """The scenario that the YAML `text` holds; `source` names it in messages.  Raises InputError."""
    document = read_document(text, source)
    if document.problems:
        raise InputError(document.problems)
    return _Reader(document, source).scenario()


class _Reader:
    """Turns a document into steps; every complaint has its place."""

    def __init__(self, document: Document, source: str) -> None:
        self._document = document
        self._source = source
        self._added = 0

    def scenario(self) -> Scenario:
        value = self._document.value
        if isinstance(value, list):
            return Scenario(self._steps(value, ()))
        if not isinstance(value, dict) or "steps" not in value:
            raise self._wrong((), "should be a list of steps, or a mapping with steps")
        for key in value:
            if key not in _OTHER_KEYS and key not in ("steps", "maxmem", "slots"):
                raise self._wrong((key,), "is no key of a scenario; steps, maxmem and slots are", key=True)
        steps = value["steps"]
        if not isinstance(steps, list):
            raise self._wrong(("steps",), "should be a list of steps")
        maxmem = self._size(value["maxmem"], ("maxmem",)) if value.get("maxmem") is not None else None
        slots = self._number(value["slots"], ("slots",)) if value.get("slots") is not None else None
        return Scenario(self._steps(steps, ("steps",)), maxmem, slots, self._memory(value))

    def _memory(self, value: dict[str, Any]) -> int | None:
        nodes = value.get("nodes")
        if isinstance(nodes, list):
            sizes = [
                self._size(node["size"], ("nodes", index, "size"), least=0)
                for index, node in enumerate(nodes)
                if isinstance(node, dict) and "size" in node
            ]
            return sum(sizes)
        return self._size(value["memory"], ("memory",)) if value.get("memory") is not None else None

    def _steps(self, values: list[Any], path: Path) -> tuple[ScenarioStep, ...]:
        if len(values) > _MOST_STEPS:
            raise self._wrong(path, f"holds {len(values)} steps, more than {_MOST_STEPS}")
        return tuple(self._step(value, (*path, index)) for index, value in enumerate(values))

    def _step(self, value: Any, path: Path) -> ScenarioStep:
        if isinstance(value, str) and value == "show":
            return Show()
        if not isinstance(value, dict) or len(value) != 1:
            raise self._wrong(path, f"should be a mapping with one of {', '.join(_STEP_KEYS)}")
        ((what, argument),) = value.items()
        here = (*path, what)
        if what == "add":
            return self._add(argument, here)
        if what in ONLINE_TYPES:
            return Online(what, self._targets(argument, here))
        if what == "offline":
            if isinstance(argument, dict):
                blocks, stuck = self._stuck(argument, here, "blocks")
                return Offline(self._targets(blocks, (*here, "blocks")), stuck)
            return Offline(self._targets(argument, here))
        if what == "remove":
            if isinstance(argument, dict):
                dimm, stuck = self._stuck(argument, here, "dimm")
                return Remove(self._dimm(dimm, (*here, "dimm")), stuck)
            return Remove(self._dimm(argument, here))
        if what == "show":
            return Show()
        if what == "sh":
            if not isinstance(argument, str):
                raise self._wrong(here, "should be the text of a command")
            return Shell(argument)
        raise self._wrong(here, f"is no step; steps are {', '.join(_STEP_KEYS)}", key=True)

    def _add(self, value: Any, path: Path) -> Add:
        if isinstance(value, str):
            value = {"size": value}
        if not isinstance(value, dict) or "size" not in value:
            raise self._wrong(path, "should be a mapping with size, and node and addr where they are known")
        for key in value:
            if key not in _ADD_KEYS:
                raise self._wrong((*path, key), "is no field of a DIMM; size, node and addr are", key=True)
        self._added += 1
        if self._added > _MOST_DIMMS:
            raise self._wrong(path, f"is one DIMM more than {_MOST_DIMMS}, for which no machine has slots")
        size = self._size(value["size"], (*path, "size"))
        node = self._number(value["node"], (*path, "node")) if value.get("node") is not None else None
        address = None
        if value.get("addr") is not None:
            address = self._size(value["addr"], (*path, "addr"), least=0)
        return Add(size, node, address)

    def _stuck(self, value: dict[str, Any], path: Path, needed: str) -> tuple[Any, tuple[Target, ...]]:
        if needed not in value or set(value) - {needed, "stuck"}:
            raise self._wrong(path, f"should be a mapping with {needed}, and with stuck where blocks are known to stay")
        stuck = value.get("stuck")
        return value[needed], () if stuck is None else self._targets(stuck, (*path, "stuck"))

    def _targets(self, value: Any, path: Path) -> tuple[Target, ...]:
        values = value if isinstance(value, list) else [value]
        places: Iterable[Path] = ((*path, index) for index in range(len(values))) if value is values else [path]
        return tuple(self._target(one, place) for one, place in zip(values, places, strict=True))

    def _target(self, value: Any, path: Path) -> Target:
        if isinstance(value, (list, dict)):
            raise self._wrong(path, "should be blocks like d0, d0:2-5 or 8")
        target: Target = self._parsed(parse_target, str(value), path)
        if target.dimm is not None and target.dimm >= self._added:
            raise self._wrong(path, unknown_dimm(target.dimm, self._added))
        return target

    def _dimm(self, value: Any, path: Path) -> int:
        target = self._target(value, path)
        if target.dimm is None or target.first or target.last is not None:
            raise self._wrong(path, f"should be a DIMM such as d0, found {value}")
        return target.dimm

    def _size(self, value: Any, path: Path, least: int = PAGE_SIZE) -> int:
        size: int = self._parsed(lambda text: parse_size(text, least), value, path)
        return size

    def _number(self, value: Any, path: Path) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"\d{1,9}", value):
            raise self._wrong(path, f"should be a number, found {value}")
        return int(value)

    def _parsed(self, parse: Callable[[str], Any], value: Any, path: Path) -> Any:
        try:
            return parse(value if isinstance(value, str) else f"{value}")
        except UsageError as error:
            raise self._wrong(path, str(error)) from None

    def _wrong(self, path: Path, message: str, *, key: bool = False) -> InputError:
        line, column = self._document.place(path, key=key)
        return InputError.single(self._source, message, line=line, column=column, field=field_text(path))


def unknown_dimm(dimm: int, known: int) -> str:
    """That a step names DIMM number `dimm`, while only `known` were added before it."""
    before = "no DIMM was added before" if not known else f"only d0 to d{known - 1} were added before"
    return f"d{dimm} is not there: {before}"


# -- words of the command line ----------------------------------------------------------------------------------------


def parse_add(text: str) -> Add:
    """``1G@node1``, ``4G@node0,addr=0x240000000`` or ``2G``; UsageError for anything else."""
    size, _, rest = text.partition(",")
    size, at, node = size.partition("@")
    found = re.fullmatch(r"(?:node)?(\d{1,9})", node) if at else None
    place = re.fullmatch(r"addr=(.+)", rest) if rest else None
    if (at and found is None) or (rest and place is None):
        raise UsageError(f"{text!r} is no DIMM: it should be like 1G, 1G@node1 or 4G@node0,addr=0x240000000")
    address = parse_size(place[1], 0) if place else None
    return Add(parse_size(size), int(found[1]) if found else None, address)


def parse_online(text: str) -> Online:
    """``movable:d0:0-3``, ``kernel:d0``, ``online:8`` or bare blocks; UsageError for anything else."""
    kinds: dict[str, OnlineType] = {"movable": "online_movable", "kernel": "online_kernel", "online": "online"}
    kinds |= {name: name for name in ONLINE_TYPES}
    word, colon, rest = text.partition(":")
    if colon and word in kinds:
        return Online(kinds[word], parse_targets(rest))
    return Online("online", parse_targets(text))


def parse_targets(text: str) -> tuple[Target, ...]:
    """Blocks with commas between them: ``d0,d1:2-5,8``; UsageError for anything else."""
    return tuple(parse_target(part) for part in text.split(","))


def parse_target(text: str) -> Target:
    """``d0``, ``d0:2``, ``d0:-1`` (the last one), ``d0:2-5`` or the number of a block; UsageError for others."""
    if re.fullmatch(r"\d{1,9}", text):
        return Target(None, int(text), int(text))
    found = _TARGET.fullmatch(text)
    if found is None or (found[3] and (found[2].startswith("-") or int(found[3]) < int(found[2]))):
        raise UsageError(f"{text!r} names no blocks: it should be like d0, d0:2, d0:-1, d0:2-5, or a block's number")
    if found[2] is None:
        return Target(int(found[1]), 0, None)
    first = int(found[2])
    return Target(int(found[1]), first, int(found[3]) if found[3] else first)


def parse_dimm(text: str) -> int:
    """The number of a DIMM's name ("d0": 0); UsageError for anything else."""
    found = re.fullmatch(r"d(\d{1,4})", text)
    if found is None:
        raise UsageError(f"{text!r} is no DIMM: they are called d0, d1, ... in the order in which they are added")
    return int(found[1])


def parse_size(text: str, least: int = PAGE_SIZE) -> int:
    """A size or address such as 4G, 512M, 0x140000000 in bytes, at least `least`; UsageError for anything else."""
    size, rest = memparse(text)
    if rest or not text[:1].isdigit():
        raise UsageError(f"should be a size or an address such as 1G or 0x140000000, found {text!r}")
    if not least <= size <= _LARGEST or size % PAGE_SIZE:
        raise UsageError(f"should be whole pages from {least} to {_LARGEST:#x} bytes, found {text}")
    return size
