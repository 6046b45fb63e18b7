"""What can be tried of a machine: other boot options, another place for what the boot loader puts.

An `Alteration` is a value that a remedy carries; a key of a description gets another value by an `Assignment`
(memplan/machine/assignment.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from memplan.machine.cmdline import CommandLine

if TYPE_CHECKING:
    from memplan.machine.model import Machine

#: A word of the command line, with white space inside double quotes.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


class Alteration(NamedTuple):
    """What is changed: words that the command line gets (`add`), names of options that leave it (`drop`), the
    initrd's place, and whether the kernel image goes to the place that it has without KASLR.
    """

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    initrd_start: int | None = None
    usual_place: bool = False

    def applied(self, machine: Machine) -> Machine:
        """`machine` with the change made; the rest stays as it is."""
        changed = machine._replace(cmdline=options_changed(machine.cmdline, self.add, self.drop))
        if self.initrd_start is not None and changed.initrd is not None:
            changed = changed._replace(initrd=changed.initrd._replace(start=self.initrd_start))
        if self.usual_place:
            changed = changed._replace(kernel=changed.kernel._replace(load_address=None, randomized=False))
        return changed


def options_changed(cmdline: str, add: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> str:
    """`cmdline` without the options of the names in `drop`, and with the words of `add`.

    New words come before a bare ``--``, behind which all is init's.
    """
    words = _WORD.findall(cmdline)
    end = words.index("--") if "--" in words else len(words)
    unwanted = {name.replace("-", "_") for name in drop}
    kept = [word for word in words[:end] if CommandLine(word).names.isdisjoint(unwanted)]
    return " ".join((*kept, *add, *words[end:]))
