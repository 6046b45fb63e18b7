"""Boot options with a value that no kernel takes: found before a plan is made of a slip of the pen.

Only what is wrong for every version is found.  Whether a good value can be met is for the boot to say.
"""

from __future__ import annotations

import re

from memplan.errors import InputError, Problem
from memplan.machine.cmdline import CommandLine
from memplan.machine.model import MAX_CMDLINE, Machine
from memplan.machine.places import Place, Places

_SIZE = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)[kKmMgGtTpPeE]?"
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)"
_AMOUNT = rf"(?:{_SIZE}|[0-9]+%)"
_MEMMAP = rf"(?:exactmap|{_SIZE}(?:[@#$!]{_SIZE}|%{_SIZE}(?:-{_NUMBER})?(?:\+{_NUMBER})?)?)"
_CRASH_RANGES = rf"{_SIZE}-(?:{_SIZE})?:{_SIZE}(?:,{_SIZE}-(?:{_SIZE})?:{_SIZE})*(?:@{_SIZE})?"

#: Option -> what its value must look like as a whole, and that in words.  Options without a value are left alone.
_FORMS: dict[str, tuple[str, str]] = {
    "mem": (rf"{_SIZE}|nopentium", "a size such as 4G"),
    "memmap": (rf"{_MEMMAP}(?:,{_MEMMAP})*", "size@start, size#start, size$start, size!start or exactmap"),
    "crashkernel": (
        rf"auto|{_SIZE}(?:@{_SIZE}|,high|,low|,cma)?|{_CRASH_RANGES}",
        "a size such as 512M, 512M@64M, 512M,high or 1G-4G:128M,4G-:256M",
    ),
    "kernelcore": (rf"{_AMOUNT}|mirror", "a size such as 4G, a percentage or mirror"),
    "movablecore": (_AMOUNT, "a size such as 4G or a percentage"),
    "hugepagesz": (_SIZE, "a size such as 2M or 1G"),
    "default_hugepagesz": (_SIZE, "a size such as 2M or 1G"),
    "hugepages": (r"[0-9]+(?::[0-9]+)?(?:,[0-9]+:[0-9]+)*", "a number of pages, or node:number[,node:number]"),
    "hugetlb_cma": (
        rf"{_AMOUNT}|[0-9]+:{_AMOUNT}(?:,[0-9]+:{_AMOUNT})*",
        "a size such as 4G or a percentage, or node:size[,node:size]",
    ),
    "cma": (rf"{_SIZE}(?:@{_SIZE}(?:-{_SIZE})?)?", "a size such as 256M, or size@start-end"),
    "log_buf_len": (_SIZE, "a size such as 16M"),
    "reservelow": (_SIZE, "a size such as 64K"),
    "nr_cpus": (_NUMBER, "a number of CPUs"),
    "maxcpus": (_NUMBER, "a number of CPUs"),
    "possible_cpus": (_NUMBER, "a number of CPUs"),
    "swiotlb": (
        rf"(?:{_NUMBER})?(?:,(?:{_NUMBER})?)?(?:,?(?:force|noforce|any|track_hiwater))*",
        "a number of slabs, force or noforce",
    ),
}


def bad_options(cmdline: str) -> list[str]:
    """A message for each option of `cmdline` whose value no kernel takes."""
    messages = []
    for name, value in CommandLine(cmdline).args:
        form = _FORMS.get(name.replace("-", "_"))
        if form is None or value is None or re.fullmatch(form[0], value):
            continue
        messages.append(f"the boot option {name}={value} has a bad value, expected {form[1]}")
    return messages


def with_cmdline(machine: Machine, cmdline: str | None, append: tuple[str, ...] = ()) -> Machine:
    """`machine` with another command line (None: its own), and with more words behind it.

    InputError where one of the new words has a value that no kernel takes, or where they are too many.
    """
    _refuse_bad_options("--cmdline", cmdline or "")
    for more in append:
        _refuse_bad_options("--append", more)
    words = [machine.cmdline if cmdline is None else cmdline, *append]
    text = " ".join(word for word in words if word)
    if text == machine.cmdline:
        return machine
    given = "--append" if append else "--cmdline"
    if len(text) > MAX_CMDLINE:
        raise InputError.single(given, f"the boot options would have {len(text)} characters, at most {MAX_CMDLINE} fit")
    place = {"cmdline": Place(given, field="cmdline")}
    return machine._replace(cmdline=text, places=Places(machine.places, place))


def _refuse_bad_options(option: str, text: str) -> None:
    problems = [Problem(option, message) for message in bad_options(text)]
    if problems:
        raise InputError(problems)
