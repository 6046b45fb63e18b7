"""One kernel: a build's facts (data, each with its source) and its version's rules by name.

Only this package knows of versions; everything else asks a fact or a rule.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from memplan.errors import NotCoveredError
from memplan.kernel.facts import FactValue

if TYPE_CHECKING:
    from memplan.kernel.rules import Rules


class Kernel(NamedTuple):
    """One kernel build.

    `facts` maps dotted names to values: ``image.*`` (addresses and sizes in bytes; ``image._end`` and the like are
    offsets from _text), ``struct.*`` (sizeof in bytes), ``config.*`` (CONFIG_ options: True, False, a number or a
    string; one that is missing is off).  `sources` says where each value comes from.  `options` are the words of
    the command line for which the kernel proper has a handler (None: not known for this build).  `notes` are for the
    reader of a plan (a generic build says on whose values it falls back); `borrowed` names the facts that are another
    build's.
    """

    name: str
    version: str
    release: str
    facts: Mapping[str, FactValue]
    sources: Mapping[str, str]
    rules: "Rules"
    options: frozenset[str] | None = None
    notes: tuple[str, ...] = ()
    borrowed: frozenset[str] = frozenset()

    def fact(self, name: str) -> int:
        """The number `name`; NotCoveredError where this build's file does not have it."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotCoveredError(
                f"kernel {self.name}: the fact {name} is not known, so this boot can't be planned; "
                f"add it to the kernel's file (memplan kernel learns it from a build)"
            )
        return value

    def config(self, name: str) -> bool:
        """Whether CONFIG_`name` is on (a missing option is off)."""
        return bool(self.facts.get(f"config.{name}", False))

    def config_number(self, name: str) -> int:
        """The number of CONFIG_`name`; NotCoveredError where it is missing."""
        return self.fact(f"config.{name}")

    @property
    def own_release(self) -> str:
        """The release of the build that these facts were learned from; "" where all of them are other builds'."""
        return self.release if self.borrowed != self.facts.keys() else ""

    @property
    def may_be_red_hats(self) -> bool:
        """Whether this may stand for a kernel of Red Hat's with its own patches: 7 (by the oldest rules), 8 or 9."""
        return re.search(r"\.el\d|^rhel|^3\.13$", self.name) is not None

    @property
    def max_numnodes(self) -> int:
        """MAX_NUMNODES of this build."""
        return 1 << self.config_number("NODES_SHIFT")
