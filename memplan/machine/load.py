"""Reading a machine description: text to `Machine`, or every problem of the text at once with its place."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError

from memplan.errors import InputError, Problem, UsageError
from memplan.files import read_input
from memplan.machine.document import Document, Path, field_text, read_document
from memplan.machine.kinds import ADDRESS, SIZE
from memplan.machine.model import MAX_CMDLINE
from memplan.machine.options import bad_options
from memplan.machine.places import Place, Places
from memplan.machine.schema import MACHINE, SRAT_FORMS, kind_of, validator
from memplan.machine.words import meant, offer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from memplan.machine.assignment import Assignment
    from memplan.machine.kinds import Kind
    from memplan.machine.model import Machine

_DECIMAL_UNIT = r"([0-9]+) ?([KMGTPEkmgtpe])i?[Bb]"
_BARE_HEX = r"0[0-9a-fA-F]+|[0-9]+[a-fA-F][0-9a-fA-F]*"
#: The longest description that is read, in bytes; 10,000 e820 entries and 1,024 nodes are less than one MiB.
MOST_BYTES = 32 << 20
#: So much of a file is looked at to tell a page from a description, and what may stand before a page's first tag.
_HEAD, _BEFORE_A_TAG = 4096, b"\xef\xbb\xbf \t\r\n"
#: How many problems are told one by one.
_MOST_PROBLEMS = 100


def load_machine(path: str | os.PathLike[str], changes: Sequence[Assignment] = ()) -> Machine:
    """The machine described by the YAML file, or the page, at `path` ("-": standard input), with `changes`.

    Raises InputError, which carries every problem of the file with its line.
    """
    source = os.fspath(path)
    data = read_input(path, MOST_BYTES, "a machine description in YAML")
    return parse_machine(data, "<stdin>" if source == "-" else source, changes)


def parse_machine(text: bytes | str, source: str, changes: Sequence[Assignment] = ()) -> Machine:
    """The machine described by the YAML `text`, with `changes`; `source` names it in messages.

    Raises InputError, which carries every problem of the text with its line and column.
    """
    if isinstance(text, bytes):
        text = _description(text, source)
    document = read_document(text, source)
    for change in changes:
        change.apply(document)
    return machine_of(document)


def changed(machine: Machine, changes: Sequence[Assignment]) -> Machine:
    """`machine` with `changes`; InputError where there can't be such a one."""
    from memplan.machine.dump import dump_machine

    made = parse_machine(dump_machine(machine), machine.name or "the machine", changes)
    return made._replace(places=Places(machine.places))


def machine_of(document: Document) -> Machine:
    """The machine that `document` describes; InputError with all that is wrong with it."""
    problems = list(document.problems)
    machine: Machine | None = None
    more = 0
    try:
        machine = validator().validate_python(document.value)
    except ValidationError as error:
        translated = _translated(document, error)
        problems += translated
        more = max(error.error_count() - _MOST_PROBLEMS, 0)
    problems += _wrong_words(document, booted=machine is not None and machine.booted)
    if machine is not None:
        problems += _wrong_facts(document, machine)
    if machine is not None and not problems:
        problems += _overlaps(document, machine)
    if machine is None or problems:
        raise InputError(_first(problems, document.source, more))
    return machine._replace(places=Places(partial(_places, document)))


def _places(document: Document) -> Mapping[str, Place]:
    from memplan.machine.locate import description_places

    return description_places(document)


def _first(problems: list[Problem], source: str, more: int) -> list[Problem]:
    """The first problems by their lines, and how many more there are beside `more` that are not among them."""
    problems.sort(key=lambda problem: (problem.line, problem.column))
    more += max(len(problems) - _MOST_PROBLEMS, 0)
    if not more:
        return problems
    told = problems[:_MOST_PROBLEMS]
    return [*told, Problem(source, f"and {more} more problems of this file", line=told[-1].line)]


def _description(data: bytes, source: str) -> str:
    """The text of a description: all of `data`, or what a page of ``memplan report`` carries."""
    if data[:_HEAD].lstrip(_BEFORE_A_TAG).startswith(b"<"):
        from memplan.machine.carried import description_in, is_page

        if is_page(data):
            return description_in(data, source)
    return _decoded(data, source)


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        raise InputError.single(
            source,
            f"not UTF-8 text: found the byte {data[error.start]:#04x}",
            line=before.count(b"\n") + 1,
            column=error.start - before.rfind(b"\n"),
        ) from None


# -- what the validator says, in words ---------------------------------------------------------------------------------


def _translated(document: Document, error: ValidationError) -> list[Problem]:
    """The first errors by their lines as problems; of no more is the place looked up, or a mend looked for."""
    placed = []
    for number, detail in enumerate(error.errors(include_url=False)):
        path: Path = tuple(step for step in detail["loc"] if step not in SRAT_FORMS)
        path, on_key = _blamed(path, detail)
        placed.append((document.where(path, key=on_key), number, path, detail))
    placed.sort(key=lambda own: (own[0][1:], own[1]))
    told = {path: _problem(place, path, detail) for place, _, path, detail in placed[:_MOST_PROBLEMS]}
    offered = {(*path[:-1], problem.hint) for path, problem in told.items() if problem.hint}
    misspelt = {path for path in told if path and (*path[:-1], offer(str(path[-1]))) in offered}
    return [problem for path, problem in told.items() if path not in misspelt]


def _blamed(path: Path, detail: ErrorDetails) -> tuple[Path, bool]:
    """The path of what is to blame for an error, and whether its key is."""
    if detail["type"] == "missing":
        return path, False
    if detail["type"] == "problem":
        at = detail["ctx"]["at"]
        found = detail["input"]
        return ((*path, at) if at and isinstance(found, dict) and at in found else path), False
    return path, detail["type"] == "extra_forbidden"


def _problem(place: tuple[str, int, int], path: Path, detail: ErrorDetails) -> Problem:
    found, kind, hint = detail["input"], kind_of(path), ""
    match detail["type"]:
        case "extra_forbidden":
            section = MACHINE if len(path) == 1 else getattr(kind_of(path[:-1]), "section", MACHINE)
            message = f"unknown key, expected one of {', '.join(section.names())}"
            from memplan.machine.keys import meant_key

            hint = meant_key(str(path[-1]), section)
        case "missing":
            message = f"the key {path[-1]} is missing"
            path = path[:-1]
        case "problem":
            message, hint = detail["ctx"]["message"], detail["ctx"]["hint"]
        case "wrong":
            message = f"found {_shown(found)}, expected {detail['msg']}"
            hint = _mend(found, kind)
        case _:
            expected = kind.expected if kind else "a mapping of " + ", ".join(MACHINE.names())
            message = f"found {_shown(found)}, expected {expected}"
    return Problem(place[0], message, line=place[1], column=place[2], field=field_text(path), hint=hint)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    return "a mapping" if isinstance(value, dict) else "a list"


def _mend(found: Any, kind: Kind | None) -> str:
    if not isinstance(found, str):
        return ""
    if kind is not None and kind.words:
        return meant(found, kind.words)
    if unit := re.fullmatch(_DECIMAL_UNIT, found):
        return f"write {unit[1]}{unit[2].upper()}, a power of two"
    if kind in (ADDRESS, SIZE) and re.fullmatch(_BARE_HEX, found):
        return f"write 0x{found} if that is hexadecimal"
    return ""


# -- what no single field shows ----------------------------------------------------------------------------------------


def _wrong_words(document: Document, *, booted: bool) -> Iterator[Problem]:
    """Boot options with values that no kernel takes (where none has `booted` with them), and an unknown kernel."""
    top = document.value
    if not isinstance(top, dict):
        return
    cmdline = top.get("cmdline")
    if isinstance(cmdline, str) and len(cmdline) <= MAX_CMDLINE and not booted:
        for message in bad_options(cmdline):
            source, line, column = document.where(("cmdline",))
            yield Problem(source, message, line=line, column=column, field="cmdline")
    path: Path = ("kernel",)
    build = top.get("kernel")
    if isinstance(build, dict):
        path, build = ("kernel", "build"), build.get("build")
    if not isinstance(build, str):
        return
    if not build.isprintable():
        source, line, column = document.where(path)
        message = f"found {_shown(build)}, expected the name of a kernel or a file's path, of printable characters"
        yield Problem(source, message, line=line, column=column, field=field_text(path))
        return
    if "/" in build or build.endswith((".yaml", ".yml")):
        return
    from memplan.kernel.load import is_kernel
    from memplan.kernel.shipped import kernel_names

    if not is_kernel(build):
        names = kernel_names()
        source, line, column = document.where(path)
        message = f"found {_shown(build)}, expected a kernel that memplan knows or a file's path"
        hint = meant(build, names) or "there are " + ", ".join(names)
        yield Problem(source, message, line=line, column=column, field=field_text(path), hint=hint)


def _wrong_facts(document: Document, machine: Machine) -> Iterator[Problem]:
    """Facts of the kernel's build that no kernel has, or that can't have these values."""
    if not machine.kernel.overrides:
        return
    from memplan.kernel.load import check_values

    for name, value in machine.kernel.overrides.items():
        try:
            check_values({name: value})
        except UsageError as error:
            path: Path = ("kernel", "overrides", name)
            source, line, column = document.where(path)
            yield Problem(source, str(error), line=line, column=column, field=field_text(path))


def _overlaps(document: Document, machine: Machine) -> Iterator[Problem]:
    for name in initrd_overlaps(machine):
        assert machine.initrd is not None
        start, end = machine.initrd.start, machine.initrd.start + machine.initrd.size
        source, line, column = document.where(("initrd",))
        message = f"{start:#x}-{end - 1:#x} overlaps {name}"
        yield Problem(source, message, line=line, column=column, field="initrd")


def initrd_overlaps(machine: Machine) -> list[str]:
    """What the boot loader can't have put where the initrd is; of maps Linux takes any overlap, if it must."""
    if machine.initrd is None:
        return []
    start, end = machine.initrd.start, machine.initrd.start + machine.initrd.size
    others = [(f"setup_data[{i}]", own.address, own.length + 16) for i, own in enumerate(machine.setup_data)]
    if machine.kernel.load_address is not None:
        others.append(("the kernel at kernel.load_address", machine.kernel.load_address, 1))
    return [name for name, address, length in others if start < address + length and address < end]
